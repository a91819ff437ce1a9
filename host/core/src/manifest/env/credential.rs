//! Tells by its name and looks whether a value is a credential.

/// Parts of names whose values nobody else should see.
const CREDENTIAL: [&str; 8] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "CREDENTIAL",
    "APIKEY",
    "PRIVATE_KEY",
];

/// What authors write where they mean to put a credential later.
const PLACEHOLDERS: [&str; 16] = [
    "PASSWORD",
    "PASS",
    "PASSWD",
    "USERNAME",
    "USER",
    "SECRET",
    "TOKEN",
    "KEY",
    "API_KEY",
    "CHANGEME",
    "CHANGE_ME",
    "CHANGE_THIS",
    "YOUR_PASSWORD",
    "YOUR_USERNAME",
    "YOUR_SECRET",
    "YOUR_TOKEN",
];

/// Whether the value of the variable `name` is a credential, judging by the name.
pub(super) fn is_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    // `…_FILE` names a file that holds it.
    !name.ends_with("_FILE")
        && (CREDENTIAL.iter().any(|part| name.contains(part))
            || name
                .split('_')
                .any(|word| matches!(word, "PASS" | "PW" | "PWD" | "DSN"))
            || name.ends_with("_KEY")
            || name == "KEY")
        && name != "PWD"
}

/// Whether `text` is a URL with a password in it (RFC 3986 section 3.2.1).
pub(super) fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority
            .rsplit_once('@')
            .is_some_and(|(user, _)| user.contains(':'))
    })
}

/// Whether the author of a file forgot to replace `text`, the value of the variable
/// `name`; `is_secret` where the file says that it holds a credential.
pub(super) fn is_placeholder(name: &str, text: &str, is_secret: bool) -> bool {
    let upper = name.to_ascii_uppercase();
    let holds_credential = is_secret
        || is_name(name)
        || upper
            .split('_')
            .any(|word| matches!(word, "USER" | "USERNAME" | "LOGIN"));
    holds_credential && PLACEHOLDERS.contains(&text.trim_matches(['<', '>']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::is_credential;

    #[test]
    fn credentials_are_told_by_their_names() {
        for name in [
            "DB_PASSWORD",
            "db_password",
            "PASSWD",
            "PASSPHRASE",
            "CLIENT_SECRET_1",
            "GITHUB_TOKEN",
            "CREDENTIALS",
            "APIKEY",
            "PRIVATE_KEY_PEM",
            "DB_PASS",
            "PASS_1",
            "DB_PW",
            "DB_PWD",
            "SENTRY_DSN",
            "API_KEY",
            "KEY",
        ] {
            assert!(is_name(name), "{name}");
            assert!(is_credential(name, "x"), "{name}");
        }
        for name in [
            "PWD",
            "PASSWORD_FILE",
            "API_KEY_FILE",
            "PASSENGER_COUNT",
            "COMPASS",
            "KEYBOARD",
            "MONKEY",
            "KEY_ID",
            "HOME",
            "",
        ] {
            assert!(!is_name(name), "{name}");
            assert!(!is_credential(name, "x"), "{name}");
        }
    }

    #[test]
    fn credentials_are_told_by_a_password_in_a_url() {
        for url in [
            "redis://:pass@cache:6379",
            "postgres://user:pass@db/app?a=b",
            "https://a:b@c@d/",
        ] {
            assert!(is_url(url), "{url}");
            assert!(is_credential("URL", url), "{url}");
        }
        for url in [
            "https://example.com",
            "https://user@example.com/",
            "https://example.com:443/a:b@c",
            "https://example.com?a:b@c",
            "https://example.com#a:b@c",
            "user:pass@example.com",
            "",
        ] {
            assert!(!is_url(url), "{url}");
            assert!(!is_credential("URL", url), "{url}");
        }
    }

    #[test]
    fn placeholders_stand_where_a_credential_belongs() {
        for (name, text) in [
            ("DB_PASSWORD", "CHANGEME"),
            ("DB_PASSWORD", "<YOUR_PASSWORD>"),
            ("db_user", "USERNAME"),
            ("DB_USERNAME", "USER"),
            ("LOGIN", "YOUR_USERNAME"),
        ] {
            assert!(is_placeholder(name, text, false), "{name}={text}");
        }
        assert!(is_placeholder("ANYTHING", "TOKEN", true));
        for (name, text) in [
            ("ANYTHING", "TOKEN"),
            ("SUPERUSERS", "USER"),
            ("DB_PASSWORD", "changeme"),
            ("DB_PASSWORD", "hunter2"),
        ] {
            assert!(!is_placeholder(name, text, false), "{name}={text}");
        }
    }
}
