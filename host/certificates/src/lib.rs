//! Certificates from CAs that speak ACME (RFC 8555), and from the host's own.
//!
//! ```text
//! Issuer ─due→ work ─→ order ─→ ca ─→ http ─→ the CA
//!    │                   ├─→ challenge → Served (answers)
//!    └─→ Served          └─→ Vault
//! ```
//!
//! * `issuer` knows which names are wanted and starts what is due (`agenda`,
//!   `schedule`);
//! * `work` obtains, renews, asks for renewal information, removes;
//! * `order` brings one order to its end, from wherever a kill has left it (`attempt`,
//!   `proof`, `challenge`, `lost`);
//! * `ca` is one CA: the account, the limits (`limiter`), how a failure is understood;
//! * `local_ca` issues for names that no public CA can serve;
//! * `served` is what there is for whoever shakes hands: the certificate of each name, in
//!   little memory, and the answers to CAs that check a name.
//!
//! Who keeps what must outlive the process is given ([`Vault`]), and so is the time
//! ([`Clock`]). Which names should have a certificate, and how connections are taken, is
//! not known here.

mod agenda;
mod attempt;
mod ca;
mod certificate;
mod challenge;
mod clock;
mod error;
mod hook;
mod http;
mod interner;
mod issuer;
mod limiter;
mod local_ca;
mod lost;
mod names;
mod order;
mod policy;
mod proof;
mod schedule;
mod served;
mod vault;
mod work;

#[cfg(test)]
mod tests;

pub use clock::{Clock, SystemClock};
pub use error::Error;
pub use issuer::{CertificateStatus, Issuer, Phase};
pub use local_ca::LocalCa;
pub use names::Names;
pub use policy::{Binding, Ca, Challenge, Hook, Limit, Limits, Policy};
pub use served::Served;
pub use vault::{Kind, Secret, Vault, VaultError};
