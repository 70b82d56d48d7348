//! A domain's key service as a shred uses it: fences that are waited for, backups that are tried out.

use super::domain::{LoggedCreation, ShredKeys};
use super::evidence::{BackedUp, Destroyed, FenceOutcome, FenceRecord, FencedGateway, Rekeyed};
use super::terminate::inventory_key_fields;
use crate::catalog::TerminationId;
use crate::clock::{Clock, UnixMs};
use crate::tenants::TenantId;
use async_trait::async_trait;
use lethe_keys::{
    BackupPlace, Epoch, Fence, FenceScope, GatewayFence, KeyService, KeysError, SecretContext,
};
use lethe_receipts::log::cancellation_entry;
use lethe_receipts::statement::KeyCreation;
use lethe_receipts::text::Hex;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Between two looks at a fence's answers.
const FENCE_POLL: Duration = Duration::from_millis(100);

/// What inventory keys are sealed as.
const INVENTORY_KEY_LABEL: &str = "inventory-key";

/// The keys of one domain, with the place of their backups.
pub struct DomainKeys {
    /// The key service.
    pub keys: Arc<KeyService>,
    /// Where backups go.
    pub backups: Arc<dyn BackupPlace>,
    /// Where a backup is tried out; on the key store's machine, like the keys themselves.
    pub scratch: PathBuf,
    /// How long a gateway may use keys without an answer.
    pub lease: Duration,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// What did not open when it was looked at last.
    pub unopened: Unopened,
}

/// How long a key that did not open is not looked for again: the look costs as much as the test of a backup.
const UNOPENED_FOR: Duration = Duration::from_secs(5 * 60);

/// A refusal to move the root, so that a runner that asks every few seconds does not read every key each time.
#[derive(Debug, Default)]
pub struct Unopened(Mutex<Option<(Instant, Vec<TenantId>, KeysError)>>);

impl Unopened {
    /// The refusal for these very victims, if it is fresh: others may leave behind what does not open.
    fn lately(&self, victims: &[TenantId]) -> Option<KeysError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, of, refused) = known.as_ref()?;
        (of == victims && at.elapsed() < UNOPENED_FOR).then(|| refused.clone())
    }

    fn note(&self, victims: &[TenantId], outcome: &Result<(), KeysError>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = match outcome {
            Err(refused @ KeysError::Refused { .. }) => {
                Some((Instant::now(), victims.to_vec(), refused.clone()))
            }
            _ => None,
        };
    }
}

impl DomainKeys {
    async fn raise(&self, scope: FenceScope) -> Result<(Fence, UnixMs), KeysError> {
        // Read before: no gateway used the keys longer after this than after the fence.
        let raised = self.clock.now();
        Ok((self.keys.raise_fence(scope).await?, raised))
    }

    /// Returns once every gateway has answered, or its lease is over: that is at most one lease away.
    async fn answered(&self, fence: Fence, raised: UnixMs) -> Result<FenceRecord, KeysError> {
        loop {
            let evidence = self.keys.fence_evidence(fence).await?;
            let answers = evidence.gateways.iter().map(|(gateway, state)| {
                // None as long as one of them may still use the keys.
                let outcome = match state {
                    GatewayFence::Acknowledged => Some(FenceOutcome::Acknowledged),
                    GatewayFence::Expired => Some(FenceOutcome::Expired),
                    GatewayFence::Waiting => None,
                };
                outcome.map(|outcome| FencedGateway {
                    gateway: gateway.to_string(),
                    outcome,
                })
            });
            if let Some(gateways) = answers.collect::<Option<Vec<_>>>() {
                return Ok(FenceRecord {
                    number: fence.number,
                    raised_ms: raised.0,
                    lease_s: self.lease.as_secs(),
                    gateways,
                });
            }
            tokio::time::sleep(FENCE_POLL).await;
        }
    }
}

#[async_trait]
impl ShredKeys for DomainKeys {
    async fn epoch(&self) -> Result<u64, KeysError> {
        let lease = self.keys.lease_state();
        // A gateway without a lease may have slept through a move of the root.
        match lease.remaining {
            Some(_) => Ok(lease.epoch.0),
            None => Err(KeysError::LeaseEnded),
        }
    }

    async fn ready(&self) -> Result<(), KeysError> {
        self.keys.ping().await?;
        self.keys.check_root_control().await?;
        let newest = self.backups.ready(&self.keys.identity()).await;
        let newest_bytes = newest.map_err(|error| KeysError::Unavailable {
            operation: "reaching the place for backups",
            cause: error.to_string(),
        })?;
        // Found out after the root has moved, it would keep everybody from new keys.
        KeyService::check_scratch(&self.scratch, newest_bytes)
    }

    async fn check_opens(&self, victims: &[TenantId]) -> Result<(), KeysError> {
        if let Some(refused) = self.unopened.lately(victims) {
            return Err(refused);
        }
        let outcome = self.keys.check_opens(victims).await;
        self.unopened.note(victims, &outcome);
        outcome
    }

    async fn fence_tenants(&self, tenants: &[TenantId]) -> Result<Vec<FenceRecord>, KeysError> {
        let mut raised = Vec::with_capacity(tenants.len());
        for tenant in tenants {
            raised.push(self.raise(FenceScope::Tenant(*tenant)).await?);
        }
        let mut records = Vec::with_capacity(raised.len());
        for (fence, at) in raised {
            records.push(self.answered(fence, at).await?);
        }
        Ok(records)
    }

    async fn fence_nodes(&self) -> Result<FenceRecord, KeysError> {
        let (fence, at) = self.raise(FenceScope::Nodes).await?;
        self.answered(fence, at).await
    }

    async fn creations(&self, tenant: TenantId) -> Result<Vec<LoggedCreation>, KeysError> {
        let entries = self.keys.creation_entries(tenant).await?;
        let creations = entries.into_iter().map(|entry| LoggedCreation {
            creation: KeyCreation {
                version: u64::from(entry.version),
                kek_id: Hex(*entry.kek_id.as_bytes()),
                commitment: Hex(entry.commitment),
                nonce: Hex(entry.nonce),
                previous: Hex(entry.previous),
                entry: Hex(entry.entry),
            },
            index: entry.index,
        });
        Ok(creations.collect())
    }

    async fn rekey(&self, victims: &[TenantId], epoch_from: u64) -> Result<Rekeyed, KeysError> {
        let moved = self.keys.rekey(victims, Epoch(epoch_from)).await?;
        Ok(Rekeyed {
            started_ms: moved.rekeyed_ms,
            epoch_from: moved.from.0,
            epoch_to: moved.to.0,
            nodes: moved.nodes,
            keks_moved: moved.keks_rewrapped,
            keks_deleted: moved.keks_deleted,
        })
    }

    async fn unfinished_moves(&self) -> Result<Vec<u64>, KeysError> {
        let moves = self.keys.unfinished_moves().await?;
        Ok(moves.iter().map(|moved| moved.from.0).collect())
    }

    async fn back_up(&self, _epoch_from: u64) -> Result<BackedUp, KeysError> {
        let place = self.backups.as_ref();
        let made = self.keys.backup(place).await?;
        let tested = self
            .keys
            .test_restore(place, &made.name, &self.scratch)
            .await?;
        Ok(BackedUp {
            file: made.name,
            sha256: hex::encode(tested.sha256),
            at_ms: made.created_ms,
            nodes: tested.nodes,
            keks: tested.keks,
        })
    }

    async fn destroy(&self, epoch_from: u64, backup: &BackedUp) -> Result<Destroyed, KeysError> {
        let mut sha256 = [0; 32];
        hex::decode_to_slice(&backup.sha256, &mut sha256).map_err(|_| KeysError::Corrupt {
            what: "backup's digest".to_owned(),
        })?;
        let gone = self.keys.destroy_epoch(Epoch(epoch_from), &sha256).await?;
        let assurance = self.keys.assurance().to_string();
        let provider = self.keys.root_kind();
        Ok(Destroyed {
            provider: provider.to_string(),
            evidence: format!(
                "canary of epoch {} opened at {} ms and was refused at {} ms (Unix time) by the provider {provider}",
                gone.epoch_destroyed, gone.canary_opened_ms, gone.destroyed_ms
            ),
            assurance,
            epoch_destroyed: gone.epoch_destroyed.0,
            epoch_current: gone.epoch_current.0,
            at_ms: gone.destroyed_ms,
        })
    }

    async fn queue_statement(&self, receipt: [u8; 16], entry: [u8; 32]) -> Result<(), KeysError> {
        self.keys.queue_statement(receipt, entry).await
    }

    async fn entry_index(&self, entry: &[u8; 32]) -> Result<Option<u64>, KeysError> {
        self.keys.entry_index(entry).await
    }

    async fn call_off(&self, termination: TerminationId) -> Result<(), KeysError> {
        let entry = cancellation_entry(termination.as_bytes());
        self.keys.queue_decision(entry.0).await
    }

    async fn called_off(
        &self,
        terminations: &[TerminationId],
    ) -> Result<BTreeSet<TerminationId>, KeysError> {
        let mut found = BTreeSet::new();
        for termination in terminations {
            let entry = cancellation_entry(termination.as_bytes());
            if self.keys.is_entry_known(&entry.0).await? {
                found.insert(*termination);
            }
        }
        Ok(found)
    }

    async fn seal_inventory_key(
        &self,
        tenant: TenantId,
        termination: TerminationId,
        key: &[u8; 32],
    ) -> Result<Vec<u8>, KeysError> {
        let fields = inventory_key_fields(&tenant, &termination);
        let context = SecretContext {
            label: INVENTORY_KEY_LABEL,
            fields: &fields,
        };
        self.keys.seal_secret(&context, key).await
    }

    async fn open_inventory_key(
        &self,
        tenant: TenantId,
        termination: TerminationId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let fields = inventory_key_fields(&tenant, &termination);
        let context = SecretContext {
            label: INVENTORY_KEY_LABEL,
            fields: &fields,
        };
        self.keys.open_secret(&context, sealed).await
    }
}
