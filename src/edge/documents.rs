//! What s3s writes into its documents otherwise than S3 does: control characters, which no XML document may hold as they are, and
//! quotes around the one ETag that S3 answers without.

use http::{HeaderMap, HeaderValue, header};
use s3s::Body;
use std::fmt::Write as _;

const XML: HeaderValue = HeaderValue::from_static("application/xml");

/// Rewrites the body when it is a document of s3s's. Objects are streams, and none of its documents.
pub(super) fn mend(headers: &HeaderMap, body: &mut Body) {
    if headers.get(header::CONTENT_TYPE) != Some(&XML) {
        return;
    }
    let Some(bytes) = body.bytes() else { return };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return;
    };
    let referenced = text
        .contains(needs_reference)
        .then(|| with_references(text));
    let text = referenced.as_deref().unwrap_or(text);
    if let Some(mended) = without_etag_quotes(text).or_else(|| referenced.clone()) {
        *body = Body::from(mended);
    }
}

/// A line end may stand as it is; a carriage return would be read as one.
fn needs_reference(c: char) -> bool {
    c.is_ascii_control() && !matches!(c, '\n' | '\t' | '\u{7f}')
}

/// As S3 does, also for the characters that XML 1.0 can't hold at all: their readers are lenient, or ask for `encoding-type=url`.
fn with_references(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if needs_reference(c) {
            // Writing to a String can't fail.
            let _ = write!(written, "&#x{:X};", u32::from(c));
        } else {
            written.push(c);
        }
    }
    written
}

fn without_etag_quotes(text: &str) -> Option<String> {
    const ROOT: &str = "<GetObjectAttributesResponse ";
    let (head, rest) = text.split_once("<ETag>\"")?;
    let (etag, tail) = rest.split_once("\"</ETag>")?;
    head.contains(ROOT)
        .then(|| format!("{head}<ETag>{etag}</ETag>{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(content_type: &'static str, text: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let mut body = Body::from(text.to_owned());
        mend(&headers, &mut body);
        String::from_utf8(body.bytes().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn control_characters_of_a_document_become_references() {
        for (written, mended_text) in [
            ("<Key>a\u{1}b\r</Key>", "<Key>a&#x1;b&#xD;</Key>"),
            ("<Key>\u{0}\u{1f}</Key>", "<Key>&#x0;&#x1F;</Key>"),
            (
                "<Key>ü\n\t\u{7f}\u{85}</Key>",
                "<Key>ü\n\t\u{7f}\u{85}</Key>",
            ),
        ] {
            assert_eq!(mended("application/xml", written), mended_text);
        }
        assert_eq!(mended("text/plain", "a\u{1}"), "a\u{1}");
    }

    #[test]
    fn quotes_leave_the_etag_of_attributes_and_no_other() {
        let attributes = "<GetObjectAttributesResponse xmlns=\"x\"><ETag>\"a-1\"</ETag><A>\"</A></GetObjectAttributesResponse>";
        let unquoted = attributes.replace("\"a-1\"", "a-1");
        assert_eq!(mended("application/xml", attributes), unquoted);
        let listing = "<ListBucketResult><ETag>\"a-1\"</ETag></ListBucketResult>";
        assert_eq!(mended("application/xml", listing), listing);
    }
}
