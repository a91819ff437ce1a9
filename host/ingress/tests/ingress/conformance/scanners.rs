//! sslscan and testssl.sh: what scanners say of the TLS.

use super::{NAME, Site, run};
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::process::Command;

/// What sslscan may find to be enabled, in the order of the server's preference.
const CIPHERS: [&str; 6] = [
    "TLSv1.3 TLS_AES_256_GCM_SHA384",
    "TLSv1.3 TLS_AES_128_GCM_SHA256",
    "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256",
    "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305",
];

/// How testssl.sh rates what is not above LOW; a warning says what it could not try.
const GOOD: [&str; 4] = ["OK", "INFO", "LOW", "WARN"];

/// Findings of testssl.sh above LOW that are not about what the ingress does.
const OTHERS: [(&str, &str); 3] = [
    ("cert_chain_of_trust", "the authority is one of the tests"),
    ("cert_revocation", "and so says nothing of revocation"),
    ("security_headers", "they are for the app to set"),
];

/// Attacks that testssl.sh has to have tried in vain.
const ATTACKS: [&str; 15] = [
    "heartbleed",
    "CCS",
    "ticketbleed",
    "ROBOT",
    "secure_client_renego",
    "CRIME_TLS",
    "BREACH",
    "POODLE_SSL",
    "SWEET32",
    "FREAK",
    "DROWN",
    "LOGJAM",
    "BEAST",
    "LUCKY13",
    "RC4",
];

#[tokio::test]
async fn sslscan_finds_two_versions_and_nothing_weak() {
    let Some(site) = Site::start().await else {
        return;
    };
    let mut command = Command::new("sslscan");
    command.args(["--xml=-", "--no-colour"]);
    command.arg(format!("--sni-name={NAME}"));
    command.arg(site.rig.https.to_string());
    let (ended, said) = run(&mut command).await;
    assert!(ended, "{said}");
    let all = |element: &str, names: &[&str]| -> Vec<String> {
        let start = format!("<{element} ");
        let lines = said.lines().filter(|line| line.trim().starts_with(&start));
        lines
            .map(|line| {
                let values = names.iter().map(|name| attribute(line, name));
                values.collect::<Vec<_>>().join(" ")
            })
            .collect()
    };
    assert_eq!(
        all("protocol", &["type", "version", "enabled"]),
        [
            "ssl 2 0",
            "ssl 3 0",
            "tls 1.0 0",
            "tls 1.1 0",
            "tls 1.2 1",
            "tls 1.3 1"
        ]
    );
    assert_eq!(all("cipher", &["sslversion", "cipher"]), CIPHERS);
    for strength in all("cipher", &["strength"]) {
        assert!(["acceptable", "strong"].contains(&&*strength), "{said}");
    }
    assert_eq!(all("renegotiation", &["supported"]), ["0"]);
    // OpenSSL is built without compression nearly everywhere, and then nothing is said.
    assert!(
        all("compression", &["supported"])
            .iter()
            .all(|it| it == "0")
    );
    assert_eq!(all("heartbleed", &["vulnerable"]), ["0", "0"]);
}

fn attribute<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, value) = line.split_once(&format!(" {name}=\"")).unwrap();
    value.split('"').next().unwrap()
}

#[tokio::test]
async fn testssl_finds_nothing_above_low() {
    let Some(site) = Site::start().await else {
        return;
    };
    let report = site.folder.path().join("report.json");
    let mut command = Command::new("testssl");
    command.args(["--quiet", "--color=0", "--warnings=off", "--ip=127.0.0.1"]);
    command.arg("--jsonfile").arg(&report);
    // Protocols, kinds of ciphers, forward secrecy, preferences, what a server says,
    // fields of responses, vulnerabilities: all but handshakes with each cipher.
    command.args(["-p", "-s", "-f", "-P", "-S", "-h", "-U"]);
    command.arg(format!("{NAME}:{}", site.rig.https.port()));
    let (_, said) = run(&mut command).await;
    let report = std::fs::read_to_string(&report).unwrap_or_else(|error| panic!("{error}: {said}"));
    let findings: Vec<Value> = serde_json::from_str(&report).unwrap();
    let text = |finding: &Value, of: &str| finding[of].as_str().unwrap().to_owned();
    let severities: BTreeMap<String, String> = findings
        .iter()
        .map(|finding| (text(finding, "id"), text(finding, "severity")))
        .collect();
    let bad: Vec<_> = severities
        .iter()
        .filter(|(_, severity)| !GOOD.contains(&severity.as_str()))
        .filter(|(id, _)| OTHERS.iter().all(|(other, _)| id != other))
        .collect();
    assert!(bad.is_empty(), "{bad:?}: {said}");
    for attack in ATTACKS {
        let severity = severities.get(attack).map(String::as_str);
        assert_eq!(severity, Some("OK"), "{attack}: {said}");
    }
}
