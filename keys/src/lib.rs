//! One domain's key hierarchy, key store and root providers (design §3).
//!
//! Root epoch key → 1,024 tenant nodes and one service node → tenant KEKs → DEKs. Only DEKs leave this crate, each
//! bound to a context, and only within a lease on the key store; [`KeyService`] is the one way in.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod backup;
mod calls;
mod clock;
mod config;
mod error;
mod fields;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod hardening;
mod held;
mod location;
mod root;
mod secret;
mod service;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tree;
mod types;
mod vault;

pub use backup::{BackupDirectory, BackupError, BackupPlace, BackupReader, BackupWriter};
pub use clock::{Clock, SystemClock};
pub use config::{
    DomainName, DomainNameError, KeyServiceConfig, LEASE_MAX, LEASE_MIN, OpenBaoConfig, RootConfig,
    Sequencing, StoreUrl, StoreUrlError,
};
pub use error::{KeysError, Refusal};
pub use hardening::{Hardening, harden_process};
pub use held::{LeaseEnded, Leased};
pub use location::{Location, NotApart, POSTGRES_SYSTEM_IDENTIFIER_SQL, check_apart};
pub use service::{ForgetGuard, KeyService, Override, RestoreOptions, Restored, SECRET_BYTES_MAX};
pub use tree::Epoch;
pub use types::{
    Assurance, BEYOND_MAX, BackupEvidence, CreationEntry, DestroyEvidence, EntrySubject, Fence,
    FenceEvidence, FenceScope, GatewayFence, GatewayId, IdentityError, KekInfo, KekState,
    KeyStoreIdentity, LeaseState, NewestCheckpoint, PendingEntry, RecordedEntries, RekeyEvidence,
    RestoreEvidence, RootKind, SecretContext, SequencedEntry,
};
