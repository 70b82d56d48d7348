//! Lethe's receipts, as `docs/receipts.md` defines them: statements in DSSE envelopes, the Merkle log that they and
//! the creations of keys are entered in, and offline verification.
//!
//! Pure: no I/O, no async runtime, no clock, no randomness of its own.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod log;
