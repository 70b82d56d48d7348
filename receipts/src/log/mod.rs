//! The log: one append-only Merkle tree a domain (`docs/receipts.md` §3).
//!
//! Trees are those of RFC 6962, stored as tiles (C2SP tlog-tiles); tree heads are checkpoints (C2SP tlog-checkpoint) in
//! signed notes (C2SP signed-note), cosigned by witnesses (`cosignature/v1` of C2SP tlog-cosignature). We take a narrow
//! profile of these, so that every verifier gives one verdict: ASCII only, no extension lines, no second line of one key.

mod append;
mod checkpoint;
mod entry;
mod key;
mod note;
mod proof;
mod tile;
mod tree;
mod witness;

#[cfg(test)]
mod tests;

pub use append::{Frontier, NewTile, Unsound};
pub use checkpoint::{
    Checkpoint, CheckpointError, Cosignature, OpenedCheckpoint, SignedCheckpoint, open_checkpoint,
};
pub use entry::{Entry, cancellation_entry, kek_entry, override_entry, statement_entry};
pub use key::{KeyError, KeyId, KeyName, LogKey, LogVerifier, Origin, WitnessKey, WitnessVerifier};
pub use proof::{TileSet, TilesError, prove_consistency, prove_inclusion};
pub use tile::{
    ENTRY_BYTES, TILE_WIDTH, TileKind, TilePath, decode_entries, encode_entries, tiles_of,
};
pub use tree::{
    Hash, PROOF_HASHES_MAX, ProofError, SIZE_MAX, TreeHead, leaf_hash, verify_consistency,
    verify_inclusion,
};
pub use witness::{AddCheckpoint, RequestError};
