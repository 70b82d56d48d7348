//! Why a shred does not go on, split by who has to do something.

use super::rules::Forbidden;
use crate::catalog::CatalogError;
use crate::jobs::FinishError;
use crate::signing::SigningError;
use lethe_keys::KeysError;
use lethe_receipts::StatementError;
use lethe_receipts::json::JsonError;

/// The log's or a witness's failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: the log is unavailable: {reason}")]
pub struct LogAway {
    /// The call.
    pub operation: &'static str,
    /// What happened, without secrets.
    pub reason: String,
}

/// A failure of a termination, a shred or a receipt.
#[derive(Debug, thiserror::Error)]
pub enum ShredError {
    /// A rule forbids it.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The domain's configuration lacks what a shred needs.
    #[error("domain {domain} has no {what}: nothing is shredded without it")]
    NotConfigured {
        /// The domain.
        domain: String,
        /// The key of its section.
        what: &'static str,
    },
    /// The catalog's answer.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The key store's, root provider's or key backup's answer.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A step over catalog, directory and regions.
    #[error(transparent)]
    Finish(#[from] FinishError),
    /// The log's answer.
    #[error(transparent)]
    Log(#[from] LogAway),
    /// The signing keys.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The evidence does not make a statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A stored receipt or evidence can't be read.
    #[error("the catalog's {what} can't be read: {reason}")]
    Unreadable {
        /// Which record.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The evidence of an earlier step is not there.
    #[error("the catalog lacks the evidence of step {0}")]
    EvidenceMissing(&'static str),
    /// No stage of the tenant's shred is done.
    #[error("there is no receipt yet: no stage of the tenant's shred is done")]
    NoReceiptYet,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
    /// Somebody else's clock is behind this gateway's: one of the two is wrong, and the grace may not be over.
    #[error(
        "this gateway's clock is {by_s} s ahead of {whose}: it begins and fences nothing until they agree"
    )]
    ClockAhead {
        /// Whose clock.
        whose: String,
        /// By how much, in seconds.
        by_s: i64,
    },
    /// Another runner has taken the shred over.
    #[error("another runner has taken the shred over")]
    TakenOver,
}

impl ShredError {
    pub(super) fn unreadable(what: &'static str) -> impl Fn(serde_json::Error) -> Self {
        move |error| Self::Unreadable {
            what,
            reason: error.to_string(),
        }
    }

    pub(super) fn not_json(what: &'static str) -> impl Fn(JsonError) -> Self {
        move |error| Self::Unreadable {
            what,
            reason: error.to_string(),
        }
    }
}
