use super::client::Client;
use crate::catalog::NewBucket;
use crate::clock::UnixMs;
use crate::ops::buckets::{create_bucket, create_lock_bucket};
use crate::ops::error::Code;
use crate::ops::object_lock;
use crate::ops::testing::{Setup, Testbed, authorized};
use crate::placement::upstream_bucket_name;
use crate::region::faulty::Op;
use crate::region::{LockMode, ObjectLock, Retention};
use crate::tenants::BucketName;
use crate::tenants::access::Operation;

const ASKED: ObjectLock = ObjectLock {
    retention: Some(Retention {
        mode: LockMode::Compliance,
        until: UnixMs(i64::MAX),
    }),
    legal_hold: None,
};

#[tokio::test]
async fn bucket_begun_with_object_lock_is_not_made_without_it_by_a_retry() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let name = BucketName::new("locked").unwrap();
    let may_create = authorized(&bed.acme, Operation::CreateBucket, name.as_str());
    let refused = create_lock_bucket(&bed.gateway, &may_create, name.clone(), None).await;
    assert_eq!(refused.unwrap_err().code(), Code::NotImplemented);
    // As a request leaves it that was cut off after its first step.
    let new = NewBucket {
        name: name.clone(),
        region: acme.scope.bucket.region.clone(),
        upstream: upstream_bucket_name("lethe", [7; 16]),
        object_lock: true,
        created: UnixMs(0),
    };
    let catalog = &acme.scope.domain.catalog;
    let begun = catalog.begin_bucket(acme.scope.tenant, &new, 100).await;
    assert!(begun.unwrap().object_lock);
    let other = create_bucket(&bed.gateway, &may_create, name.clone(), None).await;
    assert_eq!(other.unwrap_err().code(), Code::OperationAborted);
    let row = catalog.bucket(acme.scope.tenant, &name).await.unwrap();
    assert!(row.object_lock);
    let store = &acme.scope.region.store;
    let exists = store.bucket_exists(acme.scope.tenant, &row.upstream).await;
    assert!(!exists.unwrap());
}

#[tokio::test]
async fn lock_is_asked_of_the_region_only_where_bucket_and_region_have_it() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let of = |scope: &_, asked| object_lock::of_new_object(&bed.gateway, scope, asked);
    assert_eq!(of(&acme.scope, ObjectLock::default()).unwrap(), None);
    let refused = of(&acme.scope, ASKED).unwrap_err();
    assert_eq!(refused.code(), Code::NotImplemented);
    // In a bucket with lock every object is told so, also one that asks for nothing: it may have the bucket's default.
    let mut locked = acme.scope.clone();
    locked.bucket.object_lock = true;
    let asked = of(&locked, ObjectLock::default()).unwrap();
    assert_eq!(asked, Some(ObjectLock::default()));
}

#[tokio::test]
async fn retention_that_holds_is_not_weakened_where_the_store_would_let_it() {
    use LockMode::{Compliance, Governance};
    let setup = Setup {
        lax_locks: true,
        ..Setup::default()
    };
    let bed = Testbed::with(setup).await;
    let acme = Client::acme(&bed).await;
    acme.put("k", b"kept").await.unwrap();
    let mut locked = acme.scope.clone();
    locked.bucket.object_lock = true;
    let now = bed.gateway.clock().now();
    let retention = |mode, days: i64| Retention {
        mode,
        until: now.plus_ms(days * 24 * 3600 * 1000),
    };
    let held = |mode| Some(retention(mode, 5));
    let (shorter, longer) = (4, 6);
    let denied = [
        (held(Compliance), Some(retention(Compliance, shorter)), true),
        (held(Compliance), Some(retention(Governance, longer)), true),
        (held(Compliance), None, true),
        (
            held(Governance),
            Some(retention(Governance, shorter)),
            false,
        ),
        (held(Governance), Some(retention(Compliance, longer)), false),
        (held(Governance), None, false),
    ];
    let allowed = [
        (held(Compliance), Some(retention(Compliance, longer)), false),
        (held(Governance), Some(retention(Governance, longer)), false),
        (held(Governance), Some(retention(Governance, shorter)), true),
        (held(Governance), Some(retention(Compliance, longer)), true),
        (held(Governance), None, true),
        (Some(retention(Compliance, -1)), None, false),
        (None, Some(retention(Governance, shorter)), false),
    ];
    let cases = denied.map(|case| (case, false)).into_iter();
    for ((current, wanted, bypass), lets) in cases.chain(allowed.map(|case| (case, true))) {
        bed.store.tell_lock(ObjectLock {
            retention: current,
            legal_hold: None,
        });
        let at = super::client::key("k");
        let set = object_lock::set_retention(&bed.gateway, &locked, &at, None, wanted, bypass);
        let outcome = set.await.map_err(|error| error.code());
        let expected = if lets {
            Ok(())
        } else {
            Err(Code::AccessDenied)
        };
        assert_eq!(outcome, expected, "{current:?} {wanted:?} {bypass}");
        let left = object_lock::of_version(&locked, &at, None).await.unwrap();
        let stands = if lets { wanted } else { current };
        assert_eq!(left.retention, stands, "{current:?} {wanted:?} {bypass}");
    }
    assert_eq!(bed.store.calls(Op::SetRetention), 7);
}
