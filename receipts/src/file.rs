//! The receipt file: what a tenant gets (`docs/receipts.md` §7).

use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::json::{self, JsonError};
use crate::log::{Hash, SignedCheckpoint};
use crate::text::Base64;

/// What `format` of a receipt file says.
pub const RECEIPT_FORMAT: &str = "lethe-receipt/v1";
/// Most receipts of one file: one a stage.
pub const RECEIPTS_MAX: usize = 3;

/// Where a statement is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Logged {
    index: u64,
    proof: Vec<Base64<32>>,
    checkpoint: String,
    consistency: Vec<Base64<32>>,
}

impl Logged {
    /// A statement at `index` of the tree that `checkpoint` heads, with the proof of that, and the proof that the tree
    /// of the receipt before is the beginning of this one (none for a file's first receipt).
    #[must_use]
    pub fn new(
        index: u64,
        proof: &[Hash],
        checkpoint: &SignedCheckpoint,
        consistency: &[Hash],
    ) -> Self {
        Self {
            index,
            proof: hashes_to_text(proof),
            checkpoint: checkpoint.as_str().to_owned(),
            consistency: hashes_to_text(consistency),
        }
    }

    /// The entry's index.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Leads from the entry to the checkpoint's root.
    #[must_use]
    pub fn proof(&self) -> Vec<Hash> {
        hashes(&self.proof)
    }

    /// The text of the signed note.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// Leads from the checkpoint of the receipt before to this one.
    #[must_use]
    pub fn consistency(&self) -> Vec<Hash> {
        hashes(&self.consistency)
    }
}

/// One statement with its signatures and its place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FiledReceipt {
    /// The signed statement.
    pub envelope: Envelope,
    /// Where it is in the log; none until it is.
    pub logged: Option<Logged>,
}

/// Where a KEK's creation is in the log, in the tree of the file's first receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LoggedKey {
    index: u64,
    proof: Vec<Base64<32>>,
}

impl LoggedKey {
    /// A creation at `index` with the proof that leads to the checkpoint of the file's first receipt.
    #[must_use]
    pub fn new(index: u64, proof: &[Hash]) -> Self {
        Self {
            index,
            proof: hashes_to_text(proof),
        }
    }

    /// The entry's index.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Leads from the entry to the root.
    #[must_use]
    pub fn proof(&self) -> Vec<Hash> {
        hashes(&self.proof)
    }
}

/// The stages of one erasure so far, from the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ReceiptFile {
    format: String,
    /// Revoked, erased, purged, as far as it is.
    pub receipts: Vec<FiledReceipt>,
    /// In the order of the statements' `keys`; empty until the first receipt is logged.
    pub keys: Vec<LoggedKey>,
}

impl ReceiptFile {
    /// A file of these receipts, in the order of their stages.
    #[must_use]
    pub fn new(receipts: Vec<FiledReceipt>, keys: Vec<LoggedKey>) -> Self {
        Self {
            format: RECEIPT_FORMAT.to_owned(),
            receipts,
            keys,
        }
    }

    /// Reads a receipt file. Nothing in it is verified.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(text: &[u8]) -> Result<Self, JsonError> {
        let file: Self = json::from_strict(text)?;
        let wrong = |what: &str| Err(JsonError::Shape(what.to_owned()));
        if file.format != RECEIPT_FORMAT {
            return wrong("the format is not lethe-receipt/v1");
        }
        if file.receipts.is_empty() || file.receipts.len() > RECEIPTS_MAX {
            return wrong("there are not 1 to 3 receipts");
        }
        let logged: Vec<_> = file
            .receipts
            .iter()
            .map(|receipt| &receipt.logged)
            .collect();
        if logged
            .windows(2)
            .any(|pair| pair[0].is_none() && pair[1].is_some())
        {
            return wrong("a receipt is logged and the one before is not");
        }
        match logged[0] {
            None if !file.keys.is_empty() => wrong("keys are logged and no receipt is"),
            Some(first) if !first.consistency.is_empty() => {
                wrong("the first receipt has no checkpoint before it")
            }
            _ => Ok(file),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`JsonError`] for an index past 2^53-1.
    pub fn to_json(&self) -> Result<String, JsonError> {
        json::to_canonical(self)
    }
}

fn hashes_to_text(hashes: &[Hash]) -> Vec<Base64<32>> {
    hashes.iter().copied().map(Base64).collect()
}

fn hashes(text: &[Base64<32>]) -> Vec<Hash> {
    text.iter().map(|hash| hash.0).collect()
}
