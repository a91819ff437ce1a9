//! The whole life of apps in one process, on an engine in memory whose containers really
//! listen: the real prober, the real ingress and the real store, and a host that is killed
//! whenever a test wants that.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it finds what it did not expect"
)]

mod asked;
mod deploy;
mod domain;
mod drift;
mod events;
mod faults;
mod first_day;
mod kill;
mod kind;
mod names;
mod owed;
mod rollback;
mod rounds;
mod source;
mod stage;
mod time;
mod together;
