//! Who signed a form's policy, verified before a byte of the file is read. Nothing but [`VerifiedForm::of`] makes a [`VerifiedForm`],
//! and no operation takes anything else.

use super::fields::Fields;
use super::policy::{FileBytes, Policy};
use crate::clock::UnixMs;
use crate::edge::auth::Resolved;
use crate::edge::guard::authorization::{self, Signed};
use crate::edge::guard::{date, scope};
use crate::ops::{Code, OpError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A form's signature as it claims to be.
#[derive(Debug)]
pub(in crate::edge) struct Claims {
    /// Who says to have signed, and for what.
    pub(in crate::edge) signed: Signed,
    signature: [u8; 32],
}

impl Claims {
    /// Reads a form's claims.
    ///
    /// # Errors
    /// The answer for the client when there is no signature of Version 4, or a malformed one.
    pub(in crate::edge) fn of(fields: &Fields) -> Result<Self, OpError> {
        if ["awsaccesskeyid", "signature"]
            .iter()
            .any(|name| fields.get(name).is_some())
        {
            return Err(OpError::invalid_request(
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
            ));
        }
        if fields.get("x-amz-security-token").is_some() {
            return Err(OpError::new(
                Code::InvalidToken,
                "The provided token is malformed or otherwise invalid: these credentials have none.",
            ));
        }
        let needed = [
            "policy",
            "x-amz-algorithm",
            "x-amz-credential",
            "x-amz-date",
            "x-amz-signature",
        ];
        if needed.iter().all(|name| fields.get(name).is_none()) {
            return Err(OpError::access_denied("Anonymous access is not allowed."));
        }
        let get = |name: &str| {
            fields.get(name).ok_or_else(|| {
                OpError::invalid_argument(format!(
                    "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
                ))
            })
        };
        if get("x-amz-algorithm")? != ALGORITHM {
            return Err(OpError::invalid_argument(
                "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"",
            ));
        }
        let signed = authorization::of_form(get("x-amz-credential")?).ok_or_else(|| {
            OpError::invalid_argument(
                "The field x-amz-credential is not a credential with its scope.",
            )
        })?;
        scope::check_service(&signed)?;
        let at = get("x-amz-date")?;
        // How old it is does not matter: the policy says until when it holds.
        if date::parse(at).is_none() || !at.starts_with(&signed.scope_date) {
            return Err(OpError::invalid_argument(
                "The field x-amz-date must be in the form yyyyMMddTHHmmssZ, and of the day that the credential's scope names.",
            ));
        }
        let mut signature = [0; 32];
        hex::decode_to_slice(get("x-amz-signature")?, &mut signature).map_err(|_| mismatch())?;
        get("policy")?;
        Ok(Self { signed, signature })
    }
}

fn mismatch() -> OpError {
    OpError::new(
        Code::SignatureDoesNotMatch,
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    )
}

/// A form whose policy the credential that was looked up has signed, and allows.
#[derive(Debug)]
pub struct VerifiedForm {
    signer: String,
    fields: Fields,
    file_bytes: FileBytes,
}

impl VerifiedForm {
    /// Verifies the signature, then holds the policy against the form.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`, `InvalidPolicyDocument`, `AccessDenied`, `InvalidArgument`.
    pub(in crate::edge) fn of(
        claims: &Claims,
        mut fields: Fields,
        resolved: &Resolved,
        (bucket, filename): (&str, &str),
        now: UnixMs,
    ) -> Result<Self, OpError> {
        let policy = fields.get("policy").unwrap_or_default();
        if !resolved.has_signed(&claims.signed, policy.as_bytes(), &claims.signature) {
            return Err(mismatch());
        }
        let json = STANDARD.decode(policy).map_err(|_| {
            OpError::new(
                Code::InvalidPolicyDocument,
                "Invalid Policy: it is not base64.",
            )
        })?;
        let policy = Policy::parse(&json)?;
        fields.bind(bucket, filename)?;
        let file_bytes = policy.check(&fields, now)?;
        Ok(Self {
            signer: resolved.caller.access_key_id.to_string(),
            fields,
            file_bytes,
        })
    }

    /// The access key that signed.
    pub(in crate::edge) fn signer(&self) -> &str {
        &self.signer
    }

    /// The form's fields, bucket and key as they are meant.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// How many bytes the file may have.
    #[must_use]
    pub fn file_bytes(&self) -> FileBytes {
        self.file_bytes
    }

    /// A field that every verified form has.
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_default()
    }

    /// The bucket that it was sent to.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.field("bucket")
    }

    /// The object's key.
    #[must_use]
    pub fn key(&self) -> &str {
        self.field("key")
    }
}
