use super::client::{Client, given_up};
use crate::catalog::{
    BucketState, CatalogError, Fault as CatalogFault, FaultKind, JobKind, StaleBefore,
};
use crate::ops::buckets::delete_bucket;
use crate::ops::conditions::WriteCondition;
use crate::ops::delete_object::{DeleteObject, delete_object};
use crate::ops::error::{Code, OpError};
use crate::ops::scope::Access;
use crate::ops::testing::{Testbed, bucket_scope, create_bucket, deletion_scope};
use crate::region::faulty::{Fault, Op};
use crate::tenants::{BucketName, Subject, UploadId};

async fn delete(bed: &Testbed) -> Result<(), OpError> {
    let scope = deletion_scope(&bed.gateway, &bed.acme, "docs");
    delete_bucket(&bed.gateway, &scope, &BucketName::new("docs").unwrap()).await
}

async fn is_there(bed: &Testbed) -> bool {
    let scope = bucket_scope(&bed.gateway, &bed.acme, "docs", Access::Read).await;
    scope.is_ok()
}

#[tokio::test]
async fn bucket_with_open_uploads_is_deleted_with_all_that_they_spooled() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let mut uploads = Vec::new();
    for name in ["a", "b"] {
        let upload = acme.create(name).await;
        acme.part(name, &upload, 1, b"small").await.unwrap();
        uploads.push(upload);
    }
    assert_eq!(acme.spooled().await, 2);
    delete(&bed).await.unwrap();
    assert!(!is_there(&bed).await);
    assert_eq!(acme.spooled().await, 0);
    for upload in &uploads {
        let id = UploadId::new(upload).unwrap();
        let row = acme.scope.domain.catalog.upload(acme.scope.tenant, &id);
        assert!(row.await.is_err(), "its row stayed");
    }
    // A bucket of the same name is another one, without them.
    create_bucket(
        &bed.gateway,
        &bed.acme,
        BucketName::new("docs").unwrap(),
        None,
    )
    .await
    .unwrap();
    let again = Client::acme(&bed).await;
    let late = again.part("a", &uploads[0], 2, b"late").await;
    assert_eq!(late.err().map(|e| e.code()), Some(Code::NoSuchUpload));
}

#[tokio::test]
async fn bucket_with_objects_stays_with_its_uploads() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    acme.put("k", b"x").await.unwrap();
    let upload = acme.create("a").await;
    let listed = acme.part("a", &upload, 1, b"small").await.unwrap();
    let refused = delete(&bed).await;
    assert_eq!(refused.err().map(|e| e.code()), Some(Code::BucketNotEmpty));
    assert!(is_there(&bed).await, "it is active again");
    acme.complete("a", &upload, &[listed]).await.unwrap();
    assert_eq!(acme.get("a").await.unwrap(), b"small");
    for name in ["k", "a"] {
        let request = DeleteObject {
            key: super::client::key(name),
            version: None,
            condition: WriteCondition::Always,
            bypass_governance: false,
        };
        delete_object(&acme.scope, &request).await.unwrap();
    }
    delete(&bed).await.unwrap();
}

#[tokio::test]
async fn bucket_that_holds_something_stays_in_use_through_a_refused_deletion() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    acme.put("k", b"x").await.unwrap();
    // Were the bucket taken away first, as one that is deleted is, this is what would be answered.
    bed.catalog.inject(CatalogFault {
        operation: Some("move_bucket"),
        after: 0,
        times: 1,
        kind: FaultKind::NotPersisted,
    });
    let refused = delete(&bed).await;
    assert_eq!(refused.err().map(|e| e.code()), Some(Code::BucketNotEmpty));
}

#[tokio::test]
async fn bucket_that_is_being_deleted_is_neither_there_nor_gone() {
    let bed = Testbed::new().await;
    let _acme = Client::acme(&bed).await;
    let code = async || {
        let scope = bucket_scope(&bed.gateway, &bed.acme, "docs", Access::Read).await;
        scope.err().map(|error| error.code())
    };
    assert_eq!(code().await, None);
    bed.store.fail_next(Op::DeleteBucket, Fault::Failed);
    assert!(given_up(delete(&bed)).await.is_err());
    assert_eq!(code().await, Some(Code::ServiceUnavailable));
    delete(&bed).await.unwrap();
    assert_eq!(code().await, Some(Code::NoSuchBucket));
}

#[tokio::test]
async fn bucket_deletion_with_any_fault_may_be_repeated() {
    let steps = [
        ("move_bucket", FaultKind::NotPersisted),
        ("move_bucket", FaultKind::Persisted),
        ("uploads", FaultKind::NotPersisted),
        ("forget_bucket", FaultKind::NotPersisted),
    ];
    let store_faults = [
        Fault::Failed,
        Fault::Lost,
        Fault::FailedButPersisted,
        Fault::Hangs,
        Fault::HangsButPersisted,
    ];
    let bed = Testbed::new().await;
    let name = BucketName::new("docs").unwrap();
    for step in 0..steps.len() + store_faults.len() {
        let acme = Client::acme(&bed).await;
        let upload = acme.create("a").await;
        acme.part("a", &upload, 1, b"small").await.unwrap();
        match steps.get(step) {
            Some((operation, kind)) => bed.catalog.inject(CatalogFault {
                operation: Some(operation),
                after: 0,
                times: 1,
                kind: *kind,
            }),
            None => bed
                .store
                .fail_next(Op::DeleteBucket, store_faults[step - steps.len()]),
        }
        assert!(given_up(delete(&bed)).await.is_err(), "step {step}");
        let row = acme.scope.domain.catalog.bucket(acme.scope.tenant, &name);
        let state = row.await.unwrap().state;
        assert!(matches!(state, BucketState::Active | BucketState::Deleting));
        delete(&bed).await.unwrap();
        assert!(!is_there(&bed).await);
        assert_eq!(acme.spooled().await, 0, "step {step}");
        create_bucket(&bed.gateway, &bed.acme, name.clone(), None)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn upload_of_a_deleted_bucket_whose_spool_cannot_be_emptied_is_left_to_the_sweeper() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create("a").await;
    acme.part("a", &upload, 1, b"small").await.unwrap();
    bed.store.fail_next(Op::Delete, Fault::Failed);
    delete(&bed).await.unwrap();
    let later = bed.gateway.clock().now().plus_ms(1_000_000_000);
    let catalog = &acme.scope.domain.catalog;
    let before = StaleBefore {
        idle: later,
        creating: later,
        aborting: later,
        completed: later,
    };
    let stale = catalog.stale_uploads(&before, None, 10).await.unwrap();
    assert_eq!(stale.len(), 1);
    assert_eq!(stale[0].1.new.id.to_string(), upload);
}

/// Whether a job looks after the bucket, whatever becomes of the request.
async fn is_looked_after(bed: &Testbed, name: &BucketName) -> bool {
    let catalog = &bed.gateway.domains().next().unwrap().catalog;
    let subject = Subject::Bucket(bed.acme.tenant.id, name.clone()).to_string();
    let jobs = catalog.jobs(100).await.unwrap();
    let mut jobs = jobs.into_iter();
    jobs.any(|job| job.kind == JobKind::FinishBucket && job.subject == subject)
}

/// Forgets all jobs, as if each had been run.
async fn run_all_jobs(bed: &Testbed) {
    let catalog = &bed.gateway.domains().next().unwrap().catalog;
    let later = bed.gateway.clock().now().plus_ms(1_000_000_000);
    while let Some(job) = catalog.claim("test", later, 1).await.unwrap() {
        catalog.finish(job.id, job.fence).await.unwrap();
    }
}

#[tokio::test]
async fn bucket_cut_off_anywhere_between_two_states_has_a_job() {
    let name = BucketName::new("more").unwrap();
    for operation in ["create", "delete"] {
        for after in 0..8 {
            let bed = Testbed::new().await;
            let scope = deletion_scope(&bed.gateway, &bed.acme, "more");
            if operation == "delete" {
                let made = create_bucket(&bed.gateway, &bed.acme, name.clone(), None);
                made.await.unwrap();
            }
            run_all_jobs(&bed).await;
            bed.catalog.inject(CatalogFault {
                operation: None,
                after,
                times: u32::MAX,
                kind: FaultKind::NotPersisted,
            });
            let is_cut_off = match operation {
                "create" => create_bucket(&bed.gateway, &bed.acme, name.clone(), None)
                    .await
                    .is_err(),
                _ => delete_bucket(&bed.gateway, &scope, &name).await.is_err(),
            };
            bed.catalog.heal();
            let state = match scope.domain.catalog.bucket(scope.tenant, &name).await {
                Ok(bucket) => Some(bucket.state),
                Err(CatalogError::NotFound { .. }) => None,
                Err(error) => panic!("{error}"),
            };
            if matches!(state, Some(BucketState::Creating | BucketState::Deleting)) {
                assert!(is_cut_off);
                assert!(is_looked_after(&bed, &name).await, "{operation} {after}");
            }
            if !is_cut_off {
                assert!(after > 1, "{operation} was never cut off");
                break;
            }
        }
    }
}

#[tokio::test]
async fn bucket_that_the_upstream_refuses_is_left_to_be_deleted_and_its_place_is_given_back() {
    let bed = Testbed::new().await;
    let name = BucketName::new("more").unwrap();
    let scope = deletion_scope(&bed.gateway, &bed.acme, "more");
    run_all_jobs(&bed).await;
    bed.store.fail_next(Op::CreateBucket, Fault::Refused);
    let refused = create_bucket(&bed.gateway, &bed.acme, name.clone(), None).await;
    assert!(refused.is_err());
    let row = scope.domain.catalog.bucket(scope.tenant, &name).await;
    assert_eq!(row.unwrap().state, BucketState::Deleting);
    assert!(is_looked_after(&bed, &name).await);
}
