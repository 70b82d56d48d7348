//! CreateBucket, DeleteBucket and bucket versioning. Each begins with a durable step in the catalog, and every step may be repeated.

use crate::catalog::{Bucket, BucketState, BucketVersioning, CatalogError, JobKind, NewBucket};
use crate::ops::error::{Code, OpError};
use crate::ops::gateway::{Gateway, Region};
use crate::ops::multipart;
use crate::ops::object_lock;
use crate::ops::scope::{
    Access, BucketScope, TenantScope, being_deleted, no_such_bucket, tenant_scope,
};
use crate::placement::upstream_bucket_name;
use crate::region::{
    ListRequest, RegionError, RegionStore, UpstreamBucket, VersionListRequest, Versioning,
};
use crate::tenants::access::Authorized;
use crate::tenants::{BucketName, RegionName, Subject, TenantId, UploadId};

/// Uploads of a deleted bucket that its request drops itself; the sweeping job drops the others.
const UPLOADS_DROPPED_MAX: u32 = 100;

/// When the job looks after a bucket's deletion, in milliseconds: later than any request's deadline.
const JOB_AFTER_MS: i64 = 60_000;

/// A new upstream bucket's name, which tells neither tenant nor bucket.
fn draw_upstream_name(prefix: &str) -> Result<UpstreamBucket, OpError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| OpError::internal(format!("cannot draw a bucket name: {error}")))?;
    Ok(upstream_bucket_name(prefix, random))
}

/// S3's answer to a creation of a bucket that the tenant has.
#[must_use]
pub fn already_owned() -> OpError {
    OpError::new(
        Code::BucketAlreadyOwnedByYou,
        "Your previous request to create the named bucket succeeded and you already own it.",
    )
}

/// Creates a bucket, or finishes one whose creation was cut off.
///
/// # Errors
/// `BucketAlreadyOwnedByYou`, `TooManyBuckets`, `OperationAborted` while it is being deleted.
pub async fn create_bucket(
    gateway: &Gateway,
    authorized: &Authorized,
    name: BucketName,
    constraint: Option<&RegionName>,
) -> Result<Bucket, OpError> {
    make_bucket(gateway, authorized, name, constraint, false).await
}

/// As [`create_bucket`], with object lock.
///
/// # Errors
/// As [`create_bucket`]; `NotImplemented` where the region has none.
pub async fn create_lock_bucket(
    gateway: &Gateway,
    authorized: &Authorized,
    name: BucketName,
    constraint: Option<&RegionName>,
) -> Result<Bucket, OpError> {
    make_bucket(gateway, authorized, name, constraint, true).await
}

async fn make_bucket(
    gateway: &Gateway,
    authorized: &Authorized,
    name: BucketName,
    constraint: Option<&RegionName>,
    object_lock: bool,
) -> Result<Bucket, OpError> {
    let scope = tenant_scope(gateway, authorized, Access::Write)?;
    scope.check_bucket(name.as_str())?;
    let region = gateway.region_for_new_bucket(&authorized.caller().tenant, constraint)?;
    let Region {
        name: region,
        store,
        bucket_prefix,
        ..
    } = &**region;
    if object_lock && !store.profile().object_lock {
        return Err(object_lock::no_object_lock());
    }
    let new = NewBucket {
        name: name.clone(),
        region: region.clone(),
        upstream: draw_upstream_name(bucket_prefix)?,
        object_lock,
        created: gateway.clock().now(),
    };
    let catalog = &scope.domain.catalog;
    let bucket = catalog
        .begin_bucket(scope.tenant, &new, gateway.limits().buckets_max)
        .await?;
    match bucket.state {
        BucketState::Active => {
            return Err(already_owned());
        }
        BucketState::Deleting => {
            return Err(OpError::new(
                Code::OperationAborted,
                "The bucket is being deleted. Please retry.",
            ));
        }
        // The upstream bucket may be there already, and is what its row says.
        BucketState::Creating if bucket.object_lock != object_lock => {
            return Err(OpError::new(
                Code::OperationAborted,
                "The bucket is being created, with another choice of object lock. Please retry.",
            ));
        }
        BucketState::Creating => {}
    }
    let made = match bucket.object_lock {
        true => {
            store
                .create_lock_bucket(scope.tenant, &bucket.upstream)
                .await
        }
        false => store.create_bucket(scope.tenant, &bucket.upstream).await,
    };
    if let Err(error) = made {
        take_back(gateway, &scope, &bucket, &error).await;
        return Err(error.into());
    }
    catalog
        .move_bucket(
            scope.tenant,
            &name,
            &bucket.upstream,
            &[BucketState::Creating],
            BucketState::Active,
        )
        .await?;
    Ok(bucket)
}

/// A bucket that the upstream refuses for good would hold its name and its place in the quota; the job deletes what there is of it.
/// After any other failure it stays as it is, and the job or a retry makes it.
async fn take_back(gateway: &Gateway, scope: &TenantScope, bucket: &Bucket, error: &RegionError) {
    if !matches!(
        error,
        RegionError::TooManyBuckets { .. }
            | RegionError::Refused { .. }
            | RegionError::Unsupported { .. }
    ) {
        return;
    }
    let (catalog, tenant) = (&scope.domain.catalog, scope.tenant);
    let taken_back = async {
        enqueue(gateway, scope, &bucket.name, 0).await?;
        let from = [BucketState::Creating];
        let (name, upstream) = (&bucket.name, &bucket.upstream);
        let moved = catalog.move_bucket(tenant, name, upstream, &from, BucketState::Deleting);
        Ok::<_, OpError>(moved.await?)
    };
    if let Err(error) = taken_back.await {
        tracing::debug!(%tenant, %error, "a bucket that the upstream refused stays");
    }
}

/// Has the job look at the bucket: before a step that a request may not live to follow up.
async fn enqueue(
    gateway: &Gateway,
    scope: &TenantScope,
    name: &BucketName,
    after_ms: i64,
) -> Result<(), OpError> {
    let subject = Subject::Bucket(scope.tenant, name.clone()).to_string();
    let due = gateway.clock().now().plus_ms(after_ms);
    let catalog = &scope.domain.catalog;
    catalog
        .enqueue(JobKind::FinishBucket, &subject, due)
        .await?;
    Ok(())
}

/// Deletes an empty bucket, and the uploads that are open in it.
///
/// # Errors
/// `BucketNotEmpty` when it holds objects or versions.
pub async fn delete_bucket(
    gateway: &Gateway,
    scope: &TenantScope,
    name: &BucketName,
) -> Result<(), OpError> {
    scope.check_bucket(name.as_str())?;
    let (catalog, tenant) = (&scope.domain.catalog, scope.tenant);
    let bucket = catalog.bucket(tenant, name).await?;
    let region = gateway.region(&bucket.region)?;
    let (store, upstream) = (&region.store, &bucket.upstream);
    match bucket.state {
        BucketState::Creating => return Err(no_such_bucket()),
        // Whether it is empty is asked before anybody is kept out of it: most that are not empty are in use.
        BucketState::Active if holds_something(store.as_ref(), tenant, upstream).await? => {
            return Err(not_empty());
        }
        BucketState::Active | BucketState::Deleting => {}
    }
    enqueue(gateway, scope, name, JOB_AFTER_MS).await?;
    let from = [BucketState::Active, BucketState::Deleting];
    let moved = catalog.move_bucket(tenant, name, upstream, &from, BucketState::Deleting);
    match moved.await {
        // What was known of the name here was older than the bucket that has it now.
        Err(error @ CatalogError::Conflict { .. }) => {
            return Err(being_deleted().caused_by(error));
        }
        outcome => outcome?,
    }
    match store.delete_bucket(tenant, upstream).await {
        Ok(()) => {}
        Err(error @ RegionError::BucketNotEmpty { .. }) => {
            let from = [BucketState::Deleting];
            let back = catalog.move_bucket(tenant, name, upstream, &from, BucketState::Active);
            back.await?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    }
    // No upload begins in a bucket that is being deleted, so these are the last.
    let open = catalog.uploads(tenant, name, "", None, UPLOADS_DROPPED_MAX);
    let open = open.await?.uploads;
    catalog.forget_bucket(tenant, name, upstream).await?;
    for upload in open {
        if let Err(error) = drop_upload(scope, region, &upload.new.id).await {
            tracing::debug!(%error, "an upload of a deleted bucket is left to the sweeping job");
            break;
        }
    }
    Ok(())
}

/// Whether the region's bucket has any object or version.
async fn holds_something(
    store: &dyn RegionStore,
    tenant: TenantId,
    bucket: &UpstreamBucket,
) -> Result<bool, OpError> {
    let objects = ListRequest {
        keys_max: 1,
        ..ListRequest::default()
    };
    match store.list(tenant, bucket, &objects).await {
        Ok(found) if !found.objects.is_empty() => return Ok(true),
        // Gone already; the deletion goes on with what is left of it here.
        Err(RegionError::NotFound { .. }) => return Ok(false),
        Ok(_) if !store.profile().versioning => return Ok(false),
        outcome => outcome?,
    };
    let versions = VersionListRequest {
        keys_max: 10,
        ..VersionListRequest::default()
    };
    let found = store.list_versions(tenant, bucket, &versions).await?;
    // Of a `null` marker only the store can say whether it is more than a trace.
    let mut listed = found.versions.iter();
    Ok(listed.any(|one| !one.delete_marker || one.version.0 != "null"))
}

fn not_empty() -> OpError {
    OpError::new(
        Code::BucketNotEmpty,
        "The bucket you tried to delete is not empty",
    )
}

/// Drops what an upload left behind whose upstream bucket is gone.
async fn drop_upload(scope: &TenantScope, region: &Region, id: &UploadId) -> Result<(), OpError> {
    multipart::drop_spooled(region, id).await?;
    Ok(scope.domain.catalog.forget_upload(scope.tenant, id).await?)
}

/// Sets a bucket's versioning upstream, then records it.
///
/// # Errors
/// `NotImplemented` where the region has none.
pub async fn set_versioning(scope: &BucketScope, state: Versioning) -> Result<(), OpError> {
    if !scope.region.store.profile().versioning {
        return Err(OpError::not_implemented(
            "This region does not support versioning.",
        ));
    }
    if scope.bucket.object_lock && state != Versioning::Enabled {
        return Err(OpError::new(
            Code::InvalidBucketState,
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
        ));
    }
    scope
        .region
        .store
        .set_versioning(scope.tenant, &scope.bucket.upstream, state)
        .await?;
    let recorded = match state {
        Versioning::Off => BucketVersioning::Off,
        Versioning::Enabled => BucketVersioning::Enabled,
        Versioning::Suspended => BucketVersioning::Suspended,
    };
    scope
        .domain
        .catalog
        .set_bucket_versioning(scope.tenant, &scope.bucket.name, recorded)
        .await?;
    Ok(())
}
