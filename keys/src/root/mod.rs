//! Root providers: wrapping nodes under an epoch's root key is the only thing one does.

mod file;

#[cfg(test)]
mod suite;

#[cfg(any(test, feature = "testing"))]
pub(crate) mod faulty;

use std::path::PathBuf;

use async_trait::async_trait;

pub(crate) use file::FileRoot;

use crate::secret::{NodeKey, Wrapped};
use crate::tree::Epoch;
use crate::types::Assurance;

/// Why a call of the root provider failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RootError {
    /// Not reached, or reached and failed; a change may or may not have been made.
    #[error("{0}")]
    Unavailable(String),
    /// There is no key of this epoch.
    #[error("no root key of epoch {0}")]
    EpochMissing(Epoch),
    /// The epoch's key belongs to another key store, or the wrap is not of this epoch and context.
    #[error("root key of epoch {0} is another's")]
    Foreign(Epoch),
    /// Key or directory is open to others.
    #[error("{path} has mode {mode:o}")]
    Exposed { path: PathBuf, mode: u32 },
    /// What is stored is no root key.
    #[error("root key of epoch {0} is corrupt")]
    Corrupt(Epoch),
}

/// One node to wrap.
pub(crate) struct NodeToWrap<'a> {
    pub(crate) context: Vec<u8>,
    pub(crate) key: &'a NodeKey,
}

/// One node to unwrap.
pub(crate) struct WrappedNode {
    pub(crate) context: Vec<u8>,
    pub(crate) wrapped: Wrapped,
}

/// One key store's root keys. Every call is idempotent and answers for a whole batch, in its order.
#[async_trait]
pub(crate) trait RootProvider: Send + Sync {
    /// Makes the epoch's key unless this key store has it already; durable when it returns.
    async fn create_epoch(&self, epoch: Epoch) -> Result<(), RootError>;

    /// Wraps nodes, each under its own context.
    async fn wrap(&self, epoch: Epoch, nodes: &[NodeToWrap<'_>])
    -> Result<Vec<Wrapped>, RootError>;

    /// Opens wraps that [`RootProvider::wrap`] made under the same epoch and contexts.
    async fn unwrap(&self, epoch: Epoch, nodes: &[WrappedNode]) -> Result<Vec<NodeKey>, RootError>;

    /// Destroys the epoch's key for good; an epoch that is not there is destroyed.
    async fn destroy_epoch(&self, epoch: Epoch) -> Result<(), RootError>;

    /// What a receipt may say of the provider.
    fn assurance(&self) -> Assurance;
}
