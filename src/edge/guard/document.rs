//! XML documents that s3s buffers and reads: their digests, which it never verifies, and their [`Markup`].

use super::body::BodyFault;
use super::markup::Markup;
use super::payload::{DOCUMENT_BYTES_MAX, Form, Payload};
use super::query::Query;
use super::settings_text;
use crate::ops::OpError;
use crate::ops::checksum::{Declared, Verifier};
use http::request::Parts;
use http::{HeaderMap, Method};
use sha2::{Digest, Sha256};

const CONTENT_MD5: &str = "content-md5";
/// Verifies a document as it passes, and fails at its last byte.
pub struct DocumentCheck {
    verifier: Verifier,
    signed: Option<(Sha256, [u8; 32])>,
    declared_bytes: Option<u64>,
    seen_bytes: u64,
    markup: Markup,
    /// All that passed, of a document that is looked at as a whole.
    whole: Option<Vec<u8>>,
}

impl DocumentCheck {
    /// The check that a request's body needs; `None` when it is no document.
    ///
    /// # Errors
    /// `InvalidRequest` for what deletes, by a list or by rules, and nothing covers, `InvalidDigest` for a broken one, and `NotImplemented` for a
    /// document in chunks.
    pub fn of(parts: &Parts, query: &Query, payload: &Payload) -> Result<Option<Self>, OpError> {
        let has_body = [&Method::PUT, &Method::POST].contains(&&parts.method);
        if payload.streams_object || !has_body {
            return Ok(None);
        }
        let signed = match payload.form {
            Form::Hashed(expected) => Some((Sha256::new(), expected)),
            Form::Unsigned => None,
            Form::SignedChunks { .. } | Form::UnsignedChunks { .. } => {
                return match payload.declared_bytes {
                    None | Some(0) => Ok(None),
                    Some(_) => Err(OpError::not_implemented(
                        "This operation's body can't be aws-chunked.",
                    )),
                };
            }
        };
        let declared = declared(&parts.headers, query)?;
        let is_covered = signed.is_some()
            || parts.headers.contains_key(CONTENT_MD5)
            || declared.known().is_some();
        let is_setting = settings_text::SUBRESOURCES
            .iter()
            .any(|name| query.has(name));
        let deletes = query.has("delete") || query.has("lifecycle");
        if deletes && !is_covered {
            return Err(OpError::invalid_request(
                "Missing required header for this request: Content-MD5 or an x-amz-checksum- header",
            ));
        }
        Ok(Some(Self {
            verifier: declared.verifier(),
            signed,
            declared_bytes: payload.declared_bytes,
            seen_bytes: 0,
            markup: Markup::default(),
            whole: is_setting.then(Vec::new),
        }))
    }

    /// Takes the next bytes; says whether they were the last ones.
    pub(super) fn accept(&mut self, data: &[u8]) -> Result<bool, BodyFault> {
        self.seen_bytes = self.seen_bytes.saturating_add(data.len() as u64);
        if self.seen_bytes > DOCUMENT_BYTES_MAX {
            return Err(BodyFault::DocumentTooLong);
        }
        self.markup.push(data).map_err(BodyFault::Document)?;
        self.verifier.update(data);
        if let Some(whole) = &mut self.whole {
            whole.extend_from_slice(data);
        }
        if let Some((hasher, _)) = &mut self.signed {
            hasher.update(data);
        }
        Ok(self.declared_bytes.is_some_and(|b| b <= self.seen_bytes))
    }

    /// Compares the digests.
    pub(super) fn finish(self) -> Result<(), BodyFault> {
        if let Some(whole) = &self.whole {
            settings_text::check(whole).map_err(BodyFault::Document)?;
        }
        if let Some((hasher, expected)) = self.signed
            && hasher.finalize()[..] != expected[..]
        {
            return Err(BodyFault::Hash);
        }
        match self.verifier.finish(None) {
            Ok(_) => Ok(()),
            Err(_) => Err(BodyFault::Digest),
        }
    }
}

/// What the headers say of the document. Those of a Complete are the object's, but for the MD5.
fn declared(headers: &HeaderMap, query: &Query) -> Result<Declared, OpError> {
    if !query.has("uploadId") {
        return Declared::from_headers(headers);
    }
    let mut md5 = HeaderMap::new();
    if let Some(value) = headers.get(CONTENT_MD5) {
        md5.insert(CONTENT_MD5, value.clone());
    }
    Declared::from_headers(&md5)
}

#[cfg(test)]
mod tests {
    use super::super::testing::parts;
    use super::*;
    use crate::ops::Code;

    fn payload(form: Form, declared_bytes: Option<u64>) -> Payload {
        Payload {
            form,
            declared_bytes,
            streams_object: false,
        }
    }

    fn check(
        uri: &str,
        headers: &[(&str, &str)],
        payload: &Payload,
    ) -> Result<DocumentCheck, Code> {
        let request = parts(Method::POST, uri, headers);
        let query = Query::parse(request.uri.query().unwrap_or_default()).unwrap();
        let check = DocumentCheck::of(&request, &query, payload).map_err(|e| e.code())?;
        Ok(check.unwrap())
    }

    fn outcome(headers: &[(&str, &str)], uri: &str, pieces: &[&[u8]]) -> Result<(), BodyFault> {
        let mut check = check(uri, headers, &payload(Form::Unsigned, None)).unwrap();
        for piece in pieces {
            assert!(!check.accept(piece)?);
        }
        check.finish()
    }

    // MD5 and CRC32 of "abc".
    const MD5: (&str, &str) = ("content-md5", "kAFQmDzST7DWlj99KOF/cg==");
    const CRC: (&str, &str) = ("x-amz-checksum-crc32", "NSRBwg==");

    #[test]
    fn digests_of_a_document_are_verified() {
        for header in [MD5, CRC] {
            assert_eq!(outcome(&[header], "/b?delete", &[b"a", b"bc"]), Ok(()));
            let other = outcome(&[header], "/b?delete", &[b"abd"]);
            assert_eq!(other, Err(BodyFault::Digest), "{header:?}");
        }
    }

    #[test]
    fn checksum_of_a_complete_is_the_objects_and_its_md5_the_documents() {
        let uri = "/b/k?uploadId=x";
        assert_eq!(outcome(&[CRC], uri, &[b"other"]), Ok(()));
        assert_eq!(outcome(&[MD5], uri, &[b"other"]), Err(BodyFault::Digest));
    }

    #[test]
    fn delete_list_that_nothing_covers_is_refused() {
        let code = |headers, form| check("/b?delete", headers, &payload(form, Some(3))).err();
        let rules = check("/b?lifecycle", &[], &payload(Form::Unsigned, Some(3))).err();
        assert_eq!(rules, Some(Code::InvalidRequest));
        assert_eq!(code(&[], Form::Unsigned), Some(Code::InvalidRequest));
        assert_eq!(code(&[], Form::Hashed([0; 32])), None);
        let broken = [("content-md5", "xx")];
        assert_eq!(code(&broken, Form::Unsigned), Some(Code::InvalidDigest));
        let chunks = Form::SignedChunks { trailer: None };
        assert_eq!(code(&[], chunks), Some(Code::NotImplemented));
    }

    #[test]
    fn markup_that_s3s_would_pass_over_is_refused() {
        for text in [
            &b"<Delete><Object><Key>a<![CDATA[b]]></Key></Object></Delete>"[..],
            b"<!DOCTYPE a [<!ENTITY b \"c\">]><Delete/>",
            b"<Delete><Unknown/></Delete>",
        ] {
            let found = outcome(&[MD5], "/b?delete", &[text]);
            assert!(matches!(found, Err(BodyFault::Document(_))), "{found:?}");
        }
    }

    #[test]
    fn document_of_unknown_length_is_bounded() {
        let mut check = check("/b?tagging", &[], &payload(Form::Unsigned, None)).unwrap();
        let most = vec![b' '; usize::try_from(DOCUMENT_BYTES_MAX).unwrap()];
        assert_eq!(check.accept(&most), Ok(false));
        assert_eq!(check.accept(b" "), Err(BodyFault::DocumentTooLong));
    }
}
