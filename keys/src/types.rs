//! Identities and records that callers see.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use lethe_envelope::{KekId, TenantId};

use crate::tree::Epoch;

macro_rules! random_identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            pub(crate) fn random() -> Option<Self> {
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
    };
}

random_identity! {
    /// A key store's random identity; the catalog records it, and start-up refuses another.
    KeyStoreIdentity
}
random_identity! {
    /// One run of a gateway process, as lease rows and fence evidence name it.
    GatewayId
}

/// A text that is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key store identity is 32 lower-case hexadecimal digits")]
pub struct IdentityError;

impl FromStr for KeyStoreIdentity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| IdentityError)?;
        let identity = Self(bytes);
        // One text for one identity: the decoder alone would take upper case too.
        if identity.to_string() == text {
            Ok(identity)
        } else {
            Err(IdentityError)
        }
    }
}

/// What a KEK may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KekState {
    /// Its commitment is not in the log yet: it wraps nothing.
    Pending,
    /// It seals new DEKs.
    Active,
    /// It opens what it sealed before a rotation.
    DecryptOnly,
}

impl KekState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::DecryptOnly => "decrypt-only",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::DecryptOnly]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What may be known of a KEK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KekInfo {
    /// Its id, as object headers carry it.
    pub kek_id: KekId,
    /// 1 for a tenant's first.
    pub version: u32,
    /// `docs/format.md` §3; repeated in headers and receipts.
    pub commitment: [u8; 32],
    /// What it may do.
    pub state: KekState,
    /// Milliseconds since 1970, by the clock of the gateway that made it.
    pub created_ms: i64,
}

/// What a pending entry of the log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntrySubject {
    /// The creation of a KEK, which waits for it.
    Kek {
        /// The KEK's tenant.
        tenant: TenantId,
        /// The KEK's version.
        version: u32,
    },
    /// A statement of a receipt.
    Statement {
        /// The receipt's id.
        receipt_id: [u8; 16],
    },
    /// An operator's decision, of which nothing but the entry is kept: a key store that was opened although it was behind its
    /// log, or a termination that was called off.
    Override,
}

/// An entry that the log has yet to take (design §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEntry {
    /// Entries were queued in the order of these.
    pub number: u64,
    /// What it is about.
    pub subject: EntrySubject,
    /// The log's entry itself.
    pub entry: [u8; 32],
}

/// An entry that the key store knows the log to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequencedEntry {
    /// Where the log has it.
    pub index: u64,
    /// The log's entry itself.
    pub entry: [u8; 32],
    /// The receipt whose statement it stands for.
    pub receipt_id: Option<[u8; 16]>,
}

/// What a key store knows of its log's entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedEntries {
    /// Those whose index is recorded, ascending.
    pub sequenced: Vec<SequencedEntry>,
    /// Those that the log was to take next, oldest first.
    pub pending: Vec<PendingEntry>,
}

/// The newest checkpoint that the log and its witnesses hold, as far as opening a key store needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewestCheckpoint {
    /// The log's size.
    pub log_size: u64,
    /// The log's entries from [`crate::KeyService::recorded_log_size`] on; at most [`BEYOND_MAX`] are looked at, a key
    /// store that is further behind was not stopped by a crash.
    pub beyond: Vec<[u8; 32]>,
    /// Tenants that statements of the log say are erased, of those statements that the key store does not know
    /// ([`crate::KeyService::unknown_statements`]). Whoever fills this has verified the statements.
    pub erased: Vec<TenantId>,
}

/// The most entries that a key store may be behind its log and catch up.
pub const BEYOND_MAX: usize = 65_536;

/// A KEK's creation as receipts prove it; still there when the KEK is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreationEntry {
    /// 1 for a tenant's first KEK.
    pub version: u32,
    /// The KEK.
    pub kek_id: KekId,
    /// Its commitment (`docs/format.md` §3).
    pub commitment: [u8; 32],
    /// What blinds the entry.
    pub nonce: [u8; 32],
    /// The entry of the version before, or zeros.
    pub previous: [u8; 32],
    /// SHA-256 of label, nonce, KEK id, commitment and previous entry.
    pub entry: [u8; 32],
    /// Where the log has it; `None` while it is pending.
    pub index: Option<u64>,
}

/// How well a root provider keeps its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assurance {
    /// Files on a disk: as good as the disk's erasure and the absence of copies.
    Software,
    /// A key service of its own: it gives its keys to nobody, and its own backups hold them until they expire.
    Service,
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Software => f.write_str("software"),
            Self::Service => f.write_str("service"),
        }
    }
}

/// Which root provider a domain has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// Files on a disk.
    File,
    /// A transit engine of OpenBao, or one that speaks like it.
    OpenBao,
}

impl fmt::Display for RootKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::OpenBao => "openbao",
        })
    }
}

/// The lease as `/readyz` reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseState {
    /// Time until the keys are dropped unless the lease is renewed; `None` when it has ended.
    pub remaining: Option<Duration>,
    /// The newest epoch seen; worth recording for [`crate::KeyServiceConfig::epoch_min`].
    pub epoch: Epoch,
    /// The newest fence applied.
    pub fence: u64,
    /// Why the newest renewal failed.
    pub failure: Option<crate::KeysError>,
}

/// Whom a fence concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceScope {
    /// No gateway uses the tenant's keys from here on, and none ever will again: what says so is logged.
    Tenant(TenantId),
    /// Every gateway drops the nodes and KEKs that it holds and reads them anew.
    Nodes,
}

/// A raised fence, to be followed by the process that raised it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Its number.
    pub number: u64,
    /// Whom it concerns.
    pub scope: FenceScope,
    /// The raiser's boot clock when the fence was known to be committed.
    pub(crate) committed: Duration,
}

/// How far one gateway is with a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayFence {
    /// It has dropped the keys and said so.
    Acknowledged,
    /// It has not answered, and its lease has run out: its timer has dropped the keys.
    Expired,
    /// Neither yet.
    Waiting,
}

/// What a fence has come to, for the receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceEvidence {
    /// The fence.
    pub fence: Fence,
    /// Every gateway with a lease row.
    pub gateways: Vec<(GatewayId, GatewayFence)>,
}

impl FenceEvidence {
    /// Whether no gateway can use the fenced keys any more.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.gateways
            .iter()
            .all(|(_, state)| *state != GatewayFence::Waiting)
    }
}

/// What a catalog secret belongs to; bound into its seal.
#[derive(Debug, Clone, Copy)]
pub struct SecretContext<'a> {
    /// What kind of secret, e.g. `credential`.
    pub label: &'a str,
    /// What identifies it, e.g. tenant and access-key id.
    pub fields: &'a [&'a [u8]],
}

/// A move of the root that was made (design §3, step 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RekeyEvidence {
    /// The epoch left.
    pub from: Epoch,
    /// The epoch entered.
    pub to: Epoch,
    /// Tenants whose keys were left behind.
    pub victims: u64,
    /// Nodes wrapped under the new epoch.
    pub nodes: u64,
    /// Survivors' KEKs wrapped under new nodes.
    pub keks_rewrapped: u64,
    /// Victims' KEKs deleted.
    pub keks_deleted: u64,
    /// Bytes of the rows written.
    pub bytes: u64,
    /// Milliseconds since 1970, by the clock of whoever moved it.
    pub rekeyed_ms: i64,
}

/// A backup of the key store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupEvidence {
    /// Its name in its place.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// The file's length.
    pub bytes: u64,
    /// The epoch that opens it.
    pub epoch: Epoch,
    /// How much of the log was recorded then.
    pub log_size: u64,
    /// Nodes in it.
    pub nodes: u64,
    /// KEKs in it.
    pub keks: u64,
    /// Milliseconds since 1970, by the clock of whoever made it.
    pub created_ms: i64,
}

/// A backup that was restored in a scratch store, with every key unwrapped and compared with its commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreEvidence {
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// The only epoch that was used.
    pub epoch: Epoch,
    /// How much of the log was recorded in it.
    pub log_size: u64,
    /// Nodes unwrapped.
    pub nodes: u64,
    /// KEKs unwrapped and compared.
    pub keks: u64,
    /// Tenants that were looked for and not found: those of every move of the root.
    pub victims: u64,
    /// Milliseconds since 1970, by the clock of whoever tested it.
    pub tested_ms: i64,
}

/// An epoch that was destroyed, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestroyEvidence {
    /// The epoch whose canary opened before and is refused now.
    pub epoch_destroyed: Epoch,
    /// The epoch whose canary opens.
    pub epoch_current: Epoch,
    /// When the destroyed epoch's canary was last seen to open; milliseconds since 1970.
    pub canary_opened_ms: i64,
    /// When it was seen to be refused; milliseconds since 1970.
    pub destroyed_ms: i64,
    /// The backup that had passed its restore test.
    pub backup_sha256: [u8; 32],
}
