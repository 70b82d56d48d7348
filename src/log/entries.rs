//! Looking for entries in a whole log.

use super::proofs::{LogProofError, read_tile};
use super::store::LogReader;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lethe_receipts::log::{
    Entry, Frontier, TILE_WIDTH, TileKind, TilePath, TilesError, TreeHead, decode_entries,
};
use std::collections::BTreeSet;

/// Bundles that are read at once.
const READS_MAX: usize = 16;

/// Which of these entries are in the tree `head`: all of its entries are read, and must make that tree.
///
/// # Errors
/// [`LogProofError`] when the store fails or does not hold that tree.
pub async fn find_entries(
    reader: &dyn LogReader,
    head: &TreeHead,
    wanted: &BTreeSet<Entry>,
) -> Result<BTreeSet<Entry>, LogProofError> {
    let width = u64::from(TILE_WIDTH);
    let mut bundles = stream::iter(0..head.size.div_ceil(width))
        .map(|index| bundle(reader, index, (head.size - index * width).min(width)))
        .buffered(READS_MAX);
    let (mut frontier, mut found) = (Frontier::default(), BTreeSet::new());
    while let Some(entries) = bundles.try_next().await? {
        found.extend(
            entries
                .iter()
                .filter(|entry| wanted.contains(entry))
                .copied(),
        );
        let appended = frontier.append(&entries);
        appended.map_err(|_| LogProofError::Tiles(TilesError::OutOfRange))?;
    }
    if frontier.head() == *head {
        Ok(found)
    } else {
        Err(LogProofError::Tiles(TilesError::Inconsistent))
    }
}

async fn bundle(
    reader: &dyn LogReader,
    index: u64,
    width: u64,
) -> Result<Vec<Entry>, LogProofError> {
    let width = u16::try_from(width).unwrap_or(TILE_WIDTH);
    let path = TilePath::new(TileKind::Entries, index, width);
    let path = path.ok_or(LogProofError::Tiles(TilesError::OutOfRange))?;
    let bytes = read_tile(reader, &path).await?;
    decode_entries(&bytes).ok_or(LogProofError::Tiles(TilesError::Inconsistent))
}
