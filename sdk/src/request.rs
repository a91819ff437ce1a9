//! Questions that plugins ask of a request.

use crate::Request;

impl Request {
    /// The wanted version, or `default`.
    pub fn version_or<'a>(&'a self, default: &'a str) -> &'a str {
        self.version.as_deref().unwrap_or(default)
    }

    /// The image that the user chose instead, or `repository` with the wanted
    /// version or `default` as its tag.
    pub fn image_of(&self, repository: &str, default: &str) -> String {
        match &self.image {
            Some(image) => image.clone(),
            None => format!("{repository}:{}", self.version_or(default)),
        }
    }

    /// The first number of the version that runs: the wanted one, else that in the
    /// tag of the image that the user chose, else `default`'s. None where it does
    /// not begin with a number (`latest`).
    pub fn major_or(&self, default: &str) -> Option<u32> {
        let tag = self.image.as_deref().and_then(tag);
        let version = self.version.as_deref().or(tag);
        let version = match (&self.image, version) {
            (Some(_), None) => return None,
            (_, version) => version.unwrap_or(default),
        };
        let digits = version
            .trim_start_matches('v')
            .split(|c: char| !c.is_ascii_digit())
            .next()?;
        digits.parse().ok()
    }

    /// Whether the user sets one of these variables.
    pub fn sets_any(&self, names: &[&str]) -> bool {
        self.env_names
            .iter()
            .any(|set| names.contains(&set.as_str()))
    }

    /// The name of the user's volume at `path`, if any.
    pub fn volume_at(&self, path: &str) -> Option<&str> {
        let mount = self
            .volumes
            .iter()
            .find(|mount| mount.path.trim_end_matches('/') == path)?;
        Some(&mount.name)
    }

    /// Whether the user puts a file at one of these paths, or below one that ends
    /// with a slash.
    pub fn has_file(&self, paths: &[&str]) -> bool {
        self.file_paths.iter().any(|file| {
            paths
                .iter()
                .any(|path| file == path || path.ends_with('/') && file.starts_with(path))
        })
    }

    /// The default name of a volume of this service.
    pub fn volume_name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.name)
    }
}

/// The tag in an image reference.
fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next()?;
    let last = image.rsplit('/').next()?;
    last.split_once(':').map(|(_, tag)| tag)
}
