//! The labels by which the objects of an instance are found again. A published
//! name never changes: containers that bear it outlive the host that made them.

/// Whose object it is, see [`doprax_core::name::Instance::label`].
pub(super) const INSTANCE: &str = "doprax.instance";

/// The host that made it: two hosts that were given one instance by mistake must not
/// take each other's objects for their own.
pub(super) const HOST: &str = "doprax.host";

/// Name of the app.
pub(super) const APP: &str = "doprax.app";

/// On a container: which container of the app it is a copy of.
pub(super) const SERVICE: &str = "doprax.service";

/// On a container: the digest that it was made from.
pub(super) const HASH: &str = "doprax.hash";

/// On a container: paths of the files that were put into it, a JSON array.
pub(super) const FILES: &str = "doprax.files";

/// On a volume: its exact name within the app.
pub(super) const VOLUME: &str = "doprax.volume";

/// On a volume that the engine made because a container mounts it and it was not there:
/// it holds nothing of what the container expects in it.
pub(super) const UNASKED: &str = "doprax.unasked";

/// Labels of an object.
pub(super) type Labels = std::collections::HashMap<String, String>;
