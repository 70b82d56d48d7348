//! The `Range` header. What is malformed, of another unit, or more than one range is ignored, as S3 does.

use crate::ops::RangeSpec;
use http::{HeaderMap, header};

/// The one range that a request asks for.
#[must_use]
pub fn range(headers: &HeaderMap) -> Option<RangeSpec> {
    let mut values = headers.get_all(header::RANGE).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    parse(value.to_str().ok()?)
}

/// Reads `bytes=first-last`, `bytes=first-` or `bytes=-suffix` (RFC 9110 §14.1.1).
#[must_use]
pub fn parse(text: &str) -> Option<RangeSpec> {
    let (unit, set) = text.trim().split_once('=')?;
    if !unit.trim_end().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    match (number(first)?, number(last)?) {
        (Number::None, Number::None) => None,
        (Number::None, Number::Some(bytes)) => Some(RangeSpec::Suffix { bytes }),
        (Number::Some(first), Number::None) => Some(RangeSpec::From { first, last: None }),
        (Number::Some(first), Number::Some(last)) => (first <= last).then_some(RangeSpec::From {
            first,
            last: Some(last),
        }),
    }
}

enum Number {
    None,
    Some(u64),
}

/// A position; one beyond `u64` is beyond any object too.
fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Number::None);
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(Number::Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_range_is_read() {
        let from = |first, last| Some(RangeSpec::From { first, last });
        assert_eq!(parse("bytes=0-4"), from(0, Some(4)));
        assert_eq!(parse("bytes=5-"), from(5, None));
        assert_eq!(parse("Bytes = 5 - 6 "), from(5, Some(6)));
        assert_eq!(parse("bytes=-7"), Some(RangeSpec::Suffix { bytes: 7 }));
        assert_eq!(parse("bytes=-0"), Some(RangeSpec::Suffix { bytes: 0 }));
        assert_eq!(
            parse("bytes=0-99999999999999999999999"),
            from(0, Some(u64::MAX))
        );
    }

    #[test]
    fn malformed_and_multiple_ranges_are_ignored() {
        for text in [
            "bytes=0-1,3-4",
            "bytes=4-3",
            "bytes=-",
            "bytes=",
            "bytes",
            "items=0-1",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1--2",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        let mut headers = HeaderMap::new();
        headers.append(header::RANGE, "bytes=0-1".parse().unwrap());
        assert!(range(&headers).is_some());
        headers.append(header::RANGE, "bytes=3-4".parse().unwrap());
        assert_eq!(range(&headers), None);
    }

    proptest! {
        #[test]
        fn range_parser_never_panics_and_never_turns_a_range_around(text in "(bytes=)?[0-9, -]{0,30}") {
            if let Some(RangeSpec::From { first, last: Some(last) }) = parse(&text) {
                prop_assert!(first <= last);
            }
        }
    }
}
