//! A domain that can shred, whose catalog, keys and log a test cuts off: the keys are a model, the log is a real one.

mod uploads;

pub(crate) use uploads::{SPOOLED_PARTS, UPLOADS};

use super::domain::{
    Certificate, LoggedCreation, RootBackups, ShredDomain, ShredKeys, ShredLog, Witnessed,
};
use super::error::LogAway;
use super::evidence::{BackedUp, Destroyed, FenceOutcome, FenceRecord, FencedGateway, Rekeyed};
use super::log::DomainLog;
use super::rules::ShredPolicy;
use super::runner::{ShredRunner, ShredRunnerSettings};
use crate::catalog::{
    ApprovalMode, BucketState, BucketStore as _, Fault, FaultKind, NewBucket, NewTenant,
    ShredState, ShredStore as _, TenantStore as _, TerminationId, WitnessMark,
};
use crate::jobs::testing::{Bench, Fuse, NOW, eu};
use crate::log::{DirLog, LeafSource, Sequencer, SourceError, Witnesses};
use crate::region::{Body, ObjectRef, PutCondition, PutRequest, RegionStore as _, UpstreamBucket};
use crate::signing::{Signing, TrustSettings};
use crate::tenants::{ObjectKey, TenantId, TenantState};
use async_trait::async_trait;
use lethe_envelope::KekId;
use lethe_keys::{Epoch, KeysError, Refusal};
use lethe_receipts::log::{Entry, Hash, SignedCheckpoint, TreeHead, kek_entry};
use lethe_receipts::statement::KeyCreation;
use lethe_receipts::text::Hex;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
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
    backups: u64,
    pub(crate) queued: Vec<[u8; 32]>,
    pub(crate) logged: BTreeMap<[u8; 32], u64>,
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
struct Leaves(Arc<ModelKeys>);

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

/// A real log that a test cuts off.
pub(crate) struct FusedLog {
    inner: DomainLog,
    pub(crate) fuse: Fuse,
    pub(crate) witnesses: ModelWitnesses,
}

macro_rules! fused {
    ($self:ident, $call:expr) => {{
        let (carried_out, answered) = $self.fuse.next();
        let failed = LogAway {
            operation: "an injected fault",
            reason: "cut off".to_owned(),
        };
        if !carried_out {
            return Err(failed);
        }
        let outcome = $call.await;
        if answered { outcome } else { Err(failed) }
    }};
}

/// Witnesses that cosign the newest checkpoint, or are away.
#[derive(Default)]
pub(crate) struct ModelWitnesses {
    /// How many the configuration wants.
    pub(crate) wanted: AtomicUsize,
    /// How many are there.
    pub(crate) there: AtomicUsize,
    /// By checkpoint.
    cosigned: Mutex<BTreeMap<String, usize>>,
}

impl ModelWitnesses {
    fn cosign(&self, newest: Witnessed) -> Witnessed {
        let mut cosigned = self.cosigned.lock().unwrap();
        let text = newest.checkpoint.as_str().to_owned();
        let there = cosigned.entry(text).or_default();
        *there = self.there.load(Ordering::SeqCst).max(*there);
        Witnessed {
            cosignatures: *there,
            ..newest
        }
    }
}

#[async_trait]
impl ShredLog for FusedLog {
    async fn ready(&self) -> Result<(), LogAway> {
        fused!(self, self.inner.ready())
    }
    async fn keep_statement(&self, receipt: [u8; 16], envelope: &str) -> Result<(), LogAway> {
        fused!(self, self.inner.keep_statement(receipt, envelope))
    }
    async fn sequence(&self) -> Result<(), LogAway> {
        fused!(self, self.inner.sequence())
    }
    async fn newest(&self) -> Result<Option<Witnessed>, LogAway> {
        let newest: Option<Witnessed> = fused!(self, self.inner.newest())?;
        Ok(newest.map(|newest| self.witnesses.cosign(newest)))
    }
    async fn prove_inclusion(&self, head: &TreeHead, index: u64) -> Result<Vec<Hash>, LogAway> {
        fused!(self, self.inner.prove_inclusion(head, index))
    }
    async fn prove_consistency(&self, old: u64, head: &TreeHead) -> Result<Vec<Hash>, LogAway> {
        fused!(self, self.inner.prove_consistency(old, head))
    }
    fn cosignatures(&self, checkpoint: &SignedCheckpoint) -> usize {
        let cosigned = self.witnesses.cosigned.lock().unwrap();
        cosigned.get(checkpoint.as_str()).copied().unwrap_or(0)
    }
    fn witness_threshold(&self) -> usize {
        self.witnesses.wanted.load(Ordering::SeqCst)
    }
    fn witness_mark(&self) -> WitnessMark {
        let wanted = u32::try_from(self.witness_threshold()).unwrap();
        WitnessMark::of((wanted + 2).to_be_bytes())
    }
}

/// What a test cuts off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Catalog,
    Keys,
    Log,
    Region,
}

/// A domain with two tenants that are to be shredded and one that stays.
pub(crate) struct World {
    pub(crate) bench: Bench,
    pub(crate) keys: Arc<ModelKeys>,
    pub(crate) log: Arc<FusedLog>,
    pub(crate) domain: Arc<ShredDomain>,
    pub(crate) victims: Vec<TenantId>,
    pub(crate) stays: TenantId,
    pub(crate) dir: TempDir,
}

/// Objects of each tenant.
pub(crate) const OBJECTS: u64 = 3;
/// Their stored length.
pub(crate) const OBJECT_BYTES: u64 = 5;

pub(crate) fn upstream(tenant: TenantId) -> UpstreamBucket {
    UpstreamBucket::from_catalog(format!("lethe-{tenant}"))
}

impl World {
    pub(crate) async fn open(victims: usize) -> Self {
        let bench = Bench::open().await;
        let dir = tempfile::tempdir().unwrap();
        let signing = Signing::create(&dir.path().join("signing"), &bench.domain.name, NOW);
        let signing = Arc::new(signing.unwrap());
        let keys = Arc::new(ModelKeys::default());
        keys.model.lock().unwrap().epoch = 1;
        std::fs::create_dir(dir.path().join("log")).unwrap();
        let log_key = signing.log_key().unwrap();
        let verifiers = vec![log_key.verifier()];
        let store = Arc::new(DirLog::new(dir.path().join("log")));
        let log = Arc::new(FusedLog {
            inner: DomainLog::new(
                Sequencer::new(store, log_key, &[]),
                Witnesses::new(signing.origin().clone(), verifiers, Vec::new(), None).unwrap(),
                Arc::new(Leaves(keys.clone())),
                0,
            ),
            fuse: Fuse::default(),
            witnesses: ModelWitnesses::default(),
        });
        let domain = Arc::new(ShredDomain {
            stores: bench.domain.clone(),
            keys: keys.clone(),
            log: log.clone(),
            signing,
            policy: ShredPolicy {
                mode: ApprovalMode::Production,
                grace_days: 0,
                window: None,
            },
            certificate: Certificate {
                jurisdiction: "EU".to_owned(),
                organization: "Example".to_owned(),
                pairs: BTreeMap::new(),
                root_backups: RootBackups::KeptDays(0),
            },
            inventory_time: Duration::from_secs(60),
            purge_slice: Duration::from_secs(60),
        });
        let mut world = Self {
            bench,
            keys,
            log,
            domain,
            victims: Vec::new(),
            stays: TenantId::from_bytes([0xee; 16]),
            dir,
        };
        for number in 0..victims {
            let id = TenantId::from_bytes([number as u8 + 1; 16]);
            world.tenant(id, &format!("victim-{number}")).await;
            world.victims.push(id);
        }
        world.tenant(world.stays, "stays").await;
        world
    }

    async fn tenant(&self, id: TenantId, name: &str) {
        let catalog = &self.bench.catalog;
        let new = NewTenant {
            id,
            name: name.parse().unwrap(),
            region: eu(),
            created: NOW,
        };
        catalog.begin_tenant(&new).await.unwrap();
        let creating = [TenantState::Creating];
        catalog
            .move_tenant(id, &creating, TenantState::Active)
            .await
            .unwrap();
        self.keys.create(id, 2);
        let bucket = NewBucket {
            name: "docs".parse().unwrap(),
            region: eu(),
            upstream: upstream(id),
            object_lock: false,
            created: NOW,
        };
        catalog.begin_bucket(id, &bucket, 10).await.unwrap();
        let region = &self.bench.region;
        region.create_bucket(id, &bucket.upstream).await.unwrap();
        let creating = [BucketState::Creating];
        catalog
            .move_bucket(
                id,
                &bucket.name,
                &bucket.upstream,
                &creating,
                BucketState::Active,
            )
            .await
            .unwrap();
        for number in 0..OBJECTS {
            let at = ObjectRef {
                bucket: bucket.upstream.clone(),
                key: ObjectKey::new(format!("object-{number}")).unwrap(),
            };
            let request = PutRequest {
                head: Default::default(),
                stored_bytes: OBJECT_BYTES,
                body: Body::Replayable(bytes::Bytes::from_static(b"bytes")),
                condition: PutCondition::Always,
            };
            region.put(id, &at, request).await.unwrap();
        }
        self.leave_uploads_open(id).await;
    }

    /// Terminations that are asked for and approved by two.
    pub(crate) async fn doom(&self) {
        for id in &self.victims {
            let tenant = self.bench.catalog.tenant(*id).await.unwrap();
            let domain = &self.domain;
            domain
                .request_termination(&tenant, "alice", None)
                .await
                .unwrap();
            for approver in ["bob", "carol"] {
                domain.approve_termination(&tenant, approver).await.unwrap();
            }
        }
        self.bench.clock.advance_ms(5_000);
    }

    /// Makes every clock wrong by so much, or right again with the opposite.
    pub(crate) fn skew(&self, by_ms: i64) {
        self.bench.clock.advance_ms(by_ms);
        self.keys.model.lock().unwrap().wrong_ms += by_ms;
    }

    pub(crate) fn runner(&self, owner: &str) -> ShredRunner {
        let settings = ShredRunnerSettings::default();
        ShredRunner::new(self.domain.clone(), owner.to_owned(), settings)
    }

    /// From the given call on, every call of one part fails, as for a process that was killed there.
    pub(crate) fn kill_at(&self, part: Part, calls: u32, persisted: bool) {
        match part {
            Part::Catalog => {
                if persisted {
                    self.bench.catalog.inject(Fault {
                        operation: None,
                        after: calls,
                        times: 1,
                        kind: FaultKind::Persisted,
                    });
                }
                self.bench.catalog.inject(Fault {
                    operation: None,
                    after: if persisted { 0 } else { calls },
                    times: u32::MAX,
                    kind: FaultKind::NotPersisted,
                });
            }
            Part::Keys => self.keys.fuse.blow_after(calls, persisted),
            Part::Log => self.log.fuse.blow_after(calls, persisted),
            // A region that is away does not keep a shred from going on: nothing else may answer either.
            Part::Region => {
                let (catalog, keys, log) = (
                    self.bench.catalog.clone(),
                    self.keys.clone(),
                    self.log.clone(),
                );
                let region = &self.bench.region;
                region.cut_after(calls.into(), persisted, move || {
                    catalog.inject(Fault {
                        operation: None,
                        after: 0,
                        times: u32::MAX,
                        kind: FaultKind::NotPersisted,
                    });
                    keys.fuse.blow_after(0, false);
                    log.fuse.blow_after(0, false);
                });
            }
        }
    }

    pub(crate) fn heal(&self) {
        self.bench.heal();
        self.bench.region.heal();
        self.keys.fuse.mend();
        self.log.fuse.mend();
    }

    /// Whether everything is over.
    pub(crate) async fn is_over(&self) -> bool {
        let catalog = &self.bench.catalog;
        let shreds = catalog.shreds(10).await.unwrap();
        let over = |one: &crate::catalog::Shred| one.state == ShredState::Purged;
        let unlogged = crate::catalog::ReceiptStore::receipts_unlogged(catalog.as_ref(), 10);
        !shreds.is_empty() && shreds.iter().all(over) && unlogged.await.unwrap().is_empty()
    }

    /// Goes on as another process would, minutes later, until everything is over.
    pub(crate) async fn finish(&self, at: &str) {
        for _ in 0..5 {
            self.bench.clock.advance_ms(10 * 60 * 1000);
            self.runner("later").run_due().await.expect(at);
            if self.is_over().await {
                return;
            }
        }
        let shreds = self.bench.catalog.shreds(10).await.unwrap();
        panic!("{at}: not over: {shreds:?}");
    }

    pub(crate) fn trust(&self) -> String {
        let trust = self
            .domain
            .signing
            .trust(&TrustSettings::default())
            .unwrap();
        trust.to_json().unwrap()
    }
}
