//! Where the tree is stored: tiles of 256 hashes or entries (C2SP tlog-tiles).

use super::entry::Entry;
use super::tree::SIZE_MAX;
use std::fmt;

/// Hashes or entries in a full tile.
pub const TILE_WIDTH: u16 = 256;
/// Bytes of one entry in a bundle: its length as two bytes, and itself.
pub const ENTRY_BYTES: usize = 2 + 32;
/// 256^6 leaves a hash: a tree of [`SIZE_MAX`] entries has 32 such hashes and no level above.
const LEVEL_MAX: u8 = 6;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// The entries themselves.
    Entries,
    /// Hashes of subtrees of 256^level entries each.
    Hashes {
        /// 0 to 6.
        level: u8,
    },
}

/// One tile: `tile/<level>/<index>[.p/<width>]` or `tile/entries/<index>[.p/<width>]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TilePath {
    pub(super) kind: TileKind,
    pub(super) index: u64,
    pub(super) width: u16,
}

impl TilePath {
    /// The tile, or `None` where no tree of at most [`SIZE_MAX`] entries has one like it.
    #[must_use]
    pub fn new(kind: TileKind, index: u64, width: u16) -> Option<Self> {
        let level = match kind {
            TileKind::Entries => 0,
            TileKind::Hashes { level } => level,
        };
        let possible = level <= LEVEL_MAX
            && (1..=TILE_WIDTH).contains(&width)
            && index <= SIZE_MAX >> (8 * (u32::from(level) + 1));
        possible.then_some(Self { kind, index, width })
    }

    /// Reads a path in the only way it is written.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes {
                level: level.parse().ok()?,
            },
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok()?),
            None => (rest, TILE_WIDTH),
        };
        let mut index: u64 = 0;
        for digits in number.split('/') {
            let digits = digits.strip_prefix('x').unwrap_or(digits);
            let value: u64 = digits.parse().ok()?;
            index = index.checked_mul(1000)?.checked_add(value)?;
        }
        // Whatever was written in another way comes out differently.
        Self::new(kind, index, width).filter(|tile| tile.to_string() == path)
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// Which one of its level.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Hashes or entries in it, 1 to 256.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// The full tile that this one is or begins.
    #[must_use]
    pub fn full(&self) -> Self {
        Self {
            width: TILE_WIDTH,
            ..*self
        }
    }

    /// Exactly how long it is.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        usize::from(self.width) * self.kind.item_bytes()
    }
}

impl TileKind {
    pub(super) fn item_bytes(self) -> usize {
        match self {
            Self::Entries => ENTRY_BYTES,
            Self::Hashes { .. } => 32,
        }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => f.write_str("tile/entries/")?,
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for group in groups.iter().skip(1).rev() {
            write!(f, "x{group:03}/")?;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.width < TILE_WIDTH {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

/// The partial tiles that a tree of `size` entries ends in: what an append to it has to know.
#[must_use]
pub fn tiles_of(size: u64) -> Vec<TilePath> {
    let partial = |kind, level: u32| {
        let items = size.checked_shr(8 * level).unwrap_or(0);
        let width = u16::try_from(items & 255).unwrap_or(0);
        TilePath::new(kind, items >> 8, width)
    };
    let hashes =
        (0..=LEVEL_MAX).filter_map(|level| partial(TileKind::Hashes { level }, u32::from(level)));
    partial(TileKind::Entries, 0)
        .into_iter()
        .chain(hashes)
        .collect()
}

/// Writes entries as a bundle: each after its length, two bytes, big-endian.
#[must_use]
pub fn encode_entries(entries: &[Entry]) -> Vec<u8> {
    let mut bundle = Vec::with_capacity(entries.len() * ENTRY_BYTES);
    for entry in entries {
        bundle.extend_from_slice(&[0, 32]);
        bundle.extend_from_slice(&entry.0);
    }
    bundle
}

/// Reads a bundle of up to 256 entries; `None` where it is not made of whole entries of 32 bytes.
#[must_use]
pub fn decode_entries(bundle: &[u8]) -> Option<Vec<Entry>> {
    let (items, rest) = bundle.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() || items.len() > usize::from(TILE_WIDTH) {
        return None;
    }
    items
        .iter()
        .map(|item| {
            let entry = item.strip_prefix(&[0, 32])?;
            Some(Entry(entry.try_into().ok()?))
        })
        .collect()
}
