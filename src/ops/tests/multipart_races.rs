use super::client::{Client, PART, plain};
use crate::catalog::{Fault as CatalogFault, FaultKind};
use crate::ops::error::Code;
use crate::ops::multipart::RequestedPart;
use crate::ops::testing::Testbed;
use crate::region::faulty::Op;
use futures::future::join_all;
use std::sync::Arc;
use std::time::Duration;

/// Two attempts at part 1 so that the store holds the other one than the catalog: the first written finishes last.
async fn crossed(bed: &Testbed, upload: &str, written: Vec<u8>, held: &[u8]) -> RequestedPart {
    let acme = Client::acme(bed).await;
    let finishes = bed.catalog.calls("finish_attempt");
    bed.catalog.inject(CatalogFault {
        operation: Some("finish_attempt"),
        after: 0,
        times: 1,
        kind: FaultKind::Slow(Duration::from_millis(1500)),
    });
    let slow = acme.part("k", upload, 1, &written);
    let quick = async {
        while bed.catalog.calls("finish_attempt") == finishes {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        acme.part("k", upload, 1, held).await.unwrap();
    };
    let (slow, ()) = tokio::join!(slow, quick);
    slow.unwrap()
}

#[tokio::test]
async fn attempt_that_the_store_holds_is_substituted_when_its_content_is_equal() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let five = plain(1, PART);
    let upload = acme.create("k").await;
    let listed = crossed(&bed, &upload, five.clone(), &five).await;
    let last = acme.part("k", &upload, 2, b"last").await.unwrap();
    let list = [listed, last];
    acme.complete("k", &upload, &list).await.unwrap();
    assert_eq!(
        bed.store.calls(Op::CompleteUpload),
        2,
        "the store held the other"
    );
    assert_eq!(acme.get("k").await.unwrap(), [&five[..], b"last"].concat());
    acme.complete("k", &upload, &list).await.unwrap();
}

#[tokio::test]
async fn attempt_that_the_store_holds_is_never_substituted_when_its_content_differs() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let listed = crossed(&bed, &upload, plain(1, PART), &plain(2, PART)).await;
    let refused = acme.complete("k", &upload, &[listed]).await;
    assert_eq!(refused.err().map(|e| e.code()), Some(Code::InvalidPart));
    assert_eq!(acme.found("k").await, None);
}

#[tokio::test]
async fn complete_by_eight_callers_at_once_is_done_once_and_answers_all() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let body = plain(1, PART);
    let upload = acme.create("k").await;
    let list = [
        acme.part("k", &upload, 1, &body).await.unwrap(),
        acme.part("k", &upload, 2, b"x").await.unwrap(),
    ];
    let callers = (0..8).map(|_| acme.complete("k", &upload, &list));
    let answers = join_all(callers).await;
    let etag = acme.head("k").await.unwrap().object.client_etag();
    for answer in answers {
        assert_eq!(answer.unwrap().etag, etag);
    }
    assert_eq!(bed.store.calls(Op::CompleteUpload), 1);
    assert_eq!(acme.get("k").await.unwrap(), [&body[..], b"x"].concat());
}

#[tokio::test]
async fn complete_waiting_for_one_that_fails_does_it_itself() {
    let bed = Arc::new(Testbed::new().await);
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let list = [acme.part("k", &upload, 1, b"x").await.unwrap()];
    bed.store
        .fail_next(Op::CompleteUpload, crate::region::faulty::Fault::Failed);
    let callers = (0..4).map(|_| acme.complete("k", &upload, &list));
    let outcomes = join_all(callers).await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_err()).count(),
        1
    );
    assert_eq!(acme.get("k").await.unwrap(), b"x");
}

#[tokio::test]
async fn abort_while_completing_is_refused_and_the_object_stands() {
    let bed = Arc::new(Testbed::new().await);
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let list = [acme.part("k", &upload, 1, b"x").await.unwrap()];
    let (other, of) = (Arc::clone(&bed), upload.clone());
    bed.store.before(Op::CompleteUpload, 1, move || async move {
        let acme = Client::acme(&other).await;
        let refused = acme.abort("k", &of).await;
        assert_eq!(
            refused.err().map(|e| e.code()),
            Some(Code::OperationAborted)
        );
        let late = acme.part("k", &of, 2, b"late").await;
        assert_eq!(late.err().map(|e| e.code()), Some(Code::OperationAborted));
    });
    acme.complete("k", &upload, &list).await.unwrap();
    assert_eq!(acme.get("k").await.unwrap(), b"x");
    let after = acme.abort("k", &upload).await;
    assert_eq!(after.err().map(|e| e.code()), Some(Code::NoSuchUpload));
}

#[tokio::test]
async fn complete_while_aborting_is_no_such_upload() {
    let bed = Arc::new(Testbed::new().await);
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let list = vec![acme.part("k", &upload, 1, b"x").await.unwrap()];
    let (other, of) = (Arc::clone(&bed), upload.clone());
    bed.store.before(Op::AbortUpload, 1, move || async move {
        let acme = Client::acme(&other).await;
        let refused = acme.complete("k", &of, &list).await;
        assert_eq!(refused.err().map(|e| e.code()), Some(Code::NoSuchUpload));
    });
    acme.abort("k", &upload).await.unwrap();
    assert_eq!(acme.found("k").await, None);
}

#[tokio::test]
async fn abort_racing_complete_leaves_the_object_or_nothing() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for round in 0..12 {
        let name = format!("k{round}");
        let upload = acme.create(&name).await;
        let list = [acme.part(&name, &upload, 1, b"x").await.unwrap()];
        let pause = Duration::from_millis(round);
        let abort = async {
            tokio::time::sleep(pause).await;
            acme.abort(&name, &upload).await
        };
        let (complete, abort) = tokio::join!(acme.complete(&name, &upload, &list), abort);
        let found = acme.found(&name).await;
        assert_eq!(complete.is_ok(), found.is_some(), "round {round}");
        assert!(complete.is_ok() != abort.is_ok(), "round {round}");
    }
}

#[tokio::test]
async fn part_in_flight_when_the_upload_is_completed_is_refused_and_leaves_nothing() {
    let bed = Arc::new(Testbed::new().await);
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let list = vec![acme.part("k", &upload, 1, b"x").await.unwrap()];
    let (other, of) = (Arc::clone(&bed), upload.clone());
    bed.store.before(Op::Put, 1, move || async move {
        let acme = Client::acme(&other).await;
        acme.complete("k", &of, &list).await.unwrap();
    });
    let late = acme.part("k", &upload, 2, b"late").await;
    assert_eq!(late.err().map(|e| e.code()), Some(Code::NoSuchUpload));
    assert_eq!(acme.get("k").await.unwrap(), b"x");
    assert_eq!(acme.spooled().await, 0);
}
