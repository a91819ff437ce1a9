//! Raw bytes in, expected outcome: the files of `tests/http1`, each named after a
//! section of RFC 9112 (or 9110).
//!
//! ```text
//! # What it is about.
//! POST / HTTP/1.1\r\n          (a line break of the file itself means nothing)
//! Host: shop.localhost\r\n\r\n
//! ---
//! 200                          (statuses of the responses, in order)
//! closed | open                (what becomes of the connection)
//! > POST / body=0              (what the container was asked, in order)
//! + x-forwarded-proto: http    (a field it got with its last request)
//! - keep-alive                 (a field it did not get)
//! ```

use crate::rig::{Origin, Rig, read_all, text};
use http_body_util::BodyExt;
use hyper::Response;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt;

const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn every_file_has_its_outcome() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http1");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() > 20, "the files are gone");
    let mut wrong = Vec::new();
    for path in paths {
        let case = Case::read(&fs::read_to_string(&path).unwrap());
        let outcome = case.run().await;
        if outcome != case.expected {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            wrong.push(format!(
                "{name}\n  expected {:?}\n  found    {:?}",
                case.expected, outcome
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A request line with the length of its body, and its fields.
type Asked = (String, Vec<String>);

struct Case {
    bytes: Vec<u8>,
    open: bool,
    wanted: Vec<String>,
    unwanted: Vec<String>,
    expected: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    statuses: Vec<String>,
    asked: Vec<String>,
    /// Fields that are there and should not be, or the other way round.
    wrong_fields: Vec<String>,
}

impl Case {
    fn read(file: &str) -> Self {
        let (input, output) = file.split_once("\n---\n").expect("a case has a line ---");
        let lines = input.lines().filter(|line| !line.starts_with('#'));
        let mut case = Self {
            bytes: lines.flat_map(unescaped).collect(),
            open: false,
            wanted: Vec::new(),
            unwanted: Vec::new(),
            expected: Outcome {
                statuses: Vec::new(),
                asked: Vec::new(),
                wrong_fields: Vec::new(),
            },
        };
        for line in output.lines() {
            match line.split_once(' ') {
                Some((">", asked)) => case.expected.asked.push(asked.to_owned()),
                Some(("+", field)) => case.wanted.push(field.to_owned()),
                Some(("-", name)) => case.unwanted.push(name.to_owned()),
                _ if line == "open" => case.open = true,
                _ if line == "closed" => {}
                _ => case
                    .expected
                    .statuses
                    .extend(line.split(' ').map(str::to_owned)),
            }
        }
        case
    }

    async fn run(&self) -> Outcome {
        let seen: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&seen);
        let origin = Origin::new(move |request| {
            let log = Arc::clone(&log);
            async move {
                let line = format!("{} {}", request.method(), request.uri());
                let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                    format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
                };
                let fields = request.headers().iter().map(field).collect();
                let body = match request.into_body().collect().await {
                    Ok(body) => format!("body={}", body.to_bytes().len()),
                    Err(_) => "body=broken".to_owned(),
                };
                log.lock().unwrap().push((format!("{line} {body}"), fields));
                Response::new(text("ok"))
            }
        })
        .await;
        let rig = Rig::new(origin.target());
        let mut stream = rig.connect().await;
        stream.write_all(&self.bytes).await.unwrap();
        if self.open {
            stream.write_all(PROBE).await.unwrap();
        }
        let answer = read_all(stream).await;
        let mut statuses: Vec<String> = answer
            .match_indices("HTTP/1.")
            .map(|(at, _)| answer[at + 9..].chars().take(3).collect::<String>())
            // Pages speak of HTTP/1.1 too.
            .filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()))
            .collect();
        let mut seen = std::mem::take(&mut *seen.lock().unwrap());
        if self.open {
            assert_eq!(
                statuses.pop().as_deref(),
                Some("200"),
                "the probe: {answer}"
            );
            assert_eq!(seen.pop().unwrap().0, "GET /probe body=0");
        }
        let fields = seen
            .last()
            .map(|(_, fields)| fields.clone())
            .unwrap_or_default();
        let missing = self.wanted.iter().filter(|wanted| !fields.contains(wanted));
        let surplus = self.unwanted.iter().filter(|name| {
            fields
                .iter()
                .any(|field| field.split(':').next() == Some(name.as_str()))
        });
        Outcome {
            statuses,
            asked: seen.iter().map(|(asked, _)| asked.clone()).collect(),
            wrong_fields: missing.chain(surplus).cloned().collect(),
        }
    }
}

pub fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'r') => bytes.push(b'\r'),
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'x') => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
            }
            other => panic!("unknown escape {other:?} in {line}"),
        }
    }
    bytes
}
