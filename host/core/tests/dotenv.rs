//! Files of variables.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::dotenv::{Error, parse};

#[track_caller]
fn check(text: &str, expected: &[(&str, &str)]) {
    let found = parse(text.as_bytes()).unwrap();
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(found, expected, "{text:?}");
}

#[track_caller]
fn refused(text: &[u8]) -> Error {
    parse(text).unwrap_err()
}

#[test]
fn values_are_read_as_compose_reads_them() {
    check("", &[]);
    check(
        "A=1\nB = two words  \r\n\n# no\n  C=3",
        &[("A", "1"), ("B", "two words"), ("C", "3")],
    );
    check("A=1\nA=2", &[("A", "2")]);
    check(
        "export A=1\nexport\tB=2\nexported=3",
        &[("A", "1"), ("B", "2"), ("exported", "3")],
    );
    check("A=\nB=''\nC=\"\"", &[("A", ""), ("B", ""), ("C", "")]);
    check(
        "A=x # comment\nB=x#y\nC=#z\nD='# no' # yes",
        &[("A", "x"), ("B", "x#y"), ("C", ""), ("D", "# no")],
    );
    check(
        "A='$B ${C} \\n'\nD=$E=\"f\"",
        &[("A", "$B ${C} \\n"), ("D", "$E=\"f\"")],
    );
    check(
        "A=\"x\\ny \\\"z\\\" \\$ \\q\"",
        &[("A", "x\ny \"z\" $ \\q")],
    );
    check(
        "KEY=\"-----BEGIN\nabc\n-----END\"\nB='1\n2'\nC=3",
        &[
            ("B", "1\n2"),
            ("C", "3"),
            ("KEY", "-----BEGIN\nabc\n-----END"),
        ],
    );
    check(
        "\u{feff}A=ü\ndiscovery.type=one",
        &[("A", "ü"), ("discovery.type", "one")],
    );
    check(
        "URL=https://u:p@h/?a=b&c#d",
        &[("URL", "https://u:p@h/?a=b&c#d")],
    );
}

#[test]
fn what_is_no_such_file_is_refused_with_its_line() {
    assert_eq!(refused(b"A=1\n\nB"), Error::NoAssignment { line: 3 });
    let name = |name: &str| Error::Name {
        line: 2,
        name: name.to_owned(),
    };
    assert_eq!(refused(b"A=1\n1B=2"), name("1B"));
    assert_eq!(refused(b"A=1\nB C=2"), name("B C"));
    assert_eq!(refused(b"A=1\n=2"), name(""));
    assert_eq!(
        refused(b"A='1\n2'\nB=\"3\nC=4"),
        Error::OpenQuote { line: 3 }
    );
    assert_eq!(refused(b"A='1"), Error::OpenQuote { line: 1 });
    assert_eq!(refused(b"A=\"\\"), Error::OpenQuote { line: 1 });
    assert_eq!(refused(b"A='1'2"), Error::AfterQuote { line: 1 });
    assert_eq!(refused(b"A=1\nB=\xff"), Error::NotUtf8 { line: 2 });
    assert_eq!(refused(b"A=1\0"), Error::Nul { line: 1 });
    assert_eq!(refused(&vec![b'#'; (1 << 20) + 1]), Error::TooLarge);
    let many: String = (0..5000).map(|number| format!("A{number}=\n")).collect();
    assert_eq!(refused(many.as_bytes()), Error::TooMany);
}
