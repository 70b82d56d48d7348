//! Root providers: wrapping nodes under an epoch's root key is the only thing one does.

mod file;
mod openbao;

#[cfg(test)]
mod suite;

#[cfg(any(test, feature = "testing"))]
pub(crate) mod faulty;

use std::path::PathBuf;

use async_trait::async_trait;

pub(crate) use file::FileRoot;
pub(crate) use openbao::{OpenBaoRoot, Transit};

use crate::secret::{NodeKey, NodeWrap};
use crate::tree::Epoch;
use crate::types::{Assurance, RootKind};

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
    /// The provider knows the caller and does not let it.
    #[error("{0}")]
    Denied(String),
    /// The provider holds a key that it could give away or that is not this epoch's alone.
    #[error("root key of epoch {epoch} {reason}")]
    Unfit { epoch: Epoch, reason: &'static str },
}

/// One node to wrap.
pub(crate) struct NodeToWrap<'a> {
    pub(crate) context: Vec<u8>,
    pub(crate) key: &'a NodeKey,
}

/// One node to unwrap.
pub(crate) struct WrappedNode {
    pub(crate) context: Vec<u8>,
    pub(crate) wrapped: NodeWrap,
}

/// One key store's root keys. Every call is idempotent and answers for a whole batch, in its order.
#[async_trait]
pub(crate) trait RootProvider: Send + Sync {
    /// Makes the epoch's key unless this key store has it already; durable when it returns.
    async fn create_epoch(&self, epoch: Epoch) -> Result<(), RootError>;

    /// Wraps nodes, each under its own context.
    async fn wrap(
        &self,
        epoch: Epoch,
        nodes: &[NodeToWrap<'_>],
    ) -> Result<Vec<NodeWrap>, RootError>;

    /// Opens wraps that [`RootProvider::wrap`] made under the same epoch and contexts.
    async fn unwrap(&self, epoch: Epoch, nodes: &[WrappedNode]) -> Result<Vec<NodeKey>, RootError>;

    /// Destroys the epoch's key for good; an epoch that is not there is destroyed.
    async fn destroy_epoch(&self, epoch: Epoch) -> Result<(), RootError>;

    /// Whether creating, wrapping and destroying would be permitted; changes nothing.
    async fn check_control(&self, epoch: Epoch) -> Result<(), RootError>;

    /// Which provider, as receipts name it.
    fn kind(&self) -> RootKind;

    /// How well it keeps its keys.
    fn assurance(&self) -> Assurance;

    /// What a returned [`RootProvider::destroy_epoch`] has done, for the receipt: the same text at every repetition.
    fn destruction(&self, epoch: Epoch) -> String;
}
