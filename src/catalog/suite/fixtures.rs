//! Rows that the cases begin with.

use crate::catalog::{
    Bucket, BucketState, Catalog, CatalogError, NewAttempt, NewBucket, NewCredential, NewTenant,
    NewUpload,
};
use crate::clock::UnixMs;
use crate::region::UpstreamBucket;
use crate::tenants::access::Grant;
use crate::tenants::{
    AccessKeyId, BucketName, ObjectKey, RegionName, TenantId, TenantName, TenantState, UploadId,
};
use lethe_envelope::{ChecksumAlgorithm, ChecksumType, KekId, ObjectId};
use std::sync::Arc;

pub(super) const NOW: UnixMs = UnixMs(1_760_000_000_000);

pub(super) fn region() -> RegionName {
    RegionName::new("eu-central-1").unwrap()
}

pub(super) fn bucket_name(name: &str) -> BucketName {
    BucketName::new(name).unwrap()
}

pub(super) fn key_id(id: &str) -> AccessKeyId {
    AccessKeyId::new(id).unwrap()
}

pub(super) fn upload_id(number: u8) -> UploadId {
    UploadId::new(format!("{number:032x}")).unwrap()
}

pub(super) fn new_tenant(name: &str) -> NewTenant {
    NewTenant {
        id: TenantId::random().unwrap(),
        name: TenantName::new(name).unwrap(),
        region: region(),
        created: NOW,
    }
}

/// An active tenant.
pub(super) async fn tenant(catalog: &Arc<dyn Catalog>, name: &str) -> TenantId {
    let new = new_tenant(name);
    catalog.begin_tenant(&new).await.unwrap();
    catalog
        .move_tenant(new.id, &[TenantState::Creating], TenantState::Active)
        .await
        .unwrap();
    new.id
}

pub(super) fn new_credential(tenant: TenantId, id: &str) -> NewCredential {
    NewCredential {
        tenant,
        id: key_id(id),
        sealed_secret: b"sealed".to_vec(),
        grant: Arc::new(Grant::unrestricted()),
        created: NOW,
    }
}

pub(super) fn new_bucket(name: &str) -> NewBucket {
    let unique = TenantId::random().unwrap();
    NewBucket {
        name: bucket_name(name),
        region: region(),
        upstream: UpstreamBucket::from_catalog(format!("lethe-{unique}")),
        object_lock: false,
        created: NOW,
    }
}

/// An active bucket.
pub(super) async fn bucket(catalog: &Arc<dyn Catalog>, tenant: TenantId, name: &str) -> Bucket {
    let new = new_bucket(name);
    catalog.begin_bucket(tenant, &new, 100).await.unwrap();
    catalog
        .move_bucket(
            tenant,
            &new.name,
            &new.upstream,
            &[BucketState::Creating],
            BucketState::Active,
        )
        .await
        .unwrap();
    catalog.bucket(tenant, &new.name).await.unwrap()
}

pub(super) fn new_upload(number: u8, bucket: &str, key: &str) -> NewUpload {
    NewUpload {
        id: upload_id(number),
        bucket: bucket_name(bucket),
        key: ObjectKey::new(key).unwrap(),
        object_id: ObjectId::from_bytes([number; 16]),
        kek_id: KekId::from_bytes([7; 16]),
        header: "header".to_owned(),
        sealed_metadata: vec![0, 1, 255],
        checksum: Some((ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject)),
        created: NOW,
    }
}

/// An open upload in the tenant's bucket `docs`, which must be there.
pub(super) async fn upload(
    catalog: &Arc<dyn Catalog>,
    tenant: TenantId,
    number: u8,
    key: &str,
) -> UploadId {
    let new = new_upload(number, "docs", key);
    catalog.begin_upload(tenant, &new).await.unwrap();
    catalog
        .open_upload(tenant, &new.id, "upstream-id")
        .await
        .unwrap();
    new.id
}

/// A tenant with the bucket `docs` and one open upload in it.
pub(super) async fn tenant_with_upload(catalog: &Arc<dyn Catalog>) -> (TenantId, UploadId) {
    let tenant = tenant(catalog, "acme").await;
    bucket(catalog, tenant, "docs").await;
    let upload = upload(catalog, tenant, 1, "a/key").await;
    (tenant, upload)
}

pub(super) fn finished(mark: u8) -> NewAttempt {
    NewAttempt {
        upstream_etag: format!("etag-{mark}"),
        salt: [mark; 24],
        commitment: [mark; 32],
        plaintext_bytes: 5 << 20,
        sealed_checksum: Some(vec![mark; 138]),
        spool_key: None,
    }
}

macro_rules! assert_refused {
    ($outcome:expr, $kind:ident) => {{
        let outcome = $outcome;
        assert!(
            matches!(&outcome, Err(crate::catalog::CatalogError::$kind { .. })),
            "{} expected, not {:?}",
            stringify!($kind),
            outcome.err()
        );
    }};
}
pub(super) use assert_refused;

/// Whether a call was refused because the row is in the way, and nothing worse.
pub(super) fn is_conflict<T>(outcome: &Result<T, CatalogError>) -> bool {
    matches!(outcome, Err(CatalogError::Conflict { .. }))
}
