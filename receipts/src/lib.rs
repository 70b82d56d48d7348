//! Lethe's receipts, as `docs/receipts.md` defines them: statements in DSSE envelopes, the Merkle log that they and
//! the creations of keys are entered in, and offline verification.
//!
//! Pure: no I/O, no async runtime, no clock, no randomness of its own.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod check;
pub mod envelope;
pub mod file;
#[cfg(test)]
mod fixtures;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod json;
pub mod keys;
pub mod log;
pub mod statement;
pub mod text;
pub mod trust;
pub mod verify;

pub use check::{Check, CheckName, Outcome, Verdict};
pub use envelope::{Envelope, EnvelopeSignature, ValidateError};
pub use file::{FiledReceipt, Logged, LoggedKey, ReceiptFile};
pub use keys::{IssuerKey, KeyId, PublicKey, ValidatorKey};
pub use statement::{Statement, StatementError};
pub use trust::{TrustFile, TrustedKey, TrustedValidator, TrustedWitness};
pub use verify::{Report, verify};
