use super::client::{Client, STREAMED, given_up, plain};
use crate::ops::conditions::WriteCondition;
use crate::ops::error::Code;
use crate::ops::testing::Testbed;
use crate::region::faulty::{Fault, Op};

const FAULTS: [Fault; 6] = [
    Fault::Failed,
    Fault::Lost,
    Fault::FailedButPersisted,
    Fault::Hangs,
    Fault::HangsButPersisted,
    Fault::ClosesMidBody {
        after_bytes: 70_000,
    },
];

/// With this fault at a write of either way, the old object or the new one is there, a success is the new one, and a retry works.
async fn put_with(acme: &Client<'_>, fault: Fault, bytes: usize) {
    let (bed, op) = (acme.bed, Op::Put);
    let (old, new) = (plain(1, bytes), plain(2, bytes + 1));
    for before in [None, Some(&old)] {
        if let Some(old) = before {
            acme.put("k", old).await.unwrap();
        }
        bed.store.fail_next(op, fault);
        let outcome = given_up(acme.put("k", &new)).await;
        bed.store.heal();
        let found = acme.found("k").await;
        match outcome {
            Ok(_) => assert_eq!(found.as_ref(), Some(&new), "{op:?} {fault:?}"),
            Err(_) => assert!(
                found.as_ref() == before || found.as_ref() == Some(&new),
                "{op:?} {fault:?}"
            ),
        }
        acme.put("k", &new).await.unwrap();
        assert_eq!(acme.found("k").await, Some(new.clone()));
        let delete = crate::ops::delete_object::DeleteObject {
            key: super::client::key("k"),
            version: None,
            condition: WriteCondition::Always,
            bypass_governance: false,
        };
        crate::ops::delete_object::delete_object(&acme.scope, &delete)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn put_buffered_with_any_fault_is_old_or_new() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for fault in FAULTS {
        put_with(&acme, fault, 200_000).await;
    }
}

#[tokio::test]
async fn put_streamed_with_any_fault_is_old_or_new() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for fault in FAULTS {
        put_with(&acme, fault, STREAMED).await;
    }
}

#[tokio::test]
async fn put_whose_answer_was_lost_but_is_stored_succeeds() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for bytes in [0, 10, STREAMED] {
        let body = plain(3, bytes);
        bed.store.fail_next(Op::Put, Fault::FailedButPersisted);
        let answer = acme.put("k", &body).await.unwrap();
        let head = acme.head("k").await.unwrap();
        assert_eq!(answer.etag, head.object.client_etag());
        assert_eq!(acme.found("k").await, Some(body));
    }
}

#[tokio::test]
async fn put_whose_answer_was_lost_and_that_cannot_be_looked_up_is_no_success() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for fault in [Fault::FailedButPersisted, Fault::Lost] {
        bed.store.fail_next(Op::Put, fault);
        bed.store.fail_next(Op::Head, Fault::Failed);
        assert!(acme.put("k", b"new").await.is_err());
    }
}

#[tokio::test]
async fn put_lost_under_another_writer_is_no_success() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    acme.put("k", b"theirs").await.unwrap();
    bed.store.fail_next(Op::Put, Fault::Lost);
    let Err(error) = acme.put("k", b"theirs").await else {
        panic!("the object of another write was taken for this one's");
    };
    assert_eq!(error.code(), Code::InternalError);
}

#[tokio::test]
async fn put_only_where_absent_keeps_the_first() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    bed.store.fail_next(Op::Put, Fault::FailedButPersisted);
    acme.put_if("k", b"first", WriteCondition::Absent)
        .await
        .unwrap();
    let Err(error) = acme.put_if("k", b"second", WriteCondition::Absent).await else {
        panic!("overwritten");
    };
    assert_eq!(error.code(), Code::PreconditionFailed);
    assert_eq!(acme.found("k").await.unwrap(), b"first");
}

#[tokio::test]
async fn put_whose_client_breaks_off_or_sends_too_much_stores_nothing() {
    use crate::ops::put_object::put_object;
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for bytes in [1000, STREAMED] {
        for sent in [bytes - 1, bytes + 1] {
            let put = crate::ops::put_object::PutObject {
                key: super::client::key("k"),
                metadata: lethe_envelope::ObjectMetadata::default(),
                tags: Vec::new(),
                condition: WriteCondition::Always,
                body: super::client::stream(plain(1, sent)),
                plaintext_bytes: bytes as u64,
                declared: crate::ops::checksum::Declared::default(),
                trailers: Box::new(|| None),
                customer_key: None,
                lock: crate::region::ObjectLock::default(),
            };
            let outcome = put_object(&bed.gateway, &acme.scope, put).await;
            assert_eq!(outcome.err().map(|e| e.code()), Some(Code::IncompleteBody));
            assert_eq!(acme.found("k").await, None);
        }
    }
}
