//! Object lock: a bucket's configuration, and the retention and legal hold of versions.
//!
//! The region's store keeps and enforces them. Here is what it must not be asked: what it can't do, what the bucket has no lock
//! for, and what would weaken a lock that holds, which is refused whether the store would refuse it or not.

use crate::clock::UnixMs;
use crate::ops::error::{Code, OpError};
use crate::ops::gateway::Gateway;
use crate::ops::scope::BucketScope;
use crate::region::{
    LockConfiguration, LockMode, ObjectLock, ObjectRef, RegionError, Retention, VersionId,
    Versioning,
};
use crate::tenants::ObjectKey;

/// Refuses object lock in a region that has none.
///
/// # Errors
/// `NotImplemented`.
pub fn check_region(scope: &BucketScope) -> Result<(), OpError> {
    match scope.region.store.profile().object_lock {
        true => Ok(()),
        false => Err(no_object_lock()),
    }
}

pub(crate) fn no_object_lock() -> OpError {
    OpError::not_implemented("This region does not support object lock.")
}

fn check_bucket(scope: &BucketScope) -> Result<(), OpError> {
    check_region(scope)?;
    match scope.bucket.object_lock {
        true => Ok(()),
        false => Err(OpError::invalid_request(
            "Bucket is missing Object Lock Configuration",
        )),
    }
}

/// The lock of a new object: in a bucket with object lock what the request asks for, elsewhere none.
///
/// # Errors
/// `InvalidRequest` where something is asked for in a bucket without lock, `InvalidArgument` for a date that is not in the future.
pub fn of_new_object(
    gateway: &Gateway,
    scope: &BucketScope,
    asked: ObjectLock,
) -> Result<Option<ObjectLock>, OpError> {
    if asked != ObjectLock::default() {
        check_bucket(scope)?;
    }
    check_future(asked.retention, gateway.clock().now())?;
    Ok(scope.bucket.object_lock.then_some(asked))
}

fn check_future(retention: Option<Retention>, now: UnixMs) -> Result<(), OpError> {
    match retention {
        Some(retention) if retention.until <= now => Err(OpError::invalid_argument(
            "The retain until date must be in the future!",
        )),
        _ => Ok(()),
    }
}

/// The bucket's object lock.
///
/// # Errors
/// `ObjectLockConfigurationNotFoundError` when it has none.
pub async fn configuration(scope: &BucketScope) -> Result<LockConfiguration, OpError> {
    check_region(scope)?;
    let found = match scope.bucket.object_lock {
        true => {
            let (store, bucket) = (&scope.region.store, &scope.bucket.upstream);
            store.lock_configuration(scope.tenant, bucket).await?
        }
        false => None,
    };
    found.ok_or_else(|| {
        OpError::new(
            Code::ObjectLockConfigurationNotFoundError,
            "Object Lock configuration does not exist for this bucket",
        )
    })
}

/// Sets the bucket's default retention; a versioned bucket without object lock gets it, for good.
///
/// # Errors
/// `InvalidBucketState` when the bucket is not versioned.
pub async fn set_configuration(
    scope: &BucketScope,
    configuration: &LockConfiguration,
) -> Result<(), OpError> {
    check_region(scope)?;
    let (store, tenant, bucket) = (&scope.region.store, scope.tenant, &scope.bucket.upstream);
    if !scope.bucket.object_lock && store.versioning(tenant, bucket).await? != Versioning::Enabled {
        return Err(OpError::new(
            Code::InvalidBucketState,
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        ));
    }
    let set = || store.set_lock_configuration(tenant, bucket, configuration);
    match set().await {
        // Setting the same twice is the same as once.
        Err(RegionError::Unknown { .. }) => set().await?,
        outcome => outcome?,
    }
    if scope.bucket.object_lock {
        return Ok(());
    }
    // Upstream first: a row that says so would let objects in that are to be locked and are not.
    if store.lock_configuration(tenant, bucket).await?.is_none() {
        return Err(OpError::internal(
            "the region set an object lock that the bucket does not have",
        ));
    }
    let catalog = &scope.domain.catalog;
    Ok(catalog
        .set_bucket_object_lock(tenant, &scope.bucket.name)
        .await?)
}

/// Retention and legal hold of a version, or of the newest.
///
/// # Errors
/// `InvalidRequest` in a bucket without object lock, `NoSuchKey` and its like.
pub async fn of_version(
    scope: &BucketScope,
    key: &ObjectKey,
    version: Option<&VersionId>,
) -> Result<ObjectLock, OpError> {
    check_bucket(scope)?;
    let (store, at) = (&scope.region.store, scope.at(key));
    Ok(store.object_lock(scope.tenant, &at, version).await?)
}

/// S3's answer for a version without retention, or without legal hold.
#[must_use]
pub fn not_locked() -> OpError {
    OpError::new(
        Code::NoSuchObjectLockConfiguration,
        "The specified object does not have a ObjectLock configuration",
    )
}

/// Sets a version's retention, or lifts it.
///
/// # Errors
/// `AccessDenied` where it would weaken one that holds, `InvalidArgument` for a date that is not in the future.
pub async fn set_retention(
    gateway: &Gateway,
    scope: &BucketScope,
    key: &ObjectKey,
    version: Option<VersionId>,
    wanted: Option<Retention>,
    bypass: bool,
) -> Result<(), OpError> {
    check_bucket(scope)?;
    let now = gateway.clock().now();
    check_future(wanted, now)?;
    let (store, tenant, at) = (&scope.region.store, scope.tenant, scope.at(key));
    // What is looked at must be what is changed, whatever becomes the newest in between.
    let version = match version {
        Some(version) => Some(version),
        None => store.head(tenant, &at, None).await?.version,
    };
    let current = store.object_lock(tenant, &at, version.as_ref()).await?;
    if weakens(current.retention, wanted, bypass, now) {
        return Err(kept());
    }
    let set = || store.set_retention(tenant, &at, version.as_ref(), wanted, bypass);
    let outcome = match set().await {
        Err(RegionError::Unknown { .. }) => set().await,
        outcome => outcome,
    };
    outcome.map_err(|error| match error {
        RegionError::Refused { ref code, .. } if code == "InvalidRequest" => {
            OpError::invalid_request("The region refused this retention.").caused_by(error)
        }
        other => other.into(),
    })
}

/// Whether a change would weaken a retention that still holds.
fn weakens(
    current: Option<Retention>,
    wanted: Option<Retention>,
    bypass: bool,
    now: UnixMs,
) -> bool {
    let Some(current) = current.filter(|current| current.until > now) else {
        return false;
    };
    if current.mode == LockMode::Governance && bypass {
        return false;
    }
    wanted.is_none_or(|wanted| wanted.mode != current.mode || wanted.until < current.until)
}

fn kept() -> OpError {
    OpError::access_denied("Access Denied because object protected by object lock.")
}

/// Sets or lifts a version's legal hold.
///
/// # Errors
/// `InvalidRequest` in a bucket without object lock, `NoSuchKey` and its like.
pub async fn set_legal_hold(
    scope: &BucketScope,
    key: &ObjectKey,
    version: Option<&VersionId>,
    on: bool,
) -> Result<(), OpError> {
    check_bucket(scope)?;
    let (store, at) = (&scope.region.store, scope.at(key));
    match store.set_legal_hold(scope.tenant, &at, version, on).await {
        Err(RegionError::Unknown { .. }) => {
            Ok(store.set_legal_hold(scope.tenant, &at, version, on).await?)
        }
        outcome => Ok(outcome?),
    }
}

/// Why the region would not delete a version: its lock, or something that is the region's own.
pub(crate) async fn undeleted(
    scope: &BucketScope,
    at: &ObjectRef,
    version: &VersionId,
    refusal: RegionError,
) -> OpError {
    let store = &scope.region.store;
    match store.object_lock(scope.tenant, at, Some(version)).await {
        Ok(lock) if lock.retention.is_some() || lock.legal_hold == Some(true) => {
            kept().caused_by(refusal)
        }
        _ => refusal.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LockMode::{Compliance, Governance};

    const NOW: UnixMs = UnixMs(1_000);

    fn retention(mode: LockMode, until: i64) -> Option<Retention> {
        let until = UnixMs(until);
        Some(Retention { mode, until })
    }

    #[test]
    fn retention_that_holds_is_weakened_only_by_bypassing_governance() {
        let governed = retention(Governance, 2_000);
        let strict = retention(Compliance, 2_000);
        for (current, wanted, without, with) in [
            (governed, governed, false, false),
            (governed, retention(Governance, 3_000), false, false),
            (governed, retention(Governance, 1_999), true, false),
            (governed, retention(Compliance, 3_000), true, false),
            (governed, None, true, false),
            (strict, strict, false, false),
            (strict, retention(Compliance, 3_000), false, false),
            (strict, retention(Compliance, 1_999), true, true),
            (strict, retention(Governance, 3_000), true, true),
            (strict, None, true, true),
            (retention(Compliance, 1_000), None, false, false),
            (None, governed, false, false),
        ] {
            let found = [false, true].map(|bypass| weakens(current, wanted, bypass, NOW));
            assert_eq!(found, [without, with], "{current:?} to {wanted:?}");
        }
    }

    #[test]
    fn retention_must_end_in_the_future() {
        assert!(check_future(None, NOW).is_ok());
        assert!(check_future(retention(Governance, 1_001), NOW).is_ok());
        let refused = check_future(retention(Governance, 1_000), NOW).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}
