use super::client::{Client, PART, plain};
use crate::catalog::{Fault as CatalogFault, FaultKind};
use crate::clock::{Clock as _, ManualClock, SystemClock};
use crate::ops::error::Code;
use crate::ops::multipart::RequestedPart;
use crate::ops::testing::{Setup, Testbed};
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

/// A lease by a clock that only the test moves.
async fn testbed_with_a_clock() -> (Arc<Testbed>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let setup = Setup {
        clock: Arc::<ManualClock>::clone(&clock),
        complete_lease: Some(COMPLETE_LEASE),
        ..Setup::default()
    };
    (Arc::new(Testbed::with(setup).await), clock)
}

const COMPLETE_LEASE: Duration = Duration::from_millis(150);
const COMPLETE_LEASE_MS: i64 = 150;

/// The store takes ten leases to make the object.
async fn work_past_ten_leases(bed: &Testbed, clock: &ManualClock) {
    for _ in 0..10 {
        // The second one was begun after the clock stood as it does.
        let renewed = bed.catalog.calls("renew_complete") + 2;
        for _ in 0..2_000 {
            if bed.catalog.calls("renew_complete") >= renewed {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        clock.advance_ms(COMPLETE_LEASE_MS - 1);
    }
}

#[tokio::test]
async fn abort_while_completing_takes_long_is_refused_and_the_object_stands() {
    let (bed, clock) = testbed_with_a_clock().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let list = [acme.part("k", &upload, 1, b"x").await.unwrap()];
    let (other, of) = (Arc::clone(&bed), upload.clone());
    bed.store.before(Op::CompleteUpload, 1, move || async move {
        work_past_ten_leases(&other, &clock).await;
        let acme = Client::acme(&other).await;
        let refused = acme.abort("k", &of).await;
        assert_eq!(
            refused.err().map(|e| e.code()),
            Some(Code::OperationAborted)
        );
    });
    acme.complete("k", &upload, &list).await.unwrap();
    assert_eq!(acme.get("k").await.unwrap(), b"x");
}

#[tokio::test]
async fn complete_repeated_while_completing_takes_long_waits_for_the_same_answer() {
    let (bed, clock) = testbed_with_a_clock().await;
    let acme = Client::acme(&bed).await;
    let body = plain(1, PART);
    let upload = acme.create("k").await;
    let list = [
        acme.part("k", &upload, 1, &body).await.unwrap(),
        acme.part("k", &upload, 2, b"x").await.unwrap(),
    ];
    let parts = bed.store.calls(Op::UploadPart);
    let begun = Arc::new(tokio::sync::Notify::new());
    let (other, begins) = (Arc::clone(&bed), Arc::clone(&begun));
    bed.store.before(Op::CompleteUpload, 1, move || async move {
        begins.notify_one();
        work_past_ten_leases(&other, &clock).await;
    });
    let repeated = async {
        begun.notified().await;
        acme.complete("k", &upload, &list).await
    };
    let (first, repeated) = tokio::join!(acme.complete("k", &upload, &list), repeated);
    assert_eq!(first.unwrap().etag, repeated.unwrap().etag);
    assert_eq!(bed.store.calls(Op::CompleteUpload), 1);
    assert_eq!(bed.store.calls(Op::UploadPart), parts + 1, "one tail");
    assert_eq!(acme.get("k").await.unwrap(), [&body[..], b"x"].concat());
}

/// The gateway does not reach the catalog for a whole lease.
fn cut_off(bed: &Testbed) {
    bed.catalog.inject(CatalogFault {
        operation: Some("renew_complete"),
        after: 0,
        times: u32::MAX,
        kind: FaultKind::NotPersisted,
    });
}

#[tokio::test]
async fn complete_that_another_took_over_gives_the_answer_of_the_object_that_stands() {
    let (bed, clock) = testbed_with_a_clock().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    let list = vec![acme.part("k", &upload, 1, b"x").await.unwrap()];
    cut_off(&bed);
    let (other, of, listed) = (Arc::clone(&bed), upload.clone(), list.clone());
    let (answers, answer) = tokio::sync::oneshot::channel();
    bed.store.before(Op::CompleteUpload, 1, move || async move {
        clock.advance_ms(COMPLETE_LEASE_MS);
        let acme = Client::acme(&other).await;
        let taken_over = acme.complete("k", &of, &listed).await.unwrap();
        answers.send(taken_over.etag).unwrap();
    });
    let first = acme.complete("k", &upload, &list).await.unwrap();
    assert_eq!(first.etag, answer.await.unwrap());
    assert_eq!(acme.get("k").await.unwrap(), b"x");
    let again = acme.complete("k", &upload, &list).await.unwrap();
    assert_eq!(first.etag, again.etag);
}

#[tokio::test]
async fn complete_aborted_after_its_lease_tells_what_became_of_the_object() {
    for made in [true, false] {
        let (bed, clock) = testbed_with_a_clock().await;
        let acme = Client::acme(&bed).await;
        let upload = acme.create("k").await;
        let list = [acme.part("k", &upload, 1, b"x").await.unwrap()];
        cut_off(&bed);
        let (other, of) = (Arc::clone(&bed), upload.clone());
        let abort = move || async move {
            clock.advance_ms(COMPLETE_LEASE_MS);
            Client::acme(&other).await.abort("k", &of).await.unwrap();
        };
        if made {
            bed.store.fail_next(
                Op::CompleteUpload,
                crate::region::faulty::Fault::FailedButPersisted,
            );
            bed.store.before(Op::Head, 1, abort);
        } else {
            bed.store.before(Op::CompleteUpload, 1, abort);
        }
        let outcome = acme.complete("k", &upload, &list).await;
        if made {
            outcome.unwrap();
            assert_eq!(acme.get("k").await.unwrap(), b"x");
        } else {
            assert_eq!(outcome.err().map(|e| e.code()), Some(Code::NoSuchUpload));
            assert_eq!(acme.found("k").await, None);
        }
    }
}
