//! The log half of the crate, against other implementations and against forgers.

mod checkpoints;
mod growth;
mod notes;
mod proofs;
mod requests;

use super::*;
use std::collections::BTreeMap;

/// A log in memory, grown batch by batch as a sequencer does.
#[derive(Default)]
pub(super) struct Grown {
    pub(super) frontier: Frontier,
    pub(super) tiles: BTreeMap<TilePath, Vec<u8>>,
    pub(super) heads: Vec<TreeHead>,
}

pub(super) fn entry(index: u64) -> Entry {
    statement_entry(&index.to_be_bytes())
}

impl Grown {
    /// One entry at a time, so that every size has its head and its tiles.
    pub(super) fn to(size: u64) -> Self {
        let mut grown = Self::default();
        grown.heads.push(grown.frontier.head());
        for index in 0..size {
            grown.append(&[entry(index)]);
            grown.heads.push(grown.frontier.head());
        }
        grown
    }

    pub(super) fn append(&mut self, entries: &[Entry]) {
        for tile in self.frontier.append(entries).unwrap() {
            assert_eq!(tile.bytes.len(), tile.path.bytes_len());
            let before = self.tiles.insert(tile.path, tile.bytes.clone());
            assert!(before.is_none_or(|before| before == tile.bytes));
        }
    }

    /// Makes a proof as a caller does: reads what is missing and asks again.
    pub(super) fn prove(
        &self,
        make: impl Fn(&TileSet) -> Result<Vec<Hash>, TilesError>,
    ) -> Result<Vec<Hash>, TilesError> {
        let mut set = TileSet::default();
        match make(&set) {
            Err(TilesError::Missing(missing)) => {
                for path in missing {
                    set.insert(path, self.tiles[&path].clone());
                }
                make(&set)
            }
            answered => answered,
        }
    }
}
