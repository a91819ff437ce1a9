//! h2spec: what RFC 9113 and RFC 7541 ask of a server, case by case.

use super::{Site, run};
use std::collections::BTreeMap;
use tokio::process::Command;

/// How many cases there are.
const CASES: usize = 146;

/// The one that fails where HTTP/1 is spoken as well: what is not the preface is a malformed
/// request there, and h2spec does not expect its answer before the end of the connection.
const NO_PREFACE: &str = "http2/3.5/2";

#[tokio::test]
async fn every_case_passes_in_tls() {
    let Some(site) = Site::start().await else {
        return;
    };
    check(&site, site.rig.https.port(), &["--tls", "--insecure"], &[]).await;
}

#[tokio::test]
async fn every_case_but_one_passes_by_prior_knowledge() {
    let Some(site) = Site::start().await else {
        return;
    };
    check(&site, site.rig.address.port(), &[], &[NO_PREFACE]).await;
}

async fn check(site: &Site, port: u16, more: &[&str], expected: &[&str]) {
    let report = site.folder.path().join("report.xml");
    let mut command = Command::new(site.programs.join("h2spec"));
    command.args(["--strict", "--host", super::NAME, "--port"]);
    command.arg(port.to_string()).args(more);
    command.arg("--junit-report").arg(&report);
    let (_, said) = run(&mut command).await;
    let report = std::fs::read_to_string(&report).unwrap_or_else(|error| panic!("{error}: {said}"));
    let cases = outcomes(&report);
    let failed = cases.iter().filter(|(_, passed)| !**passed);
    let failed: Vec<_> = failed.map(|(case, _)| case.as_str()).collect();
    assert_eq!(failed, expected, "{said}");
    assert_eq!(cases.len(), CASES, "{said}");
}

/// Each case of a report in the XML of JUnit, as `SECTION/NUMBER`, with whether it passed.
fn outcomes(report: &str) -> BTreeMap<String, bool> {
    let mut cases = BTreeMap::new();
    for suite in report.split("<testsuite ").skip(1) {
        let (_, section) = suite.split_once("package=\"").unwrap();
        let (section, _) = section.split_once('"').unwrap();
        for (at, case) in suite.split("<testcase ").skip(1).enumerate() {
            let (case, _) = case.split_once("</testcase>").unwrap();
            let bad = ["<failure>", "<error>", "<skipped>"];
            let passed = !bad.iter().any(|element| case.contains(element));
            cases.insert(format!("{section}/{}", at + 1), passed);
        }
    }
    cases
}
