//! Certificates from CAs that speak ACME (RFC 8555), and from the local one.
//!
//! ```text
//! Issuer ─due→ work ─→ order ─→ ca ─→ http ─→ the CA
//!    │                   ├─→ challenge → Certificates (answers)
//!    └─→ Certificates    └─→ Vault
//! ```
//!
//! * `issuer` knows which names are wanted and starts what is due (`agenda`,
//!   `schedule`);
//! * `work` obtains, renews, asks for renewal information, removes;
//! * `order` brings one order to its end, from wherever a kill has left it (`proof`,
//!   `challenge`, `lost`);
//! * `ca` is one CA: the account, the limits (`limiter`), how a failure is understood.
//!
//! Who keeps what must outlive the process is given ([`Vault`]), and so is the time
//! ([`Clock`]).

mod agenda;
mod ca;
pub(crate) mod certificate;
mod challenge;
mod clock;
mod error;
mod hook;
mod http;
mod issuer;
mod limiter;
mod lost;
mod names;
mod order;
mod policy;
mod proof;
mod schedule;
pub(crate) mod vault;
mod work;

#[cfg(test)]
pub(crate) mod tests;

pub use clock::{Clock, SystemClock};
pub use error::Error;
pub use issuer::{CertificateStatus, Issuer, Phase};
pub use names::Names;
pub use policy::{Binding, Ca, Challenge, Hook, Limit, Limits, Policy};
pub use vault::{Kind, Secret, Vault, VaultError};
