//! Open uploads with spooled parts, as tenants leave them.

use super::World;
use crate::catalog::{AttemptId, NewAttempt, NewUpload, UploadStore as _};
use crate::jobs::testing::{NOW, eu};
use crate::region::{
    Body, HeadFields, ListRequest, ObjectRef, PutCondition, PutRequest, RegionStore as _,
};
use crate::tenants::{ObjectKey, SPOOL_OWNER, TenantId};
use lethe_envelope::{KekId, ObjectId};

/// Spooled parts of each upload that a tenant leaves open.
const SPOOLED: [u32; 2] = [1, 2];

/// Open uploads of a tenant.
pub(crate) const UPLOADS: u64 = SPOOLED.len() as u64;
/// Their spooled parts.
pub(crate) const SPOOLED_PARTS: u64 = (SPOOLED[0] + SPOOLED[1]) as u64;

impl World {
    pub(super) async fn leave_uploads_open(&self, tenant: TenantId) {
        let catalog = &self.bench.catalog;
        for (number, parts) in SPOOLED.into_iter().enumerate() {
            let at = ObjectRef {
                bucket: super::upstream(tenant),
                key: ObjectKey::new(format!("upload-{number}")).unwrap(),
            };
            let id = format!(
                "{:032x}",
                u64::from(tenant.as_bytes()[0]) * 16 + number as u64
            );
            let new = NewUpload {
                id: id.parse().unwrap(),
                bucket: "docs".parse().unwrap(),
                key: at.key.clone(),
                object_id: ObjectId::from_bytes([1; 16]),
                kek_id: KekId::from_bytes([2; 16]),
                header: "header".to_owned(),
                sealed_metadata: vec![1],
                checksum: None,
                created: NOW,
            };
            catalog.begin_upload(tenant, &new).await.unwrap();
            let head = HeadFields::default();
            let opened = self.bench.region.create_upload(tenant, &at, &head).await;
            let opened = opened.unwrap();
            catalog
                .open_upload(tenant, &new.id, &opened.0)
                .await
                .unwrap();
            for part in 0..parts {
                let key = ObjectKey::new(format!("{id}/{part}")).unwrap();
                self.spool(&key).await;
                let attempt = catalog.begin_attempt(tenant, &new.id, 1, NOW).await;
                self.record(tenant, &new, attempt.unwrap(), key).await;
            }
        }
    }

    pub(crate) async fn spool(&self, key: &ObjectKey) {
        let at = ObjectRef {
            bucket: self.bench.domain.regions[&eu()].spool.clone(),
            key: key.clone(),
        };
        let request = PutRequest {
            head: Default::default(),
            stored_bytes: 5,
            body: Body::Replayable(bytes::Bytes::from_static(b"bytes")),
            condition: PutCondition::Always,
        };
        let region = &self.bench.region;
        region.put(SPOOL_OWNER, &at, request).await.unwrap();
    }

    async fn record(
        &self,
        tenant: TenantId,
        of: &NewUpload,
        attempt: AttemptId,
        spool_key: ObjectKey,
    ) {
        let finished = NewAttempt {
            upstream_etag: "etag".to_owned(),
            salt: [0; 24],
            commitment: [0; 32],
            plaintext_bytes: 1,
            sealed_checksum: None,
            spool_key: Some(spool_key),
        };
        let catalog = &self.bench.catalog;
        let done = catalog.finish_attempt(tenant, &of.id, attempt, &finished, NOW);
        done.await.unwrap();
    }

    /// How many bodies all tenants have in the spool.
    pub(crate) async fn spooled(&self) -> u64 {
        let spool = &self.bench.domain.regions[&eu()].spool;
        let request = ListRequest {
            keys_max: 1000,
            ..ListRequest::default()
        };
        let listed = self.bench.region.list(SPOOL_OWNER, spool, &request).await;
        listed.unwrap().objects.len() as u64
    }
}
