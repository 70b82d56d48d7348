//! A catalog that fails on demand: not at all persisted, persisted all the same, or slow.

use super::forward::{
    forward_bucket_store, forward_credential_store, forward_domain_store, forward_gateway_store,
    forward_job_store, forward_receipt_store, forward_shred_store, forward_tenant_store,
    forward_upload_store,
};
use super::{Catalog, CatalogError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It answers `Unavailable` and changes nothing.
    NotPersisted,
    /// It answers `Unavailable` after it was carried out.
    Persisted,
    /// It is carried out and answered after a while.
    Slow(Duration),
}

/// Which calls fail, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The trait's method, such as `begin_tenant`; every method when absent.
    pub operation: Option<&'static str>,
    /// How many calls of it go well first.
    pub after: u32,
    /// How many calls then fail.
    pub times: u32,
    /// How.
    pub kind: FaultKind,
}

/// A catalog in front of another that injects faults, and counts calls.
pub struct FaultyCatalog {
    inner: Arc<dyn Catalog>,
    faults: Mutex<Vec<Fault>>,
    calls: Mutex<BTreeMap<&'static str, u32>>,
}

impl FaultyCatalog {
    /// A catalog without faults as yet.
    #[must_use]
    pub fn new(inner: Arc<dyn Catalog>) -> Self {
        Self {
            inner,
            faults: Mutex::new(Vec::new()),
            calls: Mutex::new(BTreeMap::new()),
        }
    }

    /// Adds a fault to those that are left. Of several that match a call, the first added applies.
    pub fn inject(&self, fault: Fault) {
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fault);
    }

    /// Every call fails without effect, until [`Self::heal`].
    pub fn go_away(&self) {
        self.inject(Fault {
            operation: None,
            after: 0,
            times: u32::MAX,
            kind: FaultKind::NotPersisted,
        });
    }

    /// Forgets all faults.
    pub fn heal(&self) {
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// How often a method was called.
    #[must_use]
    pub fn calls(&self, operation: &str) -> u32 {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(operation).copied().unwrap_or(0)
    }

    fn next_fault(&self, operation: &'static str) -> Option<FaultKind> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.entry(operation).or_insert(0);
        *count = count.saturating_add(1);
        drop(calls);
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = faults.iter_mut().find(|fault| {
            fault.times > 0 && fault.operation.is_none_or(|wanted| wanted == operation)
        })?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        if fault.times != u32::MAX {
            fault.times -= 1;
        }
        Some(fault.kind)
    }
}

fn injected(operation: &'static str) -> CatalogError {
    CatalogError::Unavailable {
        operation,
        reason: "an injected fault".to_owned(),
    }
}

macro_rules! inject {
    ($self:ident, $name:literal, $method:ident($($argument:expr),*)) => {{
        let fault = $self.next_fault($name);
        match fault {
            Some(FaultKind::NotPersisted) => return Err(injected($name)),
            Some(FaultKind::Slow(delay)) => tokio::time::sleep(delay).await,
            Some(FaultKind::Persisted) | None => {}
        }
        let outcome = $self.inner.$method($($argument),*).await;
        if fault == Some(FaultKind::Persisted) {
            return Err(injected($name));
        }
        outcome
    }};
}

forward_tenant_store!(FaultyCatalog, inject);
forward_credential_store!(FaultyCatalog, inject);
forward_bucket_store!(FaultyCatalog, inject);
forward_upload_store!(FaultyCatalog, inject);
forward_job_store!(FaultyCatalog, inject);
forward_domain_store!(FaultyCatalog, inject);
forward_gateway_store!(FaultyCatalog, inject);
forward_shred_store!(FaultyCatalog, inject);
forward_receipt_store!(FaultyCatalog, inject);
