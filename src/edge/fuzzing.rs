//! The bodies of the edge's fuzz targets: everything that reads bytes of a stranger before a signature is verified.

use super::forms::multipart::{Event, FormReader};
use super::forms::policy::Policy;
use super::front::lifecycle;
use super::guard::authorization;
use super::guard::checksums::ChecksumHeader;
use super::guard::chunked::ChunkedFraming;
use super::guard::payload::{Form, Payload};
use super::guard::query::Query;
use super::{HostRules, conditions, guard, range};
use crate::ops::error::Code;
use crate::region::LifecycleRule;
use bytes::Bytes;
use s3s::dto::BucketLifecycleConfiguration;
use s3s::xml;
use std::collections::VecDeque;

/// Reads one text as everything that a head can hold.
pub fn head(text: &str) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(query) = Query::parse(line) {
        let mut headers = http::HeaderMap::new();
        if let Ok(value) = rest.parse() {
            headers.insert(http::header::AUTHORIZATION, value);
        }
        let _ = authorization::read(&headers, &query);
    }
    let _ = guard::date::parse(line);
    let _ = range::parse(line);
    let _ = conditions::parse_tags(line);
    let _ = conditions::parse_date(line);
    if let Ok(rules) = HostRules::new(&["s3.example.com"]) {
        let _ = rules.addressing(line);
    }
}

/// Reads bytes as an aws-chunked body, in pieces whose length the first byte says.
pub fn chunked(data: &[u8]) {
    let [piece, declared, form, body @ ..] = data else {
        return;
    };
    let form = match form % 3 {
        0 => Form::SignedChunks { trailer: None },
        1 => Form::SignedChunks {
            trailer: Some(ChecksumHeader::Crc32),
        },
        _ => Form::UnsignedChunks {
            trailer: ChecksumHeader::Crc32,
        },
    };
    let payload = Payload {
        form,
        declared_bytes: Some(u64::from(*declared)),
        streams_object: true,
    };
    let Some(mut framing) = ChunkedFraming::of(&payload, 64) else {
        return;
    };
    let mut out = VecDeque::new();
    for piece in body.chunks(usize::from(*piece).max(1)) {
        if framing
            .push(Bytes::copy_from_slice(piece), &mut out)
            .is_err()
        {
            return;
        }
    }
    let _ = framing.finish(&mut out);
}

/// Reads bytes as a form, in pieces whose length the first byte says, and as a policy. Read in one piece, the form must say the same.
///
/// # Panics
/// When it does not: that is what the target looks for.
pub fn form(data: &[u8]) {
    let [piece, body @ ..] = data else { return };
    let read = |piece: usize| {
        let mut reader = FormReader::new("multipart/form-data; boundary=b").ok()?;
        let (mut heads, mut content) = (Vec::new(), Vec::new());
        for piece in body.chunks(piece.max(1)) {
            reader.push(piece);
            while let Some(event) = reader.next().ok()? {
                match event {
                    Event::Head(head) => heads.push(head),
                    Event::Data(data) => content.extend_from_slice(&data),
                    Event::EndOfPart | Event::End => content.push(b'|'),
                }
            }
        }
        Some((heads, content, reader.has_ended()))
    };
    assert_eq!(read(usize::from(*piece)), read(usize::MAX));
    let _ = Policy::parse(body);
}

/// Reads bytes as a bucket's lifecycle rules. Those that can be read must say the same as a document that is made of them, as the
/// catalog keeps them, and with their sizes mapped there must be as many.
///
/// # Errors
/// The code that the document is refused with.
///
/// # Panics
/// When they do not: that is what the target looks for.
pub fn lifecycle(data: &[u8]) -> Result<Vec<LifecycleRule>, Code> {
    guard::settings_text::check(data).map_err(|_| Code::MalformedXML)?;
    let document: Result<BucketLifecycleConfiguration, _> =
        xml::Deserialize::deserialize(&mut xml::Deserializer::new(data));
    let document = document.map_err(|_| Code::MalformedXML)?;
    let rules = document.rules.into_iter().map(lifecycle::of_dto);
    let rules: Vec<LifecycleRule> = rules
        .collect::<Result<_, _>>()
        .map_err(|refused| refused.code())?;
    let again = rules.iter().cloned().map(lifecycle::to_dto);
    let again: Result<Vec<_>, _> = again.map(lifecycle::of_dto).collect();
    assert_eq!(again.ok().as_ref(), Some(&rules));
    let kept = serde_json::to_string(&rules).ok();
    let kept = kept.and_then(|text| serde_json::from_str(&text).ok());
    assert_eq!(kept.as_ref(), Some(&rules));
    let _ = crate::ops::lifecycle::check(&rules);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fuzz_bodies_run_on_anything(text in ".{0,200}", data in proptest::collection::vec(any::<u8>(), 0..200)) {
            super::head(&text);
            super::chunked(&data);
            super::form(&data);
            let _ = super::lifecycle(text.as_bytes());
            let rule = format!("<LifecycleConfiguration><Rule><Status>Enabled</Status>{text}</Rule></LifecycleConfiguration>");
            let _ = super::lifecycle(rule.as_bytes());
            super::form(format!("{}--b{text}", char::from(1)).as_bytes());
            super::form(format!("{}--b\r\n{text}\r\n\r\n--b--", char::from(5)).as_bytes());
        }
    }
}
