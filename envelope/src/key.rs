//! The object's data key.

use std::fmt;

use zeroize::Zeroizing;

use crate::random::{self, RandomError};

/// An object's data key: 32 random bytes, the input key of all its Cobblestone messages.
///
/// Wiped on drop; it can be neither cloned nor printed. It lives on the heap so that moving it copies nothing.
pub struct Dek(Box<Zeroizing<[u8; 32]>>);

impl Dek {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system gives no randomness.
    pub fn generate() -> Result<Self, RandomError> {
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        random::fill(key.0.as_mut_slice())?;
        Ok(key)
    }

    /// Takes over an unwrapped key.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "taken by value so that the caller's copy is wiped here"
    )]
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        key.0.copy_from_slice(bytes.as_slice());
        key
    }

    /// The key's bytes, for wrapping it under a KEK and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Dek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dek(redacted)")
    }
}
