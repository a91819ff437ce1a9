//! Pulling images.

use super::{CHANGE, Docker};
use crate::{Error, Event, ImageFacts, Outcome, Progress};
use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::StreamExt as _;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a registry may be silent: through an answer that never comes, or a
/// transfer that stalls. The engine itself would wait for ever.
const SILENCE: Duration = Duration::from_secs(120);

/// The shortest pause between two reports of progress.
const REPORT: Duration = Duration::from_millis(200);

impl Docker {
    /// Pulls an image where it is missing, or where it is not the one that its registry
    /// gives out by `digest`.
    pub(super) async fn pull(
        &self,
        reference: &str,
        digest: Option<&str>,
        progress: &Progress,
    ) -> Result<Outcome, Error> {
        let action = || format!("pull {reference}");
        let is_wanted = |facts: &ImageFacts| {
            digest.is_none_or(|digest| facts.digests.iter().any(|found| found == digest))
        };
        if self
            .find_image(reference)
            .await?
            .as_ref()
            .is_some_and(is_wanted)
        {
            return Ok(Outcome::AlreadyDone);
        }
        let missing = |reason: String| Error::ImageMissing {
            reference: reference.to_owned(),
            reason: reason_of(&reason),
        };
        let (name, tag) = name_and_tag(reference);
        let (tag, moved) = match digest {
            Some(digest) if digest != tag => (digest, Some(tag)),
            _ => (tag, None),
        };
        let options = CreateImageOptionsBuilder::default()
            .from_image(name)
            .tag(tag)
            .build();
        let mut pulled = self.client.create_image(Some(options), None, None).boxed();
        let mut layers = Layers::default();
        let mut reported = Instant::now();
        loop {
            let next = tokio::time::timeout(SILENCE, pulled.next()).await;
            let Ok(next) = next else {
                return Err(missing(format!(
                    "no word from its registry for {} s",
                    SILENCE.as_secs()
                )));
            };
            match next {
                None => break,
                Some(Ok(info)) => {
                    if layers.take(&info) && reported.elapsed() >= REPORT {
                        progress(layers.event(reference));
                        reported = Instant::now();
                    }
                }
                Some(Err(error)) => {
                    let failure = super::Failure::from(error);
                    return Err(match failure.message() {
                        "" => self.error(failure, action()),
                        reason => missing(reason.to_owned()),
                    });
                }
            }
        }
        if let Some(moved) = moved {
            // What was pulled by its digest has no tag yet.
            let options = TagImageOptionsBuilder::default()
                .repo(name)
                .tag(moved)
                .build();
            let pulled = format!("{name}@{tag}");
            self.within(CHANGE, self.client.tag_image(&pulled, Some(options)))
                .await
                .map_err(|failure| self.error(failure, action()))?;
        }
        progress(layers.event(reference));
        Ok(Outcome::Done)
    }
}

/// Bytes of each layer that have arrived, and its size.
#[derive(Debug, Default)]
struct Layers(HashMap<String, (u64, u64)>);

impl Layers {
    /// Takes note of what the engine says of a layer; returns whether it did.
    fn take(&mut self, info: &CreateImageInfo) -> bool {
        let (Some(id), Some(status)) = (&info.id, info.status.as_deref()) else {
            return false;
        };
        let size = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok());
        let detail = info.progress_detail.as_ref();
        match status {
            "Downloading" => {
                let done = size(detail.and_then(|detail| detail.current)).unwrap_or_default();
                let total = size(detail.and_then(|detail| detail.total)).unwrap_or(done);
                self.0.insert(id.clone(), (done, total));
            }
            "Download complete" | "Pull complete" => {
                if let Some((done, total)) = self.0.get_mut(id) {
                    *done = *total;
                }
            }
            _ => return false,
        }
        true
    }

    fn event(&self, image: &str) -> Event {
        let (done, total) = self.0.values().fold((0, 0), |(done, total), layer| {
            (done + layer.0, total + layer.1)
        });
        Event::Pull {
            image: image.to_owned(),
            done,
            total,
        }
    }
}

/// A reference as the engine wants it: without a tag it would pull every tag.
fn name_and_tag(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, digest);
    }
    match reference.rsplit_once(':') {
        // A colon before a slash is a registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

/// What the engine said, in one line that tells a registry which does not have the
/// image from one that was not reached.
fn reason_of(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Go's network errors; the engine has no code for them.
    let network = [
        "dial tcp",
        "no such host",
        "TLS handshake",
        "i/o timeout",
        "request canceled",
    ];
    if network.iter().any(|sign| text.contains(sign)) {
        return format!("its registry cannot be reached ({text})");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    #[test]
    fn a_reference_always_has_a_tag() {
        let cases = [
            ("redis", ("redis", "latest")),
            ("redis:7", ("redis", "7")),
            ("localhost:5000/redis", ("localhost:5000/redis", "latest")),
            ("localhost:5000/redis:7", ("localhost:5000/redis", "7")),
            ("redis@sha256:ab", ("redis", "sha256:ab")),
        ];
        for (reference, expected) in cases {
            assert_eq!(name_and_tag(reference), expected, "{reference}");
        }
    }

    #[test]
    fn a_registry_that_is_not_reached_is_told_apart() {
        let away = "Get \"https://r/v2/\": dial tcp: lookup r:\n no such host";
        assert_eq!(
            reason_of(away),
            "its registry cannot be reached (Get \"https://r/v2/\": dial tcp: lookup r: no such host)"
        );
        assert_eq!(
            reason_of("manifest for r:1 not found"),
            "manifest for r:1 not found"
        );
    }

    #[test]
    fn progress_is_the_sum_of_the_layers() {
        let info = |id: &str, status: &str, bytes: Option<(i64, i64)>| CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: bytes.map(|(current, total)| ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            ..CreateImageInfo::default()
        };
        let mut layers = Layers::default();
        layers.take(&info("a", "Downloading", Some((10, 100))));
        layers.take(&info("b", "Downloading", Some((50, 50))));
        layers.take(&info("b", "Extracting", Some((1, 50))));
        layers.take(&info("a", "Download complete", None));
        let expected = Event::Pull {
            image: "redis:7".to_owned(),
            done: 150,
            total: 150,
        };
        assert_eq!(layers.event("redis:7"), expected);
    }
}
