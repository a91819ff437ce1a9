//! Requests by HTTPS, made by curl, which has a mind of its own about certificates.

use std::path::Path;
use std::process::Command;

/// What curl said.
#[derive(Debug)]
pub struct Secure {
    /// Its exit code; 60 where it does not trust the certificate.
    pub code: i32,
    /// The status, 0 where there was no answer.
    pub status: u16,
    /// The protocol: `2` or `1.1`.
    pub version: String,
    /// The body.
    pub body: String,
    /// Where the answer sends on to.
    pub location: String,
}

/// Asks for a URL whose host is at loopback, and trusts whoever has these roots, or the
/// machine's.
pub fn secure(url: &str, roots: Option<&Path>) -> Secure {
    let authority = url.split('/').nth(2).unwrap();
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--max-time", "20", "--noproxy", "*"])
        .args(["--connect-to", &format!("{authority}:127.0.0.1:")])
        .args([
            "--write-out",
            "\n%{http_code} %{http_version} %{redirect_url}",
            url,
        ]);
    if let Some(roots) = roots {
        command.arg("--cacert").arg(roots);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, about) = text.rsplit_once('\n').unwrap_or_default();
    let about: Vec<&str> = about.split(' ').collect();
    Secure {
        code: output.status.code().unwrap_or(-1),
        status: about[0].parse().unwrap_or_default(),
        version: about.get(1).copied().unwrap_or_default().to_owned(),
        body: body.to_owned(),
        location: about.get(2).copied().unwrap_or_default().to_owned(),
    }
}
