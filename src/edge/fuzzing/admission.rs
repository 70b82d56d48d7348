//! The guard as a whole: whatever a head says, what is admitted keeps the guard's promises. They are read here from the head anew,
//! with none of the guard's own code but its parsers of single values.

use crate::clock::UnixMs;
use crate::edge::guard::payload::{DOCUMENT_BYTES_MAX, Form};
use crate::edge::guard::query::Query;
use crate::edge::guard::{Admission, BodyLimits, inspect};
use crate::edge::host::HostRules;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

const DATE: &str = "20260726T120000Z";
const DATE_MS: i64 = 1_785_067_200_000;

const LIMITS: BodyLimits = BodyLimits {
    body_bytes_max: 5 << 30,
    signed_chunk_bytes_max: 1 << 20,
};

/// What no header beside metadata and lists may say twice.
const LISTS: [&str; 2] = [
    "x-amz-object-attributes",
    "x-amz-optional-object-attributes",
];

/// Reads a request's head: a line of method and target, then a header a line. The first byte says what is added, since the guard takes
/// none without a signature: 1 a Host, 2 a date and the hash of the body, 4 a signature that covers what is there.
///
/// # Panics
/// When a head is admitted that breaks a promise of the guard.
pub fn guard(text: &str) {
    let mut chars = text.chars();
    let Some(flags) = chars.next() else { return };
    let Some(mut parts) = parts(chars.as_str(), u32::from(flags)) else {
        return;
    };
    let Ok(hosts) = HostRules::new(&["s3.example.com"]) else {
        return;
    };
    let as_sent = parts.headers.clone();
    let Ok(admitted) = inspect(&mut parts, &hosts, &LIMITS, UnixMs(DATE_MS)) else {
        return;
    };
    holds_of_the_signature(&admitted, &as_sent, &parts);
    holds_of_the_head(&as_sent, &parts);
    holds_of_the_body(&admitted, &parts);
}

fn parts(text: &str, flags: u32) -> Option<Parts> {
    let mut lines = text.split('\n');
    let (method, target) = lines.next()?.split_once(' ')?;
    let request = http::Request::builder().method(method).uri(target);
    let (mut parts, ()) = request.body(()).ok()?.into_parts();
    let headers = &mut parts.headers;
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(
            HeaderName::try_from(name).ok()?,
            HeaderValue::try_from(value).ok()?,
        );
    }
    if flags & 1 != 0 {
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
    }
    if flags & 2 != 0 {
        headers.append("x-amz-date", HeaderValue::from_static(DATE));
        if !headers.contains_key("x-amz-content-sha256") {
            let unsigned = HeaderValue::from_static("UNSIGNED-PAYLOAD");
            headers.insert("x-amz-content-sha256", unsigned);
        }
    }
    if flags & 4 != 0 {
        let covered: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        let signature = format!(
            "AWS4-HMAC-SHA256 Credential=AKID/{}/us-east-1/s3/aws4_request,SignedHeaders={},Signature={}",
            &DATE[..8],
            covered.join(";"),
            "0a".repeat(32)
        );
        headers.append(header::AUTHORIZATION, signature.parse().ok()?);
    }
    Some(parts)
}

/// One signature of Version 4 for S3, of its own day and time, over the host and every `x-amz-` header that was sent.
fn holds_of_the_signature(admitted: &Admission, sent: &HeaderMap, parts: &Parts) {
    let signed = &admitted.signed;
    let names = sent.keys().map(HeaderName::as_str);
    let uncovered: Vec<&str> = names
        .filter(|name| *name == "host" || name.starts_with("x-amz-"))
        .filter(|name| !signed.headers.iter().any(|covered| covered == name))
        .collect();
    assert!(uncovered.is_empty(), "not covered: {uncovered:?}");
    assert_eq!(signed.scope_service, "s3");
    assert!(
        DATE.starts_with(&signed.scope_date) || signed.scope_date.len() == 8,
        "a scope without a day"
    );
    let query = parts.uri.query().unwrap_or_default().to_ascii_lowercase();
    let by_query = query.contains("x-amz-signature=");
    let by_header = sent.get_all(header::AUTHORIZATION).iter().count();
    assert!(
        signed.is_presigned() && by_header == 0 || by_header == 1 && !by_query,
        "{by_header} signatures in headers, and in the query: {by_query}"
    );
    assert!(!sent.contains_key("x-amz-security-token"));
}

/// One host, no header twice that means one thing, a known method, and no parameter twice.
fn holds_of_the_head(sent: &HeaderMap, parts: &Parts) {
    assert_eq!(sent.get_all(header::HOST).iter().count(), 1);
    let known = ["GET", "HEAD", "PUT", "POST", "DELETE"];
    assert!(known.contains(&parts.method.as_str()), "{}", parts.method);
    for name in parts.headers.keys().map(HeaderName::as_str) {
        let is_amz = name.starts_with("x-amz-") && !name.starts_with("x-amz-meta-");
        let is_single = is_amz && !LISTS.contains(&name)
            || [
                "content-length",
                "transfer-encoding",
                "content-md5",
                "range",
            ]
            .contains(&name);
        let times = parts.headers.get_all(name).iter().count();
        assert!(!is_single || times == 1, "{name} {times} times");
    }
    let Ok(query) = Query::parse(parts.uri.query().unwrap_or_default()) else {
        panic!("the query of an admitted request can't be read");
    };
    for name in query
        .names()
        .filter(|name| !name.to_ascii_lowercase().starts_with("x-"))
    {
        assert!(query.unique(name).is_some(), "{name} is there twice");
    }
    if parts.method == Method::PUT {
        assert_eq!(query.has("uploadId"), query.has("partNumber"));
    }
    if [Method::PUT, Method::DELETE].contains(&parts.method) {
        assert!(!(query.has("versionId") && query.has("uploadId")));
    }
}

/// A body whose length is known and within its bound, whatever form it comes in.
fn holds_of_the_body(admitted: &Admission, parts: &Parts) {
    let payload = &admitted.payload;
    let bytes = payload.declared_bytes.unwrap_or(0);
    assert!(bytes <= LIMITS.body_bytes_max);
    if payload.streams_object {
        let is_copy = parts.headers.contains_key("x-amz-copy-source");
        assert!(is_copy || payload.declared_bytes.is_some());
    } else {
        assert!(bytes <= DOCUMENT_BYTES_MAX);
    }
    let coding = parts.headers.get(header::TRANSFER_ENCODING);
    match payload.form {
        Form::Unsigned | Form::Hashed(_) => assert!(coding.is_none()),
        Form::SignedChunks { .. } | Form::UnsignedChunks { .. } => {
            assert!(!admitted.signed.is_presigned());
            assert!(coding.is_none_or(|c| c.as_bytes().eq_ignore_ascii_case(b"chunked")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Heads that are admitted, so that the promises are held against something.
    const ADMITTED: [&str; 6] = [
        "\u{7}GET /b/k?versionId=1",
        "\u{7}PUT /b/k?partNumber=1&uploadId=x\ncontent-length: 5",
        "\u{7}PUT /b/k\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\nx-amz-trailer: x-amz-checksum-crc32\n\
         x-amz-decoded-content-length: 5\ntransfer-encoding: chunked",
        "\u{7}PUT /b/k\nx-amz-copy-source: /b/s",
        "\u{7}PUT /b/k?tagging\ncontent-length: 5",
        "\u{1}GET /b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID/20260726/us-east-1/s3/aws4_request\
         &X-Amz-Date=20260726T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
    ];

    /// Lines that each break something, somewhere.
    const LINES: [&str; 16] = [
        "host: b",
        "x-amz-acl: private",
        "x-amz-copy-source: /b/s",
        "x-amz-meta-a: b",
        "x-amz-security-token: a",
        "x-amz-date: 20260726T120000Z",
        "x-amz-decoded-content-length: 4",
        "x-amz-content-sha256: UNSIGNED-PAYLOAD",
        "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "x-amz-trailer: x-amz-checksum-crc32",
        "content-length: 99999999999",
        "content-length: 5",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked",
        "authorization: AWS a:b",
        "content-type: multipart/form-data; boundary=a",
    ];

    #[test]
    fn heads_to_begin_with_are_admitted() {
        let hosts = HostRules::new(&["s3.example.com"]).unwrap();
        for text in ADMITTED {
            let (flags, rest) = text.split_at(1);
            let flags = u32::from(flags.as_bytes()[0]);
            let mut parts = parts(rest, flags).unwrap();
            let admitted = inspect(&mut parts, &hosts, &LIMITS, UnixMs(DATE_MS));
            assert!(admitted.is_ok(), "{text}: {:?}", admitted.err());
            guard(text);
        }
    }

    proptest! {
        #[test]
        fn guard_admits_nothing_that_breaks_its_promises(
            flags in 0u8..8,
            method in "GET|PUT|POST|DELETE|HEAD|OPTIONS|TRACE",
            target in "/|/b|/b/k|/b/k%2f",
            query in proptest::collection::vec("(uploadId|partNumber|versionId|acl|tagging|delete|x-id|X-Amz-Signature|x-amz-acl)(=[a-z1]?)?", 0..4),
            lines in proptest::collection::vec((0..LINES.len()).prop_map(|line| LINES[line]), 0..6),
            seed in 0..ADMITTED.len(),
        ) {
            let mut text = format!("{}{method} {target}?{}", char::from(flags), query.join("&"));
            let mut of_seed = ADMITTED[seed].to_owned();
            for line in lines {
                for text in [&mut text, &mut of_seed] {
                    text.push('\n');
                    text.push_str(line);
                }
            }
            guard(&text);
            guard(&of_seed);
            guard(&of_seed.replacen('?', &format!("?{}&", query.join("&")), 1));
        }

        #[test]
        fn guard_reads_any_text(text in "\\PC{0,200}") {
            guard(&text);
        }
    }
}
