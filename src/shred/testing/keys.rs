//! What `lethe-keys` promises a shred, without keys, and the entries that it queues for the log.

use super::super::domain::{LoggedCreation, ShredKeys};
use super::super::evidence::{
    BackedUp, Destroyed, FenceOutcome, FenceRecord, FencedGateway, Rekeyed,
};
use crate::catalog::TerminationId;
use crate::jobs::testing::{Fuse, NOW};
use crate::log::{LeafSource, SourceError};
use crate::tenants::TenantId;
use async_trait::async_trait;
use lethe_envelope::KekId;
use lethe_keys::{Epoch, KeysError, Refusal};
use lethe_receipts::log::{Entry, kek_entry};
use lethe_receipts::statement::KeyCreation;
use lethe_receipts::text::Hex;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use zeroize::Zeroizing;

/// The root's move away from one epoch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Move {
    pub(crate) victims: BTreeSet<TenantId>,
    pub(crate) backup: Option<String>,
    pub(crate) destroyed: bool,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) epoch: u64,
    pub(crate) alive: BTreeSet<TenantId>,
    pub(crate) fenced: BTreeSet<TenantId>,
    pub(crate) moves: BTreeMap<u64, Move>,
    creations: BTreeMap<TenantId, Vec<KeyCreation>>,
    /// Whose KEK does not open.
    pub(crate) broken: Option<TenantId>,
    /// By how much its clock is wrong.
    pub(crate) wrong_ms: i64,
    fence: u64,
    pub(crate) backups: u64,
    pub(crate) queued: Vec<[u8; 32]>,
    pub(crate) logged: BTreeMap<[u8; 32], u64>,
    called_off: BTreeSet<TerminationId>,
}

impl Model {
    fn queue(&mut self, entry: [u8; 32]) {
        if !self.queued.contains(&entry) {
            self.queued.push(entry);
        }
    }
}

/// What `lethe-keys` promises, without keys.
#[derive(Default)]
pub(crate) struct ModelKeys {
    pub(crate) model: Mutex<Model>,
    pub(crate) fuse: Fuse,
}

fn away() -> KeysError {
    KeysError::Unavailable {
        operation: "an injected fault",
        cause: "cut off".to_owned(),
    }
}

impl ModelKeys {
    fn guard<T>(
        &self,
        work: impl FnOnce(&mut Model) -> Result<T, KeysError>,
    ) -> Result<T, KeysError> {
        let (carried_out, answered) = self.fuse.next();
        if !carried_out {
            return Err(away());
        }
        let done = work(&mut self.model.lock().unwrap());
        if answered { done } else { Err(away()) }
    }

    /// Forgets that the log is to have the creation of a tenant's first KEK.
    pub(crate) fn unqueue(&self, tenant: TenantId) -> [u8; 32] {
        let mut model = self.model.lock().unwrap();
        let entry = model.creations[&tenant][0].entry.0;
        model.queued.retain(|queued| *queued != entry);
        entry
    }

    pub(crate) fn requeue(&self, entry: [u8; 32]) {
        self.model.lock().unwrap().queue(entry);
    }

    pub(crate) fn create(&self, tenant: TenantId, versions: u8) {
        let mut model = self.model.lock().unwrap();
        let mut previous = [0; 32];
        for version in 1..=versions {
            let unique = Sha256::digest([tenant.as_bytes().as_slice(), &[version]].concat());
            let kek_id: [u8; 16] = unique[..16].try_into().unwrap();
            let commitment: [u8; 32] = unique.into();
            let entry = kek_entry(&commitment, &kek_id, &commitment, &previous).0;
            model
                .creations
                .entry(tenant)
                .or_default()
                .push(KeyCreation {
                    version: u64::from(version),
                    kek_id: Hex(kek_id),
                    commitment: Hex(commitment),
                    nonce: Hex(commitment),
                    previous: Hex(previous),
                    entry: Hex(entry),
                });
            model.queue(entry);
            previous = entry;
        }
        model.alive.insert(tenant);
    }
}

fn answered(number: u64, wrong_ms: i64) -> FenceRecord {
    FenceRecord {
        number,
        raised_ms: NOW.0 + 1_000 + wrong_ms,
        lease_s: 300,
        gateways: vec![FencedGateway {
            gateway: "0".repeat(32),
            outcome: FenceOutcome::Acknowledged,
        }],
    }
}

#[async_trait]
impl ShredKeys for ModelKeys {
    async fn epoch(&self) -> Result<u64, KeysError> {
        self.guard(|model| Ok(model.epoch))
    }

    async fn ready(&self) -> Result<(), KeysError> {
        self.guard(|_| Ok(()))
    }

    async fn check_opens(&self, victims: &[TenantId]) -> Result<(), KeysError> {
        self.guard(|model| match model.broken {
            Some(tenant) if !victims.contains(&tenant) => Err(Refusal::KekUnopened {
                kek_id: KekId::from_bytes([9; 16]),
                tenant,
            }
            .into()),
            _ => Ok(()),
        })
    }

    async fn fence_tenants(&self, tenants: &[TenantId]) -> Result<Vec<FenceRecord>, KeysError> {
        self.guard(|model| {
            let raised = tenants.iter().map(|tenant| {
                model.fence += 1;
                model.fenced.insert(*tenant);
                answered(model.fence, model.wrong_ms)
            });
            Ok(raised.collect())
        })
    }

    async fn fence_nodes(&self) -> Result<FenceRecord, KeysError> {
        self.guard(|model| {
            model.fence += 1;
            Ok(answered(model.fence, model.wrong_ms))
        })
    }

    async fn creations(&self, tenant: TenantId) -> Result<Vec<LoggedCreation>, KeysError> {
        self.guard(|model| {
            let creations = model.creations.get(&tenant).cloned().unwrap_or_default();
            Ok(creations
                .into_iter()
                .map(|creation| LoggedCreation {
                    index: model.logged.get(&creation.entry.0).copied(),
                    creation,
                })
                .collect())
        })
    }

    async fn rekey(&self, victims: &[TenantId], epoch_from: u64) -> Result<Rekeyed, KeysError> {
        self.guard(|model| {
            let victims: BTreeSet<TenantId> = victims.iter().copied().collect();
            let epoch = Epoch(epoch_from);
            match model.moves.get(&epoch_from) {
                Some(known) if known.victims == victims => {}
                Some(_) => return Err(Refusal::MoveOfOthers { epoch }.into()),
                None => {
                    let current = Epoch(model.epoch);
                    if epoch != current {
                        return Err(Refusal::EpochNotCurrent { epoch, current }.into());
                    }
                    if let Some(tenant) = victims.difference(&model.fenced).next() {
                        return Err(Refusal::VictimNotFenced { tenant: *tenant }.into());
                    }
                    model.alive.retain(|tenant| !victims.contains(tenant));
                    model.epoch += 1;
                    let moved = Move {
                        victims: victims.clone(),
                        ..Move::default()
                    };
                    model.moves.insert(epoch_from, moved);
                }
            }
            Ok(Rekeyed {
                started_ms: 0,
                epoch_from,
                epoch_to: epoch_from + 1,
                nodes: 1025,
                keks_moved: 0,
                keks_deleted: victims.len() as u64,
            })
        })
    }

    async fn unfinished_moves(&self) -> Result<Vec<u64>, KeysError> {
        self.guard(|model| {
            let unfinished = model.moves.iter().filter(|(_, moved)| !moved.destroyed);
            Ok(unfinished.map(|(epoch_from, _)| *epoch_from).collect())
        })
    }

    async fn back_up(&self, epoch_from: u64) -> Result<BackedUp, KeysError> {
        self.guard(|model| {
            model.backups += 1;
            let sha256 = hex::encode(Sha256::digest(model.backups.to_be_bytes()));
            let moved = model.moves.get_mut(&epoch_from);
            if let Some(moved) = moved.filter(|moved| !moved.destroyed) {
                moved.backup = Some(sha256.clone());
            }
            Ok(BackedUp {
                file: format!("backup-{}", model.backups),
                sha256,
                at_ms: NOW.0 + 2_000 + model.wrong_ms,
                nodes: 1025,
                keks: model.alive.len() as u64,
            })
        })
    }

    async fn destroy(&self, epoch_from: u64, backup: &BackedUp) -> Result<Destroyed, KeysError> {
        self.guard(|model| {
            let epoch = Epoch(epoch_from);
            let moved = model.moves.get_mut(&epoch_from);
            let moved = moved.ok_or(Refusal::MoveMissing { epoch })?;
            if !moved.destroyed && moved.backup.as_ref() != Some(&backup.sha256) {
                return Err(Refusal::BackupUntested { epoch }.into());
            }
            moved.destroyed = true;
            Ok(Destroyed {
                provider: "file".to_owned(),
                assurance: "software".to_owned(),
                epoch_destroyed: epoch_from,
                epoch_current: epoch_from + 1,
                at_ms: NOW.0 + 3_000 + model.wrong_ms,
                evidence: "a model".to_owned(),
            })
        })
    }

    async fn queue_statement(&self, _receipt: [u8; 16], entry: [u8; 32]) -> Result<(), KeysError> {
        self.guard(|model| {
            model.queue(entry);
            Ok(())
        })
    }

    async fn entry_index(&self, entry: &[u8; 32]) -> Result<Option<u64>, KeysError> {
        self.guard(|model| Ok(model.logged.get(entry).copied()))
    }

    async fn call_off(&self, termination: TerminationId) -> Result<(), KeysError> {
        self.guard(|model| {
            model.called_off.insert(termination);
            Ok(())
        })
    }

    async fn called_off(
        &self,
        terminations: &[TerminationId],
    ) -> Result<BTreeSet<TerminationId>, KeysError> {
        self.guard(|model| {
            let asked: BTreeSet<TerminationId> = terminations.iter().copied().collect();
            Ok(&asked & &model.called_off)
        })
    }

    async fn seal_inventory_key(
        &self,
        _tenant: TenantId,
        _termination: TerminationId,
        key: &[u8; 32],
    ) -> Result<Vec<u8>, KeysError> {
        self.guard(|_| Ok(key.iter().map(|byte| byte ^ 0xff).collect()))
    }

    async fn open_inventory_key(
        &self,
        _tenant: TenantId,
        _termination: TerminationId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        self.guard(|_| {
            Ok(Zeroizing::new(
                sealed.iter().map(|byte| byte ^ 0xff).collect(),
            ))
        })
    }
}

/// The model as the log's source.
pub(super) struct Leaves(pub(super) Arc<ModelKeys>);

#[async_trait]
impl LeafSource for Leaves {
    async fn log_size(&self) -> Result<u64, SourceError> {
        let done = self.0.guard(|model| Ok(model.logged.len() as u64));
        done.map_err(|error| SourceError(error.to_string()))
    }

    async fn pending(&self, max: usize) -> Result<Vec<Entry>, SourceError> {
        let done = self.0.guard(|model| {
            let pending = model.queued.iter();
            let pending = pending.filter(|entry| !model.logged.contains_key(*entry));
            Ok(pending.take(max).copied().map(Entry).collect())
        });
        done.map_err(|error| SourceError(error.to_string()))
    }

    async fn sequenced(
        &self,
        first_index: u64,
        entries: &[Entry],
        _log_size: u64,
    ) -> Result<(), SourceError> {
        let done = self.0.guard(|model| {
            for (entry, index) in entries.iter().zip(first_index..) {
                model.logged.insert(entry.0, index);
            }
            Ok(())
        });
        done.map_err(|error| SourceError(error.to_string()))
    }
}
