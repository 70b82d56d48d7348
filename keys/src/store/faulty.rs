//! A key store that goes wrong on demand.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use lethe_envelope::{KekId, TenantId};

use super::{
    Announcement, GatewayRow, Imported, InsertKek, KekRow, KeyStore, MoveMark, MoveOutcome,
    MovePlan, MoveRow, NodeRow, PendingLeaf, Record, Renewal, Renewed, Rewrap, Sequenced,
    StoreError, StoreHead,
};
use crate::location::Location;
use crate::testing::{Call, Faults};
use crate::tree::{Epoch, Place};
use crate::types::{
    CreationEntry, FenceScope, GatewayId, KekInfo, KeyStoreIdentity, PendingEntry, SequencedEntry,
};

/// See the module's text.
pub(crate) struct FaultyKeyStore {
    inner: Arc<dyn KeyStore>,
    faults: Arc<Faults>,
}

impl FaultyKeyStore {
    pub(crate) fn new(inner: Arc<dyn KeyStore>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }
}

fn injected() -> StoreError {
    StoreError::Unavailable("injected fault".to_owned())
}

fn flip(wrapped: &mut [u8]) {
    if let Some(last) = wrapped.last_mut() {
        *last ^= 1;
    }
}

fn flip_kek(row: Option<KekRow>) -> Option<KekRow> {
    row.map(|mut row| {
        flip(&mut row.wrapped);
        row
    })
}

#[async_trait]
impl KeyStore for FaultyKeyStore {
    async fn location(&self) -> Result<Location, StoreError> {
        let lie = |_| Location::of_postgres(0);
        self.faults
            .run(Call::StoreLocation, injected, self.inner.location(), lie)
            .await
    }

    async fn begin_init(
        &self,
        identity: KeyStoreIdentity,
        domain: &str,
        created_ms: i64,
    ) -> Result<StoreHead, StoreError> {
        let real = self.inner.begin_init(identity, domain, created_ms);
        let lie = |head| StoreHead {
            domain: "another".to_owned(),
            ..head
        };
        self.faults
            .run(Call::StoreBeginInit, injected, real, lie)
            .await
    }

    async fn finish_init(&self, nodes: &[NodeRow], created_ms: i64) -> Result<bool, StoreError> {
        let real = self.inner.finish_init(nodes, created_ms);
        self.faults
            .run(Call::StoreFinishInit, injected, real, |done| !done)
            .await
    }

    async fn head(&self) -> Result<StoreHead, StoreError> {
        let lie = |head| StoreHead {
            identity: KeyStoreIdentity::from_bytes([0xEE; 16]),
            ..head
        };
        self.faults
            .run(Call::StoreHead, injected, self.inner.head(), lie)
            .await
    }

    async fn node(&self, place: Place) -> Result<Option<NodeRow>, StoreError> {
        let lie = |row: Option<NodeRow>| {
            row.map(|mut row| {
                flip(&mut row.wrapped);
                row
            })
        };
        self.faults
            .run(Call::StoreNode, injected, self.inner.node(place), lie)
            .await
    }

    async fn insert_kek(&self, row: &KekRow, leaf: &PendingLeaf) -> Result<InsertKek, StoreError> {
        let real = self.inner.insert_kek(row, leaf);
        self.faults
            .run(Call::StoreInsertKek, injected, real, |_| {
                InsertKek::VersionTaken
            })
            .await
    }

    async fn kek(&self, kek_id: KekId) -> Result<Option<KekRow>, StoreError> {
        self.faults
            .run(Call::StoreKek, injected, self.inner.kek(kek_id), flip_kek)
            .await
    }

    async fn active_kek(&self, tenant: TenantId) -> Result<Option<KekRow>, StoreError> {
        let lie = |row: Option<KekRow>| {
            row.map(|row| KekRow {
                tenant: TenantId::from_bytes([0xEE; 16]),
                ..row
            })
        };
        self.faults
            .run(
                Call::StoreActiveKek,
                injected,
                self.inner.active_kek(tenant),
                lie,
            )
            .await
    }

    async fn keks(&self, tenant: TenantId) -> Result<Vec<KekInfo>, StoreError> {
        let lie = |mut infos: Vec<KekInfo>| {
            infos.pop();
            infos
        };
        self.faults
            .run(Call::StoreKeks, injected, self.inner.keks(tenant), lie)
            .await
    }

    async fn renew(&self, renewal: &Renewal) -> Result<Option<Renewed>, StoreError> {
        let lie = |renewed: Option<Renewed>| {
            renewed.map(|renewed| Renewed {
                epoch: Epoch(0),
                ..renewed
            })
        };
        self.faults
            .run(Call::StoreRenew, injected, self.inner.renew(renewal), lie)
            .await
    }

    async fn release(&self, gateway: GatewayId) -> Result<(), StoreError> {
        self.faults
            .run(
                Call::StoreRelease,
                injected,
                self.inner.release(gateway),
                |()| (),
            )
            .await
    }

    async fn forget_gateway(&self, gateway: GatewayId, renewals: u64) -> Result<bool, StoreError> {
        self.inner.forget_gateway(gateway, renewals).await
    }

    async fn sequenced_entries(
        &self,
        from: u64,
        max: usize,
    ) -> Result<Vec<SequencedEntry>, StoreError> {
        self.inner.sequenced_entries(from, max).await
    }

    async fn keks_since(&self, unix_ms: i64) -> Result<u64, StoreError> {
        self.inner.keks_since(unix_ms).await
    }

    async fn raise_fence(&self, scope: FenceScope, raised_ms: i64) -> Result<u64, StoreError> {
        let real = self.inner.raise_fence(scope, raised_ms);
        self.faults
            .run(Call::StoreRaiseFence, injected, real, |_| 0)
            .await
    }

    async fn gateways(&self) -> Result<Vec<GatewayRow>, StoreError> {
        let lie = |mut rows: Vec<GatewayRow>| {
            rows.clear();
            rows
        };
        self.faults
            .run(Call::StoreGateways, injected, self.inner.gateways(), lie)
            .await
    }

    async fn newest_kek(&self, tenant: TenantId) -> Result<Option<KekRow>, StoreError> {
        let real = self.inner.newest_kek(tenant);
        self.faults
            .run(
                Call::StoreNewestKek,
                injected,
                real,
                |row: Option<KekRow>| {
                    row.map(|row| KekRow {
                        tenant: TenantId::from_bytes([0xEE; 16]),
                        ..row
                    })
                },
            )
            .await
    }

    async fn pending_entries(&self, max: usize) -> Result<Vec<PendingEntry>, StoreError> {
        let real = self.inner.pending_entries(max);
        self.faults
            .run(Call::StorePendingEntries, injected, real, |_| Vec::new())
            .await
    }

    async fn queue_entry(
        &self,
        announcement: Announcement,
        entry: &[u8; 32],
        created_ms: i64,
    ) -> Result<(), StoreError> {
        let real = self.inner.queue_entry(announcement, entry, created_ms);
        self.faults
            .run(Call::StoreQueueEntry, injected, real, |()| ())
            .await
    }

    async fn record_sequenced(
        &self,
        first_index: u64,
        entries: &[[u8; 32]],
    ) -> Result<Sequenced, StoreError> {
        let real = self.inner.record_sequenced(first_index, entries);
        self.faults
            .run(Call::StoreRecordSequenced, injected, real, |_| {
                Sequenced::Gap { log_size: 0 }
            })
            .await
    }

    async fn accept_log_size(&self, log_size: u64) -> Result<(), StoreError> {
        let real = self.inner.accept_log_size(log_size);
        self.faults
            .run(Call::StoreAcceptLogSize, injected, real, |()| ())
            .await
    }

    async fn entry_index(&self, entry: &[u8; 32]) -> Result<Option<Option<u64>>, StoreError> {
        let real = self.inner.entry_index(entry);
        self.faults
            .run(Call::StoreEntryIndex, injected, real, |_| None)
            .await
    }

    async fn unknown_statements(&self, receipts: &[[u8; 16]]) -> Result<Vec<[u8; 16]>, StoreError> {
        let real = self.inner.unknown_statements(receipts);
        self.faults
            .run(Call::StoreUnknownStatements, injected, real, |_| Vec::new())
            .await
    }

    async fn creations(&self, tenant: TenantId) -> Result<Vec<CreationEntry>, StoreError> {
        let real = self.inner.creations(tenant);
        self.faults
            .run(
                Call::StoreCreations,
                injected,
                real,
                |mut creations: Vec<CreationEntry>| {
                    creations.pop();
                    creations
                },
            )
            .await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let real = self.inner.nodes();
        self.faults
            .run(
                Call::StoreNodes,
                injected,
                real,
                |mut rows: Vec<NodeRow>| {
                    rows.iter_mut().for_each(|row| flip(&mut row.wrapped));
                    rows
                },
            )
            .await
    }

    async fn move_root(
        &self,
        plan: &MovePlan,
        rewrap: &dyn Rewrap,
    ) -> Result<MoveOutcome, StoreError> {
        let real = self.inner.move_root(plan, rewrap);
        self.faults
            .run(Call::StoreMoveRoot, injected, real, |_| {
                MoveOutcome::NotCurrent
            })
            .await
    }

    async fn movement(&self, from: Epoch) -> Result<Option<MoveRow>, StoreError> {
        let real = self.inner.movement(from);
        self.faults
            .run(Call::StoreMovement, injected, real, |_| None)
            .await
    }

    async fn moves(&self) -> Result<Vec<MoveRow>, StoreError> {
        let real = self.inner.moves();
        self.faults
            .run(Call::StoreMoves, injected, real, |_| Vec::new())
            .await
    }

    async fn mark_move(&self, from: Epoch, mark: MoveMark) -> Result<bool, StoreError> {
        let real = self.inner.mark_move(from, mark);
        self.faults
            .run(Call::StoreMarkMove, injected, real, |marked| !marked)
            .await
    }

    async fn nodes_up_to(&self, epoch: Epoch) -> Result<u64, StoreError> {
        let real = self.inner.nodes_up_to(epoch);
        self.faults
            .run(Call::StoreNodesUpTo, injected, real, |nodes| nodes + 1)
            .await
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        let real = self.inner.scrub();
        self.faults
            .run(Call::StoreScrub, injected, real, |()| ())
            .await
    }

    async fn export(&self, records: mpsc::Sender<Vec<Record>>) -> Result<(), StoreError> {
        let real = self.inner.export(records);
        self.faults
            .run(Call::StoreExport, injected, real, |()| ())
            .await
    }

    async fn import(
        &self,
        records: mpsc::Receiver<Option<Vec<Record>>>,
    ) -> Result<Imported, StoreError> {
        let real = self.inner.import(records);
        self.faults
            .run(Call::StoreImport, injected, real, |_| Imported::Broken)
            .await
    }

    async fn finish_restore(&self) -> Result<bool, StoreError> {
        let real = self.inner.finish_restore();
        self.faults
            .run(Call::StoreFinishRestore, injected, real, |done| !done)
            .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.faults
            .run(Call::StorePing, injected, self.inner.ping(), |()| ())
            .await
    }
}
