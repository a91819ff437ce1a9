//! Placeholder.
use crate::{context::Context, failure::Result};
/// To come
#[derive(Debug, clap::Args)]
pub(crate) struct Schema {}
impl Schema {
    pub(crate) fn run(self, _context: &Context) -> Result<()> {
        Ok(())
    }
}
