//! `lethe domain init`: store identity, root epoch 1 and the first tree.

use std::path::Path;

use lethe_envelope::NodeContext;

use super::KeyService;
use super::open::{Backing, check_root_place};
use crate::calls::{RootCalls, StoreCalls};
use crate::clock::{Clock, SystemClock};
use crate::config::{KeyServiceConfig, RootConfig, StoreUrl};
use crate::error::{KeysError, Refusal};
use crate::location::Location;
use crate::root::{FileRoot, NodeToWrap, WrappedNode};
use crate::secret::{KeyBytes, NodeKey, NodeWrap};
use crate::store::{NodeRow, Phase, StoreHead};
use crate::tree::{Epoch, FIRST_GENERATION, Place};
use crate::types::KeyStoreIdentity;

impl KeyService {
    /// Creates a domain's key store and root: identity, epoch 1, 1,024 tenant nodes and the service node.
    ///
    /// The identity is durable first, then the root's epoch, which names that identity as its owner; nodes and epoch
    /// are one transaction. An interrupted call is finished by the next one. An existing key store of the same domain
    /// that the same root opens is left as it is and answers its identity; any other is refused.
    ///
    /// # Errors
    /// [`KeysError::Refused`] over another domain's store, another store's root, or places that are not apart;
    /// [`KeysError::Unavailable`] when store or root do not answer: call again.
    pub async fn init(config: &KeyServiceConfig) -> Result<KeyStoreIdentity, KeysError> {
        Self::init_with(config, &Backing::real(config)?).await
    }

    pub(crate) async fn init_with(
        config: &KeyServiceConfig,
        backing: &Backing,
    ) -> Result<KeyStoreIdentity, KeysError> {
        config.validate()?;
        create_directories(config)?;
        let store = backing.store_calls(config);
        let location = store
            .call("locating the key store", store.store.location())
            .await?;
        check_root_place(config, &location)?;

        let identity = KeyStoreIdentity::random().ok_or_else(no_randomness)?;
        let begin = store
            .store
            .begin_init(identity, config.domain.as_str(), SystemClock.unix_ms());
        let head = store.call("creating the key store", begin).await?;
        check_domain(config, &head)?;
        let root = backing.root_calls(config, head.identity);
        if head.phase == Phase::Initializing {
            create_tree(config, &store, &root).await?;
        }
        let head = store
            .call("reading the key store", store.store.head())
            .await?;
        match head.phase {
            Phase::Ready => {}
            Phase::Initializing => return Err(Refusal::StoreUnfinished.into()),
            Phase::Restoring => return Err(Refusal::RestoreUnfinished.into()),
        }
        open_service_node(config, &store, &root, head.epoch).await?;
        Ok(head.identity)
    }
}

pub(super) fn create_directories(config: &KeyServiceConfig) -> Result<(), KeysError> {
    let failed = |operation, error: &std::io::Error| KeysError::Unavailable {
        operation,
        cause: error.kind().to_string(),
    };
    if let RootConfig::File { dir } = &config.root {
        FileRoot::create_directory(dir)
            .map_err(|error| failed("creating the root directory", &error))?;
    }
    if let StoreUrl::Sqlite { path } = &config.key_store
        && let Some(parent) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
    {
        FileRoot::create_directory(parent)
            .map_err(|error| failed("creating the key store's directory", &error))?;
    }
    Ok(())
}

pub(super) fn check_domain(config: &KeyServiceConfig, head: &StoreHead) -> Result<(), KeysError> {
    if head.domain == config.domain.as_str() {
        return Ok(());
    }
    let (expected, found) = (config.domain.to_string(), head.domain.clone());
    Err(Refusal::DomainMismatch { expected, found }.into())
}

async fn create_tree(
    config: &KeyServiceConfig,
    store: &StoreCalls,
    root: &RootCalls,
) -> Result<(), KeysError> {
    root.call(
        "creating the root epoch",
        root.root.create_epoch(Epoch::FIRST),
    )
    .await?;
    let keys = Place::all()
        .map(|place| Ok((place, NodeKey(KeyBytes::random()?))))
        .collect::<Result<Vec<_>, crate::secret::NoRandomness>>()
        .map_err(|_| no_randomness())?;
    let wrapped = wrap_checked(config, root, &keys).await?;
    let rows: Vec<NodeRow> = keys
        .iter()
        .zip(wrapped)
        .map(|((place, _), wrapped)| NodeRow {
            place: *place,
            generation: FIRST_GENERATION,
            epoch: Epoch::FIRST,
            wrapped,
        })
        .collect();
    // `false`: a concurrent init was first, and its tree counts.
    let finish = store.store.finish_init(&rows, SystemClock.unix_ms());
    store
        .call("writing the first tree", finish)
        .await
        .map(|_| ())
}

/// Wraps and opens again: a provider that answers wrongly is found out before anything depends on it.
async fn wrap_checked(
    config: &KeyServiceConfig,
    root: &RootCalls,
    keys: &[(Place, NodeKey)],
) -> Result<Vec<NodeWrap>, KeysError> {
    let context = |place: &Place| node_context(config.domain.as_str(), *place, FIRST_GENERATION);
    let to_wrap: Vec<_> = keys
        .iter()
        .map(|(place, key)| NodeToWrap {
            context: context(place),
            key,
        })
        .collect();
    let wrapped = root
        .call("wrapping nodes", root.root.wrap(Epoch::FIRST, &to_wrap))
        .await?;
    let to_unwrap: Vec<_> = keys
        .iter()
        .zip(&wrapped)
        .map(|((place, _), wrapped)| WrappedNode {
            context: context(place),
            wrapped: *wrapped,
        })
        .collect();
    let opened = root
        .call(
            "checking wrapped nodes",
            root.root.unwrap(Epoch::FIRST, &to_unwrap),
        )
        .await?;
    let same = wrapped.len() == keys.len()
        && opened.len() == keys.len()
        && keys
            .iter()
            .zip(&opened)
            .all(|((_, key), opened)| key.0.same_as(&opened.0));
    if same {
        Ok(wrapped)
    } else {
        Err(KeysError::Unavailable {
            operation: "wrapping nodes",
            cause: "the root provider does not open what it wrapped".to_owned(),
        })
    }
}

/// Opens the service node, which proves that the root is this store's.
pub(super) async fn open_service_node(
    config: &KeyServiceConfig,
    store: &StoreCalls,
    root: &RootCalls,
    epoch: Epoch,
) -> Result<(), KeysError> {
    let row = store
        .call("reading the service node", store.store.node(Place::SERVICE))
        .await?
        .ok_or_else(|| KeysError::Corrupt {
            what: "service node".to_owned(),
        })?;
    let node = WrappedNode {
        context: node_context(config.domain.as_str(), Place::SERVICE, row.generation),
        wrapped: row.wrapped,
    };
    root.call("opening the service node", root.root.unwrap(epoch, &[node]))
        .await
        .map(|_| ())
}

pub(super) fn node_context(domain: &str, place: Place, generation: u64) -> Vec<u8> {
    NodeContext {
        domain,
        node: place.number(),
        generation,
    }
    .to_bytes()
}

pub(super) fn no_randomness() -> KeysError {
    KeysError::Unavailable {
        operation: "drawing random bytes",
        cause: crate::secret::NoRandomness.to_string(),
    }
}

/// Whether the key store's directory and the root's may be told apart at all: see [`check_root_place`].
pub(super) fn root_location(dir: &Path) -> Result<Location, KeysError> {
    Location::of_directory(dir).map_err(|error| KeysError::Unavailable {
        operation: "locating the root directory",
        cause: error.kind().to_string(),
    })
}
