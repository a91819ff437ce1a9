//! Texts with gaps.

use crate::{OutputOf, Part};

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::Literal(text.to_owned())
    }
}

impl From<&String> for Part {
    fn from(text: &String) -> Self {
        Self::Literal(text.clone())
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::Literal(text)
    }
}

impl Part {
    /// The value of a secret that the service declares.
    pub fn secret(name: &str) -> Self {
        Self::Secret(name.to_owned())
    }

    /// What another service of the app offers under this name; secrets in it stay secret.
    pub fn output(service: &str, output: &str) -> Self {
        Self::Output(OutputOf {
            service: service.to_owned(),
            output: output.to_owned(),
        })
    }

    /// The value of a variable of the same container.
    pub fn env(name: &str) -> Self {
        Self::Env(name.to_owned())
    }
}

/// A text made of parts: `text!["redis://:", Part::secret("password"), "@", name]`.
#[macro_export]
macro_rules! text {
    ($($part:expr),* $(,)?) => {
        ::std::vec![$($crate::Part::from($part)),*]
    };
}
