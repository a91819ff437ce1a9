//! Who may issue, how a name is proven, and how much may be asked.

use crate::vault::Secret;
use std::time::Duration;

/// Who issues certificates for public names and how. The default is nobody.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The CAs, in the order in which they are asked. None: public names get no
    /// certificate; names that no public CA can serve get theirs from the local CA.
    pub cas: Vec<Ca>,
    /// Where a CA may write to.
    pub email: Option<String>,
    /// Whether the operator has agreed to the terms of all these CAs.
    pub terms_agreed: bool,
    /// Ways of proving a name, preferred first. After a failed attempt the next one
    /// has its turn. A wildcard can only be proven by [`Challenge::Dns01`].
    pub challenges: Vec<Challenge>,
}

/// A CA that speaks ACME (RFC 8555).
#[derive(Debug, Clone)]
pub struct Ca {
    /// URL of its directory; the CA's identity in the vault.
    pub directory: String,
    /// Certificates in PEM that its server is trusted by, instead of the machine's.
    pub roots: Option<String>,
    /// Binds the account to one that the CA knows otherwise.
    pub binding: Option<Binding>,
    /// The certificate profile to ask for.
    pub profile: Option<String>,
    /// What is asked of it at most.
    pub limits: Limits,
}

/// External account binding (RFC 8555 section 7.3.4).
#[derive(Debug, Clone)]
pub struct Binding {
    /// The key's identifier at the CA.
    pub key_id: String,
    /// The MAC key, in base64url as CAs hand it out.
    pub mac_key: Secret,
}

/// A way of proving that one controls a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A file by HTTP on port 80 (RFC 8555 section 8.3).
    Http01,
    /// A certificate on port 443 (RFC 8737).
    TlsAlpn01,
    /// A TXT record, put up by a program (RFC 8555 section 8.4).
    Dns01(Hook),
}

/// A program that manages TXT records. It is called with the arguments
/// `present NAME VALUE`, returns when the record can be seen from outside, and is
/// called later with `cleanup NAME VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The program.
    pub program: String,
    /// Arguments that come before those above.
    pub arguments: Vec<String>,
    /// How long one call may take before it is ended.
    pub timeout: Duration,
}

/// So many in so long a time, the whole number at once or spread out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many.
    pub count: u32,
    /// In which time.
    pub period: Duration,
}

/// What is asked of a CA at most. The default is what Let's Encrypt publishes
/// (<https://letsencrypt.org/docs/rate-limits/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// New orders of the account.
    pub orders: Limit,
    /// Certificates for names below one registered domain. A domain's last two labels
    /// count as registered: below `co.uk` and its like many owners share one count,
    /// which errs towards asking less.
    pub certificates_per_domain: Limit,
    /// Certificates for exactly the same names.
    pub certificates_per_names: Limit,
    /// Failed proofs of one name.
    pub failures_per_name: Limit,
    /// New accounts.
    pub accounts: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        let limit = |count, hours| Limit {
            count,
            period: HOUR * hours,
        };
        Self {
            orders: limit(300, 3),
            certificates_per_domain: limit(50, 7 * 24),
            certificates_per_names: limit(5, 7 * 24),
            failures_per_name: limit(5, 1),
            accounts: limit(10, 3),
        }
    }
}
