//! Opening a domain's keys: everything that must hold before the first key is used.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use lethe_envelope::TenantId;
use tokio::sync::{Mutex as LoadLock, Notify};

use super::init::{check_domain, open_service_node, root_location};
use super::peers::Peers;
use super::{Core, KeyService, LOAD_LOCKS, peers, renewal};
use crate::calls::{RootCalls, StoreCalls};
use crate::clock::Clock;
use crate::config::{KeyServiceConfig, RootConfig};
use crate::error::{KeysError, Refusal};
use crate::location::{Location, check_apart};
use crate::root::{FileRoot, OpenBaoRoot, RootProvider, Transit};
use crate::store::{KeyStore, Phase, SqlKeyStore, StoreHead, Ungated};
use crate::types::{GatewayId, KeyStoreIdentity, NewestCheckpoint, RecordedEntries};
use crate::vault::Vault;

/// The outside world of a key service: a real key store and root, or ones that inject faults.
pub(crate) struct Backing {
    pub(crate) store: Arc<dyn KeyStore>,
    pub(crate) root: Providers,
}

/// Makes the root provider of one key store.
type Providers = Box<dyn Fn(KeyStoreIdentity) -> Arc<dyn RootProvider> + Send + Sync>;

fn providers(config: &KeyServiceConfig) -> Result<Providers, KeysError> {
    Ok(match &config.root {
        RootConfig::File { dir } => {
            let dir = dir.clone();
            Box::new(move |owner| Arc::new(FileRoot::new(&dir, owner)))
        }
        RootConfig::OpenBao(openbao) => {
            let transit =
                Transit::new(openbao, config.deadline).map_err(|cause| KeysError::Unavailable {
                    operation: "reading the root provider's certificates",
                    cause,
                })?;
            let transit = Arc::new(transit);
            Box::new(move |owner| Arc::new(OpenBaoRoot::new(transit.clone(), owner)))
        }
    })
}

impl Backing {
    pub(crate) fn real(config: &KeyServiceConfig) -> Result<Self, KeysError> {
        let store = SqlKeyStore::new(&config.key_store, config.deadline, Arc::new(Ungated))
            .map_err(|error| KeysError::Unavailable {
                operation: "opening the key store",
                cause: error.to_string(),
            })?;
        Ok(Self {
            store: Arc::new(store),
            root: providers(config)?,
        })
    }

    pub(super) fn store_calls(&self, config: &KeyServiceConfig) -> StoreCalls {
        StoreCalls {
            store: self.store.clone(),
            deadline: config.deadline,
            bulk_deadline: config.bulk_deadline,
            name: config.key_store.to_string(),
        }
    }

    pub(super) fn root_calls(
        &self,
        config: &KeyServiceConfig,
        owner: KeyStoreIdentity,
    ) -> RootCalls {
        RootCalls {
            root: (self.root)(owner),
            deadline: config.deadline,
        }
    }
}

impl KeyService {
    /// Opens a domain's keys for `serve`, and takes the gateway's lease. Creates nothing.
    ///
    /// `expected` is the identity that the catalog recorded when the domain was initialised. Must be called within a
    /// tokio runtime, which then runs the renewal and the timer until the service is closed or dropped.
    ///
    /// # Errors
    /// [`KeysError::Refused`] when there is no key store, or another one, an older one, one that is not apart from its
    /// root, or one that the root does not open; [`KeysError::Unavailable`] when store or root do not answer.
    pub async fn open(
        config: &KeyServiceConfig,
        expected: KeyStoreIdentity,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, KeysError> {
        Self::open_with(config, expected, clock, None, &Backing::real(config)?).await
    }

    /// As [`KeyService::open`], and not behind the newest checkpoint that the log and its witnesses hold. Entries that
    /// the log took and a crash kept from the key store are recorded first.
    ///
    /// # Errors
    /// [`Refusal::BehindLog`] when the key store is older than the log; [`Refusal::NotForgotten`] when it holds keys that
    /// were destroyed; as [`KeyService::open`].
    pub async fn open_at_checkpoint(
        config: &KeyServiceConfig,
        expected: KeyStoreIdentity,
        clock: Arc<dyn Clock>,
        newest: &NewestCheckpoint,
    ) -> Result<Arc<Self>, KeysError> {
        let backing = Backing::real(config)?;
        Self::open_with(config, expected, clock, Some(newest), &backing).await
    }

    /// How much of the log the key store has recorded, before opening it: what [`NewestCheckpoint::beyond`] starts at.
    ///
    /// # Errors
    /// As [`KeyService::open`] for a store that is missing or not answering.
    pub async fn recorded_log_size(config: &KeyServiceConfig) -> Result<u64, KeysError> {
        let store = Backing::real(config)?.store_calls(config);
        let head = store
            .call("reading the key store", store.store.head())
            .await?;
        check_domain(config, &head)?;
        Ok(head.log_size)
    }

    /// The log's entries that the key store has recorded, from index `from` on, in order, and then those that it has queued and
    /// does not know to be in the log; before opening it. At most `max` of each.
    ///
    /// # Errors
    /// As [`KeyService::open`] for a store that is missing or not answering.
    pub async fn recorded_entries(
        config: &KeyServiceConfig,
        from: u64,
        max: usize,
    ) -> Result<RecordedEntries, KeysError> {
        let store = Backing::real(config)?.store_calls(config);
        let reading = store.store.sequenced_entries(from, max);
        let sequenced = store.call("reading the log's entries", reading).await?;
        let reading = store.store.pending_entries(max);
        let pending = store.call("reading pending entries", reading).await?;
        Ok(RecordedEntries { sequenced, pending })
    }

    /// KEKs that were made after this time, in milliseconds since 1970: those that a backup of then does not hold.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`].
    pub async fn keks_made_since(&self, unix_ms: i64) -> Result<u64, KeysError> {
        let store = &self.core.store;
        let counting = store.store.keks_since(unix_ms);
        store.call("counting keks", counting).await
    }

    /// Those of these receipts whose statements the key store has never seen, before opening it: what it may have to
    /// forget is among them ([`NewestCheckpoint::erased`]).
    ///
    /// # Errors
    /// As [`KeyService::open`] for a store that is missing or not answering.
    pub async fn unknown_statements(
        config: &KeyServiceConfig,
        receipts: &[[u8; 16]],
    ) -> Result<Vec<[u8; 16]>, KeysError> {
        let store = Backing::real(config)?.store_calls(config);
        let unknown = store.store.unknown_statements(receipts);
        store.call("looking for statements", unknown).await
    }

    /// Those of these tenants whose keys the key store holds, before opening it.
    ///
    /// # Errors
    /// As [`KeyService::open`] for a store that is missing or not answering.
    pub async fn tenants_with_keys(
        config: &KeyServiceConfig,
        tenants: &[TenantId],
    ) -> Result<Vec<TenantId>, KeysError> {
        let store = Backing::real(config)?.store_calls(config);
        super::log::with_keys(&store, tenants).await
    }

    pub(crate) async fn open_with(
        config: &KeyServiceConfig,
        expected: KeyStoreIdentity,
        clock: Arc<dyn Clock>,
        newest: Option<&NewestCheckpoint>,
        backing: &Backing,
    ) -> Result<Arc<Self>, KeysError> {
        config.validate()?;
        let store = backing.store_calls(config);
        let head = store
            .call("reading the key store", store.store.head())
            .await?;
        check_head(config, expected, &head)?;
        if let Some(newest) = newest {
            super::log::catch_up(&store, head.log_size, newest).await?;
            super::log::refuse_erased(&store, &newest.erased).await?;
        }
        let location = store
            .call("locating the key store", store.store.location())
            .await?;
        check_root_place(config, &location)?;
        let root = backing.root_calls(config, head.identity);
        open_service_node(config, &store, &root).await?;

        let vault = Arc::new(Vault::new(clock.clone(), head.identity, config.lease));
        let core = Arc::new(Core {
            domain: config.domain.clone(),
            identity: head.identity,
            location,
            gateway: GatewayId::random().ok_or_else(super::init::no_randomness)?,
            log: config.log,
            lease_ms: u64::try_from(config.lease.as_millis()).unwrap_or(u64::MAX),
            store,
            root,
            clock,
            vault,
            node_loads: (0..LOAD_LOCKS).map(|_| LoadLock::new(())).collect(),
            kek_loads: (0..LOAD_LOCKS).map(|_| LoadLock::new(())).collect(),
            renew_now: Notify::new(),
            renewals: AtomicU64::new(0),
            peers: Peers::default(),
        });
        let began = core.clock.boot();
        core.take_lease().await?;
        let tasks = vec![
            tokio::spawn(renewal::renew(core.clone(), began)),
            tokio::spawn(renewal::sweep(core.clone())),
            tokio::spawn(peers::forget(core.clone())),
        ];
        Ok(Arc::new(Self {
            core,
            tasks: Mutex::new(tasks),
        }))
    }
}

fn check_head(
    config: &KeyServiceConfig,
    expected: KeyStoreIdentity,
    head: &StoreHead,
) -> Result<(), KeysError> {
    check_domain(config, head)?;
    if head.identity != expected {
        return Err(Refusal::IdentityMismatch {
            expected,
            found: head.identity,
        }
        .into());
    }
    match head.phase {
        Phase::Ready => {}
        Phase::Initializing => return Err(Refusal::StoreUnfinished.into()),
        Phase::Restoring => return Err(Refusal::RestoreUnfinished.into()),
    }
    if head.epoch < config.epoch_min {
        return Err(Refusal::EpochRolledBack {
            seen: config.epoch_min,
            found: head.epoch,
        }
        .into());
    }
    Ok(())
}

/// A file root beside the key store would be lost, copied and restored together with it.
///
/// An OpenBao server is a place of its own. Of a PostgreSQL key store's volume nothing is known here: its operator keeps the root off it.
pub(super) fn check_root_place(
    config: &KeyServiceConfig,
    store: &Location,
) -> Result<(), KeysError> {
    let RootConfig::File { dir } = &config.root else {
        return Ok(());
    };
    check_apart(store, &root_location(dir)?).map_err(Refusal::from)?;
    if let Location::Directory { canonical } = store
        && !config.dev
        && volume(canonical)? == volume(dir)?
    {
        return Err(Refusal::RootOnStoreVolume { root: dir.clone() }.into());
    }
    Ok(())
}

fn volume(directory: &Path) -> Result<u64, KeysError> {
    let metadata = std::fs::metadata(directory).map_err(|error| KeysError::Unavailable {
        operation: "looking at a directory's volume",
        cause: error.kind().to_string(),
    })?;
    Ok(metadata.dev())
}
