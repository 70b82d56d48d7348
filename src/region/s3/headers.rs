//! Between [`HeadFields`], [`StoredHead`] and HTTP headers.

use super::errors::Call;
use super::locks::{self, header_time, hold_status};
use crate::clock::UnixMs;
use crate::region::{
    ByteRange, HeadFields, PutCondition, RegionError, StoredHead, VersionId, WriteOutcome,
};
use aws_smithy_types::date_time::{DateTime, Format};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What RFC 3986 calls unreserved stays, as SigV4 wants it.
pub(super) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// As [`ENCODED`], for keys in paths.
pub(super) const ENCODED_IN_PATH: &AsciiSet = &ENCODED.remove(b'/');

const METADATA: &str = "x-amz-meta-";

/// An ETag in quotes, as conditions want it.
pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// An ETag without quotes.
pub(super) fn unquoted(etag: &str) -> String {
    etag.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(etag)
        .to_owned()
}

/// Tags as `x-amz-tagging` takes them.
pub(super) fn tagging(tags: &[(String, String)]) -> Option<String> {
    let pairs: Vec<String> = tags
        .iter()
        .map(|(name, value)| {
            format!(
                "{}={}",
                utf8_percent_encode(name, ENCODED),
                utf8_percent_encode(value, ENCODED)
            )
        })
        .collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

/// The `If-Match` and `If-None-Match` that a condition stands for.
pub(super) fn condition(condition: &PutCondition) -> (Option<String>, Option<String>) {
    match condition {
        PutCondition::Always => (None, None),
        PutCondition::Absent => (None, Some("*".to_owned())),
        PutCondition::Present => (Some("*".to_owned()), None),
        PutCondition::Matches(etag) => (Some(quoted(etag)), None),
    }
}

/// The headers of a write.
pub(super) fn of_write(
    call: Call,
    head: &HeadFields,
    wanted: &PutCondition,
) -> Result<HeaderMap, RegionError> {
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &str| {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(call.refused(400, "InvalidArgument"));
        };
        headers.insert(name, value);
        Ok(())
    };
    for (name, value) in &head.metadata {
        put(&format!("{METADATA}{name}"), value)?;
    }
    if let Some(text) = &head.content_disposition {
        put("content-disposition", text)?;
    }
    if let Some(text) = tagging(&head.tags) {
        put("x-amz-tagging", &text)?;
    }
    let lock = head.lock.unwrap_or_default();
    if let Some(retention) = lock.retention {
        put("x-amz-object-lock-mode", retention.mode.as_str())?;
        let until = header_time(call, retention.until)?;
        put("x-amz-object-lock-retain-until-date", &until)?;
    }
    if let Some(on) = lock.legal_hold {
        put("x-amz-object-lock-legal-hold", hold_status(on).as_str())?;
    }
    let (if_match, if_none_match) = condition(wanted);
    if let Some(text) = if_match {
        put("if-match", &text)?;
    }
    if let Some(text) = if_none_match {
        put("if-none-match", &text)?;
    }
    Ok(headers)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The version that an answer names.
pub(super) fn version(headers: &HeaderMap) -> Option<VersionId> {
    text(headers, "x-amz-version-id").map(|id| VersionId(id.to_owned()))
}

fn expiration(headers: &HeaderMap) -> Option<String> {
    text(headers, "x-amz-expiration").map(str::to_owned)
}

/// The ETag that every successful answer carries.
pub(super) fn etag(call: Call, headers: &HeaderMap) -> Result<String, RegionError> {
    match text(headers, "etag").map(unquoted) {
        Some(etag) if !etag.is_empty() => Ok(etag),
        _ => Err(call.lying("no ETag")),
    }
}

/// The outcome of a write from its answer.
pub(super) fn write_outcome(call: Call, headers: &HeaderMap) -> Result<WriteOutcome, RegionError> {
    Ok(WriteOutcome {
        etag: etag(call, headers)?,
        version: version(headers),
        last_modified: None,
        expiration: expiration(headers),
    })
}

/// A time as the SDK gives it.
pub(super) fn unix_ms(time: &DateTime) -> UnixMs {
    UnixMs(time.to_millis().unwrap_or_default())
}

fn content_length(call: Call, headers: &HeaderMap) -> Result<u64, RegionError> {
    text(headers, "content-length")
        .and_then(|bytes| bytes.parse().ok())
        .ok_or_else(|| call.lying("no Content-Length"))
}

/// An object's head, with its whole stored length given.
pub(super) fn stored_head(
    call: Call,
    headers: &HeaderMap,
    stored_bytes: u64,
) -> Result<StoredHead, RegionError> {
    let last_modified = text(headers, "last-modified")
        .and_then(|date| DateTime::from_str(date, Format::HttpDate).ok())
        .ok_or_else(|| call.lying("no readable Last-Modified"))?;
    let mut fields = HeadFields {
        content_disposition: text(headers, "content-disposition").map(str::to_owned),
        lock: locks::of_answer(|name| text(headers, name)),
        ..HeadFields::default()
    };
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(METADATA) {
            let value = String::from_utf8_lossy(value.as_bytes());
            fields
                .metadata
                .entry(name.to_owned())
                .and_modify(|known: &mut String| {
                    known.push(',');
                    known.push_str(&value);
                })
                .or_insert_with(|| value.to_string());
        }
    }
    Ok(StoredHead {
        stored_bytes,
        etag: etag(call, headers)?,
        last_modified: unix_ms(&last_modified),
        version: version(headers),
        fields,
        tag_count: text(headers, "x-amz-tagging-count")
            .and_then(|count| count.parse().ok())
            .unwrap_or_default(),
        expiration: expiration(headers),
    })
}

/// The head of a HEAD's answer.
pub(super) fn head_answer(call: Call, headers: &HeaderMap) -> Result<StoredHead, RegionError> {
    let stored_bytes = content_length(call, headers)?;
    stored_head(call, headers, stored_bytes)
}

/// Which bytes an answer to a GET holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) first: u64,
    pub(super) body_bytes: u64,
    pub(super) stored_bytes: u64,
}

/// Checks that an answer's length and range are those that were asked for (RFC 9110 §14.4).
pub(super) fn extent(
    call: Call,
    range: Option<ByteRange>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Extent, RegionError> {
    let body_bytes = content_length(call, headers)?;
    if status == StatusCode::OK {
        let whole = Extent {
            first: 0,
            body_bytes,
            stored_bytes: body_bytes,
        };
        let (first, last) = match range {
            None => return Ok(whole),
            Some(range) => wanted_of(range, body_bytes),
        };
        // Only a range over everything may be answered as if there were none.
        return if first == 0 && last.is_none_or(|last| last + 1 == body_bytes) {
            Ok(whole)
        } else {
            Err(call.lying("the range was ignored"))
        };
    }
    let Some(range) = range else {
        return Err(call.lying("a part of the object instead of all"));
    };
    let said = text(headers, "content-range").and_then(content_range);
    let Some((first, last, stored_bytes)) = said else {
        return Err(call.lying("no readable Content-Range"));
    };
    if wanted_of(range, stored_bytes) != (first, Some(last)) {
        return Err(call.lying("another range than the one asked for"));
    }
    if last - first + 1 != body_bytes {
        return Err(call.lying("Content-Length contradicts Content-Range"));
    }
    Ok(Extent {
        first,
        body_bytes,
        stored_bytes,
    })
}

/// First and last byte of a range of an object of `stored_bytes`; no last byte when the object is empty.
fn wanted_of(range: ByteRange, stored_bytes: u64) -> (u64, Option<u64>) {
    let end = stored_bytes.checked_sub(1);
    match range {
        ByteRange::Inclusive { first, last } => (first, end.map(|end| end.min(last))),
        ByteRange::Suffix { bytes } => (stored_bytes.saturating_sub(bytes), end),
    }
}

/// Takes `bytes F-L/N` apart where F ≤ L < N.
fn content_range(value: &str) -> Option<(u64, u64, u64)> {
    let (range, stored) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, stored) = (
        first.parse().ok()?,
        last.parse().ok()?,
        stored.parse().ok()?,
    );
    (first <= last && last < stored).then_some((first, last, stored))
}

/// A range as a request's header.
pub(super) fn range_header(range: ByteRange) -> String {
    match range {
        ByteRange::Inclusive { first, last } => format!("bytes={first}-{last}"),
        ByteRange::Suffix { bytes } => format!("bytes=-{bytes}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::Missing;

    fn answer(length: &str, range: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("content-length", length.parse().unwrap());
        if let Some(range) = range {
            headers.insert("content-range", range.parse().unwrap());
        }
        headers
    }

    fn extent_of(
        range: Option<ByteRange>,
        status: u16,
        headers: &HeaderMap,
    ) -> Result<Extent, RegionError> {
        let call = Call::read("get", Missing::Object);
        extent(call, range, StatusCode::from_u16(status).unwrap(), headers)
    }

    #[test]
    fn extent_honest_answers_accepted() {
        let inclusive = |first, last| Some(ByteRange::Inclusive { first, last });
        let found = extent_of(inclusive(2, 4), 206, &answer("3", Some("bytes 2-4/9"))).unwrap();
        assert_eq!(
            (found.first, found.body_bytes, found.stored_bytes),
            (2, 3, 9)
        );
        let clamped = extent_of(inclusive(2, 99), 206, &answer("7", Some("bytes 2-8/9"))).unwrap();
        assert_eq!(clamped.body_bytes, 7);
        let suffix = Some(ByteRange::Suffix { bytes: 4 });
        let found = extent_of(suffix, 206, &answer("4", Some("bytes 5-8/9"))).unwrap();
        assert_eq!(found.first, 5);
        assert_eq!(extent_of(suffix, 200, &answer("4", None)).unwrap().first, 0);
        assert_eq!(
            extent_of(None, 200, &answer("9", None))
                .unwrap()
                .stored_bytes,
            9
        );
    }

    #[test]
    fn extent_contradictions_refused() {
        let range = Some(ByteRange::Inclusive { first: 2, last: 4 });
        for (range, status, headers) in [
            (range, 206, answer("3", None)),
            (range, 206, answer("4", Some("bytes 2-4/9"))),
            (range, 206, answer("2", Some("bytes 2-3/9"))),
            (range, 206, answer("4", Some("bytes 1-4/9"))),
            (range, 206, answer("3", Some("bytes 2-4/3"))),
            (range, 206, answer("3", Some("bytes 4-2/9"))),
            (range, 206, answer("3", Some("bytes 2-4/*"))),
            (range, 200, answer("9", None)),
            (None, 206, answer("3", Some("bytes 0-2/9"))),
            (None, 200, answer("x", None)),
        ] {
            let outcome = extent_of(range, status, &headers);
            assert!(
                matches!(outcome, Err(RegionError::Lying { .. })),
                "{headers:?} {outcome:?}"
            );
        }
    }

    #[test]
    fn answer_that_tells_an_expiration_passes_it_on() {
        let call = Call::read("head", Missing::Object);
        let mut headers = answer("9", None);
        headers.insert("etag", "\"e\"".parse().unwrap());
        headers.insert(
            "last-modified",
            "Sat, 01 Jan 2000 00:00:00 GMT".parse().unwrap(),
        );
        assert_eq!(write_outcome(call, &headers).unwrap().expiration, None);
        assert_eq!(head_answer(call, &headers).unwrap().expiration, None);
        let said = "expiry-date=\"Sun, 02 Jan 2000 00:00:00 GMT\", rule-id=\"r\"";
        headers.insert("x-amz-expiration", said.parse().unwrap());
        let told = Some(said.to_owned());
        assert_eq!(write_outcome(call, &headers).unwrap().expiration, told);
        assert_eq!(head_answer(call, &headers).unwrap().expiration, told);
    }

    #[test]
    fn tagging_reserved_characters_encoded() {
        let tags = vec![
            ("a&b".to_owned(), "c=d e".to_owned()),
            ("é".to_owned(), String::new()),
        ];
        assert_eq!(tagging(&tags).unwrap(), "a%26b=c%3Dd%20e&%C3%A9=");
        assert_eq!(tagging(&[]), None);
    }
}
