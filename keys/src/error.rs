//! Errors, split by what the caller does next.

use std::path::PathBuf;

use lethe_envelope::{KekId, TenantId};

use crate::KeyStoreIdentity;
use crate::location::NotApart;
use crate::tree::Epoch;

/// Why an operation on a domain's keys failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The tenant has no keys: create them first, or it was shredded.
    #[error("tenant {tenant} has no keys")]
    TenantUnknown {
        /// The tenant.
        tenant: TenantId,
    },
    /// A fence forbids the tenant's keys: it is being shredded.
    #[error("keys of tenant {tenant} are fenced")]
    TenantFenced {
        /// The tenant.
        tenant: TenantId,
    },
    /// No such KEK of this tenant: shredded, or never there.
    #[error("kek {kek_id} is not known")]
    KekUnknown {
        /// The KEK that was asked for.
        kek_id: KekId,
    },
    /// The KEK opens but does not seal (any more): ask for the sealing KEK again.
    #[error("kek {kek_id} does not seal new keys")]
    KekNotSealing {
        /// The KEK that was asked for.
        kek_id: KekId,
    },
    /// The tenant's KEK wraps nothing before the log has its entry: retry shortly.
    #[error("the kek of tenant {tenant} waits for the log")]
    KekPending {
        /// The tenant.
        tenant: TenantId,
    },
    /// The root is moving, and no KEK is made until that is over: retry later.
    #[error("no kek is made while the root moves")]
    CreationHeld,
    /// The wrap or secret is not what this key sealed under this context: corrupt or foreign.
    #[error("wrapped key does not verify under its context")]
    NotAuthentic,
    /// The customer key is not the one that the DEK was wrapped with, or what the header keeps of it was changed.
    #[error("the customer key is not the object's")]
    CustomerKeyWrong,
    /// The gateway's lease ran out and could not be renewed: answer 503, retry later.
    #[error("the lease on the key store has ended")]
    LeaseEnded,
    /// Key store or root provider did not answer: answer 503; a change may or may not have happened.
    #[error("{operation}: {cause}")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What went wrong, without secrets.
        cause: String,
    },
    /// It would be unsafe to go on; retrying does not help.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: Refusal,
    },
    /// The key store's contents contradict themselves.
    #[error("the key store's {what} is corrupt")]
    Corrupt {
        /// Which record.
        what: String,
    },
}

/// Why an operation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing was initialised there; `serve` creates nothing.
    #[error("there is no key store at {store}; `lethe domain init` makes one")]
    StoreMissing {
        /// The store's URL, redacted.
        store: String,
    },
    /// An `init` was interrupted.
    #[error(
        "the key store is not completely initialised; run `lethe domain init` again, or `lethe key-store restore` if a restore began it"
    )]
    StoreUnfinished,
    /// A restore was interrupted.
    #[error("the key store's restore is not complete; run `lethe key-store restore` again")]
    RestoreUnfinished,
    /// Another domain's keys are there.
    #[error("the key store holds domain {found}, not {expected}")]
    DomainMismatch {
        /// The domain in the configuration.
        expected: String,
        /// The domain in the store.
        found: String,
    },
    /// Another key store than the recorded one.
    #[error("the key store's identity is {found}, not {expected} as recorded")]
    IdentityMismatch {
        /// The identity that was recorded.
        expected: KeyStoreIdentity,
        /// The identity in the store.
        found: KeyStoreIdentity,
    },
    /// The schema is another version's.
    #[error(
        "the key store's schema is version {found}, this program works with {oldest} to {newest}; {}",
        if found < oldest { "run `lethe migrate`" } else { "it was migrated by a newer lethe: use that" }
    )]
    SchemaUnsupported {
        /// The version in the store, 0 for none.
        found: i64,
        /// The oldest that this program works with.
        oldest: i64,
        /// The newest that this program works with.
        newest: i64,
    },
    /// The store is older than what was seen before: a restored backup.
    #[error(
        "the key store's epoch is {found}, below epoch {seen} that was already seen: an older copy was restored"
    )]
    EpochRolledBack {
        /// The newest epoch seen.
        seen: Epoch,
        /// The store's epoch.
        found: Epoch,
    },
    /// The store's fences are older than those seen before: a restored backup.
    #[error(
        "the key store's last fence is {found}, below fence {seen} that was already seen: an older copy was restored"
    )]
    FenceRolledBack {
        /// The newest fence acknowledged.
        seen: u64,
        /// The store's last fence.
        found: u64,
    },
    /// Two stores that must be apart are not.
    #[error(transparent)]
    NotApart(#[from] NotApart),
    /// A file root shares the key store's volume.
    #[error(
        "root directory {root} lies on the key store's volume; one disk would hold wrapped keys and root key"
    )]
    RootOnStoreVolume {
        /// The root's directory.
        root: PathBuf,
    },
    /// The root has no key for the store's epoch.
    #[error("the root provider has no key of epoch {epoch}")]
    RootEpochMissing {
        /// The epoch.
        epoch: Epoch,
    },
    /// The root belongs to another key store, or does not open this one's nodes.
    #[error("the root provider's key of epoch {epoch} is another key store's")]
    RootForeign {
        /// The epoch.
        epoch: Epoch,
    },
    /// Root key or directory can be read or changed by others.
    #[error("{path} has mode {mode:o}; root keys must be closed to group and others")]
    RootExposed {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The root provider knows the caller and does not let it; its operator can change that at any time.
    #[error("{operation}: {cause}")]
    RootDenied {
        /// What was being done.
        operation: &'static str,
        /// What was denied, and to whom.
        cause: String,
    },
    /// The root provider's key could be given away, or has become another.
    #[error("the root provider's key of epoch {epoch} {reason}")]
    RootUnfit {
        /// The epoch.
        epoch: Epoch,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The lease is outside the allowed range.
    #[error("a lease of {lease_s} s is outside 30 to 900 s")]
    LeaseOutOfRange {
        /// The configured lease.
        lease_s: u64,
    },
    /// The deadline is zero or not shorter than the lease.
    #[error("the key store's deadline must be above zero and below the lease")]
    DeadlineOutOfRange,
    /// A DEK's context names another tenant, domain, KEK or suite than the call.
    #[error("the context names another tenant, domain, kek or suite than the call")]
    ContextMismatch,
    /// The KEK version to rotate from is neither the active one nor its predecessor.
    #[error("version {version} of the tenant's kek is not the current one")]
    VersionNotCurrent {
        /// The version that was named.
        version: u32,
    },
    /// More KEK versions than a tenant may have.
    #[error("the tenant has {versions} kek versions, the most there may be")]
    VersionsExhausted {
        /// How many there are.
        versions: u32,
    },
    /// The tenant's keys were destroyed; its uid never comes back.
    #[error("keys of tenant {tenant} were destroyed")]
    TenantErased {
        /// The tenant.
        tenant: TenantId,
    },
    /// Entries of the log are missing between those recorded and those given.
    #[error("the log's entries from {recorded} to {first} are missing in the key store")]
    LogGap {
        /// How much of the log is recorded.
        recorded: u64,
        /// The first entry that was given.
        first: u64,
    },
    /// The log has an entry that this key store did not make.
    #[error(
        "entry {index} of the log is not this key store's: an older copy was restored, or the log is another's"
    )]
    LogUnknown {
        /// The entry's index.
        index: u64,
    },
    /// The key store is older than its log.
    #[error(
        "the key store has recorded {store} entries of the log, which has {log}: an older copy was restored"
    )]
    BehindLog {
        /// How much of the log is recorded.
        store: u64,
        /// The newest checkpoint's size.
        log: u64,
    },
    /// The key store holds keys that a statement beside the log says are destroyed: it is an older copy.
    #[error(
        "the key store holds keys of tenant {tenant}, which a statement of the log says is erased: an older copy was restored"
    )]
    NotForgotten {
        /// The tenant.
        tenant: TenantId,
    },
    /// Somebody whose keys a restore is told to leave behind is said to be there still ([`crate::ForgetGuard`]).
    #[error("{} tenants are to be forgotten who may not be", tenants.len())]
    ForgettingRefused {
        /// Who.
        tenants: Vec<TenantId>,
    },
    /// A move of the root needs somebody to forget.
    #[error("a move of the root names no tenant")]
    NoVictims,
    /// More tenants than one move of the root leaves behind.
    #[error(
        "{victims} tenants are more than one move of the root leaves behind; move it again for the rest"
    )]
    TooManyVictims {
        /// How many were named.
        victims: usize,
    },
    /// A tenant that is to be forgotten is not fenced: gateways may still use its keys.
    #[error("tenant {tenant} is not fenced")]
    VictimNotFenced {
        /// The tenant.
        tenant: TenantId,
    },
    /// The move starts from an epoch that is not the current one.
    #[error("epoch {epoch} is not the current one, {current}")]
    EpochNotCurrent {
        /// The epoch to leave.
        epoch: Epoch,
        /// The store's epoch.
        current: Epoch,
    },
    /// An earlier move of the root is not finished.
    #[error(
        "a move of the root before epoch {current} is not finished: its old epoch is not destroyed"
    )]
    MoveUnfinished {
        /// The store's epoch.
        current: Epoch,
    },
    /// The root was moved away from this epoch for other tenants.
    #[error("the root has left epoch {epoch} for other tenants than these")]
    MoveOfOthers {
        /// The epoch left.
        epoch: Epoch,
    },
    /// The root was not moved away from this epoch.
    #[error("the root has not left epoch {epoch}")]
    MoveMissing {
        /// The epoch.
        epoch: Epoch,
    },
    /// An epoch is only destroyed when a backup of what came after it passed its restore test.
    #[error(
        "no tested backup: epoch {epoch} is kept until the backup of what follows passed its restore test"
    )]
    BackupUntested {
        /// The epoch to destroy.
        epoch: Epoch,
    },
    /// Live nodes are wrapped under the epoch.
    #[error("{nodes} live nodes are under epoch {epoch}")]
    EpochInUse {
        /// The epoch to destroy.
        epoch: Epoch,
        /// How many nodes.
        nodes: u64,
    },
    /// The provider says that the epoch is destroyed, and opens what is wrapped under it.
    #[error("the root provider still opens what epoch {epoch} wrapped; it is not destroyed")]
    EpochStillOpens {
        /// The epoch.
        epoch: Epoch,
    },
    /// A living tenant's KEK does not open: the root is not moved, because the backup of what follows would not pass its test.
    #[error(
        "kek {kek_id} of tenant {tenant} does not open, so the root is not moved: restore the key store from a backup in which it opens, or terminate this tenant, too"
    )]
    KekUnopened {
        /// The KEK.
        kek_id: KekId,
        /// Whose it is.
        tenant: TenantId,
    },
    /// A canary does not open, or opens as something else.
    #[error("the root provider does not open the canary of epoch {epoch}")]
    CanaryLost {
        /// The epoch.
        epoch: Epoch,
    },
    /// A backup is not what it should be.
    #[error("backup {name}: {reason}")]
    BackupRejected {
        /// Its name in its place.
        name: String,
        /// Why.
        reason: String,
    },
    /// A backup is only restored into an empty place.
    #[error("there is a key store at {store}; a backup is restored into an empty one")]
    StoreNotEmpty {
        /// The store's URL, redacted.
        store: String,
    },
    /// A catalog secret longer than any that there is.
    #[error("a secret of {secret_bytes} bytes is longer than 65536")]
    SecretTooLong {
        /// Its length.
        secret_bytes: usize,
    },
}

impl From<Refusal> for KeysError {
    fn from(reason: Refusal) -> Self {
        Self::Refused { reason }
    }
}
