//! The domain's transparency log: its store, the one who grows it, its witnesses as the gateway sees them, and its
//! verification (`docs/receipts.md` §3, `docs/architecture.md`).
//!
//! Trees, notes and proofs are `lethe-receipts`; this is where they are stored and who may change what.

mod bucket;
mod cosign;
mod dir;
mod entries;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
mod http;
mod intent;
mod newest;
mod proofs;
mod rebuild;
mod remote;
mod sequencer;
mod store;
mod verify;

#[cfg(test)]
mod suite;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use bucket::BucketLog;
pub use cosign::{CosignError, Cosigning, WitnessPeer, Witnesses};
pub use dir::DirLog;
pub use entries::find_entries;
pub use http::HttpError;
pub use newest::{Holder, Newest, NewestError};
pub use proofs::{LogProofError, consistency_proof, inclusion_proof, read_tile};
pub use rebuild::{KnownEntry, LogHistory, RebuildError, Rebuilt, rebuild_log};
pub use remote::RemoteLog;
pub use sequencer::{
    BATCH_ENTRIES_MAX, LeafSource, Sequenced, Sequencer, SequencerError, SourceError,
};
pub use store::{
    Head, LogPath, LogReader, LogStore, LogStoreError, ReceiptId, STATEMENT_BYTES_MAX, Swap,
    Version, Versioned,
};
pub use verify::{Check, Outcome, Report, VerifyOptions, verify_log};
