//! Customer keys on their way in: out of headers and query before anything else sees the request, and into a typed secret.

use super::guard::query;
use crate::ops::OpError;
use crate::ops::customer_key::{CustomerKeyFields, InvalidCustomerKey, SentCustomerKey};
use http::{HeaderMap, Uri};
use std::sync::Arc;

/// The names of the three headers that carry one customer key.
struct Names {
    algorithm: &'static str,
    key: &'static str,
    key_md5: &'static str,
}

/// Names the algorithm that an object's customer key is of.
pub(super) const ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
/// Names an object's customer key by its MD5.
pub(super) const KEY_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";

const OBJECT: Names = Names {
    algorithm: ALGORITHM,
    key: "x-amz-server-side-encryption-customer-key",
    key_md5: KEY_MD5,
};

const COPY_SOURCE: Names = Names {
    algorithm: "x-amz-copy-source-server-side-encryption-customer-algorithm",
    key: "x-amz-copy-source-server-side-encryption-customer-key",
    key_md5: "x-amz-copy-source-server-side-encryption-customer-key-md5",
};

impl Names {
    fn all(&self) -> [&'static str; 3] {
        [self.algorithm, self.key, self.key_md5]
    }

    fn take(&self, headers: &mut HeaderMap) -> Sent {
        let [algorithm, key, key_md5] = self.all().map(|name| headers.remove(name));
        let fields = CustomerKeyFields {
            algorithm: algorithm.as_ref().map(http::HeaderValue::as_bytes),
            key: key.as_ref().map(http::HeaderValue::as_bytes),
            key_md5: key_md5.as_ref().map(http::HeaderValue::as_bytes),
        };
        Ok(SentCustomerKey::read(fields)?.map(Arc::new))
    }
}

type Sent = Result<Option<Arc<SentCustomerKey>>, InvalidCustomerKey>;

/// A request's customer keys, or what is wrong with them. Gone with the request.
#[derive(Clone, Debug)]
pub(super) struct CustomerKeys {
    object: Sent,
    copy_source: Sent,
}

/// The keys of a copy.
pub(super) struct CopyKeys {
    /// The key that the source was stored with.
    pub(super) source: Option<Arc<SentCustomerKey>>,
    /// The copy's own key.
    pub(super) object: Option<Arc<SentCustomerKey>>,
}

impl CustomerKeys {
    /// No keys.
    #[cfg(test)]
    pub(super) const NONE: Self = Self {
        object: Ok(None),
        copy_source: Ok(None),
    };

    /// Takes the keys out of headers.
    pub(super) fn take_from(headers: &mut HeaderMap) -> Self {
        Self {
            object: OBJECT.take(headers),
            copy_source: COPY_SOURCE.take(headers),
        }
    }

    /// Takes the keys out of a request: neither its headers nor its query have them after that.
    pub(super) fn take(headers: &mut HeaderMap, uri: &mut Uri) -> Self {
        let keys = Self::take_from(headers);
        if let Some(raw) = uri.query() {
            let kept = query::without(raw, |name| is_of_a_key(&name.to_ascii_lowercase()));
            // What is left of a URI's query is one.
            if kept != raw
                && let Some(stripped) = query::replace(uri, &kept)
            {
                *uri = stripped;
            }
        }
        keys
    }

    /// The key of an operation on one object.
    ///
    /// # Errors
    /// `InvalidArgument` for fields that make no key, beside another kind of encryption, and for a copy's source where there is none.
    pub(super) fn of_object(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<SentCustomerKey>>, OpError> {
        match &self.copy_source {
            Ok(None) => Ok(self.of_copy(headers)?.object),
            _ => Err(OpError::invalid_argument(
                "The encryption parameters of a copy's source go with x-amz-copy-source only.",
            )),
        }
    }

    /// The keys of a copy.
    ///
    /// # Errors
    /// `InvalidArgument` for fields that make no key, and beside another kind of encryption.
    pub(super) fn of_copy(&self, headers: &HeaderMap) -> Result<CopyKeys, OpError> {
        let object = self.object.clone();
        let is_there = !matches!(object, Ok(None));
        if is_there && headers.contains_key("x-amz-server-side-encryption") {
            return Err(OpError::invalid_argument(
                "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
            ));
        }
        Ok(CopyKeys {
            source: self.copy_source.clone()?,
            object: object?,
        })
    }
}

fn is_of_a_key(name: &str) -> bool {
    OBJECT.all().contains(&name) || COPY_SOURCE.all().contains(&name)
}

/// Makes the keys' headers print as sensitive, whoever prints them.
pub(super) fn mark_sensitive(headers: &mut HeaderMap) {
    for name in [OBJECT.key, COPY_SOURCE.key] {
        if let Some(value) = headers.get_mut(name) {
            value.set_sensitive(true);
        }
    }
}

/// Refuses keys that came where others can listen in.
///
/// # Errors
/// `InvalidRequest`.
pub(super) fn refuse_unencrypted(headers: &HeaderMap) -> Result<(), OpError> {
    refuse_unencrypted_among(headers.keys().map(http::HeaderName::as_str))
}

/// As [`refuse_unencrypted`], of names that are no headers'.
///
/// # Errors
/// `InvalidRequest`.
pub(super) fn refuse_unencrypted_among<'a>(
    mut names: impl Iterator<Item = &'a str>,
) -> Result<(), OpError> {
    match names.any(is_of_a_key) {
        false => Ok(()),
        true => Err(OpError::invalid_request(
            "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Code;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use http::{HeaderName, HeaderValue};
    use md5::{Digest as _, Md5};

    fn headers(names: &Names, byte: u8) -> HeaderMap {
        let key = [byte; 32];
        let values = [
            "AES256".to_owned(),
            STANDARD.encode(key),
            STANDARD.encode(Md5::digest(key)),
        ];
        let pairs = names.all().into_iter().zip(values);
        pairs
            .map(|(name, value)| {
                let value = HeaderValue::try_from(value).unwrap();
                (HeaderName::from_static(name), value)
            })
            .collect()
    }

    #[test]
    fn keys_are_taken_out_of_headers_and_query() {
        let mut sent = headers(&OBJECT, 1);
        sent.extend(headers(&COPY_SOURCE, 2));
        sent.insert("x-amz-copy-source", HeaderValue::from_static("a/b"));
        let mut uri: Uri = "/b/k?X-Amz-Server-Side-Encryption-Customer-Key=c2VjcmV0&x-id=1&\
             x-amz-copy%2Dsource-server-side-encryption-customer-key=c2VjcmV0"
            .parse()
            .unwrap();
        let keys = CustomerKeys::take(&mut sent, &mut uri);
        assert_eq!(uri, "/b/k?x-id=1");
        assert_eq!(sent.len(), 1, "{sent:?}");
        let copy = keys.of_copy(&sent).unwrap();
        let md5 = |key: Option<Arc<SentCustomerKey>>| key.unwrap().md5_text();
        assert_eq!(md5(copy.object), STANDARD.encode(Md5::digest([1; 32])));
        assert_eq!(md5(copy.source), STANDARD.encode(Md5::digest([2; 32])));
    }

    #[test]
    fn key_beside_another_encryption_or_of_no_copy_is_refused() {
        let mut uri = Uri::from_static("/b/k");
        let code = |outcome: Result<_, OpError>| outcome.map(drop).map_err(|error| error.code());
        let other = HeaderValue::from_static("aws:kms");
        // Also where the key's own fields are wrong.
        for broken in [false, true] {
            let mut sent = headers(&OBJECT, 1);
            if broken {
                sent.remove(OBJECT.key);
            }
            sent.insert("x-amz-server-side-encryption", other.clone());
            let keys = CustomerKeys::take(&mut sent, &mut uri);
            let refused = code(keys.of_object(&sent));
            assert_eq!(refused, Err(Code::InvalidArgument));
            let refused = keys.of_copy(&sent).map(drop).map_err(|error| error.code());
            assert_eq!(refused, Err(Code::InvalidArgument));
        }
        let mut sent = headers(&COPY_SOURCE, 1);
        let keys = CustomerKeys::take(&mut sent, &mut uri);
        assert_eq!(code(keys.of_object(&sent)), Err(Code::InvalidArgument));
        assert!(keys.of_copy(&sent).is_ok());
        assert!(CustomerKeys::NONE.of_object(&sent).unwrap().is_none());
    }

    #[test]
    fn key_prints_as_sensitive_once_marked() {
        let mut sent = headers(&OBJECT, 0x5a);
        sent.extend(headers(&COPY_SOURCE, 0x5b));
        mark_sensitive(&mut sent);
        let shown = format!("{sent:?}");
        for byte in [0x5a, 0x5b] {
            assert!(!shown.contains(&STANDARD.encode([byte; 32])), "{shown}");
        }
        let shown = format!("{:?}", CustomerKeys::take(&mut sent, &mut Uri::default()));
        assert!(!shown.contains("90, 90"), "{shown}");
    }

    #[test]
    fn any_field_of_a_key_is_refused_where_others_listen_in() {
        for name in OBJECT.all().into_iter().chain(COPY_SOURCE.all()) {
            let mut sent = HeaderMap::new();
            sent.insert(name, HeaderValue::from_static("x"));
            let refused = refuse_unencrypted(&sent).map_err(|error| error.code());
            assert_eq!(refused, Err(Code::InvalidRequest), "{name}");
        }
        assert!(refuse_unencrypted(&HeaderMap::new()).is_ok());
    }
}
