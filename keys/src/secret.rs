//! The three kinds of wrapping key, as types that only this crate can name.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use lethe_envelope::{Engine, open_message, seal_message};

/// Length of a 32-byte key's wrap: one Cobblestone-256 message (`docs/format.md` §2).
pub(crate) const WRAPPED_BYTES: usize = 104;

/// A key as the key store holds it.
pub(crate) type Wrapped = [u8; WRAPPED_BYTES];

/// Longest wrap of a node that a root provider may make.
pub(crate) const NODE_WRAP_BYTES_MAX: usize = 512;

/// A node as the key store holds it: whatever its root provider made of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeWrap {
    length: u16,
    bytes: [u8; NODE_WRAP_BYTES_MAX],
}

impl NodeWrap {
    /// `None` for more bytes than a wrap may have.
    pub(crate) fn new(wrapped: &[u8]) -> Option<Self> {
        let mut bytes = [0; NODE_WRAP_BYTES_MAX];
        bytes.get_mut(..wrapped.len())?.copy_from_slice(wrapped);
        let length = u16::try_from(wrapped.len()).ok()?;
        Some(Self { length, bytes })
    }
}

impl From<Wrapped> for NodeWrap {
    fn from(wrapped: Wrapped) -> Self {
        let mut bytes = [0; NODE_WRAP_BYTES_MAX];
        bytes[..WRAPPED_BYTES].copy_from_slice(&wrapped);
        Self {
            length: WRAPPED_BYTES as u16,
            bytes,
        }
    }
}

impl std::ops::Deref for NodeWrap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::ops::DerefMut for NodeWrap {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for NodeWrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeWrap({} bytes)", self.length)
    }
}

/// The operating system gave no randomness, or a wrap could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub(crate) struct NoRandomness;

/// A wrap that is not this key's under this context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("wrapped key does not verify")]
pub(crate) struct WrapMismatch;

/// 32 secret bytes; on the heap so that moving the key leaves no copy behind.
pub(crate) struct KeyBytes(Box<Zeroizing<[u8; 32]>>);

impl KeyBytes {
    pub(crate) fn random() -> Result<Self, NoRandomness> {
        let mut bytes = Box::new(Zeroizing::new([0; 32]));
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    pub(crate) fn from_slice(slice: &[u8]) -> Option<Self> {
        let mut bytes = Box::new(Zeroizing::new([0; 32]));
        if slice.len() != bytes.len() {
            return None;
        }
        bytes.copy_from_slice(slice);
        Some(Self(bytes))
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.0.ct_eq(other.0.as_slice()).into()
    }

    /// Wraps another key under this one.
    pub(crate) fn wrap(&self, context: &[u8], key: &[u8; 32]) -> Result<Wrapped, NoRandomness> {
        self.seal(context, key)?
            .try_into()
            .map_err(|_| NoRandomness)
    }

    /// Opens a wrap that [`KeyBytes::wrap`] made under the same context.
    pub(crate) fn unwrap(&self, context: &[u8], wrapped: &[u8]) -> Result<Self, WrapMismatch> {
        Self::from_slice(&self.open(context, wrapped)?).ok_or(WrapMismatch)
    }

    pub(crate) fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, NoRandomness> {
        seal_message(Engine::AesGcm, self.expose(), context, plaintext).map_err(|_| NoRandomness)
    }

    pub(crate) fn open(
        &self,
        context: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, WrapMismatch> {
        open_message(Engine::AesGcm, self.expose(), context, sealed).map_err(|_| WrapMismatch)
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// One epoch's root key; only the root providers that hold keys themselves have one.
#[derive(Debug)]
pub(crate) struct RootKey(pub(crate) KeyBytes);

/// A tenant shard's node or the service node.
#[derive(Debug)]
pub(crate) struct NodeKey(pub(crate) KeyBytes);

/// One version of a tenant's key-encryption key.
#[derive(Debug)]
pub(crate) struct Kek(pub(crate) KeyBytes);
