//! `doprax releases`: what was deployed, why, and what each release was made of.

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::units;
use doprax_core::name::AppName;
use doprax_core::release::{
    self, FailedRelease, Origin, ReleaseDetails, ReleaseEntry, ReleasedContainer,
};

/// Characters of a digest or an identifier that tell it from others.
const SHORT: usize = 12;

/// Characters of an identifier's first group (RFC 9562, section 4): `0192f0c1-…`.
const IDENTIFIER_GROUP: usize = 8;

/// Longest reason of a failure in the list, in characters.
const MAX_REASON: usize = 60;

/// List an app's releases, or show what one was made of
///
/// Each deploy, change by hand and rollback that succeeds is a release. The latest ones are
/// kept with all that they need - images, config files, values of secrets - so that `doprax
/// rollback` can go back to them without registry and source: as many as `retain` in
/// doprax.yaml says, else `doprax serve --retain`. Deploys that failed are in the list too.
///
/// With RELEASE: what it was made of, what it changed, and what has changed since; with the
/// identifier of a deploy that failed: why, and the last lines of its build.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  doprax releases shop             those that are kept, the latest first
  doprax releases shop 3           what was release 3, and what has changed since?
  doprax releases shop 0192f0c1    why did this deploy fail?
  doprax releases shop --json | jq '.releases[] | select(.commit) | .number, .commit'
  doprax rollback shop 3           go back to it")]
pub(crate) struct Releases {
    /// The app's name
    app: AppName,
    /// A number of the list, or the identifier of a deploy that failed
    #[arg(value_name = "RELEASE")]
    release: Option<String>,
}

impl Releases {
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let client = context.client()?;
        let output = &context.output;
        let Some(wanted) = self.release else {
            let releases = client.releases(&self.app).await?;
            return match output.json {
                true => output.json(&releases),
                false => table(output, &self.app, &releases),
            };
        };
        if let Some(number) = number(&wanted) {
            let details = client.release(&self.app, number).await?;
            return match output.json {
                true => output.json(&details),
                false => show(output, &self.app, &details),
            };
        }
        let releases = client.releases(&self.app).await?;
        let failed = find_failed(&self.app, &releases, &wanted)?;
        match output.json {
            true => output.json(failed),
            false => show_failed(output, &self.app, failed),
        }
    }
}

/// The number of a release, where `wanted` is one and not the beginning of an identifier: that
/// may be of digits alone.
fn number(wanted: &str) -> Option<u64> {
    let is_short = wanted.len() < IDENTIFIER_GROUP;
    is_short.then(|| wanted.parse().ok()).flatten()
}

fn find_failed<'a>(
    app: &AppName,
    releases: &'a release::Releases,
    wanted: &str,
) -> Result<&'a FailedRelease> {
    let is_wanted = |failed: &&FailedRelease| {
        let operation = failed.origin.operation.as_deref();
        operation.is_some_and(|operation| operation.starts_with(wanted))
    };
    let mut found = releases.failed.iter().filter(is_wanted);
    match (found.next(), found.count()) {
        (Some(failed), 0) => Ok(failed),
        (Some(_), others) => Err(Failure::new(format!(
            "the identifiers of {} deploys of {app} begin with {wanted:?}",
            others + 1
        ))
        .help("give more of it")),
        (None, _) => Err(Failure::new(format!("app {app} has no release {wanted}"))
            .help(format!("doprax releases {app} shows those that it has"))),
    }
}

fn short(text: &str) -> String {
    text.chars().take(SHORT).collect()
}

fn table(output: &Output, app: &AppName, releases: &release::Releases) -> Result<()> {
    let succeeded = releases.releases.iter().map(|entry| {
        let is_current = releases.current == Some(entry.number);
        (entry.created_ms, row(entry, is_current))
    });
    let failed = releases.failed.iter();
    let failed = failed.map(|failed| (failed.ended_ms, failed_row(failed)));
    let mut rows: Vec<(i64, Vec<String>)> = succeeded.chain(failed).collect();
    if rows.is_empty() {
        output.remark(format!("{app} was never deployed"));
        return Ok(());
    }
    rows.sort_by_key(|(ended_ms, _)| std::cmp::Reverse(*ended_ms));
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row)| row).collect();
    output.table(
        &["RELEASE", "WHEN", "WHY", "BY", "SOURCE", "COMMIT", "STATE"],
        &rows,
    )
}

fn row(entry: &ReleaseEntry, is_current: bool) -> Vec<String> {
    let state = match (is_current, entry.complete) {
        (true, _) => "current",
        (false, true) => "kept",
        (false, false) => "not kept whole",
    };
    cells(
        entry.number.to_string(),
        entry.created_ms,
        &entry.origin,
        Some(&entry.source),
        state.to_owned(),
    )
}

fn failed_row(failed: &FailedRelease) -> Vec<String> {
    let first = failed.report.error.lines().next().unwrap_or_default();
    let mut reason: String = first.chars().take(MAX_REASON).collect();
    if reason.len() < first.len() {
        reason.push('…');
    }
    let operation = failed.origin.operation.as_deref().unwrap_or("-");
    let word = failed.state.as_str();
    cells(
        operation.chars().take(8).collect(),
        failed.ended_ms,
        &failed.origin,
        failed.source.as_deref(),
        match reason == word {
            true => reason,
            false => format!("{word}: {reason}"),
        },
    )
}

fn cells(
    name: String,
    ended_ms: i64,
    origin: &Origin,
    source: Option<&str>,
    state: String,
) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        name,
        units::ago(ended_ms),
        origin.reason.to_string(),
        or_dash(origin.actor.clone()),
        or_dash(source.map(short)),
        or_dash(origin.commit.as_deref().map(short)),
        state,
    ]
}

/// `deploy by ann@desk, 2 h ago, in 12 s`.
fn told(origin: &Origin, ended_ms: i64) -> String {
    let by = origin.actor.as_ref().map(|actor| format!(" by {actor}"));
    let took = origin.started_ms.map(|started| {
        let ms = u64::try_from(ended_ms.saturating_sub(started)).unwrap_or(0);
        format!(", in {}", units::duration(ms))
    });
    format!(
        "{}{}, {}{}",
        origin.reason,
        by.unwrap_or_default(),
        units::ago(ended_ms),
        took.unwrap_or_default()
    )
}

fn show(output: &Output, app: &AppName, details: &ReleaseDetails) -> Result<()> {
    let ReleaseDetails {
        entry,
        is_current,
        containers,
        secrets,
        before,
        changed,
        until_now,
    } = details;
    let paint = output.paint;
    let current = if *is_current { ", current" } else { "" };
    output.line(format!(
        "{} - {}{current}\n",
        paint.bold(&format!("{app} release {}", entry.number)),
        told(&entry.origin, entry.created_ms)
    ))?;
    let commit = entry.origin.commit.as_deref();
    let commit = commit.map(|commit| format!(", commit {commit}"));
    output.line(format!(
        "source   {}{}",
        entry.source,
        commit.unwrap_or_default()
    ))?;
    let rows: Vec<Vec<String>> = containers.iter().map(container).collect();
    output.table(&["CONTAINER", "IMAGE", "WHICH", "PLUGIN"], &rows)?;
    if !secrets.is_empty() {
        let names = secrets.iter().map(|(name, revision)| {
            let name = name.as_variable().unwrap_or(name.as_str());
            format!("{name} ({revision})")
        });
        let names: Vec<String> = names.collect();
        output.line(format!(
            "secrets  {}, each with the number of its value",
            names.join(", ")
        ))?;
    }
    if let (Some(before), Some(changed)) = (before, changed) {
        output.line(format!("\nFrom release {before} to this one:\n"))?;
        output.line(changed.render(paint.colour()).trim_end())?;
    }
    if let Some(until_now) = until_now {
        output.line("\nFrom this one to what runs now:\n")?;
        output.line(until_now.render(paint.colour()).trim_end())?;
    }
    if !entry.complete {
        output.remark("one cannot go back to it: an older host made it and kept only a part");
    }
    Ok(())
}

fn container(container: &ReleasedContainer) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let digest = container.plugin_digest.as_deref().map(short);
    let plugin = container.plugin.as_ref().map(|plugin| match digest {
        Some(digest) => format!("{plugin} {digest}"),
        None => plugin.clone(),
    });
    vec![
        container.name.to_string(),
        container.image.clone(),
        or_dash(container.identity.as_ref().map(|identity| identity.short())),
        or_dash(plugin),
    ]
}

fn show_failed(output: &Output, app: &AppName, failed: &FailedRelease) -> Result<()> {
    let (origin, report) = (&failed.origin, &failed.report);
    output.line(format!(
        "{} - {}\n",
        output
            .paint
            .bold(&format!("{app}: {}", failed.state.as_str())),
        told(origin, failed.ended_ms)
    ))?;
    for line in report.build.iter().chain(&report.log) {
        output.line(format!("  {line}"))?;
    }
    output.line(format!("error: {}", report.error))?;
    if let Some(help) = &report.help {
        output.line(format!("help: {help}"))?;
    }
    if let Some(operation) = &origin.operation {
        output.remark(format!("doprax operation {operation} shows all of it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{find_failed, number};
    use doprax_core::release::{FailedRelease, Releases};
    use serde_json::json;

    fn failed(operation: &str) -> FailedRelease {
        serde_json::from_value(json!({
            "reason": "deploy",
            "operation": operation,
            "state": "failed",
            "ended_ms": 0,
            "error": "",
            "help": null,
            "log": [],
            "build": [],
        }))
        .unwrap()
    }

    #[test]
    fn an_identifier_of_digits_alone_is_no_number() {
        assert_eq!(number("84221679"), None);
        assert_eq!(number("00000012"), None);
        assert_eq!(number("84221679-b3a"), None);
        assert_eq!(number("12"), Some(12));
        assert_eq!(number("a12"), None);
        assert_eq!(number(""), None);
    }

    #[test]
    fn a_deploy_that_failed_is_found_by_the_beginning_of_its_identifier() {
        let releases = Releases {
            current: None,
            releases: Vec::new(),
            failed: vec![failed("84221679-b3a4"), failed("84ac0000-0001")],
        };
        let app = "shop".parse().unwrap();
        let find = |wanted| {
            let found = find_failed(&app, &releases, wanted);
            let found = found.map(|failed| failed.origin.operation.clone().unwrap());
            found.map_err(|failure| failure.texts().0)
        };
        assert_eq!(find("84221679").as_deref(), Ok("84221679-b3a4"));
        assert_eq!(find("84a").as_deref(), Ok("84ac0000-0001"));
        let several = find("84").unwrap_err();
        assert!(several.contains("2 deploys"), "{several}");
        let none = find("b").unwrap_err();
        assert!(none.contains("no release b"), "{none}");
    }
}
