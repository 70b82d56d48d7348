//! A key store that goes wrong on demand.

use std::sync::Arc;

use async_trait::async_trait;

use lethe_envelope::{KekId, TenantId};

use super::{
    GatewayRow, InsertKek, KekRow, KeyStore, NodeRow, PendingLeaf, Renewal, Renewed, StoreError,
    StoreHead,
};
use crate::location::Location;
use crate::testing::{Call, Faults};
use crate::tree::{Epoch, Place};
use crate::types::{FenceScope, GatewayId, KekInfo, KeyStoreIdentity};

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

    async fn renew(&self, renewal: &Renewal) -> Result<Renewed, StoreError> {
        let lie = |renewed| Renewed {
            epoch: Epoch(0),
            ..renewed
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

    async fn raise_fence(&self, scope: FenceScope, raised_ms: i64) -> Result<u64, StoreError> {
        let real = self.inner.raise_fence(scope, raised_ms);
        self.faults
            .run(Call::StoreRaiseFence, injected, real, |fence| fence + 1)
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

    async fn ping(&self) -> Result<(), StoreError> {
        self.faults
            .run(Call::StorePing, injected, self.inner.ping(), |()| ())
            .await
    }
}
