//! What a plugin says about itself.

use crate::{Capability, Footprint, Grants, Link, Metadata, Plugin, UlimitKind};
use serde_json::Value;

impl Metadata {
    /// The metadata of a plugin: the name it answers to in a manifest, its name for
    /// people, one sentence about the service, and the plugin's own version.
    pub fn new(id: &str, title: &str, summary: &str, version: &str) -> Self {
        Self {
            id: id.to_owned(),
            aliases: Vec::new(),
            title: title.to_owned(),
            summary: summary.to_owned(),
            version: version.to_owned(),
            versions: Vec::new(),
            settings: String::new(),
            links: Vec::new(),
            icon: None,
            categories: Vec::new(),
            license: None,
            home_page: None,
            at_rest: None,
            architectures: Vec::new(),
            grants: Grants {
                images: Vec::new(),
                capabilities: Vec::new(),
                ulimits: Vec::new(),
                exec: false,
            },
        }
    }

    /// Adds a second name that it answers to.
    pub fn alias(mut self, name: &str) -> Self {
        self.aliases.push(name.to_owned());
        self
    }

    /// Adds versions of the service known to work, the default first.
    pub fn versions<'a>(mut self, versions: impl IntoIterator<Item = &'a str>) -> Self {
        self.versions
            .extend(versions.into_iter().map(str::to_owned));
        self
    }

    /// Adds a page about the service.
    pub fn link(mut self, title: &str, url: &str) -> Self {
        self.links.push(Link {
            title: title.to_owned(),
            url: url.to_owned(),
        });
        self
    }

    /// Says what kind of service it is, in a word such as `database`; the closest first.
    pub fn category(mut self, category: &str) -> Self {
        self.categories.push(category.to_owned());
        self
    }

    /// Says the licence of the service, an SPDX expression.
    pub fn license(mut self, license: &str) -> Self {
        self.license = Some(license.to_owned());
        self
    }

    /// Says where the service's own site is, an `https://` address.
    pub fn home_page(mut self, url: &str) -> Self {
        self.home_page = Some(url.to_owned());
        self
    }

    /// Says how many bytes of memory and of disk it takes when nobody uses it.
    pub fn at_rest(mut self, memory: u64, disk: u64) -> Self {
        self.at_rest = Some(Footprint { memory, disk });
        self
    }

    /// Says which processors its images are made for: `amd64`, `arm64`, `arm/v7`.
    pub fn architectures<'a>(mut self, architectures: impl IntoIterator<Item = &'a str>) -> Self {
        self.architectures
            .extend(architectures.into_iter().map(str::to_owned));
        self
    }

    /// Grant: names images of this repository, such as `docker.io/library/redis`.
    pub fn image(mut self, repository: &str) -> Self {
        self.grants.images.push(repository.to_owned());
        self
    }

    /// Grant: asks for this capability.
    pub fn capability(mut self, capability: Capability) -> Self {
        self.grants.capabilities.push(capability);
        self
    }

    /// Grant: changes this limit.
    pub fn ulimit(mut self, kind: UlimitKind) -> Self {
        self.grants.ulimits.push(kind);
        self
    }

    /// Grant: runs commands in its containers.
    pub fn exec(mut self) -> Self {
        self.grants.exec = true;
        self
    }
}

/// The metadata of `P` with the schema of its settings.
pub(crate) fn complete<P: Plugin>() -> Metadata {
    Metadata {
        settings: schema::<P>(),
        ..P::metadata()
    }
}

/// The JSON Schema of the settings, on one line.
fn schema<P: Plugin>() -> String {
    let mut schema = schemars::schema_for!(P::Settings).to_value();
    if let Value::Object(schema) = &mut schema {
        schema.remove("$schema");
        // Settings that nobody knows are refused, whether or not the author said so.
        schema
            .entry("additionalProperties")
            .or_insert(Value::Bool(false));
    }
    schema.to_string()
}

/// For a build script: works out the schema of the settings when the plugin is
/// built instead of when it is asked, which makes the plugin a third smaller.
///
/// ```no_run
/// # mod plugin {
/// #     pub struct Redis;
/// #     #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #     pub struct Nothing {}
/// #     impl doprax_sdk::Plugin for Redis {
/// #         type Settings = Nothing;
/// #         fn metadata() -> doprax_sdk::Metadata { unimplemented!() }
/// #         fn plan(_: &doprax_sdk::Request, _: Nothing)
/// #             -> Result<doprax_sdk::Service, Vec<doprax_sdk::Diagnostic>> { unimplemented!() }
/// #     }
/// # }
/// // build.rs, after `#[path = "src/lib.rs"] mod plugin;`
/// fn main() {
///     doprax_sdk::build::<plugin::Redis>();
/// }
/// ```
#[allow(clippy::print_stdout)]
pub fn build<P: Plugin>() {
    println!("cargo::rerun-if-changed=src/lib.rs");
    println!("cargo::rustc-env=DOPRAX_SETTINGS={}", schema::<P>());
}
