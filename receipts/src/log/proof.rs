//! Proofs made from tiles; only those that lead to the tree head leave here.

use super::tile::{TileKind, TilePath};
use super::tree::{Hash, TreeHead};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use tlog_tiles::{Tile, tlog};

/// 256 hashes a tile, as C2SP tlog-tiles has it.
const TILE_HEIGHT: u8 = 8;

/// Tiles of hashes that the caller has read.
#[derive(Debug, Default)]
pub struct TileSet {
    /// By level and index: the widest that is known.
    tiles: BTreeMap<(u8, u64), Vec<u8>>,
    missing: RefCell<BTreeSet<TilePath>>,
}

/// Why no proof could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TilesError {
    /// Read these, or the full tiles that took their place, put them into the set, and ask again.
    #[error("{} tiles are missing", .0.len())]
    Missing(Vec<TilePath>),
    /// The tree has no such entry, or no such smaller tree.
    #[error("the tree has no such entry or size")]
    OutOfRange,
    /// The tiles are not those of the tree head.
    #[error("the tiles do not lead to the tree head")]
    Inconsistent,
}

impl TileSet {
    /// Takes a tile of hashes; one of another kind or length is not taken and stays missing.
    pub fn insert(&mut self, path: TilePath, bytes: Vec<u8>) {
        let TileKind::Hashes { level } = path.kind else {
            return;
        };
        if bytes.len() != path.bytes_len() {
            return;
        }
        let known = self.tiles.entry((level, path.index)).or_default();
        if known.len() < bytes.len() {
            *known = bytes;
        }
    }

    fn hash(&self, tree_size: u64, index: u64) -> Result<tlog::Hash, tlog::Error> {
        let tile = Tile::from_index(TILE_HEIGHT, index)
            .parent(0, tree_size)
            .ok_or(tlog::Error::IndexesNotInTree)?;
        let (level, number) = (tile.level(), tile.level_index());
        let path = u16::try_from(tile.width())
            .ok()
            .and_then(|width| TilePath::new(TileKind::Hashes { level }, number, width))
            .ok_or(tlog::Error::InvalidTile)?;
        let known = self.tiles.get(&(level, number));
        // A wider tile begins with what a narrower one holds.
        match known.and_then(|bytes| bytes.get(..path.bytes_len())) {
            Some(bytes) => tile.hash_at_index(bytes, index),
            None => {
                self.missing.borrow_mut().insert(path);
                Ok(tlog::EMPTY_HASH)
            }
        }
    }

    fn of_tree(&self, size: u64) -> TreeReader<'_> {
        TreeReader { tiles: self, size }
    }

    /// The proof, once no tile was missing and it was found to hold: nothing that was read is relied on before that.
    fn checked(
        &self,
        made: Result<(Vec<tlog::Hash>, bool), tlog::Error>,
    ) -> Result<Vec<Hash>, TilesError> {
        let missing = std::mem::take(&mut *self.missing.borrow_mut());
        if !missing.is_empty() {
            return Err(TilesError::Missing(missing.into_iter().collect()));
        }
        match made {
            Ok((proof, true)) => Ok(proof.into_iter().map(|hash| hash.0).collect()),
            Ok((_, false)) | Err(_) => Err(TilesError::Inconsistent),
        }
    }
}

// The library's own `TileHashReader` is not used: it leaves a tile unchecked when two of the perfect subtrees under the
// root lie in one tile (`proofs_from_altered_tiles_are_refused` shows it). We check the proof instead.
struct TreeReader<'t> {
    tiles: &'t TileSet,
    size: u64,
}

impl tlog::HashReader for TreeReader<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let hash = |index: &u64| self.tiles.hash(self.size, *index);
        indexes.iter().map(hash).collect()
    }
}

/// The proof that the entry at `index` is in the tree `head`.
///
/// # Errors
///
/// [`TilesError::Missing`] names what to read before the next try; two tries are enough.
pub fn prove_inclusion(
    head: &TreeHead,
    index: u64,
    tiles: &TileSet,
) -> Result<Vec<Hash>, TilesError> {
    if !head.is_sound() || index >= head.size {
        return Err(TilesError::OutOfRange);
    }
    let make = || {
        let proof = tlog::prove_record(head.size, index, &tiles.of_tree(head.size))?;
        let leaf = tiles.hash(head.size, tlog::stored_hash_index(0, index))?;
        let root = tlog::Hash(head.root);
        let holds = tlog::check_record(&proof, head.size, root, index, leaf).is_ok();
        Ok((proof, holds))
    };
    tiles.checked(make())
}

/// The proof that the tree of the first `old_size` entries is the beginning of the tree `head`.
///
/// # Errors
///
/// [`TilesError::Missing`] names what to read before the next try; two tries are enough.
pub fn prove_consistency(
    old_size: u64,
    head: &TreeHead,
    tiles: &TileSet,
) -> Result<Vec<Hash>, TilesError> {
    if !head.is_sound() || old_size > head.size {
        return Err(TilesError::OutOfRange);
    }
    if old_size == 0 {
        return Ok(Vec::new());
    }
    let make = || {
        let reader = tiles.of_tree(head.size);
        let proof = tlog::prove_tree(head.size, old_size, &reader)?;
        // The old root comes from the same tiles: the proof holds only where both roots are right.
        let old_root = tlog::tree_hash(old_size, &reader)?;
        let root = tlog::Hash(head.root);
        let holds = tlog::check_tree(&proof, head.size, root, old_size, old_root).is_ok();
        Ok((proof, holds))
    };
    tiles.checked(make())
}
