//! The fields of a statement as they are written (`docs/receipts.md` §4). Reading one proves nothing about it.

use serde::{Deserialize, Serialize};

use crate::text::{Hex, Text, UtcTime};

/// `_type` of every statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `predicateType` of every statement: an identifier, never fetched.
pub const PREDICATE_TYPE: &str = "https://lethe.dev/crypto-erase/v1";
/// What `sanitization.technique` says.
pub const TECHNIQUE: &str = "cryptographic erase";

macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }
    };
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum $name { $($(#[$word_doc])* $word,)* }

        impl $name {
            /// The word as it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        #[cfg(test)]
        impl $name {
            pub(crate) const ALL: &[(Self, &'static str)] = &[$((Self::$word, $text)),*];
        }
    };
}

words! {
    /// How far the erasure of a tenant is; each stage has a receipt.
    Stage {
        /// No gateway can decrypt.
        Revoked = "revoked",
        /// The root epoch that every copy of the keys hangs from is destroyed.
        Erased = "erased",
        /// The ciphertext is deleted.
        Purged = "purged",
    }
}
words! {
    /// How the deployment decides about terminations.
    Mode {
        /// Two different approvers.
        Production = "production",
        /// One approver; never accepted by a trust file of production.
        Dev = "dev",
    }
}
words! {
    /// What a fence keeps gateways from.
    FenceScope {
        /// Serving the tenant.
        Tenant = "tenant",
        /// Holding nodes of the superseded epoch.
        Nodes = "nodes",
    }
}
words! {
    /// How one gateway came under a fence.
    GatewayOutcome {
        /// It dropped the keys and said so.
        Acknowledged = "acknowledged",
        /// It did not answer and its lease ran out: its timer dropped the keys.
        Expired = "expired",
    }
}
words! {
    /// Whether everything was counted.
    InventoryStatus {
        /// Everything was.
        Complete = "complete",
        /// `uncounted` says what was not.
        Partial = "partial",
    }
}
words! {
    /// What a root provider is, weakest first.
    ProviderAssurance {
        /// Keys in files.
        Software = "software",
        /// Keys in a service of its own that does not hand them out.
        Service = "service",
        /// Keys in hardware that does not hand them out.
        Hardware = "hardware",
    }
}
words! {
    /// What the root provider did with a ciphertext made before.
    CanaryOutcome {
        /// It opened it.
        Opened = "opened",
        /// It could not.
        Refused = "refused",
    }
}
words! {
    /// Result of a test.
    TestResult {
        /// It passed.
        Passed = "passed",
        /// It failed.
        Failed = "failed",
    }
}
words! {
    /// How much a receipt's erasure is worth, weakest first (`docs/receipts.md` §6).
    Assurance {
        /// The live keys are destroyed; copies of the root may exist.
        Logical = "logical",
        /// No backup of the root provider that could hold the destroyed root is kept any more.
        Bounded = "bounded",
        /// As bounded, and the root was in hardware that does not hand it out.
        Hardware = "hardware",
    }
}
words! {
    /// NIST SP 800-88's method.
    Method {
        /// Protects against simple recovery.
        Clear = "clear",
        /// Protects against laboratory recovery.
        Purge = "purge",
    }
}
words! {
    /// What came of the deletion of the ciphertext.
    PurgeStatus {
        /// All of it is deleted.
        Complete = "complete",
        /// The store holds some of it until a date that `held` names.
        Held = "held",
    }
}

record! {
    /// A digest in the form of in-toto.
    DigestSet {
        /// SHA-256.
        sha256: Hex<32>,
    }
}
record! {
    /// What a statement is about.
    Subject {
        /// `tenant:` and the tenant's uid in hexadecimal.
        name: String,
        /// The log entry of the tenant's last KEK creation, which commits to every KEK by the chain.
        digest: DigestSet,
    }
}
record! {
    /// An in-toto Statement v1 of our predicate.
    StatementBody {
        /// [`STATEMENT_TYPE`]
        #[serde(rename = "_type")]
        statement_type: String,
        /// [`PREDICATE_TYPE`]
        predicate_type: String,
        /// Exactly one.
        subject: Vec<Subject>,
        /// The predicate.
        predicate: Predicate,
    }
}
record! {
    /// The domain that erased.
    Domain {
        /// Its name in the configuration.
        name: Text,
        /// Its jurisdiction.
        jurisdiction: Text,
    }
}
record! {
    /// The tenant whose keys are destroyed.
    Tenant {
        /// Its random uid, never used for another.
        id: Hex<16>,
        /// The name that people gave it.
        label: Text,
        /// The region of its objects.
        region: Text,
        /// The region of their replicas.
        pair: Option<Text>,
    }
}
record! {
    /// The certificate of sanitization that NIST SP 800-88 Rev. 2 asks for, as far as other fields do not hold it.
    Sanitization {
        /// Who sanitizes.
        organization: Text,
        /// Kind of medium.
        media_type: Text,
        /// Which media.
        media_description: Text,
        /// Null before the erasure; `purge` only with an assurance above `logical`.
        method: Option<Method>,
        /// [`TECHNIQUE`]
        technique: String,
        /// The program.
        tool: Text,
        /// Its version when the first stage was reached.
        tool_version: Text,
        /// How the result was verified.
        verification_method: Text,
        /// Where.
        location: Text,
        /// Who was responsible.
        personnel: Text,
    }
}
record! {
    /// One approval of a termination.
    Approval {
        /// The approver, as authenticated.
        principal: Text,
        /// When.
        at: UtcTime,
    }
}
record! {
    /// The decision to terminate the tenant.
    Termination {
        /// Who decides in this deployment.
        mode: Mode,
        /// When it was requested.
        requested_at: UtcTime,
        /// By whom, as authenticated.
        requested_by: Text,
        /// Who approved.
        approvals: Vec<Approval>,
        /// Until when it could be cancelled.
        grace_ended: UtcTime,
    }
}
record! {
    /// Claimed times of one stage.
    StageTimes {
        /// When its work began.
        started: UtcTime,
        /// When its statement was made.
        finished: UtcTime,
    }
}
record! {
    /// The creation of one of the tenant's KEKs.
    KeyCreation {
        /// From 1, without a gap.
        version: u64,
        /// As in the header of every object sealed under it.
        kek_id: Hex<16>,
        /// As in the header of every object sealed under it.
        commitment: Hex<32>,
        /// Random; kept the log entry blind until now.
        nonce: Hex<32>,
        /// Log entry of the version before; zeros for the first.
        previous: Hex<32>,
        /// Log entry of this creation.
        entry: Hex<32>,
    }
}
record! {
    /// One gateway under a fence.
    GatewayFence {
        /// The gateway's random id.
        gateway: Hex<16>,
        /// How.
        outcome: GatewayOutcome,
    }
}
record! {
    /// A fence that every gateway came under.
    Fence {
        /// The key store's fence number.
        number: u64,
        /// What it keeps gateways from.
        scope: FenceScope,
        /// When it was raised.
        raised_at: UtcTime,
        /// How long a gateway that does not answer can hold keys.
        lease_seconds: u64,
        /// Every gateway that held a lease.
        gateways: Vec<GatewayFence>,
    }
}
record! {
    /// What ciphertext the tenant had.
    Inventory {
        /// Whether everything was counted.
        status: InventoryStatus,
        /// Objects, versions included.
        objects: u64,
        /// Their stored bytes.
        bytes: u64,
        /// Merkle root over the ciphertext inventory.
        root: Option<Hex<32>>,
        /// What was not counted, and why.
        uncounted: Vec<Text>,
    }
}
record! {
    /// What a canary under the destroyed epoch did.
    DestroyedCanary {
        /// Before the destruction.
        before: CanaryOutcome,
        /// After it.
        after: CanaryOutcome,
    }
}
record! {
    /// The destruction of a root epoch, as its provider showed it.
    RootDestruction {
        /// The provider's kind, e.g. `file` or `openbao`.
        provider: Text,
        /// What such a provider is.
        assurance: ProviderAssurance,
        /// The destroyed epoch.
        epoch_destroyed: u64,
        /// The epoch in its place.
        epoch_current: u64,
        /// A ciphertext under the destroyed epoch.
        canary_destroyed: DestroyedCanary,
        /// A ciphertext under the epoch in its place.
        canary_current: CanaryOutcome,
        /// When it was destroyed.
        destroyed_at: UtcTime,
        /// The provider's own evidence.
        evidence: Text,
    }
}
record! {
    /// The backup of the key store that the shred made and restored for a test.
    Backup {
        /// Digest of the file.
        sha256: Hex<32>,
        /// When it was made.
        at: UtcTime,
        /// Nodes in it.
        nodes: u64,
        /// KEKs in it.
        keks: u64,
        /// Whether all of them opened under the current epoch alone and met their commitments.
        restore_test: TestResult,
        /// KEKs of erased tenants in it.
        victims_found: u64,
    }
}
record! {
    /// An object version that the store refuses to delete yet.
    HeldObject {
        /// SHA-256 of the upstream bucket's name.
        bucket: Hex<32>,
        /// SHA-256 of the object's key.
        key: Hex<32>,
        /// The store's version id.
        version_id: Text,
        /// Until when; null for a hold without an end.
        until: Option<UtcTime>,
    }
}
record! {
    /// The deletion of the ciphertext.
    Purge {
        /// What came of it.
        status: PurgeStatus,
        /// Current objects deleted.
        objects: u64,
        /// Versions deleted beside them.
        versions: u64,
        /// Delete markers deleted.
        delete_markers: u64,
        /// Open uploads aborted.
        uploads: u64,
        /// Spooled parts deleted.
        spooled: u64,
        /// Stored bytes deleted.
        bytes: u64,
        /// Object versions that the store holds.
        held_objects: u64,
        /// The first [`HELD_LISTED_MAX`] of them.
        held: Vec<HeldObject>,
    }
}
record! {
    /// The predicate: the same fields in every stage, null where a stage does not have one yet.
    Predicate {
        /// The stage.
        stage: Stage,
        /// Random, one for each statement.
        receipt_id: Hex<16>,
        /// The statement of the stage before.
        previous: Option<DigestSet>,
        /// The domain.
        domain: Domain,
        /// The tenant.
        tenant: Tenant,
        /// The certificate.
        sanitization: Sanitization,
        /// The decision.
        termination: Termination,
        /// Of this stage.
        times: StageTimes,
        /// Every KEK that the tenant ever had.
        keys: Vec<KeyCreation>,
        /// In the order in which they were raised.
        fences: Vec<Fence>,
        /// From `erased` on.
        inventory: Option<Inventory>,
        /// From `erased` on.
        root: Option<RootDestruction>,
        /// From `erased` on.
        backup: Option<Backup>,
        /// From `erased` on.
        root_backup_horizon: Option<Horizon>,
        /// From `erased` on.
        assurance: Option<Assurance>,
        /// In `purged`.
        purge: Option<Purge>,
        /// What the receipt does not cover.
        not_covered: Vec<Text>,
        /// What could still go wrong with what it covers.
        residual_risks: Vec<Text>,
    }
}

/// Most [`HeldObject`]s that a statement lists.
pub const HELD_LISTED_MAX: usize = 1000;

/// When the last copy of the root provider that could hold the destroyed epoch expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Horizon {
    /// Nobody said.
    Unknown,
    /// At this time.
    At(UtcTime),
}

impl TryFrom<String> for Horizon {
    type Error = crate::text::TextError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "unknown" {
            return Ok(Self::Unknown);
        }
        text.parse().map(Self::At)
    }
}

impl From<Horizon> for String {
    fn from(horizon: Horizon) -> Self {
        match horizon {
            Horizon::Unknown => "unknown".to_owned(),
            Horizon::At(time) => time.to_string(),
        }
    }
}

impl Assurance {
    /// The highest that an erasure deserves (`docs/receipts.md` §6).
    #[must_use]
    pub fn deserved(root: &RootDestruction, horizon: Horizon, finished: UtcTime) -> Self {
        match horizon {
            Horizon::Unknown => Self::Logical,
            Horizon::At(last_copy) if last_copy > finished => Self::Logical,
            Horizon::At(_) if root.assurance == ProviderAssurance::Hardware => Self::Hardware,
            Horizon::At(_) => Self::Bounded,
        }
    }

    /// NIST's method that an erasure of such assurance is at most.
    #[must_use]
    pub fn method(self) -> Method {
        match self {
            Self::Logical => Method::Clear,
            Self::Bounded | Self::Hardware => Method::Purge,
        }
    }
}

/// What a provider of that very name is at most. One that `docs/receipts.md` §5 does not name is not worth more than a file.
#[must_use]
pub(crate) fn provider_ceiling(provider: &str) -> ProviderAssurance {
    match provider {
        "openbao" => ProviderAssurance::Service,
        _ => ProviderAssurance::Software,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_as_they_are_shown() {
        fn same<T: Serialize + Copy>(all: &[(T, &str)]) {
            for (word, text) in all {
                assert_eq!(serde_json::to_value(word).unwrap(), *text);
            }
        }
        same(Stage::ALL);
        same(Mode::ALL);
        same(FenceScope::ALL);
        same(GatewayOutcome::ALL);
        same(InventoryStatus::ALL);
        same(ProviderAssurance::ALL);
        same(CanaryOutcome::ALL);
        same(TestResult::ALL);
        same(Assurance::ALL);
        same(Method::ALL);
        same(PurgeStatus::ALL);
    }
}
