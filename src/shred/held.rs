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

/// The lock for which a store would not delete a version; `None` when its refusal has another reason, or nobody can tell.
pub(super) async fn lock_on(
    store: &dyn RegionStore,
    tenant: TenantId,
    at: &ObjectRef,
    version: Option<&VersionId>,
    now: UnixMs,
) -> Result<Option<Lock>, RegionError> {
    let Some(version) = version else {
        return Ok(None);
    };
    match store.object_lock(tenant, at, Some(version)).await {
        Ok(lock) => Ok(lock.holds_at(now).then_some(Lock(lock))),
        Err(
            RegionError::Refused { .. }
            | RegionError::Unsupported { .. }
            | RegionError::DeleteMarker { .. }
            | RegionError::NotFound { .. },
        ) => Ok(None),
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
            lock.unwrap().map(Lock::until_ms)
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
        assert_eq!(unversioned.unwrap(), None);
        for (fault, is_answered) in [(Fault::Refused, true), (Fault::Failed, false)] {
            bench.region.fail_next(Op::ObjectLock, fault);
            let asked = lock_on(&*bench.region, tenant, &at, Some(&version), NOW).await;
            assert_eq!(asked.is_ok(), is_answered, "{fault:?}");
            assert_eq!(asked.ok().flatten(), None);
        }
    }
}
