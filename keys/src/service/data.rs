//! The data path's questions: wrapping and unwrapping DEKs, and loading what that takes.

use std::sync::Arc;

use zeroize::Zeroizing;

use lethe_envelope::{
    CustomerCheck, CustomerKey, CustomerSecret, Dek, DekContext, KekContext, KekId, ObjectId,
    Suite, TenantId, kek_commitment,
};

use super::init::{no_randomness, node_context};
use super::{Core, KeyService, LOAD_LOCKS};
use crate::calls::late;
use crate::error::{KeysError, Refusal};
use crate::root::WrappedNode;
use crate::secret::{Kek, KeyBytes, WRAPPED_BYTES};
use crate::store::KekRow;
use crate::tree::Place;
use crate::types::KekState;
use crate::vault::{CachedKek, Node, Stale};

/// Reads of a key that a concurrent change of the tree made stale, before giving up.
const LOAD_ATTEMPTS: usize = 3;

impl KeyService {
    /// Wraps a DEK under the tenant's active KEK alone.
    ///
    /// # Errors
    /// [`KeysError::KekNotSealing`] when a rotation came between: ask [`KeyService::sealing_kek`] again;
    /// [`KeysError::KekUnknown`], [`KeysError::TenantFenced`], [`KeysError::LeaseEnded`], [`KeysError::Unavailable`],
    /// [`KeysError::Refused`] when the context is not the call's, [`KeysError::Corrupt`].
    pub async fn wrap_dek(
        &self,
        tenant: TenantId,
        kek_id: &KekId,
        dek: &Dek,
        context: &DekContext<'_>,
    ) -> Result<[u8; WRAPPED_BYTES], KeysError> {
        let core = &self.core;
        core.check_context(tenant, kek_id, context, Suite::Cobblestone256)?;
        let kek = core.active_kek(tenant, *kek_id).await?;
        core.wrap(tenant, &kek.key.0, dek, context)
    }

    /// Wraps a DEK under the tenant's active KEK and a customer key together: neither opens it alone (`docs/format.md` §6.1).
    ///
    /// # Errors
    /// Those of [`KeyService::wrap_dek`].
    pub async fn wrap_customer_dek(
        &self,
        tenant: TenantId,
        kek_id: &KekId,
        dek: &Dek,
        customer_key: &CustomerKey,
        context: &DekContext<'_>,
    ) -> Result<[u8; WRAPPED_BYTES], KeysError> {
        let core = &self.core;
        core.check_context(tenant, kek_id, context, Suite::Cobblestone256CustomerKey)?;
        let kek = core.active_kek(tenant, *kek_id).await?;
        let secret = CustomerSecret::new(kek.key.0.expose(), tenant, *kek_id, customer_key);
        core.wrap(tenant, &customer_wrapping_key(&secret)?, dek, context)
    }

    /// What the header of an object keeps of its customer key, to be drawn up before the header's DEK is wrapped.
    ///
    /// # Errors
    /// [`KeysError::KekUnknown`], [`KeysError::TenantFenced`], [`KeysError::LeaseEnded`], [`KeysError::Unavailable`],
    /// [`KeysError::Corrupt`].
    pub async fn customer_check(
        &self,
        tenant: TenantId,
        kek_id: &KekId,
        object_id: ObjectId,
        customer_key: &CustomerKey,
    ) -> Result<CustomerCheck, KeysError> {
        let core = &self.core;
        let kek = core.kek(tenant, *kek_id).await?;
        let secret = CustomerSecret::new(kek.key.0.expose(), tenant, *kek_id, customer_key);
        core.vault.check(tenant)?;
        Ok(secret.check(object_id))
    }

    /// Unwraps a DEK that is wrapped under a KEK alone. A caller that keeps it longer than a moment gives it to [`KeyService::hold`].
    ///
    /// # Errors
    /// [`KeysError::NotAuthentic`] when the wrap is not this KEK's under this context;
    /// [`KeysError::KekUnknown`], [`KeysError::TenantFenced`], [`KeysError::LeaseEnded`], [`KeysError::Unavailable`],
    /// [`KeysError::Refused`] when the context is not the call's, [`KeysError::Corrupt`].
    pub async fn unwrap_dek(
        &self,
        tenant: TenantId,
        kek_id: &KekId,
        wrapped: &[u8; WRAPPED_BYTES],
        context: &DekContext<'_>,
    ) -> Result<Dek, KeysError> {
        let core = &self.core;
        core.check_context(tenant, kek_id, context, Suite::Cobblestone256)?;
        let kek = core.kek(tenant, *kek_id).await?;
        core.unwrap(tenant, &kek.key.0, wrapped, context)
    }

    /// Unwraps a DEK that is wrapped under a KEK and a customer key together; `check` is what the header keeps of that key.
    ///
    /// # Errors
    /// [`KeysError::CustomerKeyWrong`] when the check is another customer key's, or was changed; those of
    /// [`KeyService::unwrap_dek`].
    pub async fn unwrap_customer_dek(
        &self,
        tenant: TenantId,
        kek_id: &KekId,
        wrapped: &[u8; WRAPPED_BYTES],
        (customer_key, check): (&CustomerKey, &CustomerCheck),
        context: &DekContext<'_>,
    ) -> Result<Dek, KeysError> {
        let core = &self.core;
        core.check_context(tenant, kek_id, context, Suite::Cobblestone256CustomerKey)?;
        let kek = core.kek(tenant, *kek_id).await?;
        let secret = CustomerSecret::new(kek.key.0.expose(), tenant, *kek_id, customer_key);
        if secret.check(context.object_id) != *check {
            return Err(KeysError::CustomerKeyWrong);
        }
        core.unwrap(tenant, &customer_wrapping_key(&secret)?, wrapped, context)
    }
}

fn customer_wrapping_key(secret: &CustomerSecret) -> Result<KeyBytes, KeysError> {
    KeyBytes::from_slice(secret.wrapping_key().as_slice()).ok_or(KeysError::NotAuthentic)
}

impl Core {
    async fn active_kek(
        &self,
        tenant: TenantId,
        kek_id: KekId,
    ) -> Result<Arc<CachedKek>, KeysError> {
        let kek = self.kek(tenant, kek_id).await?;
        if kek.info.state != KekState::Active {
            self.vault.forget_keks(tenant);
            return Err(KeysError::KekNotSealing { kek_id });
        }
        Ok(kek)
    }

    fn wrap(
        &self,
        tenant: TenantId,
        key: &KeyBytes,
        dek: &Dek,
        context: &DekContext<'_>,
    ) -> Result<[u8; WRAPPED_BYTES], KeysError> {
        let wrapped = key
            .wrap(&context.to_bytes(), dek.expose())
            .map_err(|_| no_randomness())?;
        self.vault.check(tenant)?;
        Ok(wrapped)
    }

    fn unwrap(
        &self,
        tenant: TenantId,
        key: &KeyBytes,
        wrapped: &[u8; WRAPPED_BYTES],
        context: &DekContext<'_>,
    ) -> Result<Dek, KeysError> {
        let opened = key
            .unwrap(&context.to_bytes(), wrapped)
            .map_err(|_| KeysError::NotAuthentic)?;
        // The lease may have ended, or a fence come, since the KEK was found.
        self.vault.check(tenant)?;
        Ok(Dek::from_bytes(Zeroizing::new(*opened.expose())))
    }

    fn check_context(
        &self,
        tenant: TenantId,
        kek_id: &KekId,
        context: &DekContext<'_>,
        suite: Suite,
    ) -> Result<(), KeysError> {
        let same = context.suite == suite
            && context.tenant == tenant
            && context.kek_id == *kek_id
            && context.domain == self.domain.as_str();
        if same {
            Ok(())
        } else {
            Err(Refusal::ContextMismatch.into())
        }
    }

    /// A tenant's KEK, from memory or from the store.
    pub(super) async fn kek(
        &self,
        tenant: TenantId,
        kek_id: KekId,
    ) -> Result<Arc<CachedKek>, KeysError> {
        self.vault.check(tenant)?;
        let kek = match self.vault.kek(kek_id) {
            Some(kek) => kek,
            None => self.load_kek(tenant, kek_id).await?,
        };
        // Another tenant's KEK is as unknown as one that never was.
        if kek.tenant == tenant {
            Ok(kek)
        } else {
            Err(KeysError::KekUnknown { kek_id })
        }
    }

    async fn load_kek(&self, tenant: TenantId, kek_id: KekId) -> Result<Arc<CachedKek>, KeysError> {
        let lock = &self.kek_loads[usize::from(kek_id.as_bytes()[0]) % LOAD_LOCKS];
        let _loading = tokio::time::timeout(self.store.deadline, lock.lock())
            .await
            .map_err(|_| late("waiting for a kek"))?;
        if let Some(kek) = self.vault.kek(kek_id) {
            return Ok(kek);
        }
        for _ in 0..LOAD_ATTEMPTS {
            let ticket = self.vault.begin_load()?;
            let row = self
                .store
                .call("reading a kek", self.store.store.kek(kek_id))
                .await?
                .filter(|row| row.tenant == tenant)
                .ok_or(KeysError::KekUnknown { kek_id })?;
            if row.info.state == KekState::Pending {
                return Err(KeysError::KekPending { tenant });
            }
            let node = self.node(row.place).await?;
            if node.generation != row.generation {
                self.vault.forget_node(row.place);
                continue;
            }
            let kek = match self.open_kek(&row, &node) {
                Ok(kek) if row.info.kek_id == kek_id => kek,
                _ => {
                    // Node or row were wrong; the next attempt reads both anew.
                    self.vault.forget_node(row.place);
                    return Err(KeysError::Corrupt {
                        what: format!("kek {kek_id}"),
                    });
                }
            };
            match self.vault.put_kek(ticket, kek) {
                Ok(kek) => return Ok(kek),
                Err(Stale) => self.vault.check(tenant)?,
            }
        }
        Err(KeysError::Unavailable {
            operation: "reading a kek",
            cause: "the tree keeps changing".to_owned(),
        })
    }

    fn open_kek(&self, row: &KekRow, node: &Node) -> Result<CachedKek, Stale> {
        let context = self.kek_context(row.tenant, row.info.kek_id, row.place, row.generation);
        let key = node
            .key
            .0
            .unwrap(&context, &row.wrapped)
            .map_err(|_| Stale)?;
        if kek_commitment(key.expose(), row.tenant, row.info.kek_id) != row.info.commitment {
            return Err(Stale);
        }
        Ok(CachedKek {
            tenant: row.tenant,
            info: row.info.clone(),
            key: Kek(key),
        })
    }

    pub(super) fn kek_context(
        &self,
        tenant: TenantId,
        kek_id: KekId,
        place: Place,
        generation: u64,
    ) -> Vec<u8> {
        KekContext {
            domain: self.domain.as_str(),
            node: place.number(),
            tenant,
            kek_id,
            generation,
        }
        .to_bytes()
    }

    /// A place's current node, from memory or from store and root.
    pub(super) async fn node(&self, place: Place) -> Result<Arc<Node>, KeysError> {
        if let Some(node) = self.vault.node(place) {
            return Ok(node);
        }
        let lock = &self.node_loads[usize::from(place.number()) % LOAD_LOCKS];
        let _loading = tokio::time::timeout(self.store.deadline, lock.lock())
            .await
            .map_err(|_| late("waiting for a node"))?;
        if let Some(node) = self.vault.node(place) {
            return Ok(node);
        }
        for _ in 0..LOAD_ATTEMPTS {
            let ticket = self.vault.begin_load()?;
            let corrupt = || KeysError::Corrupt {
                what: format!("node {}", place.number()),
            };
            let row = self
                .store
                .call("reading a node", self.store.store.node(place))
                .await?
                .filter(|row| row.place == place)
                .ok_or_else(corrupt)?;
            let wrapped = WrappedNode {
                context: node_context(self.domain.as_str(), place, row.generation),
                wrapped: row.wrapped,
            };
            let mut opened = match self
                .root
                .call(
                    "opening a node",
                    self.root.root.unwrap(row.epoch, &[wrapped]),
                )
                .await
            {
                Err(KeysError::Refused {
                    reason: Refusal::RootForeign { .. },
                }) => return Err(corrupt()),
                outcome => outcome?,
            };
            let key = opened.pop().ok_or_else(corrupt)?;
            let node = Node {
                generation: row.generation,
                key,
            };
            if let Ok(node) = self.vault.put_node(ticket, place, node) {
                return Ok(node);
            }
        }
        Err(KeysError::Unavailable {
            operation: "reading a node",
            cause: "the tree keeps changing".to_owned(),
        })
    }
}
