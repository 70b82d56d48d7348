//! The conditional headers, read from the wire: lists, weak tags, `*`, dates. s3s drops or misreads most of them, so operations
//! take these from the raw headers instead.

use crate::ops::{
    ClientEtag, CopySourceConditions, EntityTag, EntityTags, IfRange, OpError, ReadConditions,
    WriteCondition,
};
use http::{HeaderMap, header};
use std::time::UNIX_EPOCH;

/// The conditions of a GET or HEAD. Dates that can't be read are ignored (RFC 9110 §13.1.3).
#[must_use]
pub fn read_conditions(headers: &HeaderMap) -> ReadConditions {
    ReadConditions {
        if_match: tags(headers, header::IF_MATCH.as_str()),
        if_none_match: tags(headers, header::IF_NONE_MATCH.as_str()),
        if_modified_since: date(headers, header::IF_MODIFIED_SINCE.as_str()),
        if_unmodified_since: date(headers, header::IF_UNMODIFIED_SINCE.as_str()),
        if_range: if_range(headers),
    }
}

/// The conditions on a copy's source (`x-amz-copy-source-if-*`).
#[must_use]
pub fn copy_source_conditions(headers: &HeaderMap) -> CopySourceConditions {
    CopySourceConditions(ReadConditions {
        if_match: tags(headers, "x-amz-copy-source-if-match"),
        if_none_match: tags(headers, "x-amz-copy-source-if-none-match"),
        if_modified_since: date(headers, "x-amz-copy-source-if-modified-since"),
        if_unmodified_since: date(headers, "x-amz-copy-source-if-unmodified-since"),
        if_range: None,
    })
}

/// The condition of a PUT, Complete, copy (of its destination) or DELETE.
///
/// # Errors
/// `NotImplemented` for what one upstream request can't enforce: a list, a tag in `If-None-Match`, both headers, or a condition on
/// time or size; `PreconditionFailed` for a weak tag, which matches no object.
pub fn write_condition(headers: &HeaderMap) -> Result<WriteCondition, OpError> {
    let unsupported = [
        "x-amz-if-match-last-modified-time",
        "x-amz-if-match-size",
        "x-amz-if-match-initiated-time",
    ];
    if let Some(name) = unsupported.iter().find(|n| headers.contains_key(**n)) {
        return Err(not_implemented(name));
    }
    match (
        tags(headers, header::IF_MATCH.as_str()),
        tags(headers, header::IF_NONE_MATCH.as_str()),
    ) {
        (None, None) => Ok(WriteCondition::Always),
        (None, Some(EntityTags::Any)) => Ok(WriteCondition::Absent),
        (Some(matching), None) => matches(&matching),
        (_, Some(_)) => Err(not_implemented("If-None-Match")),
    }
}

/// The condition of one entry of a delete list: its `ETag` element.
///
/// # Errors
/// As [`write_condition`].
pub fn delete_entry_condition(etag: Option<&str>) -> Result<WriteCondition, OpError> {
    etag.map_or(Ok(WriteCondition::Always), |text| {
        matches(&parse_tags(text))
    })
}

fn matches(tags: &EntityTags) -> Result<WriteCondition, OpError> {
    match tags {
        EntityTags::Any => Ok(WriteCondition::Present),
        EntityTags::List(list) => match list.as_slice() {
            [one] if one.weak => Err(OpError::precondition_failed()),
            [one] => Ok(WriteCondition::Matches(one.tag.clone())),
            _ => Err(not_implemented("If-Match")),
        },
    }
}

fn not_implemented(name: &str) -> OpError {
    OpError::not_implemented(format!(
        "A header you provided implies functionality that is not implemented: {name}"
    ))
}

fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|v| String::from_utf8_lossy(v.as_bytes()))
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn tags(headers: &HeaderMap, name: &str) -> Option<EntityTags> {
    joined(headers, name).map(|text| parse_tags(&text))
}

fn date(headers: &HeaderMap, name: &str) -> Option<i64> {
    parse_date(headers.get(name)?.to_str().ok()?)
}

fn if_range(headers: &HeaderMap) -> Option<IfRange> {
    let value = headers.get(header::IF_RANGE)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    if let Some(date) = parse_date(&text) {
        return Some(IfRange::Date(date));
    }
    Some(match parse_tags(&text) {
        EntityTags::List(mut list) if list.len() == 1 => {
            list.pop().map_or(IfRange::Unreadable, IfRange::Tag)
        }
        _ => IfRange::Unreadable,
    })
}

/// An HTTP date in any of its three forms (RFC 9110 §5.6.7), in seconds of the Unix epoch.
#[must_use]
pub fn parse_date(text: &str) -> Option<i64> {
    let at = httpdate::parse_http_date(text.trim()).ok()?;
    i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// Tags as in `If-Match` (RFC 9110 §8.8.3); unquoted ones are taken as clients mean them. What can't be read is left out, so that
/// it matches nothing.
#[must_use]
pub fn parse_tags(text: &str) -> EntityTags {
    let mut rest = text.trim();
    if rest == "*" {
        return EntityTags::Any;
    }
    let mut list = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        if rest.is_empty() {
            return EntityTags::List(list);
        }
        let (weak, tail) = match rest.strip_prefix("W/") {
            Some(tail) => (true, tail),
            None => (false, rest),
        };
        let (tag, tail) = match tail.strip_prefix('"') {
            Some(quoted) => match quoted.split_once('"') {
                Some(split) => split,
                None => return EntityTags::List(list),
            },
            None => tail.split_at(tail.find([',', ' ', '\t', '"']).unwrap_or(tail.len())),
        };
        if tag.is_empty() && tail.len() == rest.len() {
            // A stray quote: nothing behind it can be told apart.
            return EntityTags::List(list);
        }
        rest = tail;
        list.push(EntityTag {
            weak,
            tag: ClientEtag::from_client(tag),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Code;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        map
    }

    fn list(text: &str) -> Vec<String> {
        match parse_tags(text) {
            EntityTags::Any => vec!["*".into()],
            EntityTags::List(tags) => tags
                .iter()
                .map(|t| format!("{}{}", if t.weak { "W/" } else { "" }, t.tag))
                .collect(),
        }
    }

    #[test]
    fn tags_are_read_in_every_spelling() {
        for (text, expected) in [
            ("*", vec!["*"]),
            (" * ", vec!["*"]),
            ("\"*\"", vec!["*"]),
            ("\"a-1\"", vec!["a-1"]),
            ("a-1", vec!["a-1"]),
            ("\"a\", W/\"b\" ,\"c,d\",e", vec!["a", "W/b", "c,d", "e"]),
            (",, \"a\" ,,", vec!["a"]),
            ("\"\"", vec![""]),
            ("", vec![]),
            ("\"a\", \"unterminated", vec!["a"]),
        ] {
            assert_eq!(list(text), expected, "{text:?}");
        }
        assert_eq!(parse_tags("*"), EntityTags::Any);
        assert_ne!(parse_tags("\"*\""), EntityTags::Any);
    }

    #[test]
    fn read_conditions_join_repeated_headers() {
        let conditions = read_conditions(&headers(&[
            ("if-none-match", "\"a\""),
            ("if-none-match", "W/\"b\""),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("if-unmodified-since", "yesterday"),
        ]));
        let Some(EntityTags::List(tags)) = conditions.if_none_match else {
            panic!("no list");
        };
        assert_eq!(tags.len(), 2);
        assert_eq!(conditions.if_modified_since, Some(784_111_777));
        assert_eq!(conditions.if_unmodified_since, None);
    }

    #[test]
    fn dates_are_read_in_all_three_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse_date(text), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn if_range_is_a_tag_or_a_date() {
        let read = |value| read_conditions(&headers(&[("if-range", value)])).if_range;
        assert_eq!(
            read("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(IfRange::Date(784_111_777))
        );
        assert!(matches!(read("W/\"a\""), Some(IfRange::Tag(t)) if t.weak));
        assert!(matches!(read("a-1"), Some(IfRange::Tag(t)) if t.tag.as_str() == "a-1"));
        for unreadable in ["*", "\"a\", \"b\"", ""] {
            assert_eq!(read(unreadable), Some(IfRange::Unreadable), "{unreadable}");
        }
        assert_eq!(read_conditions(&HeaderMap::new()).if_range, None);
    }

    #[test]
    fn write_takes_one_tag_or_a_star() {
        let read = |pairs| write_condition(&headers(pairs)).map_err(|e| e.code());
        assert_eq!(read(&[]), Ok(WriteCondition::Always));
        assert_eq!(read(&[("if-none-match", "*")]), Ok(WriteCondition::Absent));
        assert_eq!(read(&[("if-match", "*")]), Ok(WriteCondition::Present));
        let tag = ClientEtag::from_client("a-1");
        assert_eq!(
            read(&[("if-match", "\"a-1\"")]),
            Ok(WriteCondition::Matches(tag))
        );
        let refused = Err(Code::PreconditionFailed);
        assert_eq!(read(&[("if-match", "W/\"a-1\"")]), refused);
    }

    #[test]
    fn write_that_upstream_cannot_enforce_is_not_implemented() {
        let cases: [&[(&'static str, &'static str)]; 6] = [
            &[("if-match", "\"a\", \"b\"")],
            &[("if-match", "\"a\""), ("if-match", "\"b\"")],
            &[("if-match", "")],
            &[("if-none-match", "\"a\"")],
            &[("if-match", "*"), ("if-none-match", "*")],
            &[("x-amz-if-match-size", "5")],
        ];
        for pairs in cases {
            let refused = write_condition(&headers(pairs)).map_err(|e| e.code());
            assert_eq!(refused, Err(Code::NotImplemented), "{pairs:?}");
        }
    }

    #[test]
    fn delete_entries_have_conditions_too() {
        assert_eq!(
            delete_entry_condition(None).unwrap(),
            WriteCondition::Always
        );
        let tag = ClientEtag::from_client("a-1");
        assert_eq!(
            delete_entry_condition(Some("\"a-1\"")).unwrap(),
            WriteCondition::Matches(tag)
        );
        assert!(delete_entry_condition(Some("a,b")).is_err());
    }

    #[test]
    fn copy_sources_have_headers_of_their_own() {
        let conditions = copy_source_conditions(&headers(&[
            ("x-amz-copy-source-if-match", "\"a\""),
            ("if-none-match", "*"),
        ]));
        assert!(conditions.0.if_match.is_some());
        assert!(conditions.0.if_none_match.is_none());
    }

    proptest! {
        #[test]
        fn tag_parser_never_panics_and_ends(text in "[W/\"*, a\\PC]{0,40}") {
            let _ = parse_tags(&text);
            let _ = parse_date(&text);
        }

        #[test]
        fn quoted_tags_round_trip(tags in proptest::collection::vec("[!#-~]{0,8}", 1..5)) {
            let text = tags.iter().map(|t| format!("\"{t}\"")).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(list(&text), tags);
        }
    }
}
