//! The steps of a shred. Each may be cut off anywhere and done again: what it changes elsewhere is idempotent, and its own state is
//! changed last, together with its evidence.

use super::domain::ShredDomain;
use super::error::ShredError;
use super::evidence::{
    self, BackedUp, Destroyed, FenceRecord, Fenced, Inventory, Rekeyed, Span, encode,
};
use super::inventory::{self, InventoryKey};
use super::progress::Progress;
use super::purge::{self, Ledger};
use super::rules::Forbidden;
use super::statements::{self, Erasure};
use super::times;
use crate::catalog::{
    CatalogError, Evidence, ReceiptId, ReceiptStage, Shred, ShredState, Termination,
    TerminationState,
};
use crate::tenants::{TenantId, TenantState};
use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _, stream};
use lethe_keys::{KeysError, Refusal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

/// Inventories that are taken at once.
const INVENTORIES_AT_ONCE: usize = 4;

/// What one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stepped {
    /// The shred is one state further.
    On,
    /// Its purge goes on another time.
    Paused,
    /// It is over.
    Over,
}

/// A shred that this runner holds.
pub(super) struct Held<'a> {
    pub(super) domain: &'a ShredDomain,
    pub(super) shred: Shred,
}

impl Held<'_> {
    /// Does the step that follows the shred's state.
    pub(super) async fn step(&mut self) -> Result<Stepped, ShredError> {
        let members = self.domain.stores.catalog.shred_terminations(self.shred.id);
        let members = members.await?;
        let evidence = match self.shred.state {
            ShredState::Requested => self.fence(&members).await?,
            ShredState::Fenced => self.inventory(&members).await?,
            ShredState::Inventoried => self.rekey(&members).await?,
            ShredState::Rekeyed => self.refence().await?,
            ShredState::Refenced => self.back_up().await?,
            ShredState::BackedUp => self.destroy(&members).await?,
            ShredState::Destroyed => self.erased(&members).await?,
            ShredState::Receipted => match self.purge(&members).await? {
                Some(evidence) => evidence,
                None => return Ok(Stepped::Paused),
            },
            ShredState::Purged => return Ok(Stepped::Over),
        };
        self.advance(&evidence).await?;
        Ok(Stepped::On)
    }

    async fn advance(&mut self, evidence: &[Evidence]) -> Result<(), ShredError> {
        let now = self.domain.stores.clock.now();
        let catalog = &self.domain.stores.catalog;
        let (id, fence, from) = (self.shred.id, self.shred.fence, self.shred.state);
        match catalog.advance_shred(id, fence, from, evidence, now).await {
            Ok(()) => {}
            Err(CatalogError::Conflict { .. }) => return Err(ShredError::TakenOver),
            Err(error) => return Err(error.into()),
        }
        self.shred = catalog.shred(id).await?;
        tracing::info!(
            op = "shred", shred = %id, state = self.shred.state.as_str(), outcome = "done",
            "a shred is one state further"
        );
        Ok(())
    }

    fn now_ms(&self) -> i64 {
        self.domain.stores.clock.now().0
    }

    async fn found<T: DeserializeOwned>(
        &self,
        state: ShredState,
        tenant: Option<TenantId>,
    ) -> Result<Option<T>, ShredError> {
        let catalog = &self.domain.stores.catalog;
        let found = catalog.evidence_of(self.shred.id, state, tenant).await?;
        found
            .map(|one| evidence::decode(&one.body))
            .transpose()
            .map_err(ShredError::unreadable("evidence"))
    }

    async fn known<T: DeserializeOwned>(
        &self,
        state: ShredState,
        tenant: Option<TenantId>,
    ) -> Result<T, ShredError> {
        let found = self.found(state, tenant).await?;
        found.ok_or(ShredError::EvidenceMissing(state.as_str()))
    }

    async fn fence(&self, members: &[Termination]) -> Result<Vec<Evidence>, ShredError> {
        self.domain.agrees_on_time().await?;
        let started_ms = self.now_ms();
        // Whoever has begun the shred may have had another clock.
        if members.iter().any(|one| one.grace_end.0 > started_ms) {
            return Err(Forbidden::InGrace.into());
        }
        let tenants: Vec<TenantId> = members.iter().map(|one| one.tenant).collect();
        let fences = self.domain.keys.fence_tenants(&tenants).await?;
        let finished_ms = self.now_ms();
        let fenced = tenants.iter().zip(fences).map(|(tenant, fence)| {
            let span = Span {
                started_ms,
                finished_ms,
            };
            of(ShredState::Fenced, Some(*tenant), &Fenced { fence, span })
        });
        fenced.collect()
    }

    /// The receipts of the fence, then what there is.
    async fn inventory(&self, members: &[Termination]) -> Result<Vec<Evidence>, ShredError> {
        for member in members {
            self.revoked(member).await?;
        }
        self.log_what_can_be().await;
        let inventories: Vec<_> = members
            .iter()
            .map(|member| self.inventory_of(member).boxed())
            .collect();
        // Each to its end, also when another failed: what is counted is noted.
        let taken: Vec<Result<(), ShredError>> = stream::iter(inventories)
            .buffered(INVENTORIES_AT_ONCE)
            .collect()
            .await;
        taken.into_iter().collect::<Result<(), _>>()?;
        Ok(Vec::new())
    }

    /// Counts one tenant's ciphertext, unless that was done before a kill: counting many may take hours.
    async fn inventory_of(&self, member: &Termination) -> Result<(), ShredError> {
        let domain = self.domain;
        let known = self.found::<Inventory>(ShredState::Inventoried, Some(member.tenant));
        if known.await?.is_some() {
            return Ok(());
        }
        let sealed = member
            .sealed_inventory_key
            .as_deref()
            .ok_or(ShredError::EvidenceMissing("inventory key"))?;
        let opened = domain
            .keys
            .open_inventory_key(member.tenant, member.id, sealed)
            .await?;
        let key = InventoryKey::from_bytes(&opened)
            .ok_or(ShredError::EvidenceMissing("inventory key"))?;
        let time = domain.inventory_time;
        let found = inventory::take(&domain.stores, member.tenant, &key, time).await?;
        let evidence = of(ShredState::Inventoried, Some(member.tenant), &found)?;
        self.note(&evidence).await
    }

    async fn note(&self, evidence: &Evidence) -> Result<(), ShredError> {
        let (id, fence) = (self.shred.id, self.shred.fence);
        let catalog = &self.domain.stores.catalog;
        Ok(catalog.note_evidence(id, fence, evidence).await?)
    }

    async fn rekey(&mut self, members: &[Termination]) -> Result<Vec<Evidence>, ShredError> {
        let victims: Vec<TenantId> = members.iter().map(|one| one.tenant).collect();
        let started_ms = self.now_ms();
        let rekeyed = match self.move_root(&victims).await {
            Err(KeysError::Refused { reason }) => match reason {
                // A key store that was replaced since knows nothing of the fence.
                Refusal::VictimNotFenced { .. } => {
                    for evidence in self.fence(members).await? {
                        self.note(&evidence).await?;
                    }
                    self.move_root(&victims).await?
                }
                // Another shred, or a restore, has moved it since this one began.
                Refusal::MoveOfOthers { .. } | Refusal::EpochNotCurrent { .. } => {
                    self.follow_the_root().await?;
                    self.move_root(&victims).await?
                }
                _ => return Err(KeysError::Refused { reason }.into()),
            },
            rekeyed => rekeyed?,
        };
        let rekeyed = Rekeyed {
            started_ms,
            ..rekeyed
        };
        Ok(vec![of(ShredState::Rekeyed, None, &rekeyed)?])
    }

    async fn move_root(&self, victims: &[TenantId]) -> Result<Rekeyed, KeysError> {
        let keys = &self.domain.keys;
        keys.rekey(victims, self.shred.epoch_from).await
    }

    async fn follow_the_root(&mut self) -> Result<(), ShredError> {
        let catalog = &self.domain.stores.catalog;
        let (id, fence) = (self.shred.id, self.shred.fence);
        let epoch = self.domain.keys.epoch().await?;
        tracing::warn!(
            op = "shred", shred = %id, epoch_from = self.shred.epoch_from, epoch, outcome = "moved",
            "the root is in another epoch than when the shred began"
        );
        catalog.move_shred_from(id, fence, epoch).await?;
        self.shred = catalog.shred(id).await?;
        Ok(())
    }

    async fn refence(&self) -> Result<Vec<Evidence>, ShredError> {
        let fence = self.domain.keys.fence_nodes().await?;
        Ok(vec![of(ShredState::Refenced, None, &fence)?])
    }

    async fn back_up(&self) -> Result<Vec<Evidence>, ShredError> {
        let backed_up = self.domain.keys.back_up(self.shred.epoch_from).await?;
        Ok(vec![of(ShredState::BackedUp, None, &backed_up)?])
    }

    async fn destroy(&self, members: &[Termination]) -> Result<Vec<Evidence>, ShredError> {
        let backup: BackedUp = self.known(ShredState::BackedUp, None).await?;
        self.receipts_can_be_made(members, &backup).await?;
        let (keys, epoch_from) = (&self.domain.keys, self.shred.epoch_from);
        let destroyed = match keys.destroy(epoch_from, &backup).await {
            // A runner that was cut off has tested another backup since: the newest one counts, and is the evidence.
            Err(KeysError::Refused {
                reason: Refusal::BackupUntested { .. },
            }) => {
                let backup = keys.back_up(epoch_from).await?;
                let evidence = of(ShredState::BackedUp, None, &backup)?;
                let catalog = &self.domain.stores.catalog;
                let (id, fence) = (self.shred.id, self.shred.fence);
                catalog.note_evidence(id, fence, &evidence).await?;
                keys.destroy(epoch_from, &backup).await?
            }
            destroyed => destroyed?,
        };
        Ok(vec![of(ShredState::Destroyed, None, &destroyed)?])
    }

    /// The receipt of the fence. One whose times can't be, because a clock was wrong, is replaced by another fence, which does no
    /// harm: nothing depends on the first yet.
    async fn revoked(&self, member: &Termination) -> Result<(), ShredError> {
        let fenced: Fenced = self.known(ShredState::Fenced, Some(member.tenant)).await?;
        match self.revoked_by(member, &fenced).await {
            Err(error) if times::out_of_order(&error) => {
                tracing::warn!(op = "shred", shred = %self.shred.id, tenant = %member.tenant, outcome = "again", %error, "another fence is raised");
            }
            done => return done,
        }
        let again = self.fence(std::slice::from_ref(member)).await?;
        let catalog = &self.domain.stores.catalog;
        for evidence in &again {
            let (id, fence) = (self.shred.id, self.shred.fence);
            catalog.note_evidence(id, fence, evidence).await?;
        }
        let fenced: Fenced = self.known(ShredState::Fenced, Some(member.tenant)).await?;
        self.revoked_by(member, &fenced).await
    }

    async fn revoked_by(&self, member: &Termination, fenced: &Fenced) -> Result<(), ShredError> {
        let domain = self.domain;
        let catalog = &domain.stores.catalog;
        let id = ReceiptId::random().ok_or(ShredError::NoRandomness)?;
        let statement = async {
            let tenant = catalog.tenant(member.tenant).await?;
            let creations = domain.keys.creations(member.tenant).await?;
            let keys = creations.into_iter().map(|one| one.creation).collect();
            let now = domain.stores.clock.now();
            statements::revoked(domain, id, &tenant, member, keys, fenced, now)
        };
        let stage = ReceiptStage::Revoked;
        domain
            .issue(member.tenant, stage, id, statement.boxed())
            .await?;
        Ok(())
    }

    /// Makes the statements of the erasure without issuing them, as if the epoch were destroyed now: afterwards nobody could mend what
    /// they lack.
    async fn receipts_can_be_made(
        &self,
        members: &[Termination],
        backup: &BackedUp,
    ) -> Result<(), ShredError> {
        let domain = self.domain;
        let rekeyed: Rekeyed = self.known(ShredState::Rekeyed, None).await?;
        let fence: FenceRecord = self.known(ShredState::Refenced, None).await?;
        let now = domain.stores.clock.now();
        let destroyed = Destroyed {
            provider: "to be destroyed".to_owned(),
            assurance: "software".to_owned(),
            epoch_destroyed: self.shred.epoch_from,
            epoch_current: rekeyed.epoch_to,
            at_ms: now.0,
            evidence: "to be destroyed".to_owned(),
        };
        for member in members {
            let tenant = member.tenant;
            let inventory: Inventory = self.known(ShredState::Inventoried, Some(tenant)).await?;
            let revoked = domain.statement(tenant, ReceiptStage::Revoked).await?;
            let erasure = Erasure {
                rekeyed: &rekeyed,
                fence: &fence,
                inventory: &inventory,
                backup,
                destroyed: &destroyed,
            };
            let id = ReceiptId::random().ok_or(ShredError::NoRandomness)?;
            statements::erased(domain, id, &revoked, &erasure, now)?;
        }
        Ok(())
    }

    /// The receipts of the erasure; from here on the tenants are shredded.
    async fn erased(&self, members: &[Termination]) -> Result<Vec<Evidence>, ShredError> {
        let domain = self.domain;
        let rekeyed: Rekeyed = self.known(ShredState::Rekeyed, None).await?;
        let fence: FenceRecord = self.known(ShredState::Refenced, None).await?;
        let backup: BackedUp = self.known(ShredState::BackedUp, None).await?;
        let destroyed: Destroyed = self.known(ShredState::Destroyed, None).await?;
        for member in members {
            let tenant = member.tenant;
            let inventory: Inventory = self.known(ShredState::Inventoried, Some(tenant)).await?;
            let id = ReceiptId::random().ok_or(ShredError::NoRandomness)?;
            let statement = async {
                let revoked = domain.statement(tenant, ReceiptStage::Revoked).await?;
                let erasure = Erasure {
                    rekeyed: &rekeyed,
                    fence: &fence,
                    inventory: &inventory,
                    backup: &backup,
                    destroyed: &destroyed,
                };
                let now = domain.stores.clock.now();
                statements::erased(domain, id, &revoked, &erasure, now)
            };
            let stage = ReceiptStage::Erased;
            domain.issue(tenant, stage, id, statement.boxed()).await?;
            let from = [TenantState::Terminating];
            let catalog = &domain.stores.catalog;
            catalog
                .move_tenant(tenant, &from, TenantState::Shredded)
                .await?;
        }
        self.log_what_can_be().await;
        Ok(Vec::new())
    }

    /// Deletes ciphertext for a while; the evidence of all tenants once everything is gone that can go. What fails for one of them
    /// keeps none of the others from its receipt.
    async fn purge(&self, members: &[Termination]) -> Result<Option<Vec<Evidence>>, ShredError> {
        let until = Instant::now() + self.domain.purge_slice;
        let (mut is_over, mut failed) = (true, None);
        for member in members {
            if member.state == TerminationState::Purged {
                continue;
            }
            match self.purge_one(member.tenant, until).await {
                Ok(over) => is_over &= over,
                Err(error @ (ShredError::TakenOver | ShredError::Catalog(_))) => return Err(error),
                Err(error) => {
                    tracing::warn!(tenant = %member.tenant, op = "purge", outcome = "failed", %error, "a tenant's purge goes on later");
                    failed.get_or_insert(error);
                }
            }
        }
        self.log_what_can_be().await;
        match failed {
            Some(error) => Err(error),
            None => Ok(is_over.then(Vec::new)),
        }
    }

    /// Whether the tenant's purge is over, and its receipt issued.
    async fn purge_one(&self, tenant: TenantId, until: Instant) -> Result<bool, ShredError> {
        let known: Option<Progress> = self.found(ShredState::Purged, Some(tenant)).await?;
        let progress = known.unwrap_or_else(|| Progress::begun(self.now_ms()));
        if progress.finished_ms.is_none() {
            let ledger = PurgeLedger { held: self, tenant };
            let stores = &self.domain.stores;
            let (over, mut progress) =
                purge::purge(stores, &ledger, tenant, progress, until).await?;
            progress.finished_ms = over.then(|| self.now_ms());
            ledger.note(&progress).await?;
            if !over {
                return Ok(false);
            }
        }
        self.purged(tenant).await?;
        Ok(true)
    }

    async fn purged(&self, tenant: TenantId) -> Result<(), ShredError> {
        let domain = self.domain;
        let progress: Progress = self.known(ShredState::Purged, Some(tenant)).await?;
        let id = ReceiptId::random().ok_or(ShredError::NoRandomness)?;
        let statement = async {
            let erased = domain.statement(tenant, ReceiptStage::Erased).await?;
            statements::purged(id, &erased, &progress, domain.stores.clock.now())
        };
        let stage = ReceiptStage::Purged;
        domain.issue(tenant, stage, id, statement.boxed()).await?;
        Ok(())
    }

    /// Receipts are durable and queued: that the log is away now does not keep a shred from going on.
    async fn log_what_can_be(&self) {
        if let Err(error) = self.domain.log_receipts().await {
            tracing::warn!(op = "shred", shred = %self.shred.id, outcome = "unlogged", %error, "receipts wait for the log");
        }
    }
}

struct PurgeLedger<'a> {
    held: &'a Held<'a>,
    tenant: TenantId,
}

#[async_trait]
impl Ledger for PurgeLedger<'_> {
    async fn note(&self, progress: &Progress) -> Result<(), CatalogError> {
        let operation = "note_evidence";
        let body = encode(progress).map_err(|error| CatalogError::Corrupt {
            operation,
            reason: error.to_string(),
        })?;
        let evidence = Evidence {
            state: ShredState::Purged,
            tenant: Some(self.tenant),
            body,
        };
        let shred = &self.held.shred;
        let catalog = &self.held.domain.stores.catalog;
        catalog
            .note_evidence(shred.id, shred.fence, &evidence)
            .await
    }
}

fn of(
    state: ShredState,
    tenant: Option<TenantId>,
    value: &impl Serialize,
) -> Result<Evidence, ShredError> {
    Ok(Evidence {
        state,
        tenant,
        body: encode(value).map_err(ShredError::unreadable("evidence"))?,
    })
}
