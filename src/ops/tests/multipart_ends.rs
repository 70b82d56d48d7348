use super::client::{Client, PART, plain};
use crate::ops::conditions::WriteCondition;
use crate::ops::error::Code;
use crate::ops::multipart::complete_upload;
use crate::ops::testing::Testbed;
use crate::region::faulty::{Fault, Op};
use crate::tenants::UploadId;

#[tokio::test]
async fn complete_repeated_gives_the_same_answer_and_another_list_is_refused() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let five = plain(1, PART);
    let upload = acme.create("k").await;
    let a = acme.part("k", &upload, 1, &five).await.unwrap();
    let b = acme.part("k", &upload, 2, b"x").await.unwrap();
    let list = [a.clone(), b];
    let first = acme.complete("k", &upload, &list).await.unwrap();
    let again = acme.complete("k", &upload, &list).await.unwrap();
    assert_eq!((first.etag, first.checksum), (again.etag, again.checksum));
    let other = acme.complete("k", &upload, &[a]).await;
    assert_eq!(other.err().map(|e| e.code()), Some(Code::InvalidRequest));
    assert_eq!(acme.get("k").await.unwrap(), [&five[..], b"x"].concat());
    let late = acme.part("k", &upload, 3, b"late").await;
    assert_eq!(late.err().map(|e| e.code()), Some(Code::NoSuchUpload));
}

#[tokio::test]
async fn complete_whose_answer_was_lost_is_found_again_by_looking() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let list = [acme.part("k", &upload, 1, b"x").await.unwrap()];
    bed.store
        .fail_next(Op::CompleteUpload, Fault::FailedButPersisted);
    bed.store.fail_next(Op::Head, Fault::Failed);
    assert!(acme.complete("k", &upload, &list).await.is_err());
    let answer = acme.complete("k", &upload, &list).await.unwrap();
    let head = acme.head("k").await.unwrap();
    assert_eq!(answer.etag, head.object.client_etag());
    assert_eq!(bed.store.calls(Op::CompleteUpload), 1);
}

#[tokio::test]
async fn complete_lost_and_overwritten_since_is_no_such_upload() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let list = [acme.part("k", &upload, 1, b"x").await.unwrap()];
    bed.store
        .fail_next(Op::CompleteUpload, Fault::FailedButPersisted);
    bed.store.fail_next(Op::Head, Fault::Failed);
    assert!(acme.complete("k", &upload, &list).await.is_err());
    acme.put("k", b"theirs").await.unwrap();
    let refused = acme.complete("k", &upload, &list).await;
    assert_eq!(refused.err().map(|e| e.code()), Some(Code::NoSuchUpload));
    assert_eq!(acme.get("k").await.unwrap(), b"theirs");
}

#[tokio::test]
async fn list_fixed_by_a_failed_complete_refuses_another() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let five = plain(1, PART);
    let upload = acme.create("k").await;
    let a = acme.part("k", &upload, 1, &five).await.unwrap();
    let b = acme.part("k", &upload, 2, b"x").await.unwrap();
    let list = [a.clone(), b];
    bed.store.fail_next(Op::CompleteUpload, Fault::Failed);
    assert!(acme.complete("k", &upload, &list).await.is_err());
    let other = acme.complete("k", &upload, &[a]).await;
    assert_eq!(other.err().map(|e| e.code()), Some(Code::InvalidRequest));
    assert_eq!(acme.found("k").await, None);
    acme.complete("k", &upload, &list).await.unwrap();
    assert_eq!(acme.get("k").await.unwrap(), [&five[..], b"x"].concat());
}

#[tokio::test]
async fn lease_of_a_dead_gateway_is_taken_over_and_its_fence_refused() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let list = [acme.part("k", &upload, 1, b"x").await.unwrap()];
    let id = UploadId::new(&upload).unwrap();
    let (catalog, tenant) = (&acme.scope.domain.catalog, acme.scope.tenant);
    let now = bed.gateway.clock().now();
    let dead = catalog.begin_complete(tenant, &id, now, 400).await.unwrap();
    acme.complete("k", &upload, &list).await.unwrap();
    assert_eq!(acme.get("k").await.unwrap(), b"x");
    assert!(catalog.fix_part_list(tenant, &id, dead, b"").await.is_err());
}

#[tokio::test]
async fn complete_under_a_condition_keeps_what_was_there() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let list = [acme.part("k", &upload, 1, b"new").await.unwrap()];
    let put = acme.put("k", b"old").await.unwrap();
    let mut complete = acme.completion("k", &upload, &list);
    complete.condition = WriteCondition::Absent;
    let refused = complete_upload(&bed.gateway, &acme.scope, &complete).await;
    assert_eq!(
        refused.err().map(|e| e.code()),
        Some(Code::PreconditionFailed)
    );
    assert_eq!(acme.get("k").await.unwrap(), b"old");
    complete.condition = WriteCondition::Matches(put.etag);
    complete_upload(&bed.gateway, &acme.scope, &complete)
        .await
        .unwrap();
    assert_eq!(acme.get("k").await.unwrap(), b"new");
}

#[tokio::test]
async fn upload_named_under_another_key_or_bucket_is_not_there() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let name = crate::tenants::BucketName::new("other").unwrap();
    crate::ops::testing::create_bucket(&bed.gateway, &bed.acme, name, None)
        .await
        .unwrap();
    let other = Client::of(&bed, &bed.acme, "other").await;
    let upload = acme.create("k").await;
    let list = [acme.part("k", &upload, 1, b"x").await.unwrap()];
    for (client, key) in [(&acme, "k2"), (&other, "k")] {
        let part = client.part(key, &upload, 1, b"y").await;
        assert_eq!(part.err().map(|e| e.code()), Some(Code::NoSuchUpload));
        let complete = client.complete(key, &upload, &list).await;
        assert_eq!(complete.err().map(|e| e.code()), Some(Code::NoSuchUpload));
        let abort = client.abort(key, &upload).await;
        assert_eq!(abort.err().map(|e| e.code()), Some(Code::NoSuchUpload));
    }
    acme.complete("k", &upload, &list).await.unwrap();
}

#[tokio::test]
async fn complete_refused_by_its_condition_leaves_the_upload_open_for_other_parts_and_lists() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    acme.put("k", b"old").await.unwrap();
    let five = plain(1, PART);
    let upload = acme.create("k").await;
    let a = acme.part("k", &upload, 1, &five).await.unwrap();
    let b = acme.part("k", &upload, 2, b"x").await.unwrap();
    let mut complete = acme.completion("k", &upload, &[a.clone(), b]);
    complete.condition = WriteCondition::Absent;
    for _ in 0..2 {
        let refused = complete_upload(&bed.gateway, &acme.scope, &complete).await;
        let code = refused.err().map(|e| e.code());
        assert_eq!(code, Some(Code::PreconditionFailed));
    }
    assert_eq!(acme.get("k").await.unwrap(), b"old");
    // A part that is sent again, one less, one more: as if there had been no Complete.
    let c = acme.part("k", &upload, 3, b"yy").await.unwrap();
    acme.complete("k", &upload, &[a, c]).await.unwrap();
    assert_eq!(acme.get("k").await.unwrap(), [&five[..], b"yy"].concat());
}

#[tokio::test]
async fn list_that_may_have_been_completed_stays_fixed_through_a_refusal() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let a = acme.part("k", &upload, 1, b"a").await.unwrap();
    // Its answer is lost, and nobody can tell what became of it.
    bed.store.fail_next(Op::CompleteUpload, Fault::Lost);
    assert!(
        acme.complete("k", &upload, std::slice::from_ref(&a))
            .await
            .is_err()
    );
    acme.put("k", b"theirs").await.unwrap();
    let mut complete = acme.completion("k", &upload, std::slice::from_ref(&a));
    complete.condition = WriteCondition::Absent;
    let refused = complete_upload(&bed.gateway, &acme.scope, &complete).await;
    let code = refused.err().map(|e| e.code());
    assert_eq!(code, Some(Code::PreconditionFailed));
    let late = acme.part("k", &upload, 1, b"b").await;
    assert_eq!(late.err().map(|e| e.code()), Some(Code::OperationAborted));
    acme.complete("k", &upload, &[a]).await.unwrap();
    assert_eq!(acme.get("k").await.unwrap(), b"a");
}

#[tokio::test]
async fn complete_if_absent_whose_first_answer_was_lost_finds_its_own_object() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let list = [acme.part("k", &upload, 1, b"x").await.unwrap()];
    let mut complete = acme.completion("k", &upload, &list);
    complete.condition = WriteCondition::Absent;
    bed.store
        .fail_next(Op::CompleteUpload, Fault::FailedButPersisted);
    bed.store.fail_next(Op::Head, Fault::Failed);
    let lost = complete_upload(&bed.gateway, &acme.scope, &complete).await;
    assert!(lost.is_err());
    complete_upload(&bed.gateway, &acme.scope, &complete)
        .await
        .unwrap();
    assert_eq!(acme.get("k").await.unwrap(), b"x");
}
