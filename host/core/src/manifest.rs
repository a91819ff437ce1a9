//! From the text of a `doprax.yaml` to what it means: an [`AppSpec`], or every
//! mistake with its place and remedy.
//!
//! The file has two dialects: main's keys stand at the top of the file, or below
//! `main:`. One file keeps to one of them. What is written is read into a tree
//! ([`crate::yaml`]) in which every scalar has its exact text; each file below this
//! one reads one kind of thing out of it. Nothing is silently dropped: a key that is
//! not known is an error.

use crate::diagnostic::{self, Diagnostic, Severity, Span};
use crate::name::{AppName, PluginName, ServiceName};
use crate::service::SettingDiagnostic;
use crate::spec::AppSpec;
use crate::text_file::TextFile;
use crate::yaml;

mod app;
mod build;
mod command;
mod config_file;
mod container;
mod domain;
mod env;
mod health;
mod hint;
mod image;
mod main_section;
mod other_format;
mod places;
mod process;
mod reader;
mod resources;
mod service;
mod unit;
mod volume;

pub use places::Places;

/// Most services of an app: its subnet has room for them and main.
pub const MAX_SERVICES: usize = 255;

/// The plugin that runs any image; a service of its kind needs `image`.
pub const CONTAINER_PLUGIN: &str = "container";

/// A plugin that services may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPlugin {
    /// Its name.
    pub name: PluginName,
    /// Other names that it answers to.
    pub aliases: Vec<PluginName>,
}

/// What the meaning of a file depends on besides its text.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The file's name, as its reader knows it.
    pub file_name: &'a str,
    /// The app's name where the file has no `app`.
    pub default_app: Option<&'a AppName>,
    /// The plugins that are installed.
    pub plugins: &'a [KnownPlugin],
}

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// What it means.
    pub spec: AppSpec,
    /// What its author should look at all the same, in the order of the file.
    pub warnings: Vec<Diagnostic>,
    /// Where in the file each part of the spec stands.
    pub places: Places,
}

/// A file that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", diagnostic::render(diagnostics, false))]
pub struct Refused {
    /// Errors, at least one, and warnings, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the bytes of a `doprax.yaml`. Takes bounded time and memory whatever they are.
pub fn parse(bytes: &[u8], context: &Context<'_>) -> Result<Manifest, Refused> {
    let file = decode(bytes, context.file_name).map_err(|refused| Refused {
        diagnostics: vec![*refused],
    })?;
    let root = yaml::parse(&file).map_err(|diagnostics| Refused { diagnostics })?;
    app::read(&file, root.as_ref(), context)
}

/// The name that an app gets from the name of its source folder: `My App` becomes
/// `my-app`; nothing where no letter or digit is left.
pub fn app_name_from_folder(folder: &str) -> Option<AppName> {
    let mut name = String::new();
    for c in folder.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if name.len() == 63 {
            break;
        }
    }
    AppName::new(name.trim_end_matches('-')).ok()
}

/// Whether a variable of this name and value holds a credential, and so is masked
/// wherever it is shown.
pub fn is_credential(name: &str, text: &str) -> bool {
    env::is_credential(name, text)
}

impl Manifest {
    /// A plugin's objection to the settings of `service`, placed in the file.
    pub fn objection(&self, service: &ServiceName, objection: &SettingDiagnostic) -> Diagnostic {
        let mut path = vec!["services", service.as_str(), "settings"];
        path.extend(objection.path.iter().map(String::as_str));
        self.places.diagnostic(
            Severity::Error,
            &path,
            objection.message.clone(),
            objection.help.clone(),
        )
    }
}

/// The text of a file that must be UTF-8.
fn decode(bytes: &[u8], file_name: &str) -> Result<TextFile, Box<Diagnostic>> {
    let refuse = |file: &TextFile, span, message: &str, help: &str| {
        Err(Box::new(file.diagnostic(
            Severity::Error,
            span,
            "",
            message,
            Some(help.to_owned()),
        )))
    };
    let top = Span {
        line: 1,
        column: 1,
        length: 1,
    };
    // A file of gigabytes is refused before it is looked at.
    if bytes.len() > yaml::MAX_BYTES {
        let message = format!(
            "the file has {} bytes, more than {} MiB",
            bytes.len(),
            yaml::MAX_BYTES >> 20
        );
        let help = "a doprax.yaml has a few hundred lines at most; move long texts to files of their own (`config_file`)";
        return refuse(&TextFile::new(file_name, ""), top, &message, help);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(TextFile::new(file_name, text)),
        Err(_) if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) => refuse(
            &TextFile::new(file_name, ""),
            top,
            "the file is UTF-16",
            "save it as UTF-8",
        ),
        Err(error) => {
            let good = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
            let file = TextFile::new(file_name, &format!("{good}\u{fffd}"));
            let last = file.text().len() - '\u{fffd}'.len_utf8();
            let span = file.locate(last);
            refuse(
                &file,
                span,
                "the file is not UTF-8 from here on",
                "save it as UTF-8",
            )
        }
    }
}
