//! Whatever a file holds, reading it ends soon and without a panic, and what a valid
//! file says is kept to the character.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::manifest::{self, Context, KnownPlugin, Manifest, Refused};
use doprax_core::name::{AppName, PluginName};
use doprax_core::text::TemplatePart;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Far more than any of these takes in a debug build on a busy machine, far less than
/// what a quadratic reading of a mebibyte takes.
const SOON: Duration = Duration::from_secs(30);

fn parse(bytes: &[u8]) -> Result<Manifest, Refused> {
    let app = AppName::new("shop").unwrap();
    let plugin = |name| KnownPlugin {
        name: PluginName::new(name).unwrap(),
        aliases: Vec::new(),
    };
    let context = Context {
        file_name: "doprax.yaml",
        default_app: Some(&app),
        plugins: &[plugin("redis"), plugin("container")],
    };
    manifest::parse(bytes, &context)
}

/// Reads a hostile file and returns what it is refused with.
fn refused(name: &str, text: &str) -> String {
    let begin = Instant::now();
    let refused = parse(text.as_bytes()).expect_err(name);
    let duration = begin.elapsed();
    assert!(duration < SOON, "{name} took {duration:?}");
    assert!(
        refused.diagnostics.len() <= 42,
        "{name}: {} diagnostics",
        refused.diagnostics.len()
    );
    let rendered = refused.to_string();
    assert!(
        rendered.len() < 100_000,
        "{name}: a refusal of {} bytes",
        rendered.len()
    );
    rendered
}

const MEBIBYTE: usize = 1 << 20;

#[test]
fn hostile_files_are_refused_soon() {
    let fill = |part: &str| part.repeat(1_000_000 / part.len());
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(laughs, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    let mut deep_aliases = "a0: &a0 x\n".to_owned();
    for level in 1..100 {
        writeln!(
            deep_aliases,
            "a{level}: &a{level} {}*a{}{}",
            "[".repeat(50),
            level - 1,
            "]".repeat(50)
        )
        .unwrap();
    }
    let long = "x".repeat(MEBIBYTE / 2);
    let mut long_aliases = format!("a: &a {long}\nenvs:\n");
    for number in 0..1000 {
        writeln!(long_aliases, "  - A{number}: *a").unwrap();
    }
    let long_key = format!(
        "{}:\n{}",
        "k".repeat(1000),
        "  - {a: [{b: c, c}]}\n".repeat(30_000)
    );
    let mut steps = String::new();
    for depth in 0..1000 {
        writeln!(steps, "{}- a:", " ".repeat(2 * depth)).unwrap();
    }
    let cases = [
        (
            "more than a mebibyte",
            format!("{}\n", "# x\n".repeat(MEBIBYTE)),
            "MiB",
        ),
        ("many megabytes", "a: b\n".repeat(10 * MEBIBYTE), "MiB"),
        ("brackets", fill("["), "nesting"),
        ("braces", fill("{"), "nesting"),
        ("braces with keys", fill("{a: "), "nesting"),
        ("dashes", fill("- "), "nesting"),
        ("question marks", fill("? "), ""),
        ("steps", steps, "nesting"),
        ("anchors and aliases", laughs, "more than 100000"),
        ("deep aliases", deep_aliases, "nesting"),
        ("long aliases", long_aliases, "MiB of text"),
        (
            "an alias in itself",
            "a: &a [*a]\n".to_owned(),
            "inside what it repeats",
        ),
        (
            "one list",
            format!("services: [{}]", fill("a,").trim_end_matches(',')),
            "more than 100000",
        ),
        (
            "keys",
            (0..40_000).map(|n| format!("k{n}:\n")).collect(),
            "is not known",
        ),
        ("equal keys", fill("a:\n"), "second time"),
        ("one long key", fill("x"), "are expected"),
        ("long keys", long_key, ""),
        ("an open quote", format!("a: \"{}", fill("x ")), ""),
        ("quotes", fill("\""), ""),
        ("single quotes", fill("'"), ""),
        (
            "block",
            format!("main: |\n{}", fill("  x\n")),
            "keys with values",
        ),
        ("anchors", fill("&a "), ""),
        ("exclamation marks", fill("!a "), ""),
        ("percent signs", fill("%a\n"), ""),
        ("documents", fill("---\n"), "second document"),
        ("colons", fill(": "), ""),
        ("words", fill("a\n"), ""),
        ("commas", format!("[{}", fill(",")), ""),
        ("pairs", format!("[{}", fill("a: b, ")), ""),
        ("tabs", format!("main:\n{}port: x", fill("\t")), ""),
        ("carriage returns", format!("main\r{}", fill("\r")), ""),
        ("blank lines", format!("main\n{}  x: y", fill("\n")), ""),
        ("spaces", format!("main: [\n{}", fill(" ")), ""),
        (
            "services",
            format!("services:\n{}", "  - redis:\n".repeat(240)),
            "named `redis`",
        ),
        (
            "variables",
            format!("envs:\n{}", "  - A: $\n".repeat(30_000)),
            "is set twice",
        ),
        (
            "dollars",
            format!("colour: x\nenvs:\n  - A: {}", "${".repeat(400_000)),
            "is not known",
        ),
        (
            "long settings",
            format!(
                "services:\n  - redis:\n      settings:\n        {}: [{}]\n      tag: ':'",
                "k".repeat(120),
                "[a],".repeat(30_000)
            ),
            "no tag",
        ),
    ];
    for (name, text, part) in cases {
        let message = refused(name, &text);
        assert!(message.contains(part), "{name}: {message}");
    }
}

#[test]
fn two_hundred_and_fifty_six_services_are_one_too_many() {
    let services = |count: usize| {
        let mut text = "services:\n".to_owned();
        for number in 0..count {
            write!(text, "  - redis:\n      name: r{number}\n").unwrap();
        }
        text
    };
    assert_eq!(
        parse(services(255).as_bytes()).unwrap().spec.services.len(),
        255
    );
    assert!(refused("256 services", &services(256)).contains("more than 255 services"));
}

/// Pieces of which people and attackers make manifests.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "main",
        "envs",
        "services",
        "redis",
        "container",
        "volumes",
        "config_file",
        "name",
        "mount",
        "image",
        "tag",
        "type",
        "password",
        "random_1",
        "health",
        "resources",
        "512MiB",
        "settings",
        "domains",
        "front",
        "command",
        "/a",
        "5.10",
        "$A",
        "${A}",
        "$${",
        ":",
        ": ",
        "\n",
        "\n",
        "\n  ",
        "\n    ",
        "\n      - ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\"",
        "'",
        "|",
        ">",
        "&a ",
        "*a",
        "!t ",
        "#",
        " # ",
        "%",
        "@",
        "`",
        "\t",
        "\r\n",
        "---\n",
        "...\n",
        "? ",
        "<<",
        "~",
        "null",
        "\u{feff}",
        "\\x",
        "é",
        "🎉",
        "\u{85}",
        "\u{2028}",
    ];
    prop_oneof![
        9 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// A text that a plain scalar can be without quotes.
fn plain_scalar() -> impl Strategy<Value = String> {
    "[A-Za-z0-9+./=_~^-][A-Za-z0-9+./=_~^$-]{0,20}".prop_filter("a word with a meaning", |text| {
        !text.starts_with("random")
            && !text.starts_with("uuid")
            && text != "-"
            && text != "---"
            && text != "..."
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_cause_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes).map_err(|refused| refused.to_string());
    }

    #[test]
    fn no_pieces_cause_a_panic(pieces in proptest::collection::vec(piece(), 0..40)) {
        if let Err(refused) = parse(pieces.concat().as_bytes()) {
            prop_assert!(!refused.diagnostics.is_empty());
            for diagnostic in &refused.diagnostics {
                prop_assert!(diagnostic.span.line >= 1 && diagnostic.span.column >= 1);
                prop_assert!(diagnostic.render(true).contains("doprax.yaml:"));
            }
        }
    }

    #[test]
    fn scalars_keep_their_characters(
        plain in proptest::collection::vec(plain_scalar(), 1..8),
        quoted in proptest::collection::vec("[ -~é🎉]{0,20}", 1..8),
    ) {
        let mut text = "main:\n  envs:\n".to_owned();
        for (number, value) in plain.iter().enumerate() {
            writeln!(text, "    - P{number}: {value}").unwrap();
        }
        // A reference or a generated value means something else than its characters.
        let quoted: Vec<String> = quoted.iter().map(|value| format!("={}", value.replace("${", ""))).collect();
        for (number, value) in quoted.iter().enumerate() {
            writeln!(text, "    - S{number}: '{}'", value.replace('\'', "''")).unwrap();
            writeln!(text, "    - D{number}: \"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")).unwrap();
        }
        let manifest = parse(text.as_bytes()).map_err(|refused| TestCaseError::fail(refused.to_string()))?;
        let env = &manifest.spec.main.container.env;
        let written = |name: String| match env[&name].value.0.as_slice() {
            [TemplatePart::Literal(text)] => text.clone(),
            other => panic!("{name} is {other:?}"),
        };
        for (number, value) in plain.iter().enumerate() {
            prop_assert_eq!(&written(format!("P{number}")), value);
        }
        for (number, value) in quoted.iter().enumerate() {
            prop_assert_eq!(&written(format!("S{number}")), value);
            prop_assert_eq!(&written(format!("D{number}")), value);
        }
    }
}
