use super::client::{Broken, Client, PART, plain};
use crate::ops::error::Code;
use crate::ops::range::RangeSpec;
use crate::ops::testing::Testbed;
use crate::region::faulty::{Fault, Op};
use std::sync::Arc;

/// Replaces `k` before the `nth` upstream read from now.
fn replace_before(bed: &Arc<Testbed>, nth: u64, body: Vec<u8>) {
    let other = Arc::clone(bed);
    bed.store.before(Op::Get, nth, move || async move {
        Client::acme(&other).await.put("k", &body).await.unwrap();
    });
}

#[tokio::test]
async fn object_replaced_between_two_upstream_requests_is_read_anew() {
    let bed = Arc::new(Testbed::new().await);
    let acme = Client::acme(&bed).await;
    let parts = [plain(1, PART), plain(2, PART)];
    let new = plain(3, 300_000);
    let far = RangeSpec::From {
        first: PART as u64 + 9,
        last: Some(PART as u64 + 99),
    };
    let near = RangeSpec::From {
        first: 100,
        last: Some(200_000),
    };
    // A whole read's second request is for the trailer; a range's third is for the range itself.
    for (nth, range) in [(2, None), (2, Some(near))] {
        acme.multipart("k", &[&parts[0], &parts[1]]).await;
        replace_before(&bed, nth, new.clone());
        let sent = acme.get_range("k", range).await.unwrap();
        let wanted = range.map_or(&new[..], |_| &new[100..=200_000]);
        assert!(sent == wanted, "{range:?}");
    }
    for nth in [2, 3] {
        acme.multipart("k", &[&parts[0], &parts[1]]).await;
        replace_before(&bed, nth, new.clone());
        let Err(broken) = acme.get_range("k", Some(far)).await else {
            panic!("a range of the old object, or of both");
        };
        assert_eq!(broken.code(), Code::InvalidRange, "the new one is shorter");
    }
}

#[tokio::test]
async fn object_replaced_under_every_start_is_given_up() {
    let bed = Arc::new(Testbed::new().await);
    let acme = Client::acme(&bed).await;
    acme.multipart("k", &[&plain(1, PART)]).await;
    let (head, stored) = acme.stored("k").await;
    let asked = bed.store.calls(Op::Get);
    for nth in [2, 4, 6, 8] {
        let (other, head, stored) = (Arc::clone(&bed), head.clone(), stored.clone());
        bed.store.before(Op::Get, nth, move || async move {
            Client::acme(&other).await.forge("k", &head, stored).await;
        });
    }
    let Err(broken) = acme.get("k").await else {
        panic!("never the same object twice");
    };
    assert_eq!(broken.code(), Code::SlowDown);
    assert_eq!(bed.store.calls(Op::Get), asked + 8, "bounded");
}

#[tokio::test]
async fn object_deleted_between_two_upstream_requests_is_no_such_key() {
    let bed = Arc::new(Testbed::new().await);
    let acme = Client::acme(&bed).await;
    acme.multipart("k", &[&plain(1, PART)]).await;
    let other = Arc::clone(&bed);
    bed.store.before(Op::Get, 2, move || async move {
        let acme = Client::acme(&other).await;
        let request = crate::region::DeleteRequest::default();
        let (store, at) = (&acme.scope.region.store, acme.at("k"));
        store
            .delete(acme.scope.tenant, &at, &request)
            .await
            .unwrap();
    });
    assert_eq!(acme.found("k").await, None);
}

#[tokio::test]
async fn object_replaced_before_a_resume_breaks_off_with_old_bytes_only() {
    let bed = Arc::new(Testbed::new().await);
    let acme = Client::acme(&bed).await;
    let (old, new) = (plain(1, 200_000), plain(2, 200_000));
    acme.put("k", &old).await.unwrap();
    bed.store.fail_next(
        Op::Get,
        Fault::ClosesMidBody {
            after_bytes: 100_000,
        },
    );
    replace_before(&bed, 2, new.clone());
    let Err(Broken::MidBody(sent)) = acme.get("k").await else {
        panic!("a clean end of two objects");
    };
    assert!(!sent.is_empty() && old.starts_with(&sent));
    assert_eq!(acme.get("k").await.unwrap(), new);
}
