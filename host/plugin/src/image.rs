//! Image references, as far as a host must understand them to check a plugin's.

/// The repository of an image reference, written in full: `redis:7` is
/// `docker.io/library/redis`. Nothing where it is no reference, or names neither
/// tag nor digest. The grammar is that of the Distribution project.
pub(crate) fn repository(reference: &str) -> Option<String> {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match name[slash..].rfind(':') {
        Some(colon) => (&name[..slash + colon], Some(&name[slash + colon + 1..])),
        None => (name, None),
    };
    let named = tag.is_some() || digest.is_some();
    if !named || !tag.is_none_or(is_tag) || !digest.is_none_or(is_digest) || reference.len() > 400 {
        return None;
    }
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if names_registry(first) => {
            if !is_registry(first) {
                return None;
            }
            (first, path)
        }
        _ => ("docker.io", name),
    };
    if !path.split('/').all(is_component) {
        return None;
    }
    match (registry, path.contains('/')) {
        ("docker.io", false) => Some(format!("docker.io/library/{path}")),
        _ => Some(format!("{registry}/{path}")),
    }
}

/// Whether `text` is an image tag.
pub(crate) fn is_tag(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with(['.', '-'])
}

fn is_digest(text: &str) -> bool {
    let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

/// A first component is a registry if it looks like a host name.
fn names_registry(text: &str) -> bool {
    text.contains(['.', ':']) || text == "localhost"
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    host.split('.').all(is_host_label) && port.parse::<u16>().is_ok()
}

fn is_host_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_component(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inner =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    edge(text.bytes().next()) && edge(text.bytes().next_back()) && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::{is_tag, repository};

    #[test]
    fn references() {
        let hex = "0123456789abcdef".repeat(4);
        let digest = format!("redis@sha256:{hex}");
        let both = format!("redis:7@sha256:{hex}");
        let capital = format!("redis@sha256:{}", hex.to_uppercase());
        let long = format!("redis@sha256:{hex}0");
        let other = format!("redis@sha512:{hex}");
        let tag_is_wrong = format!("redis:@sha256:{hex}");
        for (reference, expected) in [
            ("redis:7", Some("docker.io/library/redis")),
            ("docker.io/library/redis:7", Some("docker.io/library/redis")),
            ("docker.io/redis:7", Some("docker.io/library/redis")),
            (
                "bitnami/redis:7.0-debian_1",
                Some("docker.io/bitnami/redis"),
            ),
            ("ghcr.io/a/b/c:1", Some("ghcr.io/a/b/c")),
            ("ghcr.io/a:1", Some("ghcr.io/a")),
            ("localhost:5000/a:1", Some("localhost:5000/a")),
            ("localhost/a:1", Some("localhost/a")),
            ("local/a:1", Some("docker.io/local/a")),
            ("my-host.example:443/a:1", Some("my-host.example:443/a")),
            ("0.1-a_b:1", Some("docker.io/library/0.1-a_b")),
            (digest.as_str(), Some("docker.io/library/redis")),
            (both.as_str(), Some("docker.io/library/redis")),
            (capital.as_str(), None),
            (long.as_str(), None),
            (other.as_str(), None),
            (tag_is_wrong.as_str(), None),
            ("redis", None),
            ("localhost:5000/a", None),
            ("redis:", None),
            ("redis:a b", None),
            ("redis:.a", None),
            ("Redis:7", None),
            ("redis:7\n", None),
            ("../redis:7", None),
            ("redis-:7", None),
            ("_redis:7", None),
            ("re+dis:7", None),
            ("a//b:7", None),
            ("a.example:no/b:7", None),
            ("a.example:65536/b:7", None),
            ("a..example/b:7", None),
            ("a_b.example/b:7", None),
            ("redis@sha256:abc", None),
            (":7", None),
            ("", None),
        ] {
            assert_eq!(repository(reference).as_deref(), expected, "{reference}");
        }
    }

    #[test]
    fn a_reference_has_at_most_400_bytes() {
        let of = |length: usize| format!("{}:7", "a".repeat(length - 2));
        assert!(repository(&of(400)).is_some());
        assert_eq!(repository(&of(401)), None);
    }

    #[test]
    fn a_tag_has_1_to_128_characters_and_begins_with_none_of_its_marks_but_one() {
        for tag in ["7", "_7", "8.0-bookworm_1", &"a".repeat(128)] {
            assert!(is_tag(tag), "{tag}");
        }
        for tag in ["", ".7", "-7", "7 4", "7:4", "7/4", "é", &"a".repeat(129)] {
            assert!(!is_tag(tag), "{tag}");
        }
    }
}
