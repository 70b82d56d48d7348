//! Making, rotating and listing tenants' KEKs.

use sha2::{Digest, Sha256};

use lethe_envelope::{KekId, TenantId, kek_commitment};

use super::init::no_randomness;
use super::{Core, KeyService};
use crate::config::Sequencing;
use crate::error::{KeysError, Refusal};
use crate::secret::KeyBytes;
use crate::store::{InsertKek, KekRow, PendingLeaf, VERSIONS_MAX};
use crate::tree::Place;
use crate::types::{KekInfo, KekState};

/// Insertions that lost against a concurrent change, before giving up.
const INSERT_ATTEMPTS: usize = 4;

/// What a tenant's first leaf names as the one before it.
const NO_PREVIOUS_LEAF: [u8; 32] = [0; 32];

impl KeyService {
    /// Makes the tenant's first KEK with its commitment and its pending leaf for the log, unless there is one.
    ///
    /// Idempotent: answers the tenant's newest KEK. With [`Sequencing::Required`] a new one is pending, and
    /// [`KeyService::sealing_kek`] answers [`KeysError::KekPending`] until the log has its entry. After [`KeysError::Unavailable`], call again.
    ///
    /// # Errors
    /// [`KeysError::CreationHeld`] while the root moves; [`KeysError::Refused`] when its keys were destroyed;
    /// [`KeysError::TenantFenced`], [`KeysError::LeaseEnded`], [`KeysError::Unavailable`], [`KeysError::Corrupt`].
    pub async fn create_tenant_keys(&self, tenant: TenantId) -> Result<KekInfo, KeysError> {
        let core = &self.core;
        core.vault.check(tenant)?;
        for _ in 0..INSERT_ATTEMPTS {
            if let Some(row) = core.newest_row(tenant).await? {
                return Ok(row.info);
            }
            if let Some(info) = core.insert_version(tenant, 1, NO_PREVIOUS_LEAF).await? {
                return Ok(info);
            }
        }
        Err(contended("creating a tenant's keys"))
    }

    /// Makes the tenant's next KEK version; the versions before it only open what they sealed, from when the log has
    /// the new one's entry. While a rotation waits for the log, answers the version that waits.
    ///
    /// Other gateways go on sealing under the version before for up to one lease. A caller that must not rotate twice
    /// when it repeats itself uses [`KeyService::rotate_from`].
    ///
    /// # Errors
    /// [`KeysError::TenantUnknown`] and as [`KeyService::rotate_from`].
    pub async fn rotate(&self, tenant: TenantId) -> Result<KekInfo, KeysError> {
        self.core.vault.check(tenant)?;
        let row = self
            .core
            .newest_row(tenant)
            .await?
            .ok_or(KeysError::TenantUnknown { tenant })?;
        match (row.info.state, row.info.version) {
            (KekState::Pending, 1) => Err(KeysError::KekPending { tenant }),
            (KekState::Pending, _) => Ok(row.info),
            (KekState::Active | KekState::DecryptOnly, version) => {
                self.rotate_from(tenant, version).await
            }
        }
    }

    /// Rotates away from `version`: makes the version after it, or answers that one when it is there already.
    ///
    /// # Errors
    /// [`KeysError::Refused`] when the newest version is neither; [`KeysError::KekPending`] while `version` itself waits
    /// for the log; [`KeysError::CreationHeld`] while the root moves; [`KeysError::TenantUnknown`],
    /// [`KeysError::TenantFenced`], [`KeysError::LeaseEnded`], [`KeysError::Unavailable`], [`KeysError::Corrupt`].
    pub async fn rotate_from(&self, tenant: TenantId, version: u32) -> Result<KekInfo, KeysError> {
        let core = &self.core;
        core.vault.check(tenant)?;
        for _ in 0..INSERT_ATTEMPTS {
            let row = core
                .newest_row(tenant)
                .await?
                .ok_or(KeysError::TenantUnknown { tenant })?;
            if Some(row.info.version) == version.checked_add(1) {
                core.vault.forget_keks(tenant);
                return Ok(row.info);
            }
            if row.info.version != version {
                return Err(Refusal::VersionNotCurrent { version }.into());
            }
            if row.info.state == KekState::Pending {
                return Err(KeysError::KekPending { tenant });
            }
            if version >= VERSIONS_MAX {
                return Err(Refusal::VersionsExhausted { versions: version }.into());
            }
            if let Some(info) = core
                .insert_version(tenant, version + 1, row.leaf_hash)
                .await?
            {
                core.vault.forget_keks(tenant);
                return Ok(info);
            }
        }
        Err(contended("rotating a tenant's kek"))
    }

    /// The tenant's KEKs by version; empty when it has none.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`], [`KeysError::Corrupt`].
    pub async fn list(&self, tenant: TenantId) -> Result<Vec<KekInfo>, KeysError> {
        let store = &self.core.store;
        store.call("listing keks", store.store.keks(tenant)).await
    }

    /// The KEK that seals new DEKs, with its commitment verified; remembered for at most one lease.
    ///
    /// # Errors
    /// [`KeysError::KekPending`] while the tenant's first KEK waits for the log: retry shortly;
    /// [`KeysError::TenantUnknown`], [`KeysError::TenantFenced`], [`KeysError::LeaseEnded`],
    /// [`KeysError::Unavailable`], [`KeysError::Corrupt`].
    pub async fn sealing_kek(&self, tenant: TenantId) -> Result<KekInfo, KeysError> {
        let core = &self.core;
        core.vault.check(tenant)?;
        let kek_id = match core.vault.sealing(tenant) {
            Some(kek_id) => kek_id,
            None => {
                let ticket = core.vault.begin_load()?;
                let Some(row) = core.active_row(tenant).await? else {
                    return Err(match core.newest_row(tenant).await? {
                        Some(_) => KeysError::KekPending { tenant },
                        None => KeysError::TenantUnknown { tenant },
                    });
                };
                core.vault.put_sealing(ticket, tenant, row.info.kek_id);
                row.info.kek_id
            }
        };
        let kek = core.kek(tenant, kek_id).await?;
        if kek.info.state == KekState::Active {
            Ok(kek.info.clone())
        } else {
            // Rotated between two reads; the next question finds the new one.
            core.vault.forget_keks(tenant);
            Err(KeysError::KekNotSealing { kek_id })
        }
    }
}

impl Core {
    async fn active_row(&self, tenant: TenantId) -> Result<Option<KekRow>, KeysError> {
        let row = self
            .store
            .call(
                "reading the active kek",
                self.store.store.active_kek(tenant),
            )
            .await?;
        match row {
            Some(row) if row.tenant != tenant || row.info.state != KekState::Active => {
                Err(KeysError::Corrupt {
                    what: format!("active kek of tenant {tenant}"),
                })
            }
            row => Ok(row),
        }
    }

    async fn newest_row(&self, tenant: TenantId) -> Result<Option<KekRow>, KeysError> {
        let row = self
            .store
            .call(
                "reading the newest kek",
                self.store.store.newest_kek(tenant),
            )
            .await?;
        match row {
            Some(row) if row.tenant != tenant => Err(KeysError::Corrupt {
                what: format!("newest kek of tenant {tenant}"),
            }),
            row => Ok(row),
        }
    }

    /// Inserts one version; `None` when the tenant's versions or the node changed since they were read.
    async fn insert_version(
        &self,
        tenant: TenantId,
        version: u32,
        previous_hash: [u8; 32],
    ) -> Result<Option<KekInfo>, KeysError> {
        let place = Place::of_tenant(tenant);
        let node = self.node(place).await?;
        let kek_id = KekId::random().map_err(|_| no_randomness())?;
        let kek = KeyBytes::random().map_err(|_| no_randomness())?;
        let commitment = kek_commitment(kek.expose(), tenant, kek_id);
        let context = self.kek_context(tenant, kek_id, place, node.generation);
        let wrapped = node
            .key
            .0
            .wrap(&context, kek.expose())
            .map_err(|_| no_randomness())?;
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|_| no_randomness())?;
        let leaf = PendingLeaf {
            nonce,
            previous_hash,
        };
        let row = KekRow {
            tenant,
            info: KekInfo {
                kek_id,
                version,
                commitment,
                state: match self.log {
                    Sequencing::Required => KekState::Pending,
                    Sequencing::None => KekState::Active,
                },
                created_ms: self.clock.unix_ms(),
            },
            place,
            generation: node.generation,
            wrapped,
            leaf_hash: leaf_hash(&leaf, kek_id, &commitment),
        };
        self.vault.check(tenant)?;
        match self
            .store
            .call("inserting a kek", self.store.store.insert_kek(&row, &leaf))
            .await
        {
            Ok(InsertKek::Inserted) => Ok(Some(row.info)),
            Ok(InsertKek::VersionTaken) => Ok(None),
            Ok(InsertKek::Superseded) => {
                self.vault.forget_node(place);
                Ok(None)
            }
            Ok(InsertKek::Held) => Err(KeysError::CreationHeld),
            Ok(InsertKek::Fenced) => Err(KeysError::TenantFenced { tenant }),
            Ok(InsertKek::Erased) => Err(Refusal::TenantErased { tenant }.into()),
            Err(error) => self.was_inserted(row.info, error).await.map(Some),
        }
    }

    /// After a call whose outcome is unknown: the KEK's own id tells whether it was made.
    async fn was_inserted(&self, info: KekInfo, error: KeysError) -> Result<KekInfo, KeysError> {
        let found = self
            .store
            .call("reading a kek", self.store.store.kek(info.kek_id))
            .await;
        match found {
            // It may have been sequenced meanwhile.
            Ok(Some(row)) if row.info.commitment == info.commitment => Ok(row.info),
            _ => Err(error),
        }
    }
}

/// A creation's leaf in the log: blinded by the nonce, chained to the tenant's leaf before it (design §4).
fn leaf_hash(leaf: &PendingLeaf, kek_id: KekId, commitment: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"lethe/v1/kek-leaf");
    // Four fields of fixed length: nothing to prefix.
    hash.update(leaf.nonce);
    hash.update(kek_id.as_bytes());
    hash.update(commitment);
    hash.update(leaf.previous_hash);
    hash.finalize().into()
}

fn contended(operation: &'static str) -> KeysError {
    KeysError::Unavailable {
        operation,
        cause: "concurrent changes kept coming first".to_owned(),
    }
}
