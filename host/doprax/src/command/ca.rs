//! `doprax ca`: the host's own CA, for names that no public CA can serve.

use crate::context::Context;
use crate::failure::Result;
use serde_json::json;

/// Show the host's own CA, which serves names such as APP.localhost
///
/// Names that are reserved for private use (localhost, internal, test, …) cannot have a
/// certificate of a public CA. The host has a CA of its own for them, whose key never
/// leaves it and which can vouch for no other names. A browser believes it once you tell
/// it to.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax ca                        its certificate, in PEM
  doprax ca > doprax-ca.pem
  doprax ca trust                  how to make this machine and browsers trust it
  curl --cacert <(doprax ca) https://APP.localhost:8443")]
pub(crate) struct Ca {
    #[command(subcommand)]
    command: Option<CaCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum CaCommand {
    /// Say how to trust it
    #[command(after_long_help = "Examples:\n  doprax ca trust")]
    Trust,
}

const TRUST: &str = "\
Everything on a Debian or Ubuntu machine, but for browsers:
  doprax ca | sudo tee /usr/local/share/ca-certificates/doprax.crt >/dev/null
  sudo update-ca-certificates

Fedora and its like:
  doprax ca | sudo tee /etc/pki/ca-trust/source/anchors/doprax.pem >/dev/null
  sudo update-ca-trust

macOS:
  doprax ca > doprax-ca.pem
  sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain doprax-ca.pem

Chromium and Chrome on Linux (certutil is in the package libnss3-tools):
  doprax ca > doprax-ca.pem
  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n doprax -i doprax-ca.pem

Firefox: Settings, Privacy & Security, View Certificates, Authorities, Import.";

impl Ca {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let ca = context.client()?.local_ca().await?;
        match self.command {
            None if output.json => output.json(&ca),
            None => output.line(ca.certificate.trim_end()),
            Some(CaCommand::Trust) if output.json => output.json(&json!({ "how": TRUST })),
            Some(CaCommand::Trust) => output.line(TRUST),
        }
    }
}
