//! Targets of requests that are no URLs, and that servers answer all the same.
//!
//! Browsers encode what may not stand in a URL (RFC 3986 section 2); scripts and old
//! programs do not. hyper reads no such target, and answers by a status alone.

use crate::refusal::Refusal;
use http::Uri;

/// Bytes of a target that hyper reads, at most.
pub(super) const MOST_BYTES: usize = 65_534;

/// Whether [`readable`] has to look at it.
pub(super) fn is_odd(target: &[u8]) -> bool {
    // Without a way out, so that many bytes are looked at at once.
    let odd = target.iter().fold(false, |any, byte| any | encoded(*byte));
    odd || target.first() != Some(&b'/')
}

/// What hyper is given in its place, if it does not read it as it is: the same with
/// everything encoded that may not stand there.
pub(super) fn readable(target: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    if Uri::try_from(target).is_ok() {
        return Ok(None);
    }
    let (before, path) = target.split_at(path_start(target));
    let mut readable = before.to_vec();
    for byte in path {
        if encoded(*byte) {
            readable.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            readable.push(*byte);
        }
    }
    match Uri::try_from(&readable[..]) {
        Ok(_) => Ok(Some(readable)),
        Err(_) if readable.len() > MOST_BYTES => Err(Refusal::TargetTooLong),
        Err(_) => Err(Refusal::Target),
    }
}

fn encoded(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x80..)
}

/// Where the path begins: after the host, if there is one.
fn path_start(target: &[u8]) -> usize {
    let Some(scheme) = memchr::memmem::find(target, b"://") else {
        return 0;
    };
    if target.starts_with(b"/") {
        return 0;
    }
    let host = scheme + 3;
    let end = target[host..].iter().position(|b| matches!(b, b'/' | b'?'));
    end.map_or(target.len(), |end| host + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_stand_in_a_target_is_encoded_and_all_else_stays() {
        for (target, expected) in [
            (&b"/a?b=\"c\"<d>`"[..], "/a?b=%22c%22%3Cd%3E%60"),
            (b"/\xe9t\xe9", "/%E9t%E9"),
            (b"/`?a://b/\"", "/%60?a://b/%22"),
            (b"http://h:80/<?x", "http://h:80/%3C?x"),
            (b"http://h?\"", "http://h?%22"),
        ] {
            assert!(is_odd(target));
            let readable = readable(target).unwrap().unwrap();
            assert_eq!(String::from_utf8(readable).unwrap(), expected);
        }
        for target in ["/\u{e9}t\u{e9}?{a|b}", "http://h?x=y", "*", "/a?b://c"] {
            assert_eq!(readable(target.as_bytes()), Ok(None), "{target}");
        }
        for target in [&b"http://<h>/"[..], b"http://\xe9/", b"\"", b"a/b", b"?x=y"] {
            assert!(is_odd(target));
            assert_eq!(readable(target), Err(Refusal::Target));
        }
    }
}
