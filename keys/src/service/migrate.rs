//! `lethe migrate`: the key store's schema, brought to this program's.

use std::sync::Arc;
use std::time::Duration;

use super::KeyService;
use crate::calls::StoreCalls;
use crate::config::KeyServiceConfig;
use crate::error::KeysError;
use crate::store::{SqlKeyStore, Ungated};

/// A migration may rewrite a table, so it has a deadline of its own.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(600);

impl KeyService {
    /// Brings an existing key store's schema to this program's, and answers its version. Creates no key store, needs no root,
    /// and repeating it changes nothing.
    ///
    /// # Errors
    /// [`KeysError::Refused`] when there is no key store, or one that this program is too old for;
    /// [`KeysError::Unavailable`] when it does not answer.
    pub async fn migrate(config: &KeyServiceConfig) -> Result<i64, KeysError> {
        config.validate()?;
        let store = SqlKeyStore::new(&config.key_store, config.deadline, Arc::new(Ungated));
        let store = Arc::new(store.map_err(|error| KeysError::Unavailable {
            operation: "opening the key store",
            cause: error.to_string(),
        })?);
        let calls = StoreCalls {
            store: store.clone(),
            deadline: MIGRATION_DEADLINE,
            bulk_deadline: config.bulk_deadline,
            name: config.key_store.to_string(),
        };
        calls
            .call("migrating the key store", store.migrate_schema())
            .await
    }
}
