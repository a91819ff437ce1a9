//! Asks before something happens.

use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::visible::visible;
use std::io::{self, IsTerminal as _, Write as _};

/// Whether there is somebody who can be asked.
pub(crate) fn can_ask(output: &Output) -> bool {
    !output.json && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Refuses where nobody can be asked, and names `flag` as the way out.
pub(crate) fn must_ask(output: &Output, flag: &str) -> Result<()> {
    if !can_ask(output) {
        return Err(
            Failure::usage("nobody can be asked here, so nothing was done")
                .help(format!("say yes beforehand with {flag}")),
        );
    }
    Ok(())
}

/// Asks, and returns whether the answer is yes. Where nobody can be asked, refuses and
/// names `flag` as the way out.
pub(crate) fn confirm(output: &Output, question: &str, flag: &str) -> Result<bool> {
    must_ask(output, flag)?;
    let mut error = io::stderr();
    write!(
        error,
        "{} {} ",
        output.error_paint.bold(&visible(question, false)),
        output.error_paint.dim("[y/N]")
    )?;
    error.flush()?;
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::new("cannot read the answer").because(&error))?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}
