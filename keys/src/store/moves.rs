//! Moves of the root as the key store sees them.

use lethe_envelope::TenantId;

use super::{KekRow, NodeRow};
use crate::secret::{NodeWrap, Wrapped};
use crate::tree::Epoch;

/// How far a move of the root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MoveState {
    /// Everything that lives is under the new epoch.
    Rekeyed,
    /// The provider was or is about to be asked to destroy the old one.
    Destroying,
    /// The old one is destroyed and that was seen.
    Destroyed,
}

impl MoveState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Rekeyed => "rekeyed",
            Self::Destroying => "destroying",
            Self::Destroyed => "destroyed",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Rekeyed, Self::Destroying, Self::Destroyed]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// A known key under an epoch, by which it is seen whether that epoch still opens anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Canary {
    pub(crate) wrapped: NodeWrap,
    /// SHA-256 of the 32 bytes wrapped.
    pub(crate) sum: [u8; 32],
}

/// What a move is to write.
#[derive(Debug)]
pub(crate) struct MovePlan {
    pub(crate) from: Epoch,
    pub(crate) to: Epoch,
    /// In order, each once.
    pub(crate) victims: Vec<TenantId>,
    /// Every place's node under the new epoch: of the next generation in the victims' places, else of the same.
    pub(crate) nodes: Vec<NodeRow>,
    pub(crate) canary_from: Canary,
    pub(crate) canary_to: Canary,
    pub(crate) now_ms: i64,
    /// Whether each victim must be fenced; a store that is being restored serves nobody.
    pub(crate) fenced: bool,
}

/// Moves one KEK from its place's old node to its new one.
pub(crate) trait Rewrap: Send + Sync {
    /// `None` when the KEK does not open, or is not the one of its commitment.
    fn rewrap(&self, row: &KekRow) -> Option<Wrapped>;
}

/// A move that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MoveRow {
    pub(crate) from: Epoch,
    pub(crate) to: Epoch,
    pub(crate) state: MoveState,
    pub(crate) victims: Vec<TenantId>,
    pub(crate) nodes: u64,
    pub(crate) keks_rewrapped: u64,
    pub(crate) keks_deleted: u64,
    pub(crate) bytes: u64,
    pub(crate) canary_from: Canary,
    pub(crate) canary_to: Canary,
    /// When the canary under the old epoch was last seen to open.
    pub(crate) canary_opened_ms: i64,
    pub(crate) rekeyed_ms: i64,
    /// SHA-256 of the backup whose restore test passed, and when that was.
    pub(crate) backup: Option<([u8; 32], i64)>,
    pub(crate) destroyed_ms: Option<i64>,
}

/// What moving the root came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MoveOutcome {
    Moved(Box<MoveRow>),
    /// The store is in another epoch, or an earlier move is not finished.
    NotCurrent,
    /// This tenant is not fenced.
    NotFenced(TenantId),
    /// A survivor's KEK, by its id in hexadecimal, does not open.
    Unopened(String),
}

/// A step of a move after the root has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MoveMark {
    /// A backup passed its restore test.
    BackedUp { sha256: [u8; 32], now_ms: i64 },
    /// The canary under the old epoch opened; the provider will be asked to destroy that epoch. Refused unless `backup` is the
    /// newest that passed.
    Destroying {
        backup: [u8; 32],
        canary_opened_ms: i64,
    },
    /// It is destroyed: KEKs may be made again.
    Destroyed { now_ms: i64 },
}
