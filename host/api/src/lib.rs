//! The host's HTTP API: what goes over the wire, the server in front of
//! `doprax-reconcile`, and the client that the command line uses.
//!
//! The server decides nothing: it checks who asks, turns wire types into wishes and
//! reports into wire types. The client knows nothing of the host but this API.

pub mod client;
pub mod listen;
pub mod server;
pub mod token;
pub mod wire;
