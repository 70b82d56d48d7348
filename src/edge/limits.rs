//! Bounds on what runs at once: requests in all, requests of one tenant, and bytes of documents.

use crate::ops::OpError;
use crate::tenants::TenantId;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts what each key holds, up to a bound a key; keys that hold nothing are forgotten.
#[derive(Debug)]
pub struct Shares<K> {
    held: Mutex<HashMap<K, usize>>,
    each_max: usize,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// At most `each_max` a key.
    #[must_use]
    pub fn new(each_max: usize) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::new(HashMap::new()),
            each_max,
        })
    }

    /// Takes one share of a key, unless it holds all it may.
    #[must_use]
    pub fn take(self: &Arc<Self>, key: K) -> Option<Share<K>> {
        self.take_many(key, 1)
    }

    /// Takes several, at least one, unless the key would hold more than it may.
    #[must_use]
    pub fn take_many(self: &Arc<Self>, key: K, shares: usize) -> Option<Share<K>> {
        let shares = shares.max(1);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = held.get(&key).copied().unwrap_or(0).checked_add(shares)?;
        if now > self.each_max {
            return None;
        }
        held.insert(key.clone(), now);
        Some(Share {
            of: Arc::clone(self),
            key,
            shares,
        })
    }

    fn give_back(&self, key: &K, shares: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(key) {
            Some(now) if *now > shares => *now -= shares,
            _ => {
                held.remove(key);
            }
        }
    }

    #[cfg(test)]
    fn keys(&self) -> usize {
        self.held.lock().unwrap().len()
    }
}

/// One share or several; given back when dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash + Clone> {
    of: Arc<Shares<K>>,
    key: K,
    shares: usize,
}

impl<K: Eq + Hash + Clone> Drop for Share<K> {
    fn drop(&mut self) {
        self.of.give_back(&self.key, self.shares);
    }
}

/// The bound on requests in all.
#[derive(Clone, Debug)]
pub struct InFlight(Arc<Semaphore>);

impl InFlight {
    /// At most `requests_max` at once.
    #[must_use]
    pub fn new(requests_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(requests_max)))
    }

    /// Takes one place.
    ///
    /// # Errors
    /// `SlowDown` when there is none.
    pub fn enter(&self) -> Result<OwnedSemaphorePermit, OpError> {
        Arc::clone(&self.0)
            .try_acquire_owned()
            .map_err(|_| OpError::slow_down())
    }
}

/// The bound on bytes of documents, which s3s holds whole and reads into several times as much: in all, and a quarter of that for
/// one tenant, so that none can keep the others out.
#[derive(Debug)]
pub struct DocumentBytes {
    in_all: Arc<Semaphore>,
    tenants: Arc<Shares<TenantId>>,
}

/// Room for one document; given back when dropped.
#[derive(Debug)]
pub struct DocumentRoom {
    _in_all: OwnedSemaphorePermit,
    _tenant: Share<TenantId>,
}

impl DocumentBytes {
    /// At most so many at once, in steps of 1 KiB.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let kib = usize::try_from(bytes_max / 1024).unwrap_or(Semaphore::MAX_PERMITS);
        let kib = kib.min(Semaphore::MAX_PERMITS);
        Self {
            in_all: Arc::new(Semaphore::new(kib)),
            tenants: Shares::new(kib / 4),
        }
    }

    /// Takes room for one document of a tenant.
    ///
    /// # Errors
    /// `SlowDown` when there is none.
    pub fn take(&self, tenant: TenantId, bytes: u64) -> Result<DocumentRoom, OpError> {
        let kib = u32::try_from(bytes.div_ceil(1024))
            .unwrap_or(u32::MAX)
            .max(1);
        let shares = usize::try_from(kib).unwrap_or(usize::MAX);
        let of_tenant = self.tenants.take_many(tenant, shares);
        let in_all = Arc::clone(&self.in_all).try_acquire_many_owned(kib).ok();
        match (in_all, of_tenant) {
            (Some(in_all), Some(of_tenant)) => Ok(DocumentRoom {
                _in_all: in_all,
                _tenant: of_tenant,
            }),
            _ => Err(OpError::slow_down()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Code;

    #[test]
    fn each_key_has_its_own_bound() {
        let shares = Shares::new(2);
        let (first, _second) = (shares.take("a").unwrap(), shares.take("a").unwrap());
        assert!(shares.take("a").is_none());
        assert!(shares.take("b").is_some());
        drop(first);
        assert!(shares.take("a").is_some());
    }

    #[test]
    fn idle_keys_are_forgotten() {
        let shares = Shares::new(2);
        let held: Vec<_> = (0..100).map(|key| shares.take(key).unwrap()).collect();
        assert_eq!(shares.keys(), 100);
        drop(held);
        assert_eq!(shares.keys(), 0);
    }

    #[test]
    fn requests_past_the_bound_are_told_to_slow_down() {
        let in_flight = InFlight::new(1);
        let place = in_flight.enter().unwrap();
        assert_eq!(in_flight.enter().unwrap_err().code(), Code::SlowDown);
        drop(place);
        assert!(in_flight.enter().is_ok());
    }

    #[test]
    fn documents_past_the_bound_are_told_to_slow_down() {
        let tenant = |n| TenantId::from_bytes([n; 16]);
        let documents = DocumentBytes::new(16 * 1024);
        let code = |refused: Result<DocumentRoom, OpError>| refused.map_err(|e| e.code()).err();
        let first = documents.take(tenant(1), 2049).unwrap();
        let _second = documents.take(tenant(1), 0).unwrap();
        assert_eq!(code(documents.take(tenant(1), 1)), Some(Code::SlowDown));
        let held: Vec<_> = (2..5)
            .map(|n| documents.take(tenant(n), 4096).unwrap())
            .collect();
        assert_eq!(code(documents.take(tenant(5), 1)), Some(Code::SlowDown));
        drop(first);
        assert_eq!(code(documents.take(tenant(5), 1)), None);
        assert_eq!(
            code(documents.take(tenant(5), u64::MAX)),
            Some(Code::SlowDown)
        );
        drop(held);
        assert_eq!(code(documents.take(tenant(2), 4096)), None);
    }
}
