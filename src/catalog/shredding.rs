//! What the catalog knows of terminations, shreds and receipts (design §3 and §4).

use super::{Bucket, CatalogError, Upload};
use crate::clock::UnixMs;
use crate::tenants::{TenantId, TenantState};
use async_trait::async_trait;
use std::fmt;
use std::str::FromStr;

/// A text that is not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 lower-case hexadecimal digits")]
pub struct RowIdError;

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Draws a new id; `None` when the system gives no randomness.
            #[must_use]
            pub fn random() -> Option<Self> {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes).ok()?;
                Some(Self(bytes))
            }

            /// Takes the 16 bytes as they are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = RowIdError;

            fn from_str(text: &str) -> Result<Self, RowIdError> {
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| RowIdError)?;
                let id = Self(bytes);
                // One text for one id: the decoder alone would take upper case too.
                if id.to_string() == text { Ok(id) } else { Err(RowIdError) }
            }
        }
    };
}

row_id! {
    /// One termination of a tenant.
    TerminationId
}
row_id! {
    /// One shred: everything that moves the root once.
    ShredId
}
row_id! {
    /// One receipt.
    ReceiptId
}

/// How strict a termination is about approvals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApprovalMode {
    /// Two different principals approve.
    Production,
    /// One does: `lethe dev` only, and the receipt says so.
    Dev,
}

impl ApprovalMode {
    /// How many different principals must approve.
    #[must_use]
    pub const fn approvals_needed(self) -> u32 {
        match self {
            Self::Production => 2,
            Self::Dev => 1,
        }
    }

    /// As receipts spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Dev => "dev",
        }
    }
}

/// Where a termination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TerminationState {
    /// Asked for; approvals are missing.
    Requested,
    /// Approved; the shred starts after the grace.
    Approved,
    /// Called off.
    Cancelled,
    /// Part of a shred.
    Shredding,
    /// The keys are destroyed; ciphertext is being deleted.
    Erased,
    /// Over.
    Purged,
}

impl TerminationState {
    /// As operators see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Cancelled => "cancelled",
            Self::Shredding => "shredding",
            Self::Erased => "erased",
            Self::Purged => "purged",
        }
    }
}

/// A termination about to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTermination {
    /// Random.
    pub id: TerminationId,
    /// The tenant.
    pub tenant: TenantId,
    /// The principal who asks.
    pub requested_by: String,
    /// Now.
    pub requested: UnixMs,
    /// When the grace ends.
    pub grace_end: UnixMs,
    /// How many approvals it takes.
    pub mode: ApprovalMode,
    /// The inventory's key, sealed under the service node.
    pub sealed_inventory_key: Vec<u8>,
}

/// One approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Who.
    pub principal: String,
    /// When.
    pub at: UnixMs,
}

/// A termination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Termination {
    /// Its id.
    pub id: TerminationId,
    /// The tenant.
    pub tenant: TenantId,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub requested: UnixMs,
    /// When the grace ends.
    pub grace_end: UnixMs,
    /// How many approvals it takes.
    pub mode: ApprovalMode,
    /// Where it is.
    pub state: TerminationState,
    /// Approvals so far, in order.
    pub approvals: Vec<Approval>,
    /// Who called it off, and when.
    pub cancelled: Option<Approval>,
    /// The shred that it is part of.
    pub shred: Option<ShredId>,
    /// The inventory's sealed key, until the inventory was taken.
    pub sealed_inventory_key: Option<Vec<u8>>,
}

/// The durable states of a shred (design §3); each names what is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShredState {
    /// Its tenants are chosen.
    Requested,
    /// No gateway serves them.
    Fenced,
    /// Their ciphertext is counted.
    Inventoried,
    /// The key store is under the new epoch.
    Rekeyed,
    /// Every gateway has dropped the old nodes.
    Refenced,
    /// The key store's backup is made and tested.
    BackedUp,
    /// The old epoch's root key is destroyed.
    Destroyed,
    /// The receipts of the erasure are queued for the log.
    Receipted,
    /// The ciphertext is deleted, as far as it can be.
    Purged,
}

impl ShredState {
    /// All, in order.
    pub const ALL: [Self; 9] = [
        Self::Requested,
        Self::Fenced,
        Self::Inventoried,
        Self::Rekeyed,
        Self::Refenced,
        Self::BackedUp,
        Self::Destroyed,
        Self::Receipted,
        Self::Purged,
    ];

    /// As operators see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Fenced => "fenced",
            Self::Inventoried => "inventoried",
            Self::Rekeyed => "rekeyed",
            Self::Refenced => "refenced",
            Self::BackedUp => "backed-up",
            Self::Destroyed => "destroyed",
            Self::Receipted => "receipted",
            Self::Purged => "purged",
        }
    }

    /// The state after this one.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        let at = Self::ALL.iter().position(|state| *state == self)?;
        Self::ALL.get(at + 1).copied()
    }
}

/// The number that fences off a runner whose lease on a shred ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShredFence(pub i64);

/// One shred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shred {
    /// Its id.
    pub id: ShredId,
    /// What is done.
    pub state: ShredState,
    /// The epoch that it moves away from.
    pub epoch_from: u64,
    /// When it was begun.
    pub started: UnixMs,
    /// When its state last changed.
    pub changed: UnixMs,
    /// Who works on it.
    pub owner: Option<String>,
    /// Until when.
    pub lease_until: UnixMs,
    /// The fence of whoever works on it.
    pub fence: ShredFence,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

/// What a step of a shred leaves behind: JSON, of one tenant or of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The state that it belongs to.
    pub state: ShredState,
    /// The tenant, where it is one's.
    pub tenant: Option<TenantId>,
    /// JSON.
    pub body: String,
}

/// The stages of a receipt (design §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptStage {
    /// No gateway can decrypt.
    Revoked,
    /// The root epoch is destroyed.
    Erased,
    /// The ciphertext is deleted.
    Purged,
}

impl ReceiptStage {
    /// As receipts spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Erased => "erased",
            Self::Purged => "purged",
        }
    }
}

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    /// Its id, as the statement has it.
    pub id: ReceiptId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its stage.
    pub stage: ReceiptStage,
    /// The DSSE envelope, JSON.
    pub envelope: String,
    /// Its entry in the log: the 32 bytes that are sequenced.
    pub entry: [u8; 32],
    /// When it was issued.
    pub issued: UnixMs,
    /// Where the log has it.
    pub logged: Option<u64>,
    /// The proof of that, JSON.
    pub proof: Option<String>,
}

/// Which witnesses a settled receipt satisfies: a mark of the configuration's wish, never 0 and never 1, which earlier versions kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessMark(u32);

impl WitnessMark {
    /// The mark of a wish's digest.
    #[must_use]
    pub fn of(digest: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(digest).max(2))
    }

    pub(super) fn code(self) -> i64 {
        i64::from(self.0)
    }
}

/// A receipt's place in the log with its proof, as they become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptProof {
    /// Which.
    pub receipt: ReceiptId,
    /// Where the log has it.
    pub index: u64,
    /// The proof that there was when this one was made: it is made after the proof of the stage before.
    pub before: Option<String>,
    /// The proof, JSON.
    pub proof: String,
    /// Whose wish it satisfies: it needs no better proof then.
    pub settled: Option<WitnessMark>,
}

/// Terminations and shreds.
#[async_trait]
pub trait ShredStore: Send + Sync {
    /// Records a termination and makes the tenant `Terminating`, from `Active` or `Suspended` only. Repeating it with the same id
    /// succeeds; `Conflict` when the tenant is in another state or another termination is open.
    async fn begin_termination(&self, new: &NewTermination) -> Result<(), CatalogError>;
    /// Records one principal's approval; the last that is needed makes it `Approved`. Repeating it succeeds; `Conflict` when it is
    /// neither `Requested` nor `Approved`.
    async fn approve_termination(
        &self,
        tenant: TenantId,
        termination: TerminationId,
        approval: &Approval,
    ) -> Result<(), CatalogError>;
    /// Calls a termination off and gives the tenant the state back that it had; `Conflict` once a shred has begun.
    async fn cancel_termination(
        &self,
        tenant: TenantId,
        termination: TerminationId,
        by: &Approval,
    ) -> Result<(), CatalogError>;
    /// The tenant's newest termination.
    async fn termination(&self, tenant: TenantId) -> Result<Termination, CatalogError>;
    /// Terminations that are not over, by the end of their grace; only those behind `after` in that order.
    async fn open_terminations(
        &self,
        after: Option<(UnixMs, TerminationId)>,
        rows_max: u32,
    ) -> Result<Vec<Termination>, CatalogError>;
    /// Whether a termination is approved, in no shred yet, and its grace ended at `due` or before; however many others are open.
    async fn is_termination_due(&self, due: UnixMs) -> Result<bool, CatalogError>;
    /// Terminations that were asked for in a period (`from` inclusive, `to` exclusive), cancelled ones too, by time.
    async fn terminations_between(
        &self,
        from: UnixMs,
        to: UnixMs,
        after: Option<(UnixMs, TerminationId)>,
        rows_max: u32,
    ) -> Result<Vec<Termination>, CatalogError>;

    /// The time by the clock of the database's server; `None` where there is no server.
    async fn database_now(&self) -> Result<Option<UnixMs>, CatalogError>;
    /// Approved terminations whose grace ended by then, by its end.
    async fn due_terminations(
        &self,
        due: UnixMs,
        rows_max: u32,
    ) -> Result<Vec<Termination>, CatalogError>;
    /// Begins a shred of those of these terminations that are approved, unless one is open (which is returned then). `None` when
    /// none of them is.
    async fn begin_shred(
        &self,
        id: ShredId,
        epoch_from: u64,
        terminations: &[TerminationId],
        now: UnixMs,
    ) -> Result<Option<Shred>, CatalogError>;
    /// Takes the lease on the oldest shred that is not over and that nobody holds. A lease that ends an hour later than a new one would
    /// is of a clock that was ahead, and holds nothing.
    async fn claim_shred(
        &self,
        owner: &str,
        now: UnixMs,
        lease_ms: i64,
    ) -> Result<Option<Shred>, CatalogError>;
    /// Extends the lease; `Conflict` when another runner has taken over.
    async fn renew_shred(
        &self,
        shred: ShredId,
        fence: ShredFence,
        until: UnixMs,
    ) -> Result<(), CatalogError>;
    /// Has a shred that has not moved the root move it from another epoch: somebody else has moved it since the shred began.
    async fn move_shred_from(
        &self,
        shred: ShredId,
        fence: ShredFence,
        epoch_from: u64,
    ) -> Result<(), CatalogError>;
    /// Gives the lease up, with the reason where it failed; `retry_at` is when another may take it.
    async fn release_shred(
        &self,
        shred: ShredId,
        fence: ShredFence,
        retry_at: UnixMs,
        reason: Option<&str>,
    ) -> Result<(), CatalogError>;
    /// Lets shreds that wait after a failure be taken at once.
    async fn hurry_shreds(&self) -> Result<(), CatalogError>;
    /// Takes every shred that is not over from whoever owns it, and lets it be taken at once.
    async fn take_shreds_back(&self) -> Result<(), CatalogError>;
    /// Moves a shred one state on, with the evidence of that state, all or nothing. `Conflict` under another fence or from another
    /// state. Towards `Inventoried` the sealed inventory keys are forgotten; towards `Receipted` its terminations are `Erased`,
    /// towards `Purged` they are `Purged`.
    async fn advance_shred(
        &self,
        shred: ShredId,
        fence: ShredFence,
        from: ShredState,
        evidence: &[Evidence],
        now: UnixMs,
    ) -> Result<(), CatalogError>;
    /// Replaces one evidence while its state is being worked on; `Conflict` under another fence.
    async fn note_evidence(
        &self,
        shred: ShredId,
        fence: ShredFence,
        evidence: &Evidence,
    ) -> Result<(), CatalogError>;
    /// What its steps have left behind.
    async fn evidence(&self, shred: ShredId) -> Result<Vec<Evidence>, CatalogError>;
    /// What one of its steps has left behind for a tenant, or for the whole.
    async fn evidence_of(
        &self,
        shred: ShredId,
        state: ShredState,
        tenant: Option<TenantId>,
    ) -> Result<Option<Evidence>, CatalogError>;
    /// One shred.
    async fn shred(&self, shred: ShredId) -> Result<Shred, CatalogError>;
    /// Those that are not over first, and of these and of the others the newest first.
    async fn shreds(&self, rows_max: u32) -> Result<Vec<Shred>, CatalogError>;
    /// A shred's terminations, by tenant.
    async fn shred_terminations(&self, shred: ShredId) -> Result<Vec<Termination>, CatalogError>;

    /// A tenant's buckets in every state, by name: what an inventory counts and a purge deletes.
    async fn buckets_in_any_state(&self, tenant: TenantId) -> Result<Vec<Bucket>, CatalogError>;
    /// A tenant's uploads in every state, by id.
    async fn uploads_in_any_state(
        &self,
        tenant: TenantId,
        rows_max: u32,
    ) -> Result<Vec<Upload>, CatalogError>;
    /// Makes every unfinished upload of a `Shredded` tenant `Aborting`, so that it can be dropped whoever held it; nothing for
    /// tenants in other states.
    async fn end_uploads(&self, tenant: TenantId) -> Result<(), CatalogError>;
}

/// Receipts.
#[async_trait]
pub trait ReceiptStore: Send + Sync {
    /// Keeps a receipt unless the tenant has one of that stage; answers the one that it has.
    async fn keep_receipt(&self, receipt: &ReceiptRow) -> Result<ReceiptRow, CatalogError>;
    /// Records where the log has a tenant's receipts, with their proofs: all or none, since each proof goes on from the one before.
    /// Another place, or a proof that was replaced meanwhile, is a `Conflict`.
    async fn receipts_logged(
        &self,
        tenant: TenantId,
        proofs: &[ReceiptProof],
    ) -> Result<(), CatalogError>;
    /// Makes receipts unsettled that another wish for witnesses has settled; answers how many.
    async fn unsettle_receipts(&self, wish: WitnessMark) -> Result<u64, CatalogError>;
    /// A tenant's receipts, by stage.
    async fn receipts(&self, tenant: TenantId) -> Result<Vec<ReceiptRow>, CatalogError>;
    /// One receipt by its id.
    async fn receipt(&self, receipt: ReceiptId) -> Result<ReceiptRow, CatalogError>;
    /// Receipts without a settled proof: first those that the log does not have, oldest first.
    async fn receipts_unlogged(&self, rows_max: u32) -> Result<Vec<ReceiptRow>, CatalogError>;
}

/// The tenant states from which a termination can be asked for.
pub(super) const TERMINABLE: [TenantState; 2] = [TenantState::Active, TenantState::Suspended];
