//! The `Date` of responses (RFC 9110 section 6.6.1).

use http::HeaderValue;
use std::cell::RefCell;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

thread_local! {
    /// The last second, and how it is written.
    static LAST: RefCell<Option<(i64, HeaderValue)>> = const { RefCell::new(None) };
}

/// The present time; nothing if it is none that can be written.
pub(super) fn now() -> Option<HeaderValue> {
    let now = OffsetDateTime::now_utc();
    let second = now.unix_timestamp();
    LAST.with_borrow_mut(|last| {
        if let Some((known, written)) = last
            && *known == second
        {
            return Some(written.clone());
        }
        let text = HeaderValue::from_str(&written(now)?).ok()?;
        *last = Some((second, text.clone()));
        Some(text)
    })
}

fn written(moment: OffsetDateTime) -> Option<String> {
    // The format of mail, but for the name of the zone.
    Some(moment.format(&Rfc2822).ok()?.replace("+0000", "GMT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_the_standard_has_it() {
        let moment = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap();
        let written = written(moment).unwrap();
        assert_eq!(written, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(now().unwrap().len(), written.len());
    }

    #[test]
    fn it_is_written_once_each_second() {
        let kept = HeaderValue::from_static("kept");
        let keep = |second| LAST.set(Some((second, kept.clone())));
        keep(0);
        assert_ne!(now(), Some(kept.clone()));
        let written = |_| {
            keep(OffsetDateTime::now_utc().unix_timestamp());
            now()
        };
        // A second may end in between.
        assert!((0..3).map(written).any(|now| now.as_ref() == Some(&kept)));
    }
}
