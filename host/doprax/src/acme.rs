//! What `doprax serve` may be told about CAs, as typed.

use crate::failure::{Failure, Result};
use doprax_reconcile::certificates::{Binding, Ca, Challenge, Hook, Limits, Policy, Secret};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// CAs that have a short name here.
const KNOWN: [(&str, &str); 4] = [
    (
        "letsencrypt",
        "https://acme-v02.api.letsencrypt.org/directory",
    ),
    (
        "letsencrypt-staging",
        "https://acme-staging-v02.api.letsencrypt.org/directory",
    ),
    ("zerossl", "https://acme.zerossl.com/v2/DV90"),
    ("google", "https://dv.acme-v02.api.pki.goog/directory"),
];

/// How long a program may take until a TXT record can be seen everywhere.
const HOOK: Duration = Duration::from_secs(300);

/// Certificates for public names.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Certificates")]
pub(crate) struct Acme {
    /// CA that issues certificates for public names: letsencrypt, letsencrypt-staging,
    /// zerossl, google, or the URL of an ACME directory. Naming one agrees to its terms.
    /// May be given several times: the next one is asked where one fails. Needs --https.
    ///
    /// More about it after commas: profile=NAME (the kind of certificate), eab=ID:FILE
    /// (external account binding: the key's identifier, and a file that holds the key),
    /// root=FILE (certificates in PEM that its server is trusted by).
    #[arg(long, value_name = "CA", value_parser = parse, requires = "https")]
    acme: Vec<Named>,
    /// Where CAs may write to
    #[arg(long, value_name = "ADDRESS", requires = "acme")]
    acme_email: Option<String>,
    /// Program that puts up TXT records, so that names can be proven by DNS, and one
    /// wildcard serves all free subdomains. Called with `present NAME VALUE`, later with
    /// `cleanup NAME VALUE`
    #[arg(long, value_name = "PROGRAM", requires = "acme")]
    acme_dns_hook: Option<PathBuf>,
}

/// A CA as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    directory: String,
    profile: Option<String>,
    binding: Option<(String, PathBuf)>,
    root: Option<PathBuf>,
}

fn parse(text: &str) -> Result<Named, String> {
    let mut parts = text.split(',');
    let name = parts.next().unwrap_or_default();
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    let directory = match known {
        Some((_, url)) => (*url).to_owned(),
        None if name.starts_with("https://") => name.to_owned(),
        None => {
            let known: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "{}, or a URL that begins with https:// is wanted",
                known.join(", ")
            ));
        }
    };
    let mut named = Named {
        directory,
        profile: None,
        binding: None,
        root: None,
    };
    for part in parts {
        match part.split_once('=') {
            Some(("profile", profile)) => named.profile = Some(profile.to_owned()),
            Some(("root", file)) => named.root = Some(file.into()),
            Some(("eab", binding)) => match binding.split_once(':') {
                Some((id, file)) => named.binding = Some((id.to_owned(), file.into())),
                None => return Err("eab=ID:FILE is wanted".to_owned()),
            },
            _ => {
                return Err(format!(
                    "`{part}` is none of profile=NAME, eab=ID:FILE, root=FILE"
                ));
            }
        }
    }
    if name == "zerossl" && named.binding.is_none() {
        return Err(
            "zerossl issues for accounts that it knows only: zerossl,eab=ID:FILE".to_owned(),
        );
    }
    Ok(named)
}

impl Acme {
    /// Who is asked, and how. Reads the files that were named.
    pub(crate) fn policy(&self) -> Result<Policy> {
        let cas = self.acme.iter().map(|named| {
            let binding = match &named.binding {
                None => None,
                Some((id, file)) => Some(Binding {
                    key_id: id.clone(),
                    mac_key: Secret::new(read(file)?.trim()),
                }),
            };
            Ok(Ca {
                directory: named.directory.clone(),
                roots: named.root.as_deref().map(read).transpose()?,
                binding,
                profile: named.profile.clone(),
                limits: Limits::default(),
            })
        });
        let hook = self.acme_dns_hook.as_ref().map(|program| {
            Challenge::Dns01(Hook {
                program: program.display().to_string(),
                arguments: Vec::new(),
                timeout: HOOK,
            })
        });
        let by_dns = hook.into_iter();
        Ok(Policy {
            cas: cas.collect::<Result<_>>()?,
            email: self.acme_email.clone(),
            terms_agreed: true,
            challenges: by_dns
                .chain([Challenge::Http01, Challenge::TlsAlpn01])
                .collect(),
        })
    }
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("cannot read {}", file.display())).because(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_has_a_name_or_a_url_and_more_after_commas() {
        let named = parse("https://ca.test/dir,profile=short,eab=id:/k,root=/r.pem").unwrap();
        assert_eq!(named.directory, "https://ca.test/dir");
        assert_eq!(named.profile.as_deref(), Some("short"));
        assert_eq!(named.binding, Some(("id".to_owned(), "/k".into())));
        assert_eq!(named.root, Some("/r.pem".into()));
        assert!(parse("letsencrypt").unwrap().directory.contains("acme-v02"));
        for wrong in [
            "",
            "letsencrpt",
            "http://ca.test/dir",
            "zerossl",
            "zerossl,eab=id",
            "zerossl,x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
