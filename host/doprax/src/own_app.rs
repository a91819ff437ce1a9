//! The app of the folder in which a command is called: there its name may be left out.
//!
//! What was typed is taken as it is wherever that makes sense. Only where an app's name
//! is missing, or stands where a container of the folder's app is named, is it put in.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use doprax_core::manifest::app_name_from_folder;
use doprax_core::name::{AppName, MAIN};
use doprax_core::text_file::TextFile;
use doprax_core::yaml::{self, Kind, Node};
use doprax_source::{MANIFEST, read_manifest};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

/// The argument that is an app's name, wherever there is one.
pub(crate) const APP: &str = "app";
/// The argument that is a container's name.
pub(crate) const CONTAINER: &str = "container";
/// The argument that is a release's number.
pub(crate) const RELEASE: &str = "release";

/// The app of a folder, as far as its manifest names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OwnApp {
    pub(crate) name: AppName,
    /// Main and the services.
    pub(crate) containers: BTreeSet<String>,
}

impl OwnApp {
    /// The app of `folder`; nothing where it has no manifest that can be read. What else is
    /// wrong with the manifest is not said here.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        let bytes = read_manifest(&folder.join(MANIFEST)).ok()?;
        let file = TextFile::new(MANIFEST, std::str::from_utf8(&bytes).ok()?);
        let root = yaml::parse(&file).ok()?;
        let name = match root.as_ref().and_then(|root| root.get("app")) {
            Some(node) => AppName::new(text(node)?).ok()?,
            None => {
                let folder = folder.canonicalize().ok()?;
                app_name_from_folder(&folder.file_name()?.to_string_lossy())?
            }
        };
        let services = root.as_ref().and_then(|root| root.get("services"));
        let mut containers = BTreeSet::from([MAIN.to_owned()]);
        if let Some(Kind::Sequence(items)) = services.map(|services| &services.kind) {
            containers.extend(items.iter().filter_map(service));
        }
        Some(Self { name, containers })
    }

    /// The app of the folder in which the command was called.
    pub(crate) fn here() -> Option<Self> {
        Self::of(Path::new("."))
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// The name of an item of `services`.
fn service(item: &Node) -> Option<String> {
    let Kind::Mapping(entries) = &item.kind else {
        return text(item).map(str::to_owned);
    };
    let entry = entries.first()?;
    let named = entry.value.get("name").and_then(text);
    Some(named.unwrap_or(&entry.key).to_owned())
}

/// What the words mean, which begin with the program's name.
pub(crate) fn parse(
    command: &Command,
    words: &[OsString],
    own: impl FnOnce() -> Option<OwnApp>,
) -> Result<ArgMatches, clap::Error> {
    let parse = |words: &[OsString]| command.clone().try_get_matches_from(words);
    let parsed = parse(words);
    let named = parsed.as_ref().ok().and_then(names_part);
    let may_lack = match &parsed {
        Ok(_) => named.is_some(),
        Err(error) => matches!(
            error.kind(),
            ErrorKind::MissingRequiredArgument | ErrorKind::ValueValidation
        ),
    };
    let Some(place) = place_of_app(command, words).filter(|_| may_lack) else {
        return parsed;
    };
    let Some(own) = own() else { return parsed };
    let lacks = match &parsed {
        Ok(_) => named.as_ref().is_some_and(|named| {
            named != own.name.as_str() && (own.containers.contains(named) || is_number(named))
        }),
        Err(_) => words
            .get(place)
            .is_none_or(|word| word != own.name.as_str()),
    };
    if !lacks {
        return parsed;
    }
    let mut whole = words.to_vec();
    whole.insert(place, own.name.as_str().into());
    match parse(&whole) {
        Ok(matches) if named.is_none_or(|named| !is_number(&named) || has_release(&matches)) => {
            Ok(matches)
        }
        _ => parsed,
    }
}

/// The matches of the innermost command.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    let mut matches = matches;
    while let Some((_, below)) = matches.subcommand() {
        matches = below;
    }
    matches
}

/// Whether a release was named.
fn has_release(matches: &ArgMatches) -> bool {
    let release = innermost(matches).try_get_raw(RELEASE);
    release.is_ok_and(|release| release.is_some())
}

/// What stands in the place of an app where a container, or a release's number, could follow
/// and does not.
fn names_part(matches: &ArgMatches) -> Option<String> {
    let matches = innermost(matches);
    let app = matches.try_get_one::<AppName>(APP).ok()??.to_string();
    let part = match is_number(&app) {
        true => RELEASE,
        false => CONTAINER,
    };
    matches.try_contains_id(part).ok()?;
    let follows = matches.value_source(part) == Some(ValueSource::CommandLine);
    (!follows).then_some(app)
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where the app's name stands, or would; nothing for a command that begins with another
/// argument.
fn place_of_app(command: &Command, words: &[OsString]) -> Option<usize> {
    let mut command = command;
    let mut place = 1;
    let mut index = 1;
    while let Some(word) = words.get(index) {
        index += 1;
        let word = word.to_str()?;
        if word == "--" {
            break;
        }
        if word.starts_with('-') {
            // The next word is its value, and no command.
            index += usize::from(takes_value(command, word));
        } else if let Some(below) = command.find_subcommand(word) {
            command = below;
            place = index;
        } else {
            break;
        }
    }
    let first = command
        .get_positionals()
        .min_by_key(|arg| arg.get_index())?;
    (first.get_id() == APP).then_some(place)
}

/// Whether the word after this option is its value.
fn takes_value(command: &Command, option: &str) -> bool {
    let found = command.get_arguments().find(|arg| {
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        [long, short]
            .into_iter()
            .flatten()
            .any(|name| name == option)
    });
    found.is_some_and(|arg| arg.get_action().takes_values())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    fn own() -> OwnApp {
        OwnApp {
            name: AppName::new("shop").unwrap(),
            containers: ["main", "mysql"].map(str::to_owned).into(),
        }
    }

    /// The words with the app put in, as far as they are understood.
    fn understood(words: &str) -> Option<String> {
        let words: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
        let matches = parse(&args::command(), &words, || Some(own())).ok()?;
        let mut leaf = &matches;
        let mut shown = Vec::new();
        while let Some((name, below)) = leaf.subcommand() {
            shown.push(name.to_owned());
            leaf = below;
        }
        for id in [APP, CONTAINER, RELEASE, "name", "names", "variables"] {
            if leaf.try_contains_id(id).is_err() {
                continue;
            }
            if leaf
                .value_source(id)
                .is_none_or(|source| source != ValueSource::CommandLine)
            {
                continue;
            }
            let values = leaf
                .get_raw(id)?
                .map(|value| value.to_string_lossy().into_owned());
            shown.extend(values);
        }
        Some(shown.join(" "))
    }

    #[test]
    fn the_app_of_the_folder_may_be_left_out() {
        let cases = [
            ("doprax status", Some("status shop")),
            ("doprax --json status", Some("status shop")),
            ("doprax --state logs status", Some("status shop")),
            ("doprax status blog", Some("status blog")),
            ("doprax logs -f", Some("logs shop")),
            ("doprax logs mysql", Some("logs shop mysql")),
            ("doprax logs main -n 5", Some("logs shop main")),
            ("doprax logs shop", Some("logs shop")),
            ("doprax logs blog mysql", Some("logs blog mysql")),
            ("doprax logs blog", Some("logs blog")),
            ("doprax logs --access", Some("logs")),
            ("doprax restart mysql", Some("restart shop mysql")),
            ("doprax shell -- ls", Some("shell shop")),
            ("doprax shell mysql -- ls", Some("shell shop mysql")),
            ("doprax env list", Some("env list shop")),
            ("doprax env set A=1 B=2", Some("env set shop A=1 B=2")),
            ("doprax env set blog A=1", Some("env set blog A=1")),
            ("doprax secret set API_KEY", Some("secret set shop API_KEY")),
            ("doprax volume remove data", Some("volume remove shop data")),
            ("doprax volume remove shop", None),
            ("doprax volume list", Some("volume list")),
            (
                "doprax domain add example.com",
                Some("domain add shop example.com"),
            ),
            ("doprax remove", Some("remove shop")),
            ("doprax releases", Some("releases shop")),
            ("doprax releases 3", Some("releases shop 3")),
            ("doprax releases blog", Some("releases blog")),
            ("doprax rollback 3 --yes", Some("rollback shop 3")),
            ("doprax rollback blog 3", Some("rollback blog 3")),
            ("doprax logs 3", Some("logs 3")),
            ("doprax status No_Such", None),
            ("doprax up shop", Some("up")),
        ];
        for (words, expected) in cases {
            assert_eq!(understood(words).as_deref(), expected, "{words}");
        }
    }

    #[test]
    fn the_manifest_of_the_folder_names_the_app_and_its_containers() {
        let folder = tempfile::tempdir().unwrap();
        let shop = folder.path().join("my-shop");
        std::fs::create_dir(&shop).unwrap();
        assert_eq!(OwnApp::of(&shop), None);
        let manifest = "services:\n  - mysql:\n  - redis:\n      name: queue\n  - nginx\n";
        std::fs::write(shop.join(MANIFEST), manifest).unwrap();
        let found = OwnApp::of(&shop).unwrap();
        assert_eq!(found.name.as_str(), "my-shop");
        let containers: Vec<&str> = found.containers.iter().map(String::as_str).collect();
        assert_eq!(containers, ["main", "mysql", "nginx", "queue"]);
        std::fs::write(shop.join(MANIFEST), "app: blog\n").unwrap();
        assert_eq!(OwnApp::of(&shop).unwrap().name.as_str(), "blog");
    }
}
