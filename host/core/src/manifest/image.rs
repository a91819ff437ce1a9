//! Image references and tags.

/// Whether `text` is a tag (OCI distribution specification, section "Pulling
/// manifests").
pub(super) fn is_tag(text: &str) -> bool {
    let mut characters = text.chars();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128
        && characters.next().is_some_and(word)
        && characters.all(|c| word(c) || c == '.' || c == '-')
}

/// Splits a reference into its name and its tag, the digest cut off.
pub(super) fn split_tag(reference: &str) -> (&str, Option<&str>) {
    let reference = reference.split('@').next().unwrap_or(reference);
    let last = reference.rfind('/').map_or(0, |index| index + 1);
    match reference[last..].find(':') {
        Some(colon) => (
            &reference[..last + colon],
            Some(&reference[last + colon + 1..]),
        ),
        None => (reference, None),
    }
}

/// Why a text is no image reference, and what to do about it.
pub(super) fn objection(reference: &str) -> Option<(&'static str, String)> {
    let example = "write it as in `image: ghcr.io/acme/worker:1.4`".to_owned();
    if reference.contains("://") {
        return Some(("an image reference has no protocol", example));
    }
    let (name, tag) = split_tag(reference);
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Some(("what follows the colon is no tag", example));
    }
    if let Some((_, digest)) = reference.split_once('@') {
        let hexadecimal = |digits: &str| {
            digits.len() == 64
                && digits
                    .bytes()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !digest.strip_prefix("sha256:").is_some_and(hexadecimal) {
            return Some((
                "what follows the @ is no digest",
                "write it as `@sha256:` and 64 hexadecimal digits".to_owned(),
            ));
        }
    }
    if name.len() > 255 {
        return Some(("an image reference of more than 255 characters", example));
    }
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
            (Some(host), path)
        }
        _ => (None, name),
    };
    let host_fits = host.is_none_or(|host| {
        let (host, port) = host.split_once(':').unwrap_or((host, "0"));
        !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
            && port.parse::<u16>().is_ok()
    });
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Some((
            "the name of an image has no capitals",
            "write it in lower case".to_owned(),
        ));
    }
    let component = |part: &str| {
        let alphanumeric =
            |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = part.as_bytes();
        alphanumeric(bytes.first())
            && alphanumeric(bytes.last())
            && bytes.iter().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
            })
    };
    if host_fits && path.split('/').all(component) {
        None
    } else {
        Some(("this is no image reference", example))
    }
}
