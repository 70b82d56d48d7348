//! The bodies of the edge's fuzz targets: everything that reads bytes of a stranger before a signature is verified. Each panics
//! when its property is broken.

mod admission;

pub use admission::guard;

use super::forms::fields::Fields;
use super::forms::multipart::{Event, FormReader};
use super::forms::policy::Policy;
use super::front::lifecycle;
use super::guard::authorization;
use super::guard::checksums::ChecksumHeader;
use super::guard::chunked::ChunkedFraming;
use super::guard::markup::Markup;
use super::guard::payload::{Form, Payload};
use super::guard::query::Query;
use super::host::Addressing;
use super::{HostRules, conditions, guard as checks, range};
use crate::ops::RangeSpec;
use crate::ops::error::Code;
use crate::region::LifecycleRule;
use bytes::Bytes;
use quick_xml::events::Event as Xml;
use s3s::dto::BucketLifecycleConfiguration;
use s3s::xml;
use std::collections::VecDeque;

/// Reads one text as everything that a head can hold.
///
/// # Panics
/// When a value is read that is none, or reads differently where it is written anew.
pub fn head(text: &str) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(query) = Query::parse(line) {
        let mut headers = http::HeaderMap::new();
        if let Ok(value) = rest.parse() {
            headers.insert(http::header::AUTHORIZATION, value);
        }
        let _ = authorization::read(&headers, &query);
    }
    if let Some(at) = checks::date::parse(line) {
        assert_eq!(line.len(), 16, "a date of another length");
        let year_of = |year: i64| 31_556_952_000 * (year - 1970);
        let year: i64 = line[..4].parse().expect("four digits");
        assert!((year_of(year - 1)..year_of(year + 2)).contains(&at.0));
    }
    if let Some(RangeSpec::From { first, last }) = range::parse(line) {
        assert!(last.is_none_or(|last| first <= last), "a range backwards");
    }
    let _ = conditions::parse_tags(line);
    let _ = conditions::parse_date(line);
    if let Ok(rules) = HostRules::new(&["s3.example.com"])
        && let Addressing::Bucket(bucket) = rules.addressing(line)
    {
        let domain = format!("{bucket}.s3.example.com");
        assert!(line.to_ascii_lowercase().starts_with(&domain), "{bucket}");
    }
    let mut fields = Fields::default();
    if fields.add("tagging", line.to_owned()).is_ok() {
        let _ = fields.tags();
    }
}

/// Reads bytes as an aws-chunked body, in pieces whose length the first byte says. Read in one piece the outcome must be the same, and
/// what is passed on must hold exactly the declared bytes.
///
/// # Panics
/// When it is not, or does not.
pub fn chunked(data: &[u8]) {
    let [piece, declared, form, body @ ..] = data else {
        return;
    };
    let signed = form % 3 < 2;
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
    let read = |piece: usize| {
        let mut framing = ChunkedFraming::of(&payload, 64)?;
        let mut out = VecDeque::new();
        for piece in body.chunks(piece.max(1)) {
            let piece = Bytes::copy_from_slice(piece);
            framing.push(piece, &mut out).ok()?;
        }
        framing.finish(&mut out).ok()?;
        Some(out.iter().flatten().copied().collect::<Vec<u8>>())
    };
    let (whole, pieces) = (read(usize::MAX), read(usize::from(*piece)));
    let content = |passed: Option<Vec<u8>>| passed.map(|passed| content(&passed));
    if signed {
        assert_eq!(whole, pieces, "two readings of one body");
        assert!(whole.as_deref().is_none_or(|passed| passed == body));
    }
    let (whole, pieces) = (content(whole), content(pieces));
    assert_eq!(whole, pieces, "two readings of one body");
    assert!(whole.is_none_or(|bytes| bytes.len() == usize::from(*declared)));
}

/// What the chunks of a passed body hold.
fn content(mut passed: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(end) = passed.iter().position(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(&passed[..end]);
        let digits = line.trim_end().split(';').next().unwrap_or_default();
        let bytes = usize::from_str_radix(digits, 16).expect("what was passed on has sizes");
        if bytes == 0 {
            return content;
        }
        let data = &passed[end + 1..];
        content.extend_from_slice(&data[..bytes]);
        passed = data[bytes..].strip_prefix(b"\r\n").expect("a chunk's end");
    }
    content
}

/// Reads bytes as an XML document, in pieces whose length the first byte says. Read in one piece the verdict must be the same; and where
/// there is nothing against it, neither may a reader of XML find anything that the markup must not hold.
///
/// # Panics
/// When it is not, or may.
pub fn document(data: &[u8]) {
    let [piece, text @ ..] = data else { return };
    let verdict = |piece: usize| {
        let mut markup = Markup::default();
        text.chunks(piece.max(1))
            .try_for_each(|piece| markup.push(piece))
    };
    let whole = verdict(usize::MAX);
    assert_eq!(whole.is_ok(), verdict(usize::from(*piece)).is_ok());
    if whole.is_err() {
        return;
    }
    let mut reader = quick_xml::Reader::from_reader(text);
    let (mut path, mut root) = (Vec::<String>::new(), None);
    while let Ok(event) = reader.read_event() {
        match event {
            Xml::CData(_) | Xml::DocType(_) => panic!("passed: {event:?}"),
            Xml::Start(tag) => {
                assert_known(&mut root, &path, tag.name().as_ref());
                path.push(tag.name().as_ref().to_owned());
            }
            Xml::Empty(tag) => assert_known(&mut root, &path, tag.name().as_ref()),
            Xml::End(_) => {
                path.pop();
            }
            Xml::Eof => return,
            _ => {}
        }
    }
}

/// Of the delete lists, whose elements are few enough to say here once more.
fn assert_known(root: &mut Option<String>, path: &[String], name: &str) {
    let root = root.get_or_insert_with(|| name.to_owned());
    if root != "Delete" {
        return;
    }
    let within: Vec<&str> = path.iter().map(String::as_str).collect();
    let known: &[&str] = match within.as_slice() {
        [] => &["Delete"],
        ["Delete"] => &["Object", "Quiet"],
        ["Delete", "Object"] => &["Key", "VersionId", "ETag", "LastModifiedTime", "Size"],
        _ => &[],
    };
    assert!(known.contains(&name), "{name} passed");
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
    checks::settings_text::check(data).map_err(|_| Code::MalformedXML)?;
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
            super::document(&data);
            super::document(text.as_bytes());
            super::chunked(&data);
            super::form(&data);
            let _ = super::lifecycle(text.as_bytes());
            let rule = format!("<LifecycleConfiguration><Rule><Status>Enabled</Status>{text}</Rule></LifecycleConfiguration>");
            let _ = super::lifecycle(rule.as_bytes());
            super::form(format!("{}--b{text}", char::from(1)).as_bytes());
            super::form(format!("{}--b\r\n{text}\r\n\r\n--b--", char::from(5)).as_bytes());
        }

        #[test]
        fn head_values_that_are_nearly_right_hold(
            text in "(bytes ?= ?)?[0-9]{0,21}-[0-9]{0,21}|[0-9]{8}T[0-9]{6}Z|[a-z.:]{0,9}\\.?s3\\.example\\.com[.:0-9]{0,3}|(a=b&)*",
        ) {
            super::head(&text);
        }

        #[test]
        fn chunked_bodies_that_are_nearly_right_hold(
            piece in 0u8..20,
            form in 0u8..3,
            chunks in proptest::collection::vec((0usize..5, 0u8..40), 0..5),
            change in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
        ) {
            let signature = format!(";chunk-signature={}", "0".repeat(64));
            let extension = if form < 2 { signature.as_str() } else { "" };
            let mut body = String::new();
            for (size, _) in &chunks {
                if *size > 0 {
                    body += &format!("{size:x}{extension}\r\n{}\r\n", "q".repeat(*size));
                }
            }
            body += &format!("0{extension}\r\n");
            if form > 0 {
                body += "x-amz-checksum-crc32:AAAAAA==\r\n";
            }
            if form == 1 {
                body += "x-amz-trailer-signature:00\r\n";
            }
            body += "\r\n";
            let declared: usize = chunks.iter().map(|(size, _)| size).sum();
            let mut data = vec![piece, u8::try_from(declared).unwrap(), form];
            data.extend(body.bytes());
            super::chunked(&data);
            if let Some((at, byte)) = change {
                let at = at.index(data.len());
                data[at] = byte;
                super::chunked(&data);
            }
        }

        #[test]
        fn documents_that_are_nearly_right_hold(
            piece in 0u8..9,
            text in "(<[/!?]?|</|-->|<!--|>|/>|\"|'|-|\\?>|Delete|Object|Key|Quiet|<Delete>|<Object>|</Object>|<Key>|</Key>|[ a/\\[=]){0,40}",
        ) {
            let mut data = vec![piece];
            data.extend(text.bytes());
            super::document(&data);
            data.splice(1..1, *b"<Delete>");
            super::document(&data);
        }
    }
}
