//! What becomes of a request's body when its source, its reader or the store fails: never a finished one.

use super::S3Store;
use super::hostile::{Act, Hostile, IDLE_MS, OBJECT, answer, refusal, settle};
use super::tests_faults::{TENANT, assert_is, at, complete, once, put_of, within};
use crate::region::{Body, BodyError, RegionError, RegionStore};
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::time::Duration;

#[tokio::test]
async fn failing_source_never_finishes_the_body() {
    let chunk = || Ok(Bytes::from_static(b"01234"));
    let mismatch = || BodyError::Mismatch {
        code: "BadDigest",
        message: String::new(),
    };
    let cases = [
        // In the middle; after every byte; too short; too long.
        vec![chunk(), Err(mismatch())],
        vec![chunk(), chunk(), Err(mismatch())],
        vec![chunk()],
        vec![chunk(), chunk(), chunk()],
    ];
    for chunks in cases {
        let hostile = Hostile::play(vec![Act::Answer(answer("200 OK", OBJECT, ""))]).await;
        let outcome = hostile
            .store()
            .await
            .put(TENANT, &at("k"), once(chunks, 10))
            .await;
        assert_is!(outcome, RegionError::BodyFailed { .. });
        settle().await;
        let seen = hostile.seen();
        assert!(
            seen.iter().all(|s| !s.complete && s.body_bytes <= 5),
            "{seen:?}"
        );
    }
}

/// SeaweedFS takes a head without any byte of its body for an empty object, in the place of the one that was there.
#[tokio::test]
async fn source_without_a_first_byte_sends_no_head() {
    let cases = [
        vec![],
        vec![Err(BodyError::Incomplete)],
        vec![Ok(Bytes::new()), Err(BodyError::LeaseEnded)],
        // Held back until the source has ended well, which it does not.
        vec![
            Ok(Bytes::from_static(b"0123456789")),
            Err(BodyError::Incomplete),
        ],
    ];
    for chunks in cases {
        let hostile = Hostile::play(vec![Act::Answer(answer("200 OK", OBJECT, ""))]).await;
        let put = hostile.store().await;
        let outcome = put.put(TENANT, &at("k"), once(chunks, 10)).await;
        assert_is!(outcome, RegionError::BodyFailed { .. });
        settle().await;
        assert_eq!(hostile.seen().len(), 0, "{:?}", hostile.seen());
    }
    let hostile = Hostile::play(vec![Act::Answer(answer("200 OK", OBJECT, ""))]).await;
    let (store, target) = (hostile.store().await, at("k"));
    let waiting = store.put(
        TENANT,
        &target,
        put_of(Body::Once(stream::pending().boxed()), 10),
    );
    assert!(
        tokio::time::timeout(Duration::from_millis(100), waiting)
            .await
            .is_err()
    );
    settle().await;
    assert_eq!(hostile.seen().len(), 0, "{:?}", hostile.seen());
}

#[tokio::test]
async fn dropped_put_never_finishes_the_body() {
    let hostile = Hostile::play(vec![Act::Answer(answer("200 OK", OBJECT, ""))]).await;
    let store = hostile.store().await;
    let (sender, receiver) = futures::channel::mpsc::unbounded();
    sender
        .unbounded_send(Ok(Bytes::from_static(b"01234")))
        .unwrap();
    let target = at("k");
    let put = store.put(TENANT, &target, put_of(Body::Once(receiver.boxed()), 10));
    assert!(
        tokio::time::timeout(Duration::from_millis(150), put)
            .await
            .is_err()
    );
    let _ = sender.unbounded_send(Ok(Bytes::from_static(b"56789")));
    drop(sender);
    settle().await;
    let seen = hostile.seen();
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].complete && seen[0].body_bytes == 5, "{seen:?}");
}

#[tokio::test]
async fn source_or_store_stalls_put_ends_in_time() {
    let hostile = Hostile::play(vec![Act::Answer(answer("200 OK", OBJECT, ""))]).await;
    let store = hostile.store().await;
    let silent = put_of(Body::Once(stream::pending().boxed()), 10);
    assert_is!(
        within(IDLE_MS, store.put(TENANT, &at("k"), silent)).await,
        RegionError::BodyFailed {
            source: BodyError::TimedOut,
            ..
        }
    );
    let hostile = Hostile::play(vec![Act::Stall]).await;
    let store = hostile.store().await;
    let chunk = Bytes::from(vec![0; 1 << 20]);
    let endless = stream::iter((0..64).map(move |_| Ok(chunk.clone()))).boxed();
    let target = at("k");
    let put = store.put(TENANT, &target, put_of(Body::Once(endless), 64 << 20));
    assert_is!(
        within(2 * IDLE_MS, put).await,
        RegionError::Unavailable { .. }
    );
}

#[tokio::test]
async fn early_answer_ends_the_upload() {
    let refused = Act::AnswerAtOnce(refusal("412 P", "PreconditionFailed"));
    let hostile = Hostile::play(vec![refused]).await;
    let first = stream::iter([Ok(Bytes::from_static(b"0"))]);
    let body = first.chain(stream::pending()).boxed();
    let put = put_of(Body::Once(body), 10);
    assert_is!(
        hostile.store().await.put(TENANT, &at("k"), put).await,
        RegionError::PreconditionFailed { .. }
    );
    let early = Act::AnswerAtOnce(answer("200 OK", OBJECT, ""));
    let hostile = Hostile::play(vec![early]).await;
    let first = stream::iter([Ok(Bytes::from_static(b"0"))]);
    let put = put_of(Body::Once(first.chain(stream::pending()).boxed()), 10);
    assert_is!(
        hostile.store().await.put(TENANT, &at("k"), put).await,
        RegionError::Lying { .. }
    );
}

#[tokio::test]
async fn nobody_listens_unavailable_and_no_more_than_the_first_chunk_is_taken() {
    let hostile = Hostile::play(vec![Act::Stall]).await;
    let mut config = hostile.config();
    config.endpoint = "http://127.0.0.1:9".to_owned();
    let store = S3Store::connect(config, super::testbed::full_profile())
        .await
        .unwrap();
    let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&taken);
    let body = stream::poll_fn(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        std::task::Poll::Ready(Some(Ok(Bytes::from_static(b"0"))))
    });
    assert_is!(
        store
            .put(TENANT, &at("k"), put_of(Body::Once(body.boxed()), 10))
            .await,
        RegionError::Unavailable { .. }
    );
    assert_eq!(taken.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert_is!(store.ping().await, RegionError::Unavailable { .. });
    assert_is!(complete(&store).await, RegionError::Unavailable { .. });
}
