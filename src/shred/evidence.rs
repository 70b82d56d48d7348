//! What the steps of a shred leave behind, as JSON in the catalog; receipts are built from it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a gateway did about a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FenceOutcome {
    /// It dropped the keys and said so.
    Acknowledged,
    /// Its lease ran out, and its timer dropped the keys.
    Expired,
}

/// One gateway's answer to a fence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FencedGateway {
    /// The run of the process, 32 hexadecimal digits.
    pub gateway: String,
    /// What it did.
    pub outcome: FenceOutcome,
}

/// A fence that every gateway has answered, or outlived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FenceRecord {
    /// Its number.
    pub number: u64,
    /// When it was raised, in milliseconds since 1970.
    pub raised_ms: i64,
    /// How long a gateway may use keys without an answer.
    pub lease_s: u64,
    /// Every gateway that had a lease.
    pub gateways: Vec<FencedGateway>,
}

/// When a step ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// In milliseconds since 1970.
    pub started_ms: i64,
    /// In milliseconds since 1970.
    pub finished_ms: i64,
}

/// One tenant's fence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fenced {
    /// The fence.
    pub fence: FenceRecord,
    /// When.
    pub span: Span,
}

/// What of a tenant's ciphertext was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Whether all of it was.
    pub complete: bool,
    /// Objects and versions counted.
    pub objects: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// The Merkle root over their entries, in hexadecimal; absent when not all were counted.
    pub root: Option<String>,
    /// What was not counted.
    pub uncounted: Vec<String>,
}

/// The move of the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rekeyed {
    /// When the step began, in milliseconds since 1970.
    pub started_ms: i64,
    /// The epoch that is left.
    pub epoch_from: u64,
    /// The epoch that everything else is under now.
    pub epoch_to: u64,
    /// Nodes wrapped anew.
    pub nodes: u64,
    /// KEKs of other tenants wrapped anew.
    pub keks_moved: u64,
    /// KEKs of the victims deleted.
    pub keks_deleted: u64,
}

/// A backup of the key store that was opened again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackedUp {
    /// The file's name in the place of the backups.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// When it was made, in milliseconds since 1970.
    pub at_ms: i64,
    /// Nodes in it, all unwrapped.
    pub nodes: u64,
    /// KEKs in it, all unwrapped and compared with their commitment.
    pub keks: u64,
}

/// The destruction of a root epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destroyed {
    /// The provider's kind, such as `file`.
    pub provider: String,
    /// `software`, `service` or `hardware`.
    pub assurance: String,
    /// The epoch destroyed.
    pub epoch_destroyed: u64,
    /// The epoch that everything else is under.
    pub epoch_current: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What the provider says of it.
    pub evidence: String,
}

/// One version that the store does not let go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldVersion {
    /// SHA-256 of the upstream bucket's name, in hexadecimal.
    pub bucket: String,
    /// SHA-256 of the object's key, in hexadecimal.
    pub key: String,
    /// The version, as the store names it.
    pub version: Option<String>,
    /// Until when, in milliseconds since 1970; absent for a hold without an end.
    #[serde(default)]
    pub until_ms: Option<i64>,
}

impl HeldVersion {
    /// Whether both are the same version, until whenever.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        (&self.bucket, &self.key, &self.version) == (&other.bucket, &other.key, &other.version)
    }
}

/// What was deleted of a tenant's ciphertext so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeCounts {
    /// Objects in buckets without versions.
    pub objects: u64,
    /// Versions.
    pub versions: u64,
    /// Delete markers.
    pub delete_markers: u64,
    /// Open uploads.
    pub uploads: u64,
    /// Spooled parts.
    pub spooled: u64,
    /// Stored bytes of objects and versions.
    pub bytes: u64,
}

/// JSON of an evidence.
pub(super) fn encode(value: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(value)
}

/// An evidence of its JSON.
pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}
