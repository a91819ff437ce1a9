//! `doprax domain`: an app's own host names beside its free subdomain.

use crate::context::Context;
use crate::failure::{Failure, Result};
use doprax_api::wire::{DnsRecord, Domain as WireDomain, NewDomain, Verification};
use doprax_core::domain::{ascii, shown};
use doprax_core::name::AppName;
use serde_json::json;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::IpAddr;

/// Give an app host names of its own
///
/// Every app has a free subdomain. `domain add` gives it another name and says which DNS
/// record leads that name here; `domain verify` asks the name's own name servers whether
/// it does. Names can also stand in doprax.yaml, under `domains`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax domain add shop shop.example.com
  doprax domain verify shop
  doprax domain list")]
pub(crate) struct Domain {
    #[command(subcommand)]
    command: DomainCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DomainCommand {
    Add(Add),
    Verify(Verify),
    List(List),
    Remove(Remove),
}

/// Give an app a host name, and see which DNS record it needs
///
/// The app answers to the name at once. A name belongs to one app. Adding a name again
/// takes nothing away from it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax domain add shop shop.example.com
  doprax domain add shop example.com --www      www.example.com too, sent on to example.com")]
struct Add {
    /// The app
    app: AppName,
    /// The name, such as example.com
    #[arg(value_parser = host_name)]
    name: String,
    /// Also the name with `www.` before it, whose requests are sent on
    #[arg(long)]
    www: bool,
    /// Tell browsers to use nothing but HTTPS for it, for a year; stays on until the name is
    /// removed (domain remove) and added without it
    #[arg(long)]
    hsts: bool,
}

/// Ask whether an app's host names lead here
///
/// Asks the name servers of the name's zone themselves, so that no cache on the way
/// answers what was true before. Ends with 1 if a name leads elsewhere.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax domain verify shop                     all names of the app
  doprax domain verify shop example.com         one, with its www.")]
struct Verify {
    /// The app
    app: AppName,
    /// Only this name and its `www.`
    #[arg(value_parser = host_name)]
    name: Option<String>,
}

/// List host names and the apps that they belong to
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax domain list               those of all apps
  doprax domain list shop          those of one app")]
struct List {
    /// Only those of this app
    app: Option<AppName>,
}

/// Take a host name from an app, with the `www.` that sends on to it
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax domain remove shop example.com")]
struct Remove {
    /// The app
    app: AppName,
    /// The name
    #[arg(value_parser = host_name)]
    name: String,
}

/// A host name as DNS compares it (RFC 4343): in lower case, without the dot of the root
/// at its end, and letters beyond ASCII in their `xn--` form.
fn host_name(text: &str) -> Result<String, Infallible> {
    let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    Ok(ascii(&lower))
}

impl Domain {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        match self.command {
            DomainCommand::Add(add) => add.run(context).await,
            DomainCommand::Verify(verify) => verify.run(context).await,
            DomainCommand::List(list) => list.run(context).await,
            DomainCommand::Remove(remove) => remove.run(context).await,
        }
    }
}

impl Add {
    async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let domain = NewDomain {
            name: self.name,
            www: self.www,
            hsts: self.hsts,
        };
        let added = context.client()?.add_domain(&self.app, &domain).await?;
        if output.json {
            return output.json(&added);
        }
        output.line(format!("{} answers to {}\n", self.app, names(&added)))?;
        let records: Vec<&DnsRecord> = added.iter().flat_map(|domain| &domain.records).collect();
        if added.iter().all(|domain| domain.private) {
            return output.line(private(&shown(&domain.name), &records));
        }
        if records.is_empty() {
            output.remark(
                "this host knows no public address of itself: doprax serve --address ADDRESS \
                 names it; lead the name there",
            );
            return Ok(());
        }
        output.line("Create at your DNS provider:")?;
        let rows: Vec<Vec<String>> = records
            .into_iter()
            .map(|record| {
                vec![
                    record.kind.clone(),
                    record.name.clone(),
                    record.value.clone(),
                ]
            })
            .collect();
        output.table(&["TYPE", "NAME", "VALUE"], &rows)?;
        output.line(format!(
            "\nThen: doprax domain verify {} {}",
            self.app, domain.name
        ))
    }
}

impl Verify {
    async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let client = context.client()?;
        output.remark("asking the name servers; a slow one may take half a minute");
        let found = client
            .verify_domains(&self.app, self.name.as_deref())
            .await?;
        if output.json {
            output.json(&found)?;
        } else if found.is_empty() {
            output.remark(format!("{} has no domains", self.app));
        } else {
            for verification in &found {
                output.line(told(verification, &|sign, good| {
                    if good {
                        output.paint.green(sign)
                    } else {
                        output.paint.red(sign)
                    }
                }))?;
            }
        }
        if found.iter().all(|verification| verification.verified) {
            Ok(())
        } else {
            Err(Failure::Silent(1))
        }
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<()> {
        let output = &context.output;
        let domains = context.client()?.domains(self.app.as_ref()).await?;
        if output.json {
            return output.json(&domains);
        }
        if domains.is_empty() {
            output.remark("no domains");
            return Ok(());
        }
        let rows: Vec<Vec<String>> = domains
            .iter()
            .map(|domain| {
                let source = if domain.by_hand {
                    "by hand"
                } else {
                    "doprax.yaml"
                };
                let verified = if domain.verified_ms.is_some() {
                    "yes"
                } else {
                    "not yet"
                };
                let redirect = domain.redirect_to.as_ref();
                let answers = redirect.map_or_else(
                    || domain.app.to_string(),
                    |other| format!("{} (sent on to {})", domain.app, shown(other)),
                );
                let hsts = if domain.hsts { "yes" } else { "no" };
                vec![
                    shown(&domain.name),
                    answers,
                    verified.to_owned(),
                    hsts.to_owned(),
                    source.to_owned(),
                ]
            })
            .collect();
        output.table(&["DOMAIN", "APP", "VERIFIED", "HSTS", "NAMED"], &rows)
    }
}

impl Remove {
    async fn run(self, context: &Context) -> Result<()> {
        let client = context.client()?;
        client.remove_domain(&self.app, &self.name).await?;
        if context.output.json {
            let removed = json!({ "app": self.app, "removed": self.name });
            return context.output.json(&removed);
        }
        let line = format!("{} no longer answers to {}", self.app, shown(&self.name));
        context.output.line(line)
    }
}

fn names(domains: &[WireDomain]) -> String {
    let names: Vec<String> = domains
        .iter()
        .map(|domain| match &domain.redirect_to {
            None => shown(&domain.name),
            Some(other) => format!("{} (sent on to {})", shown(&domain.name), shown(other)),
        })
        .collect();
    names.join(" and ")
}

/// What a name needs that no DNS provider can have.
fn private(name: &str, records: &[&DnsRecord]) -> String {
    let addresses: BTreeSet<&str> = records.iter().map(|r| r.value.as_str()).collect();
    let addresses: Vec<&str> = addresses.into_iter().collect();
    let at = if addresses.is_empty() {
        String::new()
    } else {
        format!(", {}", addresses.join(", "))
    };
    format!(
        "{name} is a private name: its certificate comes from this host's own CA (doprax ca),\n\
         and whoever should reach it has to resolve it to this host{at}"
    )
}

/// What came of asking where a name leads, for people.
fn told(verification: &Verification, sign: &dyn Fn(&str, bool) -> String) -> String {
    let list = |addresses: &[IpAddr]| {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        addresses.join(", ")
    };
    let Verification {
        name,
        verified,
        found,
        expected,
        servers_of,
        problem,
    } = verification;
    let name = shown(name);
    let by = servers_of
        .as_ref()
        .map(|zone| format!(", say the name servers of {zone}"))
        .unwrap_or_default();
    if *verified {
        return format!("{} {name} leads to {}{by}", sign("✓", true), list(found));
    }
    let mut text = match problem {
        Some(problem) => format!("{} {name}: {problem}", sign("✗", false)),
        None if found.is_empty() => format!("{} {name} leads nowhere{by}", sign("✗", false)),
        None => format!("{} {name} leads to {}{by}", sign("✗", false), list(found)),
    };
    if expected.is_empty() {
        text.push_str(
            "\n  → this host knows no public address of itself: doprax serve --address ADDRESS names it",
        );
    } else {
        text.push_str(&format!(
            "\n  → it should lead to {} and nowhere else",
            list(expected)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_name_needs_no_dns_provider() {
        let record = |kind: &str, name: &str, value: &str| DnsRecord {
            kind: kind.to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let records = [
            record("A", "shop.internal", "192.0.2.10"),
            record("A", "www.shop.internal", "192.0.2.10"),
        ];
        let records: Vec<&DnsRecord> = records.iter().collect();
        insta::assert_snapshot!(private("shop.internal", &records), @"
        shop.internal is a private name: its certificate comes from this host's own CA (doprax ca),
        and whoever should reach it has to resolve it to this host, 192.0.2.10
        ");
        insta::assert_snapshot!(private("shop.internal", &[]), @"
        shop.internal is a private name: its certificate comes from this host's own CA (doprax ca),
        and whoever should reach it has to resolve it to this host
        ");
    }

    #[test]
    fn a_verification_says_what_was_found_and_what_was_expected() {
        let mut verification = Verification {
            name: "example.com".to_owned(),
            verified: false,
            found: vec!["192.0.2.7".parse().unwrap()],
            expected: vec![
                "198.51.100.1".parse().unwrap(),
                "2001:db8::1".parse().unwrap(),
            ],
            servers_of: Some("example.com".to_owned()),
            problem: None,
        };
        let plain = |verification: &Verification| told(verification, &|sign, _| sign.to_owned());
        insta::assert_snapshot!(plain(&verification), @"
        ✗ example.com leads to 192.0.2.7, say the name servers of example.com
          → it should lead to 198.51.100.1, 2001:db8::1 and nowhere else
        ");
        verification.found.clear();
        verification.expected.clear();
        insta::assert_snapshot!(plain(&verification), @"
        ✗ example.com leads nowhere, say the name servers of example.com
          → this host knows no public address of itself: doprax serve --address ADDRESS names it
        ");
    }
}
