//! A [`Diff`] as text for a terminal.

use super::{Action, ContainerDiff, Diff, FieldDiff, Kind};
use crate::domain::shown;
use crate::merge::ChangeKind;
use std::fmt::Write as _;

/// Longest value that is shown whole, in characters.
const MAX_VALUE: usize = 72;
/// Width of the column of names.
const NAMES: usize = 15;

impl Diff {
    /// The diff as text, with ANSI colours or without. What comes from the app's
    /// files cannot control the terminal.
    pub fn render(&self, colour: bool) -> String {
        let mut page = Page {
            text: String::new(),
            colour,
        };
        if self.is_empty() {
            page.line(format_args!(
                "{}: nothing to do",
                page.paint(BOLD, self.app.as_str())
            ));
            self.render_remarks(&mut page);
            return page.text;
        }
        let title = match (self.removal, self.first) {
            (true, _) => "removal",
            (false, true) => "first deploy",
            (false, false) => "changes",
        };
        page.line(format_args!(
            "{} - {title}\n",
            page.paint(BOLD, self.app.as_str())
        ));
        for container in &self.containers {
            if container.kind != Kind::Unchanged {
                render_container(&mut page, container);
            }
        }
        self.render_surroundings(&mut page);
        let unchanged: Vec<&str> = self
            .containers
            .iter()
            .filter(|container| container.kind == Kind::Unchanged)
            .filter(|container| !self.reloads.contains(&container.name))
            .map(|container| container.name.as_str())
            .collect();
        if !unchanged.is_empty() {
            page.entry(Kind::Unchanged, "unchanged", &unchanged.join(", "));
        }
        self.render_remarks(&mut page);
        page.line(format_args!("\n{}", self.summary()));
        page.text
    }

    fn render_surroundings(&self, page: &mut Page) {
        for proxy in &self.reloads {
            let text = "takes notice of what moved before, without ending";
            page.entry(Kind::Changed, proxy.as_str(), text);
        }
        if let Some(network) = self.network.as_ref().filter(|n| n.kind != Kind::Unchanged) {
            let subnet = network
                .subnet
                .map(|subnet| subnet.to_string())
                .unwrap_or_default();
            let moved = if network.kind == Kind::Changed {
                ", every container moves"
            } else {
                ""
            };
            page.entry(network.kind, "network", &format!("{subnet}{moved}"));
        }
        for volume in &self.volumes {
            let name = volume.name.as_str();
            let users: Vec<&str> = volume.mounted_by.iter().map(|name| name.as_str()).collect();
            let text = match (volume.kind, users.as_slice()) {
                (Kind::Added, [only]) => format!("{name}, for {only}"),
                (Kind::Added, users) => format!("{name}, shared by {}", users.join(", ")),
                (_, []) if self.removal => format!("{name} stays"),
                (_, []) => format!("{name} stays, though nothing mounts it any more"),
                (_, _) if self.first => {
                    format!("{name}, kept from before, for {}", users.join(", "))
                }
                _ => continue,
            };
            page.entry(volume.kind, "volume", &text);
        }
        if let Some(front) = self.front.as_ref().filter(|_| self.front_changes()) {
            let before = front
                .before
                .as_ref()
                .map(|b| format!("{b} → "))
                .unwrap_or_default();
            let kind = if front.before.is_some() {
                Kind::Changed
            } else {
                Kind::Added
            };
            let after = front.after.strip_suffix(":0").unwrap_or(&front.after);
            let reason = page.paint(DIM, &format!("({})", clean(&front.reason)));
            page.entry_raw(
                kind,
                "front",
                &format!("{}{} {reason}", clean(&before), clean(after)),
            );
        }
        if let Some(drain) = &self.drain {
            let text = format!("{} → {}", drain.before, drain.after);
            page.entry(Kind::Changed, "drain", &text);
        }
        for domain in self
            .domains
            .iter()
            .filter(|domain| domain.kind != Kind::Unchanged)
        {
            let text = match &domain.redirect_to {
                Some(other) => format!("{}, sent on to {}", shown(&domain.name), shown(other)),
                None => shown(&domain.name),
            };
            page.entry(domain.kind, "domain", &text);
        }
        if let Some(first) = &self.first_domain {
            let (before, after) = (shown(&first.before), shown(&first.after));
            let text = format!("{before} → {after}");
            page.entry(Kind::Changed, "first domain", &text);
        }
    }

    fn render_remarks(&self, page: &mut Page) {
        let kept = self.kept.iter().map(|change| {
            let what = match change.kind {
                ChangeKind::Added => "was added by hand and stays",
                ChangeKind::Changed => "was changed by hand and stays so",
                ChangeKind::Removed => "was removed by hand and stays away",
            };
            format!("{} {what}", change.path.join("."))
        });
        let dropped = self
            .dropped
            .iter()
            .map(|change| format!("{} goes", change.path.join(".")));
        let notes = self.notes.iter().map(|note| match &note.service {
            Some(service) => format!("{service}: {}", note.text),
            None => note.text.clone(),
        });
        let remarks: Vec<String> = kept.chain(dropped).chain(notes).collect();
        if !remarks.is_empty() {
            page.text.push('\n');
        }
        for remark in remarks {
            let mark = page.paint(YELLOW, "!");
            page.line(format_args!("  {mark} {}", clean(&remark)));
        }
    }

    /// How much there is to do, in one line.
    fn summary(&self) -> String {
        let count = |kind| self.containers.iter().filter(|c| c.kind == kind).count();
        let containers = [
            (count(Kind::Added), "to add"),
            (count(Kind::Changed), "to change"),
            (count(Kind::Removed), "to remove"),
            (self.reloads.len(), "to reload"),
            (count(Kind::Unchanged) - self.reloads.len(), "unchanged"),
        ];
        let counts: Vec<String> = containers
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{number} {what}"))
            .collect();
        let mut summary = format!("Containers: {}.", counts.join(", "));
        let created = self
            .volumes
            .iter()
            .filter(|volume| volume.kind == Kind::Added)
            .count();
        if created > 0 {
            let _ = write!(summary, " Volumes: {created} to create.");
        }
        if self.removal && !self.volumes.is_empty() {
            let _ = write!(
                summary,
                " Volumes stay with everything in them; `doprax volume remove {} NAME` removes one.",
                self.app
            );
        }
        summary
    }
}

fn render_container(page: &mut Page, container: &ContainerDiff) {
    let image = match container.kind {
        Kind::Added => container.image.as_str(),
        _ => "",
    };
    let action = match (container.kind, container.action) {
        (Kind::Added | Kind::Removed, _) | (_, Action::Remove | Action::Keep) => "",
        (_, Action::Create) => "it is not there: a new container starts",
        (_, Action::ReplaceBeside) => "a new copy runs beside the old one until it is ready",
        (_, Action::Replace) => {
            "the old copy ends, a new one starts; it does not answer in between"
        }
        (_, Action::Update) => "it goes on running, with other limits",
        (_, Action::Start) => "starts",
        (_, Action::Stop) => "stops",
        (_, Action::Tidy) => "what is left of an old copy goes",
    };
    let text = [image, action]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>();
    page.entry(container.kind, container.name.as_str(), &text.join(", "));
    let mut last = "";
    for field in &container.fields {
        let label = if field.field == last {
            ""
        } else {
            field.field.as_str()
        };
        last = &field.field;
        render_field(page, container.kind, label, field);
    }
}

fn render_field(page: &mut Page, container: Kind, label: &str, field: &FieldDiff) {
    let (kind, text) = match (&field.before, &field.after) {
        (Some(before), Some(after)) => (
            Kind::Changed,
            format!("{} → {}", value(before), value(after)),
        ),
        (None, Some(after)) => (Kind::Added, value(after)),
        (Some(before), None) => (Kind::Removed, value(before)),
        (None, None) => return,
    };
    // Within something new every line is new.
    let sign = if container == Kind::Added {
        " ".to_owned()
    } else {
        page.sign(kind)
    };
    let label = page.paint(DIM, &format!("{label:<width$}", width = NAMES - 4));
    let text = match (field.field.as_str(), &field.key) {
        ("env", Some(key)) => format!("{}={text}", clean(key)),
        (_, Some(key)) => format!("{}  {text}", clean(key)),
        (_, None) => text,
    };
    page.line(format_args!("    {sign} {label} {text}"));
}

fn value(text: &str) -> String {
    let cleaned = clean(text);
    if cleaned.chars().count() <= MAX_VALUE {
        return cleaned;
    }
    let mut cut: String = cleaned.chars().take(MAX_VALUE - 1).collect();
    cut.push('…');
    cut
}

/// The text without anything that a terminal would obey.
fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_direction(c) {
            cleaned.extend(c.escape_default());
        } else {
            cleaned.push(c);
        }
    }
    cleaned
}

/// Whether a character changes the direction of the text around it (UAX #9).
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// A text in the making.
struct Page {
    text: String,
    colour: bool,
}

impl Page {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let line = line.to_string();
        self.text.push_str(line.trim_end_matches(' '));
        self.text.push('\n');
    }

    /// One line of the first level.
    fn entry(&mut self, kind: Kind, name: &str, text: &str) {
        self.entry_raw(kind, name, &clean(text));
    }

    fn entry_raw(&mut self, kind: Kind, name: &str, text: &str) {
        let sign = self.sign(kind);
        let name = if text.is_empty() {
            name.to_owned()
        } else {
            format!("{name:<NAMES$} ")
        };
        let name = self.paint(BOLD, &name);
        self.line(format_args!("  {sign} {name}{text}"));
    }

    fn sign(&self, kind: Kind) -> String {
        match kind {
            Kind::Added => self.paint(GREEN, "+"),
            Kind::Changed => self.paint(YELLOW, "~"),
            Kind::Removed => self.paint(RED, "-"),
            Kind::Unchanged => " ".to_owned(),
        }
    }

    /// The text in an ANSI style (ECMA-48, SGR).
    fn paint(&self, style: &str, text: &str) -> String {
        if self.colour && !text.trim().is_empty() {
            format!("\u{1b}[{style}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
