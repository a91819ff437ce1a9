//! What every command is given: whom to ask and how to speak.

use crate::args::Global;
use crate::failure::Result;
use crate::output::Output;
use crate::state;
use doprax_api::client::{Address, Client};
use std::path::PathBuf;

/// What every command is given.
pub(crate) struct Context {
    /// How to speak.
    pub(crate) output: Output,
    address: Option<Address>,
    state: Option<PathBuf>,
}

impl Context {
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            output: Output::new(global.json, global.quiet, global.verbose, global.no_color),
            address: global.host.clone(),
            state: global.state.clone(),
        }
    }

    /// The state folder.
    pub(crate) fn state(&self) -> Result<PathBuf> {
        state::folder(self.state.as_deref())
    }

    /// A client of the host that was named, else of the one of the state folder.
    pub(crate) fn client(&self) -> Result<Client> {
        let address = match &self.address {
            Some(address) => address.clone(),
            None => Address::Unix(self.state()?.join(state::SOCKET)),
        };
        let token = std::env::var("DOPRAX_TOKEN")
            .ok()
            .filter(|token| !token.is_empty());
        Ok(Client::new(address, token))
    }
}
