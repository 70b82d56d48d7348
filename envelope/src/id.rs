//! The 16-byte identities that contexts bind.

use std::fmt;
use std::str::FromStr;

use crate::random::{self, RandomError};

/// A text that is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 lower-case hexadecimal digits")]
pub struct IdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Draws a new id.
            ///
            /// # Errors
            /// [`RandomError`] when the operating system gives no randomness.
            pub fn random() -> Result<Self, RandomError> {
                random::array().map(Self)
            }

            /// Takes the 16 bytes as they are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                // One text for one id: `hex` alone would take upper case too.
                if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    return Err(IdError);
                }
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| IdError)?;
                Ok(Self(bytes))
            }
        }
    };
}

id! {
    /// A tenant's random uid, never reused; its name is only a label.
    TenantId
}
id! {
    /// One object version's identity; a copy has its own header but keeps the id of the body it shares.
    ObjectId
}
id! {
    /// One version of one tenant's key-encryption key.
    KekId
}
