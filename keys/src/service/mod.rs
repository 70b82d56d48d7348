//! One domain's keys: opening them, the lease, and what callers may ask.

mod backup;
#[cfg(test)]
mod bench;
mod bulk;
mod clocks;
mod data;
mod destroy;
mod fences;
mod init;
mod log;
mod migrate;
mod open;
mod peers;
mod rekey;
mod renewal;
mod restore;
mod scratch;
mod secrets;
mod tenant_keys;

#[cfg(any(test, feature = "testing"))]
pub(crate) use open::Backing;
pub use restore::{ForgetGuard, Override, RestoreOptions, Restored};
pub use secrets::SECRET_BYTES_MAX;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as LoadLock, Notify};
use tokio::task::JoinHandle;

use lethe_envelope::TenantId;

use crate::calls::{RootCalls, StoreCalls};
use crate::clock::Clock;
use crate::config::{DomainName, Sequencing};
use crate::error::KeysError;
use crate::held::Leased;
use crate::location::Location;
use crate::tree::Epoch;
use crate::types::{Assurance, GatewayId, KeyStoreIdentity, LeaseState, RootKind};
use crate::vault::Vault;

/// Loads of different keys that may run at once; loads of one key wait for one another.
const LOAD_LOCKS: usize = 64;

/// What the renewal and the timer share with the callers.
pub(crate) struct Core {
    domain: DomainName,
    identity: KeyStoreIdentity,
    location: Location,
    gateway: GatewayId,
    log: Sequencing,
    lease_ms: u64,
    store: StoreCalls,
    root: RootCalls,
    clock: Arc<dyn Clock>,
    vault: Arc<Vault>,
    node_loads: Vec<LoadLock<()>>,
    kek_loads: Vec<LoadLock<()>>,
    renew_now: Notify,
    /// Renewals of the lease's row as the store last answered; 0 while no lease is held, and the next renewal may make a row.
    renewals: AtomicU64,
    peers: peers::Peers,
}

/// One domain's keys: hierarchy, key store, root provider, lease. KEKs, nodes and root keys never leave this crate.
///
/// ```compile_fail
/// use lethe_keys::Kek; // a KEK has no name outside the crate
/// ```
/// ```compile_fail
/// use lethe_keys::secret::Kek; // nor by its module
/// ```
/// ```compile_fail
/// use lethe_keys::secret::NodeKey;
/// ```
/// ```compile_fail
/// use lethe_keys::secret::RootKey;
/// ```
/// ```compile_fail
/// use lethe_keys::root::RootProvider; // whoever could call a provider would hold nodes
/// ```
pub struct KeyService {
    core: Arc<Core>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl KeyService {
    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &DomainName {
        &self.core.domain
    }

    /// The key store's random identity, for the catalog to record.
    #[must_use]
    pub fn identity(&self) -> KeyStoreIdentity {
        self.core.identity
    }

    /// Where the key store lies, for [`crate::check_apart`].
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.core.location
    }

    /// This run of the process, as fence evidence names it.
    #[must_use]
    pub fn gateway(&self) -> GatewayId {
        self.core.gateway
    }

    /// How well the root provider keeps its keys.
    #[must_use]
    pub fn assurance(&self) -> Assurance {
        self.core.root.root.assurance()
    }

    /// Which root provider the domain has.
    #[must_use]
    pub fn root_kind(&self) -> RootKind {
        self.core.root.root.kind()
    }

    /// What the destruction of an epoch's root key, once done, has done: a receipt's evidence. The same text every time.
    #[must_use]
    pub fn root_destruction(&self, epoch: Epoch) -> String {
        self.core.root.root.destruction(epoch)
    }

    /// Whether this process could rotate and destroy roots: what a gateway of role `control` needs. Changes nothing.
    ///
    /// # Errors
    /// [`KeysError::Refused`] when the root provider would not let it; [`KeysError::Unavailable`] when it does not answer.
    pub async fn check_root_control(&self) -> Result<(), KeysError> {
        let epoch = self.core.vault.lease_state().epoch;
        let root = &self.core.root;
        root.call("asking the root provider", root.root.check_control(epoch))
            .await
    }

    /// The lease, for `/readyz`.
    #[must_use]
    pub fn lease_state(&self) -> LeaseState {
        self.core.vault.lease_state()
    }

    /// Puts key material that a stream uses under the lease: its timer drops (and so wipes) it, not the stream.
    ///
    /// When lease or tenant are gone already, the value is dropped at once and every use answers `LeaseEnded`.
    pub fn hold<T: Send + 'static>(&self, tenant: TenantId, value: T) -> Leased<T> {
        Leased::new(self.core.vault.clone(), tenant, value)
    }

    /// Reaches the key store.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`] when it does not answer in time.
    pub async fn ping(&self) -> Result<(), KeysError> {
        let store = &self.core.store;
        store
            .call("reaching the key store", store.store.ping())
            .await
    }

    /// Drops all keys and gives the lease back, so that later fences need not wait for it.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`] when the key store was not told; the keys are dropped all the same.
    pub async fn close(&self) -> Result<(), KeysError> {
        self.core.vault.close();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
            // Only ever a cancellation: the task was just aborted.
            let _cancelled = task.await;
        }
        let store = &self.core.store;
        store
            .call(
                "releasing the lease",
                store.store.release(self.core.gateway),
            )
            .await
    }

    /// Nodes, KEKs and held values that are in memory.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn keys_in_memory(&self) -> (usize, usize, usize) {
        self.core.vault.population()
    }
}

impl std::fmt::Debug for KeyService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyService")
            .field("domain", &self.core.domain)
            .field("identity", &self.core.identity)
            .finish_non_exhaustive()
    }
}

impl Drop for KeyService {
    fn drop(&mut self) {
        self.core.vault.close();
        for task in self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}
