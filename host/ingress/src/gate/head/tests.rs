//! Heads, whole and in parts, with one meaning and without.

use super::*;

const BOUNDS: Bounds = Bounds {
    bytes: 200,
    fields: 5,
};

fn read(head: &[u8]) -> Result<Option<Head>, Refusal> {
    Scanner::default().read(head, BOUNDS)
}

/// Whatever the parts a head arrives in, it reads the same.
#[test]
fn parts_make_no_difference() {
    let heads: [&[u8]; 5] = [
        b"\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length:  12 \r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nX-Forwarded-For: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
    ];
    for head in heads {
        let whole = read(head);
        assert_ne!(whole, Ok(None));
        for step in 1..head.len() {
            let mut scanner = Scanner::default();
            let mut result = Ok(None);
            for end in (step..head.len()).step_by(step).chain([head.len()]) {
                result = scanner.read(&head[..end], BOUNDS);
                if result != Ok(None) {
                    break;
                }
            }
            assert_eq!(result, whole, "in steps of {step}");
        }
    }
}

#[test]
fn a_head_says_how_long_it_and_its_body_are() {
    let text = b"POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 007\r\n\r\nignored";
    let head = read(text).unwrap().unwrap();
    assert_eq!(head.bytes, text.len() - "ignored".len());
    assert_eq!(head.framing, Framing::Length(7));
}

#[test]
fn bounds_hold_for_complete_and_for_endless_heads() {
    let long = [b"GET /".as_slice(), &[b'a'; 300]].concat();
    assert_eq!(read(&long), Err(Refusal::TargetTooLong));
    let wide = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'a'; 300]].concat();
    assert_eq!(read(&wide), Err(Refusal::HeadTooLarge));
    let complete = [wide.as_slice(), b"\r\n\r\n"].concat();
    assert_eq!(read(&complete), Err(Refusal::HeadTooLarge));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(6));
    assert_eq!(read(many.as_bytes()), Err(Refusal::HeadTooLarge));
}

/// All of it, its target and the empty line included.
#[test]
fn a_head_may_be_as_large_as_its_bounds_and_not_larger() {
    let head = |bytes: usize, fields: usize| {
        let others = "a: b\r\n".repeat(fields - 1);
        let begin = format!("GET / HTTP/1.1\r\n{others}Host: ");
        let host = "a".repeat(bytes - begin.len() - 4);
        format!("{begin}{host}\r\n\r\n").into_bytes()
    };
    let (bytes, fields) = (BOUNDS.bytes, BOUNDS.fields);
    let read_whole = read(&head(bytes, fields)).unwrap().unwrap();
    assert_eq!(read_whole.bytes, bytes);
    for (bytes, fields) in [(bytes + 1, fields), (bytes, fields + 1)] {
        assert_eq!(read(&head(bytes, fields)), Err(Refusal::HeadTooLarge));
    }
    let aimed = |bytes: usize| {
        let rest = " HTTP/1.1\r\nHost: a\r\n\r\n";
        let target = "a".repeat(bytes - rest.len() - 5);
        format!("GET /{target}{rest}").into_bytes()
    };
    assert_eq!(read(&aimed(bytes)).unwrap().unwrap().bytes, bytes);
    assert_eq!(read(&aimed(bytes + 1)), Err(Refusal::HeadTooLarge));
    // One that has come so far without an end is refused as soon as that is known.
    assert_eq!(read(&head(bytes + 1, 1)[..bytes - 1]), Ok(None));
    let endless = read(&head(bytes + 1, 1)[..bytes]);
    assert_eq!(endless, Err(Refusal::HeadTooLarge));
}

/// Servers that make variables of the names (RFC 3875 section 4.1.18) see no difference
/// between a line and an underscore.
#[test]
fn fields_that_say_for_whom_a_request_is_are_noted() {
    for (field, forwarded) in [
        ("Forwarded: a", true),
        ("x-forwarded-for: a", true),
        ("X-Forwarded-Anything: a", true),
        ("X-Real-IP: a", true),
        ("X_Forwarded_For: a", true),
        ("X-Forwarded_For: a", true),
        ("X_Real-IP: a", true),
        ("x_anything: a", true),
        ("X-Forwarded: a", false),
        ("X-Anything: x_forwarded_for", false),
        ("Forward: a", false),
        ("X-Real-IPs: a", false),
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\nA: b\r\n\r\n");
        let read = read(head.as_bytes()).unwrap().unwrap();
        assert_eq!(read.forwarded, forwarded, "{field}");
    }
}

#[test]
fn a_name_that_hyper_has_no_room_for_is_refused() {
    let bounds = Bounds {
        bytes: 1 << 20,
        ..BOUNDS
    };
    let read = |bytes| {
        let name = "a".repeat(bytes);
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: b\r\n\r\n");
        Scanner::default().read(head.as_bytes(), bounds)
    };
    assert!(read(LONGEST_NAME).is_ok());
    assert_eq!(read(LONGEST_NAME + 1), Err(Refusal::FieldName));
}

/// hyper may refuse some of it as well, but without a word of why.
#[test]
fn what_has_no_one_meaning_is_refused_for_what_it_is() {
    for (line, fields, refusal) in [
        (
            "POST / HTTP/1.0",
            "Host: a\r\nTransfer-Encoding: chunked\r\n",
            Refusal::TwoLengths,
        ),
        ("GET / HTTP/1.1", "", Refusal::NoHost),
        (
            "GET / HTTP/1.1",
            "Host: a\r\nHost: a\r\n",
            Refusal::SeveralHosts,
        ),
        (
            "GET / HTTP/1.1",
            "Host: a\r\nContent-Length: 1234567890123456789\r\n",
            Refusal::ContentLength,
        ),
        (
            "GET / HTTP/1.1",
            "Host: a\r\nContent-Length: \r\n",
            Refusal::ContentLength,
        ),
        (
            "GET / HTTP/1.1",
            "Host: a\r\nContent-Length: +1\r\n",
            Refusal::ContentLength,
        ),
        (
            "GET / HTTP/1.1",
            "Host: a\r\nTransfer-Encoding: chunked, gzip\r\n",
            Refusal::NoEnd,
        ),
        (
            "GET / HTTP/1.1",
            "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
            Refusal::TransferEncoding,
        ),
    ] {
        let head = format!("{line}\r\n{fields}\r\n");
        assert_eq!(read(head.as_bytes()), Err(refusal), "{head}");
    }
}
