//! Calls of key store and root provider under a deadline, with their errors as the caller's.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{KeysError, Refusal};
use crate::root::{RootError, RootProvider};
use crate::store::{KeyStore, SCHEMA_ADDITIVE_MAX, SCHEMA_NEEDED, StoreError};

/// The key store, every call of it bounded.
#[derive(Clone)]
pub(crate) struct StoreCalls {
    pub(crate) store: Arc<dyn KeyStore>,
    pub(crate) deadline: Duration,
    /// For what reads or writes the whole store.
    pub(crate) bulk_deadline: Duration,
    /// The store's URL, redacted.
    pub(crate) name: String,
}

impl StoreCalls {
    pub(crate) async fn call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, KeysError> {
        self.within(self.deadline, operation, call).await
    }

    /// A call that reads or writes the whole store.
    pub(crate) async fn bulk<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, KeysError> {
        self.within(self.bulk_deadline, operation, call).await
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, KeysError> {
        match tokio::time::timeout(deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(operation, error)),
            Err(_) => Err(late(operation)),
        }
    }

    fn failed(&self, operation: &'static str, error: StoreError) -> KeysError {
        match error {
            StoreError::Unavailable(cause) => KeysError::Unavailable { operation, cause },
            StoreError::Restoring => Refusal::RestoreUnfinished.into(),
            StoreError::Missing => Refusal::StoreMissing {
                store: self.name.clone(),
            }
            .into(),
            StoreError::Schema(found) => Refusal::SchemaUnsupported {
                found,
                oldest: SCHEMA_NEEDED,
                newest: SCHEMA_ADDITIVE_MAX,
            }
            .into(),
            StoreError::Corrupt(what) => KeysError::Corrupt {
                what: what.to_owned(),
            },
        }
    }
}

/// The root provider, every call of it bounded.
#[derive(Clone)]
pub(crate) struct RootCalls {
    pub(crate) root: Arc<dyn RootProvider>,
    pub(crate) deadline: Duration,
}

impl RootCalls {
    pub(crate) async fn call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, RootError>>,
    ) -> Result<T, KeysError> {
        match tokio::time::timeout(self.deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(root_failed(operation, error)),
            Err(_) => Err(late(operation)),
        }
    }
}

fn root_failed(operation: &'static str, error: RootError) -> KeysError {
    match error {
        RootError::Unavailable(cause) => KeysError::Unavailable { operation, cause },
        RootError::EpochMissing(epoch) => Refusal::RootEpochMissing { epoch }.into(),
        RootError::Foreign(epoch) => Refusal::RootForeign { epoch }.into(),
        RootError::Exposed { path, mode } => Refusal::RootExposed { path, mode }.into(),
        RootError::Denied(cause) => Refusal::RootDenied { operation, cause }.into(),
        RootError::Unfit { epoch, reason } => Refusal::RootUnfit { epoch, reason }.into(),
        RootError::Corrupt(epoch) => KeysError::Corrupt {
            what: format!("root key of epoch {epoch}"),
        },
    }
}

pub(crate) fn late(operation: &'static str) -> KeysError {
    KeysError::Unavailable {
        operation,
        cause: "no answer within the deadline".to_owned(),
    }
}
