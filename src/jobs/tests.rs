mod buckets;
mod orphans;
mod runs;
mod sweep;

use super::testing::{Bench, NOW, eu};
use super::{Runner, RunnerSettings};
use crate::catalog::{
    BucketState, BucketStore as _, CatalogError, Fault, FaultKind, JobKind, JobStore as _,
    NewAttempt, NewBucket, NewTenant, NewUpload, TenantStore as _, UploadStore as _,
};
use crate::region::faulty::{Fault as RegionFault, Op};
use crate::region::{
    Body, GetRequest, HeadFields, ObjectRef, PutCondition, PutRequest, RegionError,
    RegionStore as _, UpstreamBucket, UpstreamUploadId,
};
use crate::tenants::{BucketName, ObjectKey, SPOOL_OWNER, Subject, TenantId, UploadId};
use bytes::Bytes;
use lethe_envelope::{KekId, ObjectId};
const TENANT: TenantId = TenantId::from_bytes([7; 16]);

fn bucket_name() -> BucketName {
    "docs".parse().unwrap()
}

fn upstream() -> UpstreamBucket {
    UpstreamBucket::from_catalog("lethe-docs".to_owned())
}

async fn bench_with_tenant() -> Bench {
    let bench = Bench::open().await;
    let new = NewTenant {
        id: TENANT,
        name: "acme".parse().unwrap(),
        region: eu(),
        created: NOW,
    };
    bench.catalog.begin_tenant(&new).await.unwrap();
    bench.domain.finish_tenant(TENANT).await.unwrap();
    bench
}

async fn begin_bucket(bench: &Bench) {
    let subject = Subject::Bucket(TENANT, bucket_name()).to_string();
    bench
        .catalog
        .enqueue(JobKind::FinishBucket, &subject, NOW)
        .await
        .unwrap();
    let new = NewBucket {
        name: bucket_name(),
        region: eu(),
        upstream: upstream(),
        object_lock: false,
        created: NOW,
    };
    bench.catalog.begin_bucket(TENANT, &new, 100).await.unwrap();
}

async fn begin_delete(bench: &Bench) {
    let subject = Subject::Bucket(TENANT, bucket_name()).to_string();
    bench
        .catalog
        .enqueue(JobKind::FinishBucket, &subject, NOW)
        .await
        .unwrap();
    bench
        .catalog
        .move_bucket(
            TENANT,
            &bucket_name(),
            &upstream(),
            &[BucketState::Active],
            BucketState::Deleting,
        )
        .await
        .unwrap();
}

async fn put(bench: &Bench, owner: TenantId, bucket: UpstreamBucket, key: &ObjectKey) {
    let at = ObjectRef {
        bucket,
        key: key.clone(),
    };
    let request = PutRequest {
        head: HeadFields::default(),
        stored_bytes: 4,
        body: Body::Replayable(Bytes::from_static(b"body")),
        condition: PutCondition::Always,
    };
    bench.region.put(owner, &at, request).await.unwrap();
}
