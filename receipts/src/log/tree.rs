//! Tree heads, and proofs that lead to them (RFC 6962 §2.1).

use super::entry::Entry;
use tlog_tiles::tlog;

/// One SHA-256 hash of the tree.
pub type Hash = [u8; 32];

/// The greatest tree that is spoken of: its size is still exact in every JSON reader (2^53 − 1).
pub const SIZE_MAX: u64 = (1 << 53) - 1;

/// No proof in a tree of at most [`SIZE_MAX`] entries has more hashes (53 levels, and one for the old root).
pub const PROOF_HASHES_MAX: usize = 54;

/// How large a tree is and what its root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// Entries in the tree.
    pub size: u64,
    /// The Merkle tree hash over all of them.
    pub root: Hash,
}

impl TreeHead {
    /// The head of the tree without entries: `SHA-256("")`.
    pub const EMPTY: Self = Self {
        size: 0,
        root: tlog::EMPTY_HASH.0,
    };

    /// A size that is spoken of, and an empty tree that is the empty tree.
    pub(super) fn is_sound(&self) -> bool {
        self.size <= SIZE_MAX && (self.size != 0 || *self == Self::EMPTY)
    }
}

/// Why a proof does not prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The tree has no such entry, or the old tree is larger than the new one.
    #[error("the proof is about an entry or a size that the tree does not have")]
    OutOfRange,
    /// The hashes do not lead from what is claimed to the tree head.
    #[error("the proof does not lead to the tree head")]
    Mismatch,
}

/// The Merkle leaf of `entry`: `SHA-256(0x00 ‖ entry)`.
#[must_use]
pub fn leaf_hash(entry: &Entry) -> Hash {
    tlog::record_hash(&entry.0).0
}

/// Checks that `entry` is at `index` of the tree `head` (RFC 6962 §2.1.1).
///
/// # Errors
///
/// When the index is not of the tree, or the hashes, of exactly the right number, do not lead to the root.
pub fn verify_inclusion(
    head: &TreeHead,
    index: u64,
    entry: &Entry,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if !head.is_sound() || index >= head.size {
        return Err(ProofError::OutOfRange);
    }
    let hashes = bounded(proof)?;
    let leaf = tlog::record_hash(&entry.0);
    tlog::check_record(&hashes, head.size, tlog::Hash(head.root), index, leaf)
        .map_err(|_| ProofError::Mismatch)
}

/// Checks that the tree `old` is the beginning of the tree `new` (RFC 6962 §2.1.2).
///
/// Between equal trees, and from the empty tree, only the empty proof is one.
///
/// # Errors
///
/// When `old` is larger, or the hashes, of exactly the right number, do not lead to both roots.
pub fn verify_consistency(
    old: &TreeHead,
    new: &TreeHead,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if !old.is_sound() || !new.is_sound() || old.size > new.size {
        return Err(ProofError::OutOfRange);
    }
    if old.size == 0 {
        return if proof.is_empty() {
            Ok(())
        } else {
            Err(ProofError::Mismatch)
        };
    }
    let hashes = bounded(proof)?;
    let (old_root, new_root) = (tlog::Hash(old.root), tlog::Hash(new.root));
    tlog::check_tree(&hashes, new.size, new_root, old.size, old_root)
        .map_err(|_| ProofError::Mismatch)
}

fn bounded(proof: &[Hash]) -> Result<Vec<tlog::Hash>, ProofError> {
    if proof.len() > PROOF_HASHES_MAX {
        return Err(ProofError::Mismatch);
    }
    Ok(proof.iter().copied().map(tlog::Hash).collect())
}
