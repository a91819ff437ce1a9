//! Names that are close to a word that was mistyped.

/// The name in `known` that is closest to `word`, if one is close.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&lower, &name.replace('-', "_")),
                name,
            )
        })
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_far_from_all_names_has_no_nearest() {
        let names = ["idle-timeout", "head-bytes"];
        assert_eq!(nearest("idle_timout", names), Some("idle-timeout"));
        assert_eq!(nearest("Head-Byte", names), Some("head-bytes"));
        assert_eq!(nearest("speed", names), None);
    }
}
