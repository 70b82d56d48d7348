//! What a store holds on to under object lock, and until when.

use crate::clock::UnixMs;
use crate::region::{ObjectLock, ObjectRef, RegionError, RegionStore, VersionId};
use crate::tenants::TenantId;

/// A lock that holds a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lock(ObjectLock);

impl Lock {
    /// Until when, in milliseconds since 1970. A legal hold has no end, whatever the retention beside it.
    pub(super) fn until_ms(self) -> Option<i64> {
        match (self.0.legal_hold, self.0.retention) {
            (Some(true), _) | (_, None) => None,
            (_, Some(retention)) => Some(retention.until.0),
        }
    }
}

/// Why a store would not delete a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    /// It is locked.
    Lock(Lock),
    /// No lock holds it: the refusal has another reason.
    Nothing,
    /// The store does not tell.
    Unknown,
}

/// Whether it is a lock for which a store would not delete a version.
pub(super) async fn lock_on(
    store: &dyn RegionStore,
    tenant: TenantId,
    at: &ObjectRef,
    version: Option<&VersionId>,
    now: UnixMs,
) -> Result<Holding, RegionError> {
    let Some(version) = version else {
        return Ok(Holding::Nothing);
    };
    match store.object_lock(tenant, at, Some(version)).await {
        Ok(lock) if lock.holds_at(now) => Ok(Holding::Lock(Lock(lock))),
        // Nothing can lock a delete marker.
        Ok(_) | Err(RegionError::DeleteMarker { .. } | RegionError::NotFound { .. }) => {
            Ok(Holding::Nothing)
        }
        Err(RegionError::Refused { .. } | RegionError::Unsupported { .. }) => Ok(Holding::Unknown),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::testing::Bench;
    use crate::region::faulty::{Fault, Op};
    use crate::region::{LockMode, Retention, UpstreamBucket};
    use crate::tenants::ObjectKey;

    const NOW: UnixMs = UnixMs(10_000);

    fn retained(until: i64) -> ObjectLock {
        ObjectLock {
            retention: Some(Retention {
                mode: LockMode::Compliance,
                until: UnixMs(until),
            }),
            legal_hold: Some(false),
        }
    }

    #[tokio::test]
    async fn refusal_is_by_lock_only_when_the_store_says_that_one_holds() {
        let bench = Bench::open().await;
        let at = ObjectRef {
            bucket: UpstreamBucket::from_catalog("lethe-docs".to_owned()),
            key: ObjectKey::new("k").unwrap(),
        };
        let version = VersionId("v".to_owned());
        let tenant = TenantId::from_bytes([1; 16]);
        let found = async |lock| {
            bench.region.tell_lock(lock);
            let lock = lock_on(&*bench.region, tenant, &at, Some(&version), NOW).await;
            match lock.unwrap() {
                Holding::Lock(lock) => Some(lock.until_ms()),
                Holding::Nothing => None,
                Holding::Unknown => panic!("the store told"),
            }
        };
        assert_eq!(found(retained(10_001)).await, Some(Some(10_001)));
        let hold = ObjectLock {
            legal_hold: Some(true),
            ..retained(10_001)
        };
        assert_eq!(found(hold).await, Some(None), "a hold has no end");
        assert_eq!(found(retained(10_000)).await, None, "it is over");
        assert_eq!(found(ObjectLock::default()).await, None);
        let unversioned = lock_on(&*bench.region, tenant, &at, None, NOW).await;
        assert_eq!(unversioned.unwrap(), Holding::Nothing);
        let told = [
            (Fault::Refused, Some(Holding::Unknown)),
            (Fault::Failed, None),
        ];
        for (fault, expected) in told {
            bench.region.fail_next(Op::ObjectLock, fault);
            let asked = lock_on(&*bench.region, tenant, &at, Some(&version), NOW).await;
            assert_eq!(asked.ok(), expected, "{fault:?}");
        }
    }
}
