//! What can go wrong with an engine.

/// An error of the engine. Texts hold no values of secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine does not answer.
    #[error("cannot reach the container engine at {address}")]
    Unreachable {
        /// Its address.
        address: String,
        /// What the connection said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine refused or failed an act.
    #[error("cannot {action}")]
    Failed {
        /// What was tried, as in "create container main.shop.internal".
        action: String,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something on the engine that is not this host's is in the way.
    #[error("cannot {action}")]
    Foreign {
        /// What was tried, as in "create container main.shop.internal".
        action: String,
        /// What is in the way.
        source: Foreign,
    },
    /// The image is nowhere to be found.
    #[error("image {reference} is neither on this machine nor in its registry: {reason}")]
    ImageMissing {
        /// Its reference.
        reference: String,
        /// What the engine or registry said.
        reason: String,
    },
    /// The build of an image failed.
    #[error("the build failed at {step}: {reason}")]
    BuildFailed {
        /// The failing step as in the Dockerfile.
        step: String,
        /// The last lines it printed.
        output: Vec<String>,
        /// What the engine said.
        reason: String,
    },
    /// The subnet is another network's.
    #[error("the subnet {subnet} is another network's")]
    SubnetTaken {
        /// The subnet.
        subnet: ipnet::Ipv4Net,
    },
    /// The container is not there.
    #[error("no container {container}")]
    NoContainer {
        /// The engine's name for it.
        container: String,
    },
    /// A value behind a name is missing.
    #[error("no value for {name}")]
    NoMaterial {
        /// The secret, file or source without a value.
        name: String,
    },
}

/// What is on the engine, and is not this host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// A container has the wanted name.
    #[error("the engine has a container of this name that is not of this host")]
    Container,
    /// An app has the wanted name.
    #[error("another host on this engine has an app of this name")]
    App,
}
