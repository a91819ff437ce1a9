//! Placeholder.
use crate::{context::Context, failure::Result};
/// To come
#[derive(Debug, clap::Args)]
pub(crate) struct Plugin {}
impl Plugin {
    pub(crate) async fn run(self, _context: &Context) -> Result<()> {
        Ok(())
    }
}
