//! What commands say on standard output, as text or as JSON.

use crate::failure::Result;
use crate::paint::Paint;
use crate::visible::{in_json, in_line, visible};
use serde::Serialize;
use std::io::{self, IsTerminal as _, Write as _};

/// How commands speak.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// JSON instead of text.
    pub(crate) json: bool,
    /// Only what was asked for.
    pub(crate) quiet: bool,
    /// How much more than usual.
    pub(crate) verbose: u8,
    /// Colours of standard output.
    pub(crate) paint: Paint,
    /// Colours of standard error.
    pub(crate) error_paint: Paint,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool, verbose: u8, no_color: bool) -> Self {
        // https://no-color.org: any value but the empty one.
        let wanted = !no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = |terminal: bool| Paint::new(wanted && !dumb && terminal);
        Self {
            json,
            quiet,
            verbose,
            paint: colour(io::stdout().is_terminal()),
            error_paint: colour(io::stderr().is_terminal()),
        }
    }

    /// Whether lines on standard error may move.
    pub(crate) fn animated(&self) -> bool {
        !self.json
            && !self.quiet
            && io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Says a line, without what a terminal would obey in it.
    pub(crate) fn line(&self, text: impl AsRef<str>) -> Result<()> {
        self.raw_line(visible(text.as_ref(), self.paint.colour()))
    }

    /// Says a line as it is.
    pub(crate) fn raw_line(&self, text: impl AsRef<str>) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_ref().as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()?;
        Ok(())
    }

    /// Says a line that is not part of the answer: on standard error, unless quiet.
    pub(crate) fn remark(&self, text: impl AsRef<str>) {
        if !self.quiet {
            // Where standard error is closed there is nobody to tell.
            let text = visible(text.as_ref(), self.error_paint.colour());
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Says a value as one line of JSON.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<()> {
        self.raw_line(json(value))
    }

    /// Says rows, which have no colours, in columns.
    pub(crate) fn table(&self, head: &[&str], rows: &[Vec<String>]) -> Result<()> {
        let head: Vec<String> = head.iter().map(|text| (*text).to_owned()).collect();
        let shown = |text: &String| in_line(text).into_owned();
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(shown).collect())
            .collect();
        let widths: Vec<usize> = (0..head.len())
            .map(|column| {
                std::iter::once(&head)
                    .chain(&rows)
                    .map(|row| row[column].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let render = |row: &[String]| {
            let cells = row.iter().zip(&widths).map(|(text, width)| {
                format!(
                    "{text}{}",
                    " ".repeat(width.saturating_sub(text.chars().count()))
                )
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.line(self.paint.dim(&render(&head)))?;
        rows.iter().try_for_each(|row| self.line(render(row)))
    }
}

/// A value as JSON in one line.
pub(crate) fn json(value: &impl Serialize) -> String {
    let text =
        serde_json::to_string(value).expect("wire types have only string keys, so they serialize");
    in_json(&text).into_owned()
}
