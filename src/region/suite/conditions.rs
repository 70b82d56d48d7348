//! Conditional writes, raced.

use super::{Ground, is_lost, is_missing, pattern};
use crate::region::suite::multipart::{PART_BYTES, upload_of};
use crate::region::{
    CopyRequest, DeleteRequest, HeadFields, PutCondition, RegionError, RegionStore,
    SourceCondition, WriteOutcome,
};
use futures::future::join_all;
use std::sync::Arc;

const WRITERS: u64 = 16;

/// The number of the only writer that won; every other must have lost by its condition.
fn only_winner(results: &[Result<WriteOutcome, RegionError>]) -> (u64, WriteOutcome) {
    let mut winner = None;
    for (writer, result) in (0..).zip(results) {
        match result {
            Ok(outcome) => {
                assert!(winner.is_none(), "two writers won");
                winner = Some((writer, outcome.clone()));
            }
            lost => assert!(is_lost(lost), "{lost:?}"),
        }
    }
    winner.expect("one writer wins")
}

/// Of 16 puts of an absent key that must be absent, one wins, and its bytes are there.
pub async fn put_if_absent_raced_has_one_winner(store: Arc<dyn RegionStore>) {
    if !store.profile().conditional_put {
        return;
    }
    let ground = Ground::new(store).await;
    for round in 0..5 {
        let key = format!("raced-{round}");
        let bodies: Vec<_> = (0..WRITERS).map(|n| pattern(n, 3000)).collect();
        let puts = bodies
            .iter()
            .map(|body| ground.put_if(&key, body, PutCondition::Absent));
        let (writer, outcome) = only_winner(&join_all(puts).await);
        let (head, bytes) = ground.get(&key).await;
        assert_eq!(bytes, pattern(writer, 3000));
        assert_eq!(head.etag, outcome.etag);
    }
}

/// Of 16 puts over one ETag, one wins.
pub async fn put_if_matches_raced_has_one_winner(store: Arc<dyn RegionStore>) {
    if !store.profile().conditional_put {
        return;
    }
    let ground = Ground::new(store).await;
    let mut etag = ground.put("raced", &pattern(99, 100)).await.etag;
    for _ in 0..5 {
        let bodies: Vec<_> = (0..WRITERS).map(|n| pattern(n, 3000)).collect();
        let puts = bodies
            .iter()
            .map(|body| ground.put_if("raced", body, PutCondition::Matches(etag.clone())));
        let (writer, outcome) = only_winner(&join_all(puts).await);
        assert_eq!(ground.get("raced").await.1, pattern(writer, 3000));
        // Other bytes than before, lest a store that derives ETags from bytes gives the old one.
        etag = ground.put("raced", &pattern(1000 + writer, 77)).await.etag;
        assert_ne!(etag, outcome.etag);
    }
}

/// A put whose condition fails leaves the object, or its absence, as it was.
pub async fn put_if_condition_fails_changes_nothing(store: Arc<dyn RegionStore>) {
    if !store.profile().conditional_put {
        return;
    }
    let ground = Ground::new(store).await;
    ground.put("there", &pattern(1, 100)).await;
    let other = || PutCondition::Matches("0123456789abcdef0123456789abcdef".to_owned());
    for condition in [PutCondition::Absent, other()] {
        let put = ground.put_if("there", &pattern(2, 50), condition).await;
        assert!(
            matches!(put, Err(RegionError::PreconditionFailed { .. })),
            "{put:?}"
        );
    }
    assert_eq!(ground.get("there").await.1, pattern(1, 100));
    let put = ground.put_if("absent", &pattern(2, 50), other()).await;
    assert!(is_lost(&put), "{put:?}");
    ground.assert_absent("absent").await;
}

/// Of 8 completions of a key that must be absent, one wins.
pub async fn complete_if_absent_raced_has_one_winner(store: Arc<dyn RegionStore>) {
    if !store.profile().conditional_complete {
        return;
    }
    let ground = Ground::new(store).await;
    let (at, tenant) = (ground.at("raced"), ground.tenant);
    let mut uploads = Vec::new();
    for n in 0..8 {
        uploads.push(upload_of(&ground, "raced", &[(1, pattern(n, 2000))]).await);
    }
    let completions = uploads.iter().map(|(upload, parts)| {
        ground
            .store
            .complete_upload(tenant, &at, upload, parts, &PutCondition::Absent)
    });
    let (writer, outcome) = only_winner(&join_all(completions).await);
    let (head, bytes) = ground.get("raced").await;
    assert_eq!(bytes, pattern(writer, 2000));
    assert_eq!(head.etag, outcome.etag);
    for (upload, _) in &uploads {
        let aborted = ground.store.abort_upload(tenant, &at, upload).await;
        aborted.expect("abort");
    }
    const { assert!(PART_BYTES >= 5 << 20) };
}

/// Of 16 copies to a key that must be absent, one wins.
pub async fn copy_if_absent_raced_has_one_winner(store: Arc<dyn RegionStore>) {
    if !store.profile().conditional_copy {
        return;
    }
    let ground = Ground::new(store).await;
    let mut requests = Vec::new();
    for n in 0..WRITERS {
        let key = format!("source-{n}");
        let etag = ground.put(&key, &pattern(n, 500)).await.etag;
        requests.push(CopyRequest {
            from: ground.at(&key),
            from_version: None,
            source: SourceCondition { etag },
            head: HeadFields::default(),
            copy_tags: false,
            condition: PutCondition::Absent,
        });
    }
    let to = ground.at("raced");
    let copies = requests
        .iter()
        .map(|request| ground.store.copy(ground.tenant, &to, request));
    let (writer, _) = only_winner(&join_all(copies).await);
    assert_eq!(ground.get("raced").await.1, pattern(writer, 500));
}

fn delete_if(etag: &str) -> DeleteRequest {
    DeleteRequest {
        version: None,
        condition: PutCondition::Matches(etag.to_owned()),
        bypass_governance: false,
    }
}

/// A delete with another ETag leaves the object; with its own it deletes.
pub async fn delete_if_matches_deletes_only_that(store: Arc<dyn RegionStore>) {
    if !store.profile().conditional_delete {
        return;
    }
    let ground = Ground::new(store).await;
    let (at, tenant) = (ground.at("a"), ground.tenant);
    let old = ground.put("a", &pattern(1, 100)).await.etag;
    let new = ground.put("a", &pattern(2, 100)).await.etag;
    let refused = ground.store.delete(tenant, &at, &delete_if(&old)).await;
    assert!(
        matches!(refused, Err(RegionError::PreconditionFailed { .. })),
        "{refused:?}"
    );
    assert_eq!(ground.get("a").await.1, pattern(2, 100));
    let deleted = ground.store.delete(tenant, &at, &delete_if(&new)).await;
    deleted.expect("delete");
    ground.assert_absent("a").await;
}

/// Of a delete and a put over one ETag, one wins, and the object is there if it was the put.
pub async fn delete_and_put_raced_has_one_winner(store: Arc<dyn RegionStore>) {
    if !store.profile().conditional_delete || !store.profile().conditional_put {
        return;
    }
    let ground = Ground::new(store).await;
    for round in 0..10 {
        let key = format!("raced-{round}");
        let etag = ground.put(&key, &pattern(1, 100)).await.etag;
        let (at, body) = (ground.at(&key), pattern(2, 100));
        let request = delete_if(&etag);
        let delete = ground.store.delete(ground.tenant, &at, &request);
        let put = ground.put_if(&key, &body, PutCondition::Matches(etag.clone()));
        let (deleted, put) = tokio::join!(delete, put);
        match (&deleted, &put) {
            (Ok(_), lost) => {
                assert!(is_lost(lost), "{lost:?}");
                assert!(is_missing(&ground.head(&key).await));
            }
            (lost, Ok(_)) => {
                assert!(is_lost(lost), "{lost:?}");
                assert_eq!(ground.get(&key).await.1, body);
            }
            both => panic!("nobody won: {both:?}"),
        }
    }
}
