//! The DSSE envelope of a statement (`docs/receipts.md` §2).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::json::{self, JsonError};
use crate::keys::{IssuerKey, KeyId, ValidatorKey};
use crate::log::{Entry, statement_entry};
use crate::statement::Statement;
use crate::text::{Base64, Base64Bytes, Hex};

/// The one payload type: an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Most signatures of one envelope.
pub const SIGNATURES_MAX: usize = 64;

/// One signature of an envelope, over its pre-authentication encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// Whose.
    pub keyid: KeyId,
    /// The signature.
    pub sig: Base64<64>,
}

/// A DSSE envelope. What it holds is not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Envelope {
    payload: Base64Bytes,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

/// Why a second signature is not put on an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValidateError {
    /// The key signed already, as the issuer or as a validator.
    #[error("validate receipt: this key signed it already")]
    SignedAlready,
    /// The envelope carries as many signatures as one may.
    #[error("validate receipt: it carries 64 signatures already")]
    Full,
}

impl Envelope {
    /// Signs a statement as its issuer.
    #[must_use]
    pub fn issue(statement: &Statement, issuer: &IssuerKey) -> Self {
        let payload = statement.payload();
        let signature = EnvelopeSignature {
            keyid: issuer.key_id(),
            sig: issuer.sign(&pae(PAYLOAD_TYPE, payload)),
        };
        Self {
            payload: Base64Bytes(payload.to_vec()),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![signature],
        }
    }

    /// Adds a validator's signature. The caller has verified the receipt before ([`crate::verify()`]).
    ///
    /// # Errors
    /// [`ValidateError`].
    pub fn validate(&mut self, validator: &ValidatorKey) -> Result<(), ValidateError> {
        let keyid = validator.key_id();
        if self
            .signatures
            .iter()
            .any(|signature| signature.keyid == keyid)
        {
            return Err(ValidateError::SignedAlready);
        }
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(ValidateError::Full);
        }
        let sig = validator.sign(&self.pae());
        self.signatures.push(EnvelopeSignature { keyid, sig });
        Ok(())
    }

    /// Reads the file that lies beside the log, or one receipt of a receipt file.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(text: &[u8]) -> Result<Self, JsonError> {
        json::from_strict(text)
    }

    /// The file that lies beside the log.
    ///
    /// # Errors
    /// [`JsonError`], which no envelope is known to cause.
    pub fn to_json(&self) -> Result<String, JsonError> {
        json::to_canonical(self)
    }

    /// The payload as it was signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload.0
    }

    /// What the payload says to be.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// The signatures, the issuer's first.
    #[must_use]
    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    /// What is signed: DSSE's pre-authentication encoding.
    #[must_use]
    pub fn pae(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload.0)
    }

    /// The digest by which the next stage names this statement.
    #[must_use]
    pub fn statement_digest(&self) -> Hex<32> {
        Hex(Sha256::digest(self.pae()).into())
    }

    /// What the log holds of this statement. Does not change when validators sign.
    #[must_use]
    pub fn log_entry(&self) -> Entry {
        statement_entry(&self.pae())
    }
}

pub(crate) fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pae_of_the_dsse_specification_is_the_same() {
        let encoded = pae("http://example.com/HelloWorld", b"hello world");
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(encoded, expected);
    }
}
