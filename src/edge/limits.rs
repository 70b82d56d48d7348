//! Bounds on what runs at once: requests in all, requests of one tenant, and bytes of documents.

use crate::ops::OpError;
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
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = held.get(&key).copied().unwrap_or(0);
        if now >= self.each_max {
            return None;
        }
        held.insert(key.clone(), now + 1);
        Some(Share {
            of: Arc::clone(self),
            key,
        })
    }

    fn give_back(&self, key: &K) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(key) {
            Some(now) if *now > 1 => *now -= 1,
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

/// One share; given back when dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash + Clone> {
    of: Arc<Shares<K>>,
    key: K,
}

impl<K: Eq + Hash + Clone> Drop for Share<K> {
    fn drop(&mut self) {
        self.of.give_back(&self.key);
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

/// The bound on bytes of documents, which s3s holds whole and reads into several times as much.
#[derive(Clone, Debug)]
pub struct DocumentBytes(Arc<Semaphore>);

impl DocumentBytes {
    /// At most so many at once, in steps of 1 KiB.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let kib = usize::try_from(bytes_max / 1024).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(kib.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes room for one document.
    ///
    /// # Errors
    /// `SlowDown` when there is none.
    pub fn take(&self, bytes: u64) -> Result<OwnedSemaphorePermit, OpError> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        Arc::clone(&self.0)
            .try_acquire_many_owned(kib)
            .map_err(|_| OpError::slow_down())
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
        let documents = DocumentBytes::new(4096);
        let (first, _second) = (documents.take(2049).unwrap(), documents.take(1).unwrap());
        assert_eq!(documents.take(1).unwrap_err().code(), Code::SlowDown);
        assert!(documents.take(0).is_ok());
        drop(first);
        assert!(documents.take(3072).is_ok());
        assert!(documents.take(u64::MAX).is_err());
    }
}
