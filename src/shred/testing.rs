//! A domain that can shred, whose catalog, keys and log a test cuts off: the keys are a model, the log is a real one.

mod keys;
mod uploads;

use keys::Leaves;
pub(crate) use keys::{ModelKeys, Move};
pub(crate) use uploads::{SPOOLED_PARTS, UPLOADS};

use super::clocks::{ClockBehind, OtherClocks};
use super::domain::{Certificate, RootBackups, ShredDomain, ShredLog, Witnessed};
use super::error::{LogAway, ShredError};
use super::log::DomainLog;
use super::rules::ShredPolicy;
use super::runner::{ShredRunner, ShredRunnerSettings};
use crate::catalog::{
    ApprovalMode, BucketState, BucketStore as _, Fault, FaultKind, NewBucket, NewTenant,
    ShredState, ShredStore as _, TenantStore as _, WitnessMark,
};
use crate::clock::{Clock as _, ManualClock, UnixMs};
use crate::jobs::testing::{Bench, Fuse, NOW, eu};
use crate::log::{DirLog, Sequencer, Witnesses};
use crate::region::{Body, ObjectRef, PutCondition, PutRequest, RegionStore as _, UpstreamBucket};
use crate::signing::{Signing, TrustSettings};
use crate::tenants::{ObjectKey, TenantId, TenantState};
use async_trait::async_trait;
use lethe_receipts::log::{Hash, SignedCheckpoint, TreeHead};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

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

/// Others' clocks, as their owners and what they read.
pub(crate) struct TestClocks {
    own: Arc<ManualClock>,
    pub(crate) others: Mutex<Vec<(&'static str, UnixMs)>>,
}

#[async_trait]
impl OtherClocks for TestClocks {
    async fn behind(&self, by_ms: i64) -> Result<Vec<ClockBehind>, ShredError> {
        let own = self.own.now();
        let others = self.others.lock().unwrap();
        Ok(others
            .iter()
            .map(|(whose, theirs)| ClockBehind {
                whose: (*whose).to_owned(),
                by_ms: own.0 - theirs.0,
            })
            .filter(|behind| behind.by_ms > by_ms)
            .collect())
    }
}

/// A domain with two tenants that are to be shredded and one that stays.
pub(crate) struct World {
    pub(crate) bench: Bench,
    pub(crate) keys: Arc<ModelKeys>,
    pub(crate) log: Arc<FusedLog>,
    pub(crate) domain: Arc<ShredDomain>,
    pub(crate) victims: Vec<TenantId>,
    pub(crate) stays: TenantId,
    pub(crate) clocks: Arc<TestClocks>,
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
        let clocks = Arc::new(TestClocks {
            own: bench.clock.clone(),
            others: Mutex::default(),
        });
        let domain = Arc::new(ShredDomain {
            clocks: vec![clocks.clone()],
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
            clocks,
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

    /// Who sees the log, and knows its keys: nobody watches it here.
    pub(crate) fn log_witnesses(&self) -> &Witnesses {
        &self.log.inner.witnesses
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
