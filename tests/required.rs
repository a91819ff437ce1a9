// What some tests need and not every machine has: an engine, a CA, programs. Included by path
// where it is needed.

use std::ffi::OsString;
use std::io::Write as _;

/// The value of an environment variable that says where something is. Where it is not set, or
/// `none`, the test that asks does not run: that is said past the test harness, which would
/// keep it to itself, and nothing is returned. Where `DOPRAX_TEST_ALL` is set, as by
/// `tests/run`, every test has to run but for what is `none`: then this panics.
#[track_caller]
pub(crate) fn required(variable: &str) -> Option<OsString> {
    let all = std::env::var_os("DOPRAX_TEST_ALL").is_some_and(|all| !all.is_empty());
    match found(std::env::var_os(variable), all) {
        Found::Value(value) => return Some(value),
        Found::LeftOut => {}
        Found::Missing => panic!("{variable} is not set, and every test is to run"),
    }
    skipped(&format!("{variable} is not set"));
    None
}

/// Says of the test of this thread that it does not run, and why.
pub(crate) fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let note = format!("SKIPPED {test}: {why}\n");
    std::io::stderr()
        .write_all(note.as_bytes())
        .expect("standard error is open");
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Value(OsString),
    LeftOut,
    Missing,
}

fn found(value: Option<OsString>, all: bool) -> Found {
    match value.filter(|value| !value.is_empty()) {
        Some(value) if value == "none" => Found::LeftOut,
        Some(value) => Found::Value(value),
        None if all => Found::Missing,
        None => Found::LeftOut,
    }
}

#[test]
fn a_test_that_cannot_run_passes_only_where_not_all_have_to() {
    let value = || Some(OsString::from("/somewhere"));
    for (variable, all, expected) in [
        (None, false, Found::LeftOut),
        (Some(OsString::new()), false, Found::LeftOut),
        (None, true, Found::Missing),
        (Some(OsString::new()), true, Found::Missing),
        (Some(OsString::from("none")), true, Found::LeftOut),
        (value(), true, Found::Value("/somewhere".into())),
        (value(), false, Found::Value("/somewhere".into())),
    ] {
        assert_eq!(found(variable.clone(), all), expected, "{variable:?} {all}");
    }
}
