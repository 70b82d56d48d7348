//! The Ed25519 keys that sign statements (`docs/receipts.md` §2, RFC 8032).
//!
//! The issuer and whoever validates have types of their own, so that no program hands one to the other's place.

use std::fmt;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::text::{Base64, Hex};

/// Lower-case hexadecimal SHA-256 of a raw public key.
pub type KeyId = Hex<32>;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no point of the curve in its one encoding.
    #[error("read public key: not the canonical encoding of an Ed25519 point")]
    NotAPoint,
    /// Signatures of such a key hold for many messages.
    #[error("read public key: a point of small order")]
    SmallOrder,
    /// The text is no PKCS#8 or SPKI PEM of an Ed25519 key.
    #[error("read key: not a PEM file of an Ed25519 key")]
    Pem,
    /// The key has no PEM form.
    #[error("write key: no PEM form")]
    Unwritable,
}

/// A signature that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("verify signature: it does not hold")]
pub struct BadSignature;

/// A public key that is safe to verify with: canonically encoded and not of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`] or [`KeyError::SmallOrder`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        // Decompression takes y + p for y; compression never writes it.
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotAPoint);
        }
        Ok(Self(key))
    }

    /// Reads a `PUBLIC KEY` PEM file (RFC 8410), as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`KeyError::Pem`] and those of [`PublicKey::from_bytes`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_public_key_pem(pem).map_err(|_| KeyError::Pem)?;
        Self::from_bytes(key.as_bytes())
    }

    /// The `PUBLIC KEY` PEM file.
    ///
    /// # Errors
    /// [`KeyError::Unwritable`], which no key is known to cause.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = self.0.to_public_key_pem(LineEnding::LF);
        pem.map_err(|_| KeyError::Unwritable)
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key's id.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        Hex(Sha256::digest(self.0.as_bytes()).into())
    }

    /// Verifies a signature of this key.
    ///
    /// # Errors
    /// [`BadSignature`], also for an S past the group order and an R of small order or in another encoding.
    pub fn verify(&self, message: &[u8], signature: &Base64<64>) -> Result<(), BadSignature> {
        let signature = Signature::from_bytes(&signature.0);
        let held = self.0.verify_strict(message, &signature);
        held.map_err(|_| BadSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", self.key_id())
    }
}

macro_rules! signing_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(SigningKey);

        impl $name {
            /// The key that 32 fresh random bytes make. Zeroizes them.
            #[must_use]
            pub fn from_random(mut random: [u8; 32]) -> Self {
                let key = SigningKey::from_bytes(&random);
                random.zeroize();
                Self(key)
            }

            /// Reads a PKCS#8 PEM file, as `openssl genpkey -algorithm ed25519` writes it.
            ///
            /// # Errors
            /// [`KeyError::Pem`].
            pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
                let key = SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError::Pem)?;
                Ok(Self(key))
            }

            /// The PKCS#8 PEM file (RFC 8410).
            ///
            /// # Errors
            /// [`KeyError::Unwritable`], which no key is known to cause.
            pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
                // Version 1, without the public key: OpenSSL does not read version 2.
                let mut pair = KeypairBytes {
                    secret_key: self.0.to_bytes(),
                    public_key: None,
                };
                let pem = pair.to_pkcs8_pem(LineEnding::LF);
                pair.secret_key.zeroize();
                pem.map_err(|_| KeyError::Unwritable)
            }

            /// The public half.
            #[must_use]
            pub fn public_key(&self) -> PublicKey {
                PublicKey(self.0.verifying_key())
            }

            /// The key's id.
            #[must_use]
            pub fn key_id(&self) -> KeyId {
                self.public_key().key_id()
            }

            pub(crate) fn sign(&self, message: &[u8]) -> Base64<64> {
                Base64(self.0.sign(message).to_bytes())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({}, redacted)"), self.key_id())
            }
        }
    };
}

signing_key! {
    /// The secret key of a domain that issues receipts. Zeroized when dropped.
    IssuerKey
}
signing_key! {
    /// The secret key of a second party that validates receipts. Zeroized when dropped.
    ValidatorKey
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::world::add_group_order;

    #[test]
    fn pem_of_a_key_reads_back() {
        let key = IssuerKey::from_random([7; 32]);
        let pem = key.to_pem().unwrap();
        assert_eq!(IssuerKey::from_pem(&pem).unwrap().key_id(), key.key_id());
        let public = key.public_key();
        assert_eq!(PublicKey::from_pem(&public.to_pem().unwrap()), Ok(public));
        assert!(!format!("{key:?}").contains("0707"));
        assert!(matches!(
            IssuerKey::from_pem(&public.to_pem().unwrap()),
            Err(KeyError::Pem)
        ));
    }

    #[test]
    fn pem_from_openssl_is_the_same() {
        // `openssl pkey` of OpenSSL 3.0 rewrote our file for the seed 0707…07 to these very bytes.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n\
                   -----END PRIVATE KEY-----\n";
        assert_eq!(*IssuerKey::from_random([7; 32]).to_pem().unwrap(), pem);
    }

    #[test]
    fn public_key_of_small_order_or_other_encoding_is_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(KeyError::SmallOrder));
        let order_eight = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
        let order_eight: Hex<32> = order_eight.parse().unwrap();
        assert_eq!(
            PublicKey::from_bytes(&order_eight.0),
            Err(KeyError::SmallOrder)
        );
        // y = p + 3 encodes the point with y = 3, whose order is large.
        let mut past_p = [0xff; 32];
        past_p[0] = 0xed + 3;
        past_p[31] = 0x7f;
        assert_eq!(PublicKey::from_bytes(&past_p), Err(KeyError::NotAPoint));
        let mut three = [0; 32];
        three[0] = 3;
        assert!(
            PublicKey::from_bytes(&three).is_ok(),
            "the point itself is there"
        );
        let mut off_curve = [0; 32];
        off_curve[0] = 2;
        assert_eq!(PublicKey::from_bytes(&off_curve), Err(KeyError::NotAPoint));
    }

    #[test]
    fn signature_with_s_past_the_order_is_refused() {
        let key = IssuerKey::from_random([9; 32]);
        let signature = key.sign(b"message");
        assert_eq!(key.public_key().verify(b"message", &signature), Ok(()));
        assert_eq!(
            key.public_key().verify(b"massage", &signature),
            Err(BadSignature)
        );
        let malleable = add_group_order(signature);
        assert_eq!(
            key.public_key().verify(b"message", &malleable),
            Err(BadSignature)
        );
    }
}
