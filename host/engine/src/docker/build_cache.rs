//! What builds leave for the next ones.

use super::{CHANGE, Docker, Failure, LOOK};
use crate::Error;
use serde::Deserialize;

/// The part of `GET /system/df` that is about the build cache: a list until API 1.51, a
/// sum afterwards.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DiskUsage {
    build_cache: Option<Vec<Record>>,
    build_cache_usage: Option<Sum>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    #[serde(default)]
    size: u64,
    /// Whether an image has it too, so that nothing would be won.
    #[serde(default)]
    shared: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sum {
    #[serde(default)]
    total_size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pruned {
    #[serde(default)]
    space_reclaimed: u64,
}

impl DiskUsage {
    fn bytes(self) -> u64 {
        match (self.build_cache, self.build_cache_usage) {
            (Some(records), _) => {
                let own = records.iter().filter(|record| !record.shared);
                own.map(|record| record.size).sum()
            }
            (None, Some(sum)) => sum.total_size,
            (None, None) => 0,
        }
    }
}

impl Docker {
    /// Bytes of the build cache.
    pub(super) async fn measure_build_cache(&self) -> Result<u64, Error> {
        let usage = self
            .transport
            .get_json::<DiskUsage>("/system/df?type=build-cache");
        self.within::<_, Failure>(LOOK, usage)
            .await
            .map(DiskUsage::bytes)
            .map_err(|failure| self.error(failure, "measure the build cache"))
    }

    /// Removes of the build cache what was not used for longest, until `keep` bytes are
    /// left. Returns the bytes that were removed.
    pub(super) async fn shrink_build_cache(&self, keep: u64) -> Result<u64, Error> {
        // 0 would be no bound at all. Newer engines still take the old name.
        let path = format!("/build/prune?keep-storage={}", keep.max(1));
        let pruned = self.transport.post_json::<Pruned>(&path, &());
        match self.within::<_, Failure>(CHANGE, pruned).await {
            Ok(pruned) => Ok(pruned.space_reclaimed),
            // Somebody else is at it.
            Err(failure) if failure.is(409) => Ok(0),
            Err(failure) => Err(self.error(failure, "prune the build cache")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_images_share_is_not_counted() {
        let cases = [
            (
                r#"{"LayersSize":9,"BuildCache":[{"ID":"a","Size":3},{"Size":4,"Shared":true}]}"#,
                3,
            ),
            (r#"{"BuildCacheUsage":{"TotalSize":7}}"#, 7),
            (r#"{"BuildCache":null}"#, 0),
        ];
        for (answer, expected) in cases {
            let usage: DiskUsage = serde_json::from_str(answer).unwrap();
            assert_eq!(usage.bytes(), expected, "{answer}");
        }
    }
}
