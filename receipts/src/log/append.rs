//! Growing the tree: from its unfinished right edge, new tiles and a new head.

use super::entry::Entry;
use super::tile::{TILE_WIDTH, TileKind, TilePath, decode_entries, encode_entries, tiles_of};
use super::tree::{Hash, SIZE_MAX, TreeHead, leaf_hash};
use tlog_tiles::{Tile, tlog};

/// The right edge of a tree: its partial tiles. All that an append needs, at most 255 hashes a level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The entries after the last full bundle.
    entries: Vec<Entry>,
    /// By level, the hashes after the last full tile.
    levels: Vec<Vec<Hash>>,
}

/// A tile that a tree has come to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTile {
    /// Where it belongs.
    pub path: TilePath,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Why tiles are not the edge of a tree, or a tree can't grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// A tile of the wrong length or form.
    #[error("tile {0} is malformed")]
    Tile(TilePath),
    /// The tiles are those of another tree than the head tells of.
    #[error("the tiles do not lead to the tree head")]
    Root,
    /// More entries than a tree may have.
    #[error("the tree would be larger than a tree may be")]
    Full,
}

impl Frontier {
    /// The edge of the tree `head`, from the tiles that [`tiles_of`] names, read with `tile`; checked against the root.
    ///
    /// # Errors
    ///
    /// When a tile is malformed, or together they do not lead to the root.
    pub fn open<'t>(
        head: &TreeHead,
        tile: impl Fn(&TilePath) -> &'t [u8],
    ) -> Result<Self, Unsound> {
        let mut frontier = Self {
            size: head.size,
            ..Self::default()
        };
        if head.size > SIZE_MAX {
            return Err(Unsound::Full);
        }
        for path in tiles_of(head.size) {
            let bytes = tile(&path);
            if bytes.len() != path.bytes_len() {
                return Err(Unsound::Tile(path));
            }
            match path.kind {
                TileKind::Entries => {
                    frontier.entries = decode_entries(bytes).ok_or(Unsound::Tile(path))?;
                }
                TileKind::Hashes { level } => {
                    *frontier.level(level) = bytes.as_chunks::<32>().0.to_vec();
                }
            }
        }
        // The bundle is not under the root: only its leaves are.
        let leaves: Vec<Hash> = frontier.entries.iter().map(leaf_hash).collect();
        if frontier.head() != *head || *frontier.level(0) != leaves {
            return Err(Unsound::Root);
        }
        Ok(frontier)
    }

    fn level(&mut self, level: u8) -> &mut Vec<Hash> {
        let level = usize::from(level);
        if self.levels.len() <= level {
            self.levels.resize(level + 1, Vec::new());
        }
        &mut self.levels[level]
    }

    /// The head of the tree.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        let mut root: Option<Hash> = None;
        for hashes in &self.levels {
            let mut rest = hashes.as_slice();
            // The perfect subtrees of a level, smallest and rightmost first, are what the bits of its length say.
            while !rest.is_empty() {
                let width = 1 << rest.len().trailing_zeros();
                let (before, subtree) = rest.split_at(rest.len() - width);
                let left = perfect(subtree);
                root = Some(root.map_or(left, |right| node(left, right)));
                rest = before;
            }
        }
        TreeHead {
            size: self.size,
            root: root.unwrap_or(TreeHead::EMPTY.root),
        }
    }

    /// Adds `entries`, and answers the tiles that the larger tree has and this one did not: full ones and the new edge.
    ///
    /// # Errors
    ///
    /// [`Unsound::Full`]; nothing was added.
    pub fn append(&mut self, entries: &[Entry]) -> Result<Vec<NewTile>, Unsound> {
        let added = u64::try_from(entries.len()).map_err(|_| Unsound::Full)?;
        let size = self
            .size
            .checked_add(added)
            .filter(|size| *size <= SIZE_MAX);
        let size = size.ok_or(Unsound::Full)?;
        let before = self.size;
        let mut tiles = Vec::new();
        for entry in entries {
            self.entries.push(*entry);
            self.size += 1;
            self.level(0).push(leaf_hash(entry));
            self.close_full(&mut tiles);
        }
        debug_assert_eq!(self.size, size);
        let edge = tiles_of(self.size);
        let old_edge = tiles_of(before);
        for path in edge.into_iter().filter(|path| !old_edge.contains(path)) {
            tiles.push(self.tile(path));
        }
        Ok(tiles)
    }

    /// Turns every level that became full into a tile and one hash of the level above.
    fn close_full(&mut self, tiles: &mut Vec<NewTile>) {
        if !self.size.is_multiple_of(u64::from(TILE_WIDTH)) {
            return;
        }
        let full = |kind, end: u64| TilePath {
            kind,
            index: (end - 1) >> 8,
            width: TILE_WIDTH,
        };
        tiles.push(self.tile(full(TileKind::Entries, self.size)));
        self.entries.clear();
        let mut level: u8 = 0;
        let mut end = self.size;
        while self.level(level).len() == usize::from(TILE_WIDTH) {
            tiles.push(self.tile(full(TileKind::Hashes { level }, end)));
            let above = perfect(self.level(level));
            self.level(level).clear();
            self.level(level + 1).push(above);
            level += 1;
            end >>= 8;
        }
    }

    fn tile(&self, path: TilePath) -> NewTile {
        let bytes = match path.kind {
            TileKind::Entries => encode_entries(&self.entries),
            TileKind::Hashes { level } => {
                let hashes = self.levels.get(usize::from(level));
                hashes.map_or_else(Vec::new, |hashes| hashes.as_flattened().to_vec())
            }
        };
        NewTile { path, bytes }
    }
}

/// The root over a power of two of hashes.
fn perfect(hashes: &[Hash]) -> Hash {
    Tile::subtree_hash(hashes.as_flattened()).0
}

fn node(left: Hash, right: Hash) -> Hash {
    tlog::node_hash(tlog::Hash(left), tlog::Hash(right)).0
}
