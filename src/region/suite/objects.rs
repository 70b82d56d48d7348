//! Whole objects.

use super::{Ground, drain, is_missing, pattern, put_request, streamed};
use crate::region::{
    BodyError, ByteRange, CopyRequest, DeleteRequest, GetRequest, HeadFields, PutCondition,
    PutRequest, RegionError, RegionStore, SourceCondition,
};
use bytes::Bytes;
use futures::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn metadata(value: &str) -> HeadFields {
    HeadFields {
        metadata: [("sealed".to_owned(), value.to_owned())].into(),
        ..HeadFields::default()
    }
}

/// What was put is got, with its head, for bodies in memory and streamed, of one and of many chunks.
pub async fn put_then_get_returns_the_bytes(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    for (seed, bytes) in [(1, 1), (2, 16_384), (3, 300_000), (4, 3_000_001)] {
        let body = pattern(seed, bytes);
        let replayable = put_request(&body, metadata("first"));
        let once = PutRequest {
            body: streamed(&body, 70_000, None),
            ..put_request(&body, metadata("second"))
        };
        for (key, request, value) in [
            ("replayed", replayable, "first"),
            ("streamed", once, "second"),
        ] {
            let put = ground
                .store
                .put(ground.tenant, &ground.at(key), request)
                .await;
            let etag = put.expect("put").etag;
            assert!(!etag.is_empty() && !etag.contains('"'));
            let (head, read) = ground.get(key).await;
            assert!(read == body, "{key}: the bytes differ");
            assert_eq!(head.stored_bytes, bytes as u64);
            assert_eq!(head.etag, etag);
            assert_eq!(head.fields, metadata(value));
            assert_eq!(ground.head(key).await.expect("head"), head);
        }
    }
}

/// An object of no bytes is an object.
pub async fn empty_object_is_kept(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    ground.put("empty", &Bytes::new()).await;
    let (head, bytes) = ground.get("empty").await;
    assert_eq!((head.stored_bytes, bytes.len()), (0, 0));
}

/// Ranges, clamped at the end, and suffixes, longer than the object too.
pub async fn ranges_return_their_bytes(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let size: usize = 700_000;
    let body = pattern(5, size);
    ground.put("a", &body).await;
    let end = size as u64 - 1;
    for (first, last) in [
        (0, 0),
        (1, 9),
        (0, end),
        (262_143, 524_288),
        (end, end),
        (5, end + 99),
    ] {
        let range = ByteRange::Inclusive { first, last };
        let (at, bytes) = ground.range("a", range).await.expect("range");
        assert_eq!(at, first);
        let until = usize::try_from(last.min(end)).expect("small");
        let expected = body.slice(usize::try_from(first).expect("small")..=until);
        assert!(bytes == expected, "{range:?}");
    }
    for suffix in [1, 1000, size, size + 5] {
        let range = ByteRange::Suffix {
            bytes: suffix as u64,
        };
        let (at, bytes) = ground.range("a", range).await.expect("suffix");
        let expected = body.slice(size.saturating_sub(suffix)..);
        assert_eq!(at, (size - expected.len()) as u64);
        assert!(bytes == expected, "{range:?}");
    }
    let request = GetRequest {
        range: Some(ByteRange::Inclusive { first: 1, last: 2 }),
        ..GetRequest::default()
    };
    let object = ground.open("a", &request).await.expect("range");
    assert_eq!(
        object.head.stored_bytes, size as u64,
        "the whole length is told"
    );
}

/// A range that begins behind the last byte is not satisfiable.
pub async fn ranges_past_the_end_are_refused(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    ground.put("a", &pattern(5, 100)).await;
    let range = ByteRange::Inclusive {
        first: 100,
        last: 200,
    };
    let read = ground.range("a", range).await;
    assert!(
        matches!(read, Err(RegionError::RangeNotSatisfiable { .. })),
        "{read:?}"
    );
}

/// `if_match` reads only the object of that ETag.
pub async fn get_if_match_checks_the_etag(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let old = ground.put("a", &pattern(1, 100)).await.etag;
    let new = ground.put("a", &pattern(2, 100)).await.etag;
    assert_ne!(old, new);
    let ask = |etag: String| GetRequest {
        if_match: Some(etag),
        ..GetRequest::default()
    };
    let read = ground.open("a", &ask(old)).await;
    assert!(
        matches!(read, Err(RegionError::PreconditionFailed { .. })),
        "{read:?}"
    );
    let object = ground.open("a", &ask(new)).await.expect("get");
    assert_eq!(drain(object.body).await.expect("body"), pattern(2, 100));
}

/// A body whose every byte and whose length tell which write it is of.
fn marked(write: u8) -> Bytes {
    Bytes::from(vec![write; 250_000 + 40_000 * usize::from(write)])
}

/// While an object is overwritten, every read gives one write's bytes, whole.
pub async fn overwrite_is_seen_whole(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    ground.put("a", &marked(0)).await;
    let done = AtomicBool::new(false);
    let write = async {
        for write in 1..=10 {
            ground.put("a", &marked(write)).await;
        }
        done.store(true, Ordering::SeqCst);
    };
    let read = async {
        let mut reads = 0;
        while !done.load(Ordering::SeqCst) || reads == 0 {
            let (head, bytes) = ground.get("a").await;
            let write = bytes[0];
            assert!(bytes == marked(write), "a mixture of writes");
            assert_eq!(head.stored_bytes, bytes.len() as u64);
            reads += 1;
        }
    };
    tokio::join!(write, read);
    assert!(ground.get("a").await.1 == marked(10));
}

/// A reader whose object is overwritten and deleted gets the old bytes, or an error: never others, never a clean end
/// before them.
pub async fn overwritten_while_read_gives_old_bytes_or_an_error(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let old = pattern(1, 4_000_000);
    ground.put("a", &old).await;
    let object = ground.open("a", &GetRequest::default()).await.expect("get");
    let mut body = object.body;
    let first = body.next().await.expect("a chunk").expect("bytes");
    ground.put("a", &pattern(2, 4_000_000)).await;
    ground.delete("a").await;
    if let Ok(rest) = drain(body).await {
        assert!([first, rest].concat() == old, "not the old bytes");
    }
}

/// Reading, or changing the tags of, what is not there.
pub async fn missing_object_is_not_found(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let get = ground.open("absent", &GetRequest::default()).await;
    assert!(is_missing(&get), "{get:?}");
    ground.assert_absent("absent").await;
    if ground.store.profile().tagging {
        let tags = ground
            .store
            .tags(ground.tenant, &ground.at("absent"), None)
            .await;
        assert!(is_missing(&tags), "{tags:?}");
    }
}

/// Deleting twice succeeds twice; other keys stay.
pub async fn delete_is_idempotent(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    ground.put("a", &pattern(1, 100)).await;
    ground.put("ab", &pattern(2, 100)).await;
    ground.delete("a").await;
    ground.delete("a").await;
    ground.assert_absent("a").await;
    assert_eq!(ground.get("ab").await.1, pattern(2, 100));
}

fn copy_of(ground: &Ground, key: &str, etag: &str, head: HeadFields) -> CopyRequest {
    CopyRequest {
        from: ground.at(key),
        from_version: None,
        source: SourceCondition {
            etag: etag.to_owned(),
        },
        head,
        copy_tags: false,
        condition: PutCondition::Always,
    }
}

/// A copy has the source's bytes and the head that the request gives.
pub async fn copy_has_its_own_head(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let body = pattern(1, 500_000);
    let etag = ground.put_with("a", &body, metadata("source")).await.etag;
    let request = copy_of(&ground, "a", &etag, metadata("copy"));
    let copied = ground
        .store
        .copy(ground.tenant, &ground.at("b"), &request)
        .await;
    let copied = copied.expect("copy");
    let (head, bytes) = ground.get("b").await;
    assert!(bytes == body, "the bytes differ");
    assert_eq!(head.fields, metadata("copy"));
    assert_eq!(head.etag, copied.etag);
    assert_eq!(ground.get("a").await.0.fields, metadata("source"));
}

/// A copy of a source that has another ETag by now, or is gone, makes nothing.
pub async fn copy_of_a_changed_source_is_refused(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let etag = ground.put("a", &pattern(1, 100)).await.etag;
    ground.put("a", &pattern(2, 100)).await;
    let request = copy_of(&ground, "a", &etag, HeadFields::default());
    let copied = ground
        .store
        .copy(ground.tenant, &ground.at("b"), &request)
        .await;
    assert!(
        matches!(copied, Err(RegionError::PreconditionFailed { .. })),
        "{copied:?}"
    );
    ground.assert_absent("b").await;
    let request = copy_of(&ground, "absent", &etag, HeadFields::default());
    let copied = ground
        .store
        .copy(ground.tenant, &ground.at("b"), &request)
        .await;
    assert!(is_missing(&copied), "{copied:?}");
}

/// A copy onto itself keeps the bytes and replaces the head.
pub async fn copy_onto_itself_replaces_the_head(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let body = pattern(1, 300_000);
    let etag = ground.put_with("a", &body, metadata("old")).await.etag;
    let request = copy_of(&ground, "a", &etag, metadata("new"));
    let copied = ground
        .store
        .copy(ground.tenant, &ground.at("a"), &request)
        .await;
    copied.expect("copy");
    let (head, bytes) = ground.get("a").await;
    assert!(bytes == body, "the bytes differ");
    assert_eq!(head.fields, metadata("new"));
}

/// Deleting or overwriting the source leaves the copy, and the other way round.
pub async fn copy_outlives_its_source(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let body = pattern(1, 300_000);
    let etag = ground.put("a", &body).await.etag;
    for to in ["b", "c"] {
        let request = copy_of(&ground, "a", &etag, HeadFields::default());
        let copied = ground
            .store
            .copy(ground.tenant, &ground.at(to), &request)
            .await;
        copied.expect("copy");
    }
    ground.delete("a").await;
    ground.put("b", &pattern(2, 10)).await;
    assert!(ground.get("c").await.1 == body, "the bytes differ");
    assert_eq!(ground.get("b").await.1, pattern(2, 10));
}

async fn put_badly(ground: &Ground, key: &str) {
    let bytes = pattern(9, 600_000);
    for (stored_bytes, chunk_bytes) in [(600_001, 50_000), (599_999, 50_000), (600_001, 600_000)] {
        let request = PutRequest {
            stored_bytes,
            body: streamed(&bytes, chunk_bytes, None),
            ..put_request(&bytes, HeadFields::default())
        };
        let put = ground
            .store
            .put(ground.tenant, &ground.at(key), request)
            .await;
        assert!(
            matches!(put, Err(RegionError::BodyFailed { .. })),
            "{put:?}"
        );
    }
}

/// A body that is shorter or longer than announced stores nothing and leaves what was there.
pub async fn body_of_wrong_length_stores_nothing(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    put_badly(&ground, "absent").await;
    ground.assert_absent("absent").await;
    ground.put("there", &pattern(1, 100)).await;
    put_badly(&ground, "there").await;
    assert_eq!(ground.get("there").await.1, pattern(1, 100));
}

/// A body that breaks, at once, in its midst or after its last byte, stores nothing; the caller gets its error.
pub async fn body_that_breaks_stores_nothing(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let whole = pattern(9, 600_000);
    for sent in [0, 100_000, 400_000, 600_000] {
        let mismatch = BodyError::Mismatch {
            code: "BadDigest",
            message: "planted".to_owned(),
        };
        let request = PutRequest {
            body: streamed(&whole.slice(..sent), 50_000, Some(mismatch)),
            ..put_request(&whole, HeadFields::default())
        };
        let put = ground
            .store
            .put(ground.tenant, &ground.at("a"), request)
            .await;
        let Err(RegionError::BodyFailed { source, .. }) = put else {
            panic!("{sent} bytes: {put:?}");
        };
        assert!(
            matches!(
                source,
                BodyError::Mismatch {
                    code: "BadDigest",
                    ..
                }
            ),
            "{source:?}"
        );
        ground.assert_absent("a").await;
    }
}

fn tags(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Tags of a put are told, counted, replaced, copied on demand and deleted; the bytes stay.
pub async fn tags_are_replaced_and_deleted(store: Arc<dyn RegionStore>) {
    if !store.profile().tagging {
        return;
    }
    let ground = Ground::new(store).await;
    let (store, tenant, at) = (&ground.store, ground.tenant, ground.at("a"));
    let head = HeadFields {
        tags: tags(&[("team", "red"), ("a b", "c=d&e")]),
        ..metadata("kept")
    };
    let etag = ground.put_with("a", &pattern(1, 100), head).await.etag;
    let told = |mut tags: Vec<(String, String)>| {
        tags.sort();
        tags
    };
    let first = store.tags(tenant, &at, None).await.expect("tags");
    assert_eq!(told(first), tags(&[("a b", "c=d&e"), ("team", "red")]));
    assert_eq!(ground.head("a").await.expect("head").tag_count, 2);
    for (copy_tags, key, count) in [(true, "with", 2), (false, "without", 0)] {
        let request = CopyRequest {
            copy_tags,
            ..copy_of(&ground, "a", &etag, HeadFields::default())
        };
        store
            .copy(tenant, &ground.at(key), &request)
            .await
            .expect("copy");
        assert_eq!(
            ground.head(key).await.expect("head").tag_count,
            count,
            "{key}"
        );
    }
    for new in [tags(&[("x", "")]), tags(&[])] {
        store
            .set_tags(tenant, &at, None, &new)
            .await
            .expect("set_tags");
        assert_eq!(store.tags(tenant, &at, None).await.expect("tags"), new);
    }
    let (head, bytes) = ground.get("a").await;
    assert_eq!((head.tag_count, bytes), (0, pattern(1, 100)));
    assert_eq!(head.fields, metadata("kept"));
}

/// As much metadata, and Content-Disposition, as the profile promises comes back as it was.
pub async fn metadata_up_to_the_profile_survives(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let (metadata_bytes, disposition_bytes) = {
        let profile = ground.store.profile();
        (
            profile.user_metadata_bytes_max,
            profile.content_disposition_bytes_max,
        )
    };
    let text = |bytes: usize| -> String {
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            .chars()
            .cycle()
            .take(bytes)
            .collect()
    };
    let first = metadata_bytes / 2 - "first".len();
    let second = metadata_bytes - metadata_bytes / 2 - "second".len();
    let head = HeadFields {
        metadata: [
            ("first".to_owned(), text(first)),
            ("second".to_owned(), text(second)),
        ]
        .into(),
        content_disposition: (disposition_bytes > 0).then(|| text(disposition_bytes)),
        tags: Vec::new(),
        lock: None,
    };
    ground.put_with("a", &pattern(1, 10), head.clone()).await;
    assert_eq!(ground.get("a").await.0.fields, head);
    let etag = ground.head("a").await.expect("head").etag;
    let request = copy_of(&ground, "a", &etag, head.clone());
    let copied = ground
        .store
        .copy(ground.tenant, &ground.at("b"), &request)
        .await;
    copied.expect("copy");
    assert_eq!(ground.head("b").await.expect("head").fields, head);
    let deleted = ground
        .store
        .delete(ground.tenant, &ground.at("a"), &DeleteRequest::default())
        .await;
    deleted.expect("delete");
}
