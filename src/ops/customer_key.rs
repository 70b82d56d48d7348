//! Customer keys (SSE-C): from a request's words to a typed secret, and from a header to the DEK that needs it
//! (`docs/format.md` §6.1).

use crate::ops::error::{Code, OpError};
use crate::ops::opened::dek_context;
use crate::ops::scope::BucketScope;
use crate::tenants::ObjectKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_envelope::{CustomerKey, Dek, Header, HeaderDraft};
use lethe_keys::{KekInfo, KeysError};
use md5::{Digest as _, Md5};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The only algorithm that S3 knows here.
pub const ALGORITHM: &str = "AES256";

/// The three fields that carry a customer key, be they headers or a form's.
#[derive(Clone, Copy, Default)]
pub struct CustomerKeyFields<'a> {
    /// The algorithm.
    pub algorithm: Option<&'a [u8]>,
    /// The key in base64.
    pub key: Option<&'a [u8]>,
    /// The key's MD5 in base64.
    pub key_md5: Option<&'a [u8]>,
}

/// A customer key that came with its right MD5.
#[derive(Debug)]
pub struct SentCustomerKey {
    key: Arc<CustomerKey>,
    md5: [u8; 16],
}

/// Fields that make no customer key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCustomerKey {
    /// The algorithm is missing.
    #[error(
        "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm."
    )]
    AlgorithmMissing,
    /// The algorithm is another than S3's only one.
    #[error("The encryption request you specified is not valid. Supported value: AES256.")]
    AlgorithmUnknown,
    /// The key is missing.
    #[error(
        "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key."
    )]
    KeyMissing,
    /// The key is not base64 of 32 bytes.
    #[error("The secret key was invalid for the specified algorithm.")]
    KeyMalformed,
    /// The key's MD5 is missing.
    #[error(
        "Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 of the \
         secret key."
    )]
    Md5Missing,
    /// The MD5 is not the key's.
    #[error("The calculated MD5 hash of the key did not match the hash that was provided.")]
    Md5Wrong,
}

impl From<InvalidCustomerKey> for OpError {
    fn from(invalid: InvalidCustomerKey) -> Self {
        let code = match invalid {
            InvalidCustomerKey::AlgorithmUnknown => Code::InvalidEncryptionAlgorithmError,
            _ => Code::InvalidArgument,
        };
        Self::new(code, invalid.to_string())
    }
}

impl SentCustomerKey {
    /// Reads the fields; `None` when all three are missing.
    ///
    /// # Errors
    /// [`InvalidCustomerKey`], which holds nothing of the key.
    pub fn read(fields: CustomerKeyFields<'_>) -> Result<Option<Self>, InvalidCustomerKey> {
        use InvalidCustomerKey as Invalid;
        let CustomerKeyFields {
            algorithm,
            key,
            key_md5,
        } = fields;
        if algorithm.is_none() && key.is_none() && key_md5.is_none() {
            return Ok(None);
        }
        if algorithm.ok_or(Invalid::AlgorithmMissing)? != ALGORITHM.as_bytes() {
            return Err(Invalid::AlgorithmUnknown);
        }
        let (key, md5) = decode(key.ok_or(Invalid::KeyMissing)?).ok_or(Invalid::KeyMalformed)?;
        if STANDARD.encode(md5).as_bytes() != key_md5.ok_or(Invalid::Md5Missing)? {
            return Err(Invalid::Md5Wrong);
        }
        let key = Arc::new(key);
        Ok(Some(Self { key, md5 }))
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> Arc<CustomerKey> {
        Arc::clone(&self.key)
    }

    /// Its MD5 in base64, as answers repeat it.
    #[must_use]
    pub fn md5_text(&self) -> String {
        STANDARD.encode(self.md5)
    }
}

/// Decodes into memory that is wiped, and nowhere else. Gives the key's MD5 too.
fn decode(text: &[u8]) -> Option<(CustomerKey, [u8; 16])> {
    // What 32 bytes are in base64; without padding, a text of this length is 33.
    if text.len() != 44 {
        return None;
    }
    let mut room = Box::new(Zeroizing::new([0; 33]));
    let length = STANDARD.decode_slice(text, room.as_mut_slice()).ok()?;
    let bytes: &[u8; 32] = room.get(..length)?.try_into().ok()?;
    Some((CustomerKey::from_bytes(bytes), Md5::digest(bytes).into()))
}

/// Why a DEK was not unwrapped; what it is the DEK of decides the answer.
pub(crate) enum UnwrapError {
    /// The header asks for a customer key, and there was none.
    Needed,
    /// There was a customer key, and the header asks for none.
    NotApplicable,
    /// The customer key is another one.
    Wrong,
    /// Anything else.
    Other(OpError),
}

impl UnwrapError {
    /// The answer to a request for an object, or for a copy's source.
    pub(crate) fn of_object(self) -> OpError {
        match self {
            Self::Needed => OpError::invalid_request(
                "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve \
                 the object.",
            ),
            Self::NotApplicable => OpError::invalid_request(
                "The encryption parameters are not applicable to this object.",
            ),
            Self::Wrong => {
                OpError::access_denied("The object was stored with another customer key.")
            }
            Self::Other(error) => error,
        }
    }

    /// The answer to a request for an upload.
    pub(crate) fn of_upload(self) -> OpError {
        match self {
            Self::Needed => OpError::invalid_request(
                "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate \
                 encryption parameters.",
            ),
            Self::NotApplicable => OpError::invalid_request(
                "The multipart upload initiate did not request encryption. Please resend the request without sending encryption \
                 parameters.",
            ),
            Self::Wrong => OpError::invalid_request(
                "The provided encryption parameters did not match the ones used originally.",
            ),
            Self::Other(error) => error,
        }
    }
}

impl From<KeysError> for UnwrapError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::CustomerKeyWrong => Self::Wrong,
            other => Self::Other(other.into()),
        }
    }
}

/// Unwraps a DEK at its place: with a customer key exactly where the header asks for one. What the header asks for is the store's
/// word until the unwrap has authenticated it.
///
/// # Errors
/// [`UnwrapError`].
pub(crate) async fn unwrap(
    scope: &BucketScope,
    key: &ObjectKey,
    header: &Header,
    sealed_metadata: &[u8],
    customer_key: Option<&CustomerKey>,
) -> Result<Dek, UnwrapError> {
    let context = dek_context(scope, key, &header.draft(), sealed_metadata);
    let (keys, tenant) = (&scope.domain.keys, scope.tenant);
    let (kek_id, wrapped) = (&header.kek_id, &header.wrapped_dek);
    let unwrapped = match (&header.customer_check, customer_key) {
        (None, None) => keys.unwrap_dek(tenant, kek_id, wrapped, &context).await,
        (Some(check), Some(customer_key)) => {
            let customer = (customer_key, check);
            keys.unwrap_customer_dek(tenant, kek_id, wrapped, customer, &context)
                .await
        }
        (Some(_), None) => return Err(UnwrapError::Needed),
        (None, Some(_)) => return Err(UnwrapError::NotApplicable),
    };
    Ok(unwrapped?)
}

/// Finishes a header for its place: wraps the DEK under the KEK, and under the customer key where there is one.
///
/// # Errors
/// The keys are away, or a rotation came between.
pub(crate) async fn wrap(
    scope: &BucketScope,
    key: &ObjectKey,
    kek: &KekInfo,
    dek: &Dek,
    mut draft: HeaderDraft,
    sealed_metadata: &[u8],
    customer_key: Option<&CustomerKey>,
) -> Result<Header, OpError> {
    let (keys, tenant, kek_id) = (&scope.domain.keys, scope.tenant, &kek.kek_id);
    if let Some(customer_key) = customer_key {
        let check = keys.customer_check(tenant, kek_id, draft.object_id, customer_key);
        draft.customer_check = Some(check.await?);
    }
    let context = dek_context(scope, key, &draft, sealed_metadata);
    let wrapped = match customer_key {
        None => keys.wrap_dek(tenant, kek_id, dek, &context).await,
        Some(customer_key) => {
            keys.wrap_customer_dek(tenant, kek_id, dek, customer_key, &context)
                .await
        }
    };
    Ok(draft.with_wrapped_dek(wrapped?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [0x5a; 32];

    fn fields<'a>(algorithm: &'a str, key: &'a str, md5: &'a str) -> CustomerKeyFields<'a> {
        let field = |text: &'a str| (!text.is_empty()).then_some(text.as_bytes());
        CustomerKeyFields {
            algorithm: field(algorithm),
            key: field(key),
            key_md5: field(md5),
        }
    }

    fn md5_of(bytes: &[u8]) -> String {
        STANDARD.encode(Md5::digest(bytes))
    }

    #[test]
    fn key_with_its_md5_is_taken_and_shown_nowhere() {
        let (key, md5) = (STANDARD.encode(KEY), md5_of(&KEY));
        let sent = SentCustomerKey::read(fields("AES256", &key, &md5)).unwrap();
        let sent = sent.unwrap();
        assert_eq!(sent.md5_text(), md5);
        let shown = format!("{sent:?}");
        assert!(
            !shown.contains("90, 90") && !shown.contains(&key),
            "{shown}"
        );
        assert!(SentCustomerKey::read(fields("", "", "")).unwrap().is_none());
    }

    #[test]
    fn fields_that_make_no_key_are_refused_by_what_is_wrong() {
        use InvalidCustomerKey as Invalid;
        let (key, md5) = (STANDARD.encode(KEY), md5_of(&KEY));
        let short = [1; 31];
        let (short_key, short_md5) = (STANDARD.encode(short), md5_of(&short));
        let long = [1; 33];
        let (long_key, long_md5) = (STANDARD.encode(long), md5_of(&long));
        let unpadded = key.trim_end_matches('=');
        for (algorithm, sent_key, sent_md5, invalid) in [
            ("", key.as_str(), md5.as_str(), Invalid::AlgorithmMissing),
            ("", "", &md5, Invalid::AlgorithmMissing),
            ("aes256", &key, &md5, Invalid::AlgorithmUnknown),
            ("AES192", &key, &md5, Invalid::AlgorithmUnknown),
            ("AES256", "", &md5, Invalid::KeyMissing),
            ("AES256", "", "", Invalid::KeyMissing),
            ("AES256", "???", &md5, Invalid::KeyMalformed),
            ("AES256", unpadded, &md5, Invalid::KeyMalformed),
            ("AES256", &short_key, &short_md5, Invalid::KeyMalformed),
            ("AES256", &long_key, &long_md5, Invalid::KeyMalformed),
            ("AES256", &key, "", Invalid::Md5Missing),
            ("AES256", &key, "?", Invalid::Md5Wrong),
            ("AES256", &key, &short_md5, Invalid::Md5Wrong),
        ] {
            let read = SentCustomerKey::read(fields(algorithm, sent_key, sent_md5));
            assert_eq!(
                read.unwrap_err(),
                invalid,
                "{algorithm} {sent_key} {sent_md5}"
            );
            let message = OpError::from(invalid).message().to_owned();
            assert!(!message.contains(&key), "{message}");
        }
    }
}
