//! Proofs made from tiles. Every tile is checked against the tree head before anything is made of it.

use super::tile::{TILE_WIDTH, TileKind, TilePath};
use super::tree::{Hash, TreeHead};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use tlog_tiles::{Tile, TileHashReader, TileReader, tlog};

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

    fn read(&self, tile: &Tile) -> Result<Vec<u8>, tlog::Error> {
        let width = u16::try_from(tile.width()).unwrap_or(TILE_WIDTH);
        let kind = TileKind::Hashes {
            level: tile.level(),
        };
        let path =
            TilePath::new(kind, tile.level_index(), width).ok_or(tlog::Error::InvalidTile)?;
        let known = self.tiles.get(&(tile.level(), tile.level_index()));
        // A wider tile begins with what a narrower one holds.
        match known.and_then(|bytes| bytes.get(..path.bytes_len())) {
            Some(bytes) => Ok(bytes.to_vec()),
            None => {
                self.missing.borrow_mut().insert(path);
                Ok(vec![0; path.bytes_len()])
            }
        }
    }

    fn answer(&self, made: Result<Vec<tlog::Hash>, tlog::Error>) -> Result<Vec<Hash>, TilesError> {
        let missing = std::mem::take(&mut *self.missing.borrow_mut());
        if !missing.is_empty() {
            return Err(TilesError::Missing(missing.into_iter().collect()));
        }
        let hashes = made.map_err(|_| TilesError::Inconsistent)?;
        Ok(hashes.into_iter().map(|hash| hash.0).collect())
    }
}

impl TileReader for TileSet {
    fn height(&self) -> u8 {
        TILE_HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        tiles.iter().map(|tile| self.read(tile)).collect()
    }

    fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
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
    let reader = TileHashReader::new(head.size, tlog::Hash(head.root), tiles);
    tiles.answer(tlog::prove_record(head.size, index, &reader))
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
    let reader = TileHashReader::new(head.size, tlog::Hash(head.root), tiles);
    tiles.answer(tlog::prove_tree(head.size, old_size, &reader))
}
