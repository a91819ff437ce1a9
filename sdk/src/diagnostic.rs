//! Objections to a request.

use crate::Diagnostic;

impl Diagnostic {
    /// An objection to the setting at this path, outermost key first.
    pub fn at<K: Into<String>>(
        path: impl IntoIterator<Item = K>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into_iter().map(Into::into).collect(),
            message: message.into(),
            help: None,
        }
    }

    /// An objection to the service as a whole.
    pub fn service(message: impl Into<String>) -> Self {
        Self::at::<String>([], message)
    }

    /// Adds what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
