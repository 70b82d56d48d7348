//! Multipart uploads.

use super::{Ground, drain, pattern, streamed};
use crate::region::{
    Body, BodyError, ByteRange, CompletedPart, GetRequest, HeadFields, Missing, PartCopyRequest,
    PutCondition, RegionError, RegionStore, SourceCondition, UploadPartRequest, UpstreamUploadId,
};
use bytes::Bytes;
use std::sync::Arc;

/// The least length of a part that is not the last: S3's.
pub(super) const PART_BYTES: usize = 5 << 20;

async fn create(ground: &Ground, key: &str, head: &HeadFields) -> UpstreamUploadId {
    ground
        .store
        .create_upload(ground.tenant, &ground.at(key), head)
        .await
        .expect("create_upload")
}

async fn send(
    ground: &Ground,
    key: &str,
    upload: &UpstreamUploadId,
    number: u16,
    bytes: &Bytes,
) -> CompletedPart {
    let request = UploadPartRequest {
        upload: upload.clone(),
        number,
        stored_bytes: bytes.len() as u64,
        body: Body::Replayable(bytes.clone()),
        in_lock_bucket: false,
    };
    let etag = ground
        .store
        .upload_part(ground.tenant, &ground.at(key), request)
        .await
        .expect("upload_part");
    CompletedPart { number, etag }
}

/// An upload of these parts, sent in this order; the parts in the order of their numbers.
pub(super) async fn upload_of(
    ground: &Ground,
    key: &str,
    parts: &[(u16, Bytes)],
) -> (UpstreamUploadId, Vec<CompletedPart>) {
    let upload = create(ground, key, &HeadFields::default()).await;
    let mut sent = Vec::new();
    for (number, bytes) in parts {
        sent.push(send(ground, key, &upload, *number, bytes).await);
    }
    sent.sort_by_key(|part| part.number);
    (upload, sent)
}

async fn complete(
    ground: &Ground,
    key: &str,
    upload: &UpstreamUploadId,
    parts: &[CompletedPart],
) -> Result<String, RegionError> {
    ground
        .store
        .complete_upload(
            ground.tenant,
            &ground.at(key),
            upload,
            parts,
            &PutCondition::Always,
        )
        .await
        .map(|outcome| outcome.etag)
}

fn is_missing_upload<T>(result: &Result<T, RegionError>) -> bool {
    matches!(
        result,
        Err(RegionError::NotFound {
            missing: Missing::Upload,
            ..
        })
    )
}

/// Uploads are found by their exact key while they are open, and by nobody else's.
pub async fn uploads_at_a_key_are_those_that_are_open(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let at = |key: &str| ground.at(key);
    let open = async |key: &str| {
        let open = ground.store.uploads_at(ground.tenant, &at(key)).await;
        let mut open = open.expect("uploads_at");
        open.sort_by(|a, b| a.0.cmp(&b.0));
        open
    };
    assert_eq!(open("a b").await, []);
    let head = HeadFields::default();
    let mut two = [
        create(&ground, "a b", &head).await,
        create(&ground, "a b", &head).await,
    ];
    two.sort_by(|a, b| a.0.cmp(&b.0));
    let longer = create(&ground, "a b+c", &head).await;
    assert_eq!(open("a b").await, two);
    assert_eq!(open("a b+c").await, std::slice::from_ref(&longer));
    assert_eq!(open("a").await, []);
    let part = send(&ground, "a b", &two[0], 1, &pattern(1, 9)).await;
    let done = complete(&ground, "a b", &two[0], &[part]).await;
    done.expect("complete");
    let longer_at = at("a b+c");
    let aborted = ground
        .store
        .abort_upload(ground.tenant, &longer_at, &longer);
    aborted.await.expect("abort");
    assert_eq!(open("a b").await, &two[1..]);
    assert_eq!(open("a b+c").await, []);
}

/// Parts sent in any order join in the order of their numbers, with the upload's metadata; ranges cross them.
pub async fn parts_join_in_order_of_number(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let head = HeadFields {
        metadata: [("sealed".to_owned(), "value".to_owned())].into(),
        ..HeadFields::default()
    };
    let (first, second, last) = (
        pattern(1, PART_BYTES),
        pattern(2, PART_BYTES),
        pattern(3, 77),
    );
    let upload = create(&ground, "joined", &head).await;
    let mut parts = vec![
        send(&ground, "joined", &upload, 30, &last).await,
        send(&ground, "joined", &upload, 2, &first).await,
        send(&ground, "joined", &upload, 7, &second).await,
    ];
    parts.sort_by_key(|part| part.number);
    let listed = ground
        .store
        .list_parts(ground.tenant, &ground.at("joined"), &upload)
        .await
        .expect("list_parts");
    let listed: Vec<_> = listed.iter().map(|p| (p.number, p.stored_bytes)).collect();
    assert_eq!(
        listed,
        [(2, PART_BYTES as u64), (7, PART_BYTES as u64), (30, 77)]
    );
    ground.assert_absent("joined").await;
    let etag = complete(&ground, "joined", &upload, &parts)
        .await
        .expect("complete");
    let (head, bytes) = ground.get("joined").await;
    assert!(bytes == [first, second, last].concat(), "the bytes differ");
    assert_eq!(head.etag, etag);
    assert_eq!(
        head.fields.metadata.get("sealed").map(String::as_str),
        Some("value")
    );
    for (from, to) in [
        (0, 9),
        (PART_BYTES - 5, PART_BYTES + 4),
        (100, bytes.len() - 1),
    ] {
        let range = ByteRange::Inclusive {
            first: from as u64,
            last: to as u64,
        };
        let (at, read) = ground.range("joined", range).await.expect("range");
        assert_eq!(at, from as u64);
        assert!(read == bytes.slice(from..=to), "range {from}-{to} differs");
    }
}

/// A part of the same number replaces the earlier one.
pub async fn part_sent_again_replaces_the_first(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let upload = create(&ground, "again", &HeadFields::default()).await;
    let first = send(&ground, "again", &upload, 1, &pattern(1, 1000)).await;
    let second = send(&ground, "again", &upload, 1, &pattern(2, 900)).await;
    assert_ne!(first.etag, second.etag);
    complete(&ground, "again", &upload, &[second])
        .await
        .expect("complete");
    assert_eq!(ground.get("again").await.1, pattern(2, 900));
}

/// Complete with an ETag that the part has not, or a part that is not there, makes nothing; the upload goes on.
pub async fn part_with_another_etag_is_invalid(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let (upload, parts) = upload_of(&ground, "wrong", &[(1, pattern(1, 1000))]).await;
    let wrong = CompletedPart {
        number: 1,
        etag: "0123456789abcdef0123456789abcdef".to_owned(),
    };
    let absent = CompletedPart {
        number: 2,
        etag: wrong.etag.clone(),
    };
    for named in [vec![wrong], vec![parts[0].clone(), absent]] {
        let completed = complete(&ground, "wrong", &upload, &named).await;
        assert!(
            matches!(completed, Err(RegionError::InvalidPart { .. })),
            "{completed:?}"
        );
        ground.assert_absent("wrong").await;
    }
    complete(&ground, "wrong", &upload, &parts)
        .await
        .expect("complete");
    assert_eq!(ground.get("wrong").await.1, pattern(1, 1000));
}

/// After an abort the upload is not there; aborting again succeeds.
pub async fn aborted_upload_is_gone(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let (upload, parts) = upload_of(&ground, "aborted", &[(1, pattern(1, 1000))]).await;
    let at = ground.at("aborted");
    for _ in 0..2 {
        let aborted = ground.store.abort_upload(ground.tenant, &at, &upload).await;
        aborted.expect("abort");
    }
    let completed = complete(&ground, "aborted", &upload, &parts).await;
    assert!(is_missing_upload(&completed), "{completed:?}");
    let listed = ground.store.list_parts(ground.tenant, &at, &upload).await;
    assert!(is_missing_upload(&listed), "{listed:?}");
    ground.assert_absent("aborted").await;
}

/// A second Complete finds no upload and leaves the object as it is.
pub async fn completed_twice_is_not_found(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let (upload, parts) = upload_of(&ground, "twice", &[(1, pattern(1, 1000))]).await;
    let etag = complete(&ground, "twice", &upload, &parts)
        .await
        .expect("complete");
    let again = complete(&ground, "twice", &upload, &parts).await;
    assert!(is_missing_upload(&again), "{again:?}");
    let (head, bytes) = ground.get("twice").await;
    assert_eq!((head.etag, bytes), (etag, pattern(1, 1000)));
}

/// A part copied from a range of an object has the range's bytes, also when the source is deleted before Complete.
pub async fn part_copied_from_a_range_has_its_bytes(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let source = pattern(1, PART_BYTES + 2000);
    let etag = ground.put("source", &source).await.etag;
    let upload = create(&ground, "made", &HeadFields::default()).await;
    let request = PartCopyRequest {
        upload: upload.clone(),
        number: 1,
        from: ground.at("source"),
        from_version: None,
        source: SourceCondition { etag },
        range: (1000, 1000 + PART_BYTES as u64 - 1),
    };
    let at = ground.at("made");
    let changed = PartCopyRequest {
        source: SourceCondition {
            etag: "0123456789abcdef0123456789abcdef".to_owned(),
        },
        ..request.clone()
    };
    let refused = ground
        .store
        .upload_part_copy(ground.tenant, &at, &changed)
        .await;
    assert!(
        matches!(refused, Err(RegionError::PreconditionFailed { .. })),
        "{refused:?}"
    );
    let copied = ground
        .store
        .upload_part_copy(ground.tenant, &at, &request)
        .await;
    let mut parts = vec![CompletedPart {
        number: 1,
        etag: copied.expect("upload_part_copy"),
    }];
    parts.push(send(&ground, "made", &upload, 2, &pattern(2, 10)).await);
    ground.delete("source").await;
    complete(&ground, "made", &upload, &parts)
        .await
        .expect("complete");
    let expected = [source.slice(1000..1000 + PART_BYTES), pattern(2, 10)].concat();
    assert!(ground.get("made").await.1 == expected, "the bytes differ");
}

/// A part whose body is too short, too long or breaks is not stored; an earlier one of its number stays.
pub async fn part_of_wrong_length_is_not_stored(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let (upload, parts) = upload_of(&ground, "short", &[(1, pattern(1, 5000))]).await;
    let bytes = pattern(2, 4000);
    let bodies = [
        (4001, streamed(&bytes, 1000, None)),
        (3999, streamed(&bytes, 1000, None)),
        (4000, streamed(&bytes, 1000, Some(BodyError::LeaseEnded))),
    ];
    for (stored_bytes, body) in bodies {
        let request = UploadPartRequest {
            upload: upload.clone(),
            number: 1,
            stored_bytes,
            body,
            in_lock_bucket: false,
        };
        let sent = ground
            .store
            .upload_part(ground.tenant, &ground.at("short"), request)
            .await;
        assert!(
            matches!(sent, Err(RegionError::BodyFailed { .. })),
            "{sent:?}"
        );
    }
    complete(&ground, "short", &upload, &parts)
        .await
        .expect("complete");
    let object = ground
        .open("short", &GetRequest::default())
        .await
        .expect("get");
    assert_eq!(drain(object.body).await.expect("body"), pattern(1, 5000));
}
