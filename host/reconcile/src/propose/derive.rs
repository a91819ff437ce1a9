//! Secrets that are made of other secrets.

use doprax_core::blueprint::sha256_hex;
use doprax_core::secret::Derivation;

/// Work of a bcrypt hash, as a power of two: some 50 ms.
const COST: u32 = 10;

/// What `derivation` makes of a secret.
pub(super) fn derive(derivation: Derivation, original: &str) -> String {
    match derivation {
        Derivation::Sha256 => sha256_hex(original.as_bytes()),
        Derivation::Bcrypt => {
            bcrypt::hash(original, COST).expect("the cost is one that bcrypt has")
        }
    }
}

/// Whether `derived` was made of this secret.
pub(super) fn holds(derivation: Derivation, derived: &str, original: &str) -> bool {
    match derivation {
        Derivation::Sha256 => derived == sha256_hex(original.as_bytes()),
        Derivation::Bcrypt => bcrypt::verify(original, derived).unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_that_others_make() {
        assert_eq!(
            derive(Derivation::Sha256, "abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        // Of the test vectors of Openwall's crypt_blowfish.
        let openwall = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        assert!(holds(Derivation::Bcrypt, openwall, "U*U"));
        assert!(!holds(Derivation::Bcrypt, openwall, "U*V"));
        let derived = derive(Derivation::Bcrypt, "a password");
        assert!(derived.starts_with("$2b$10$"), "{derived}");
        assert!(holds(Derivation::Bcrypt, &derived, "a password"));
        assert!(!holds(Derivation::Bcrypt, "not a hash", "a password"));
    }
}
