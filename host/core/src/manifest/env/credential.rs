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
