//! `.dockerignore` against the rules in Docker's documentation.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use doprax_core::ignore_file::{IgnoreFile, IgnoreFileError};
use std::collections::BTreeSet;

#[track_caller]
fn check(rules: &str, excluded: &[&str], sent: &[&str]) {
    let file = IgnoreFile::parse(rules, "Dockerfile", BTreeSet::new()).unwrap();
    for path in excluded {
        assert!(file.excludes(path), "{rules:?} should exclude {path}");
    }
    for path in sent {
        assert!(!file.excludes(path), "{rules:?} should not exclude {path}");
    }
}

#[test]
fn patterns_are_anchored_at_the_root() {
    check(
        "temp",
        &["temp", "temp/a", "temp/a/b"],
        &["a/temp", "temperature"],
    );
    check("/temp/", &["temp", "temp/a"], &["a/temp"]);
    check("./a/../b//c", &["b/c"], &["a", "b"]);
    check("../x", &[], &["x"]);
    check("/../x", &["x"], &["a/x"]);
}

#[test]
fn stars_stop_at_slashes() {
    check(
        "*/temp*",
        &["somedir/temporary.txt", "somedir/temp"],
        &["temp", "a/b/temp"],
    );
    check(
        "*/*/temp*",
        &["somedir/subdir/temporary.txt"],
        &["somedir/temp"],
    );
    check("temp?", &["tempa", "tempb"], &["temp", "temp/", "tempab"]);
    check("*.md", &["README.md"], &["docs/README.md"]);
    check("*", &["a", "a/b", ".git"], &[]);
}

#[test]
fn double_stars_do_not() {
    check("**/*.go", &["a.go", "a/b.go", "a/b/c.go"], &["a.got"]);
    check(
        "**/node_modules",
        &["node_modules", "a/node_modules/x"],
        &["a/node_modules_old"],
    );
    check("docs/**", &["docs/a", "docs/a/b"], &["documents"]);
    check("a/**/z", &["a/z", "a/b/z", "a/b/c/z"], &["a/b", "b/z"]);
    check("**", &["a", "a/b"], &[]);
    check("**foo", &["foo", "barfoo", "a/barfoo/b"], &["foobar"]);
    check("**foo*", &["foo", "a/foobar"], &["barfoo"]);
}

#[test]
fn the_last_pattern_that_matches_decides() {
    check("*.md\n!README.md", &["a.md"], &["README.md"]);
    check(
        "*.md\n!README*.md\nREADME-secret.md",
        &["a.md", "README-secret.md"],
        &["README.md", "README-x.md"],
    );
    check(
        "*.md\nREADME-secret.md\n!README*.md",
        &["a.md"],
        &["README-secret.md"],
    );
    check("!README.md\n*.md", &["README.md"], &[]);
}

#[test]
fn a_path_below_an_excluded_folder_can_be_taken_in_again() {
    check(
        "dir\n!dir/keep",
        &["dir", "dir/a", "dir/keeper"],
        &["dir/keep", "dir/keep/b"],
    );
    let file = IgnoreFile::parse(
        "dir\nother\n**/x\n!dir/*/keep\n!**/y",
        "Dockerfile",
        BTreeSet::new(),
    )
    .unwrap();
    assert!(!file.excludes_all_below("dir"));
    assert!(!file.excludes_all_below("other"), "`**/y` can match below");
    let file = IgnoreFile::parse(
        "dir\nother\n!dir/*/keep",
        "deploy/Dockerfile",
        BTreeSet::new(),
    )
    .unwrap();
    assert!(!file.excludes_all_below("dir"));
    assert!(file.excludes_all_below("other"));
    assert!(!file.excludes_all_below("src"));
    assert!(file.excludes_all_below("other/below"));
}

#[test]
fn the_dockerfile_is_always_sent() {
    check(
        "*\nDockerfile\n.dockerignore",
        &["a", ".dockerignore"],
        &["Dockerfile"],
    );
    let file = IgnoreFile::parse("deploy", "./deploy/app.Dockerfile", BTreeSet::new()).unwrap();
    assert!(!file.excludes("deploy/app.Dockerfile"));
    assert!(file.excludes("deploy/Dockerfile"));
    assert!(!file.excludes_all_below("deploy"));
}

#[test]
fn what_no_build_needs_is_left_out_until_a_rule_takes_it_in() {
    let kept = [".gitignore", ".github/x", "a.git", "node_modules/x"];
    check(
        "",
        &[".git", ".git/config", "sub/.git/x", "a/.DS_Store", ".svn"],
        &kept,
    );
    check("!.git", &["sub/.git"], &[".git", ".git/config"]);
    check("!**/.git", &[".hg"], &[".git", "sub/.git/x"]);
    check("!.git\n.git/config", &[".git/config"], &[".git/HEAD"]);
    let file = IgnoreFile::parse("!.git/HEAD", "Dockerfile", BTreeSet::new()).unwrap();
    assert!(!file.excludes_all_below(".git"));
    assert!(file.excludes_all_below("sub/.git"));
    let left_out = BTreeSet::from(["./conf/*.conf".to_owned()]);
    let file = IgnoreFile::parse("", "Dockerfile", left_out).unwrap();
    assert!(file.excludes("conf/*.conf") && !file.excludes("conf/a.conf"));
}

#[test]
fn lines_are_trimmed_and_comments_skipped() {
    check(
        "# a\n\n  b  \r\n! c \n  #d",
        &["b", "#d"],
        &["a", "c", "# a"],
    );
    check("\u{feff}a\n", &["a"], &[]);
    check(".\n/\n", &[], &["a"]);
}

#[test]
fn classes_and_escapes() {
    check("[a-c]x", &["ax", "cx"], &["dx", "x"]);
    check("[^a-c]x", &["dx"], &["ax", "/x"]);
    check("[\\]x]", &["]", "x"], &["\\"]);
    check("a\\*b", &["a*b"], &["axb"]);
    check("{a,b}", &["{a,b}"], &["a"]);
}

#[test]
fn mistakes_have_their_line() {
    let error = |text: &str| IgnoreFile::parse(text, "Dockerfile", BTreeSet::new()).unwrap_err();
    assert_eq!(error("a\n!"), IgnoreFileError::EmptyException { line: 2 });
    assert_eq!(error("[a"), IgnoreFileError::OpenClass { line: 1 });
    assert_eq!(error("[]"), IgnoreFileError::OpenClass { line: 1 });
    assert_eq!(
        error(&"a\n".repeat(10_001)),
        IgnoreFileError::TooLarge { line: 10_001 }
    );
    assert_eq!(
        error(&"a".repeat(5000)),
        IgnoreFileError::TooLarge { line: 1 }
    );
}

/// Patterns that make a backtracking matcher take for ever.
#[test]
fn no_pattern_takes_long() {
    for (pattern, path) in [
        ("**/*a".repeat(200), "ab/".repeat(1000)),
        (
            format!("{}z", "*a".repeat(1000)),
            format!("{}b", "a".repeat(4000)),
        ),
    ] {
        let file = IgnoreFile::parse(&pattern, "Dockerfile", BTreeSet::new()).unwrap();
        assert!(!file.excludes(path.trim_end_matches('/')));
    }
}
