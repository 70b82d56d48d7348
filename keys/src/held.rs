//! Key material that streams use, and that the lease's timer takes away from them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::vault::Vault;

/// The lease ended, or a fence was raised for the tenant: the key material is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease on the key store has ended")]
pub struct LeaseEnded;

impl From<LeaseEnded> for crate::KeysError {
    fn from(_: LeaseEnded) -> Self {
        Self::LeaseEnded
    }
}

/// Something that the lease's timer can end.
pub(crate) trait End: Send + Sync {
    fn end(&self);
}

pub(crate) struct Slot<T> {
    ended: AtomicBool,
    value: Mutex<Option<T>>,
}

impl<T> Slot<T> {
    fn clear(&self) {
        drop(
            self.value
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

impl<T: Send> End for Slot<T> {
    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        // A user in the middle of a call clears the slot when the call returns; the timer does not wait for it.
        if let Ok(mut value) = self.value.try_lock() {
            drop(value.take());
        }
    }
}

/// A value made of key material, usable while the lease lasts; [`crate::KeyService::hold`] makes it.
pub struct Leased<T: Send + 'static> {
    slot: Arc<Slot<T>>,
    vault: Arc<Vault>,
    registration: u64,
}

impl<T: Send + 'static> Leased<T> {
    pub(crate) fn new(vault: Arc<Vault>, tenant: lethe_envelope::TenantId, value: T) -> Self {
        let slot = Arc::new(Slot {
            ended: AtomicBool::new(false),
            value: Mutex::new(Some(value)),
        });
        let registration = vault.register(tenant, slot.clone());
        Self {
            slot,
            vault,
            registration,
        }
    }

    /// Uses the value; `use_value` must be short and must not block.
    ///
    /// # Errors
    /// [`LeaseEnded`] when the value is gone, also when it went during the call.
    pub fn with<R>(&self, use_value: impl FnOnce(&mut T) -> R) -> Result<R, LeaseEnded> {
        if !self.vault.lease_lasts() {
            // After a suspend the timer may come later than this call.
            self.slot.end();
        }
        let outcome = {
            let mut value = self
                .slot
                .value
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if self.slot.ended.load(Ordering::SeqCst) {
                *value = None;
            }
            value.as_mut().map(use_value)
        };
        // Looked at after unlocking: whoever ended the slot before could not clear it, whoever ends it later can.
        if self.slot.ended.load(Ordering::SeqCst) {
            self.slot.clear();
            return Err(LeaseEnded);
        }
        outcome.ok_or(LeaseEnded)
    }

    /// Takes the value out of the lease's hands.
    ///
    /// # Errors
    /// [`LeaseEnded`] when the value is gone.
    pub fn take(self) -> Result<T, LeaseEnded> {
        if !self.vault.lease_lasts() {
            self.slot.end();
        }
        let value = self
            .slot
            .value
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if self.slot.ended.load(Ordering::SeqCst) {
            Err(LeaseEnded)
        } else {
            value.ok_or(LeaseEnded)
        }
    }
}

impl<T: Send + 'static> Drop for Leased<T> {
    fn drop(&mut self) {
        self.vault.unregister(self.registration);
    }
}

impl<T: Send + 'static> fmt::Debug for Leased<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leased(redacted)")
    }
}
