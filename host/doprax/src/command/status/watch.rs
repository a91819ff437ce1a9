//! An app's status, shown again whenever something of it changes.

use super::show;
use crate::context::Context;
use crate::failure::Result;
use doprax_api::client::{Begin, Client, ClientError, Watch, Watched};
use doprax_api::wire::Changed;
use doprax_core::name::AppName;
use futures_util::{FutureExt as _, StreamExt as _};
use std::io::{self, IsTerminal as _, Write as _};

/// The first line and column, and nothing from there on.
const CLEAR: &[u8] = b"\x1b[H\x1b[J";

/// Shows an app until it is removed or whoever watches ends it.
pub(super) async fn watch(context: &Context, client: &Client, app: &AppName) -> Result<()> {
    let mut changes = client.watch(Watch {
        app: Some(app.clone()),
        after: Some(Begin::Now),
        follow: true,
    });
    let mut screen = Screen::new(context);
    while let Some(watched) = changes.next().await {
        let mut all = vec![watched?];
        // What came meanwhile is shown by one look.
        while let Some(Some(watched)) = changes.next().now_or_never() {
            all.push(watched?);
        }
        if all.iter().any(is_removal) {
            context.output.remark(format!("{app} was removed"));
            return Ok(());
        }
        match all.last() {
            Some(Watched::Lost) => context.output.remark("the host went away; waiting for it"),
            _ => match client.app(app).await {
                Ok(found) => screen.show(&found)?,
                // It is told as soon as that is done, or as the host is lost.
                Err(error) if screen.shown && (is_unknown(&error) || error.is_lost()) => {}
                Err(error) => return Err(error.into()),
            },
        }
    }
    Ok(())
}

/// Whether there is no such app, any more or yet.
fn is_unknown(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status, .. } if status.as_u16() == 404)
}

fn is_removal(watched: &Watched) -> bool {
    matches!(watched, Watched::Change(change) if change.what == Changed::Removed)
}

/// Where the status is shown.
struct Screen<'a> {
    context: &'a Context,
    /// Whether it stands in one place, as on a terminal.
    stays: bool,
    shown: bool,
}

impl<'a> Screen<'a> {
    fn new(context: &'a Context) -> Self {
        Self {
            context,
            stays: !context.output.json && io::stdout().is_terminal(),
            shown: false,
        }
    }

    fn show(&mut self, app: &doprax_api::wire::App) -> Result<()> {
        if self.stays {
            io::stdout().write_all(CLEAR)?;
        } else if self.shown && !self.context.output.json {
            self.context.output.line("")?;
        }
        self.shown = true;
        show(self.context, app)
    }
}
