//! Tiles and proofs from a stored log.

use super::store::{LogPath, LogReader, LogStoreError};
use bytes::Bytes;
use lethe_receipts::log::{
    Hash, TilePath, TileSet, TilesError, TreeHead, prove_consistency, prove_inclusion,
};

/// Why a proof can't be made from a stored log.
#[derive(Debug, thiserror::Error)]
pub enum LogProofError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] LogStoreError),
    /// A tile that the tree has is not in the store.
    #[error("tile {0} of the log is missing")]
    Missing(TilePath),
    /// The stored tiles are not those of the tree head, or it has no such entry.
    #[error("making a proof from the log: {0}")]
    Tiles(TilesError),
}

/// A tile of a tree that has it; where the partial one was cleaned up, the beginning of the full one.
///
/// # Errors
/// [`LogProofError`] when the store fails or has neither.
pub async fn read_tile(reader: &dyn LogReader, path: &TilePath) -> Result<Bytes, LogProofError> {
    for candidate in [*path, path.full()] {
        let found = reader.read(&LogPath::Tile(candidate)).await?;
        let fitting = found.filter(|bytes| bytes.len() == candidate.bytes_len());
        if let Some(bytes) = fitting {
            return Ok(bytes.slice(..path.bytes_len()));
        }
    }
    Err(LogProofError::Missing(*path))
}

/// The proof that the entry at `index` is in the tree `head`.
///
/// # Errors
/// [`LogProofError`] when the store fails or does not hold that tree.
pub async fn inclusion_proof(
    reader: &dyn LogReader,
    head: &TreeHead,
    index: u64,
) -> Result<Vec<Hash>, LogProofError> {
    prove(reader, |tiles| prove_inclusion(head, index, tiles)).await
}

/// The proof that the first `old_size` entries are the beginning of the tree `head`.
///
/// # Errors
/// [`LogProofError`] when the store fails or does not hold that tree.
pub async fn consistency_proof(
    reader: &dyn LogReader,
    old_size: u64,
    head: &TreeHead,
) -> Result<Vec<Hash>, LogProofError> {
    prove(reader, |tiles| prove_consistency(old_size, head, tiles)).await
}

async fn prove(
    reader: &dyn LogReader,
    make: impl Fn(&TileSet) -> Result<Vec<Hash>, TilesError> + Send + Sync,
) -> Result<Vec<Hash>, LogProofError> {
    // The set is made anew for each try: it is not `Sync`, and no borrow of it may live through an await.
    let mut read: Vec<(TilePath, Bytes)> = Vec::new();
    loop {
        let made = {
            let mut tiles = TileSet::default();
            for (path, bytes) in &read {
                tiles.insert(*path, bytes.to_vec());
            }
            make(&tiles)
        };
        let missing = match made {
            Ok(proof) => return Ok(proof),
            Err(TilesError::Missing(missing)) => missing,
            Err(error) => return Err(LogProofError::Tiles(error)),
        };
        for path in missing {
            if read.iter().any(|(known, _)| *known == path) {
                return Err(LogProofError::Missing(path));
            }
            let bytes = read_tile(reader, &path).await?;
            read.push((path, bytes));
        }
    }
}
