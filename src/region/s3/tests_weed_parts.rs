//! Multipart uploads and copies against SeaweedFS, called by `tests_weed`.

use super::tests_weed::{Bench, TENANT};
use crate::region::{
    Body, ByteRange, CompletedPart, CopyRequest, GetRequest, HeadFields, Missing, ObjectRef,
    PartCopyRequest, PutCondition, RegionError, RegionStore, SourceCondition, UploadPartRequest,
    UpstreamUploadId,
};
use bytes::Bytes;

const PART_BYTES: usize = 5 << 20;

async fn part(
    bench: &Bench,
    at: &ObjectRef,
    upload: &UpstreamUploadId,
    number: u16,
    bytes: Vec<u8>,
) -> CompletedPart {
    let request = UploadPartRequest {
        upload: upload.clone(),
        number,
        stored_bytes: bytes.len() as u64,
        body: Body::Replayable(Bytes::from(bytes)),
        in_lock_bucket: false,
    };
    let etag = bench.store.upload_part(TENANT, at, request).await.unwrap();
    CompletedPart { number, etag }
}

pub(super) async fn uploads_complete(bench: &Bench) {
    let at = bench.at("upload");
    let head = HeadFields {
        metadata: [("lethe".to_owned(), "bXA=".to_owned())].into(),
        content_disposition: Some("spill".to_owned()),
        tags: vec![("t".to_owned(), "1".to_owned())],
        lock: None,
    };
    let upload = bench.store.create_upload(TENANT, &at, &head).await.unwrap();
    part(bench, &at, &upload, 1, vec![9; PART_BYTES]).await;
    // SeaweedFS lists both attempts, with times in whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let first = part(bench, &at, &upload, 1, vec![1; PART_BYTES]).await;
    let second = part(bench, &at, &upload, 2, vec![2; 10]).await;
    bench.put("source", b"0123456789").await;
    let source = bench
        .store
        .head(TENANT, &bench.at("source"), None)
        .await
        .unwrap();
    let listed = bench.store.list_parts(TENANT, &at, &upload).await.unwrap();
    let told: Vec<_> = listed
        .iter()
        .map(|p| (p.number, p.etag.as_str(), p.stored_bytes))
        .collect();
    assert_eq!(
        told,
        [
            (1, first.etag.as_str(), PART_BYTES as u64),
            (2, second.etag.as_str(), 10)
        ]
    );

    let copied = PartCopyRequest {
        upload: upload.clone(),
        number: 2,
        from: bench.at("source"),
        from_version: None,
        source: SourceCondition { etag: source.etag },
        range: (3, 5),
    };
    let etag = bench
        .store
        .upload_part_copy(TENANT, &at, &copied)
        .await
        .unwrap();
    let copied = CompletedPart { number: 2, etag };
    let wrong = CompletedPart {
        number: 2,
        etag: "0".repeat(32),
    };
    let outcome = bench
        .store
        .complete_upload(
            TENANT,
            &at,
            &upload,
            &[first.clone(), wrong],
            &PutCondition::Always,
        )
        .await;
    assert!(
        matches!(outcome, Err(RegionError::InvalidPart { .. })),
        "{outcome:?}"
    );
    let parts = [first, copied];
    let done = bench
        .store
        .complete_upload(TENANT, &at, &upload, &parts, &PutCondition::Absent)
        .await
        .unwrap();
    let found = bench.store.head(TENANT, &at, None).await.unwrap();
    assert_eq!(found.etag, done.etag);
    assert_eq!(found.stored_bytes, PART_BYTES as u64 + 3);
    assert_eq!(found.fields.metadata, head.metadata);
    assert_eq!(found.fields.content_disposition, head.content_disposition);
    assert_eq!(found.tag_count, 1);
    let tail = GetRequest {
        range: Some(ByteRange::Suffix { bytes: 5 }),
        ..GetRequest::default()
    };
    assert_eq!(bench.read("upload", &tail).await.unwrap(), b"\x01\x01345");

    let upload = bench.store.create_upload(TENANT, &at, &head).await.unwrap();
    bench
        .store
        .abort_upload(TENANT, &at, &upload)
        .await
        .unwrap();
    bench
        .store
        .abort_upload(TENANT, &at, &upload)
        .await
        .unwrap();
    let outcome = bench.store.list_parts(TENANT, &at, &upload).await;
    assert!(
        matches!(
            outcome,
            Err(RegionError::NotFound {
                missing: Missing::Upload,
                ..
            })
        ),
        "{outcome:?}"
    );
}

pub(super) async fn copies_have_their_own_head(bench: &Bench) {
    let source = bench.put("dir/ü +%", b"copied").await;
    let mut request = CopyRequest {
        from: bench.at("dir/ü +%"),
        from_version: None,
        source: SourceCondition { etag: source.etag },
        head: HeadFields {
            metadata: [("lethe".to_owned(), "bmV3".to_owned())].into(),
            content_disposition: Some("spill".to_owned()),
            tags: vec![("t".to_owned(), "2".to_owned())],
            lock: None,
        },
        copy_tags: false,
        condition: PutCondition::Always,
    };
    let to = bench.at("copy");
    let copied = bench.store.copy(TENANT, &to, &request).await.unwrap();
    let found = bench.store.head(TENANT, &to, None).await.unwrap();
    assert_eq!(found.etag, copied.etag);
    assert_eq!(found.fields.metadata, request.head.metadata);
    assert_eq!(found.fields.content_disposition.as_deref(), Some("spill"));
    assert_eq!(found.tag_count, 1);
    assert_eq!(
        bench.read("copy", &GetRequest::default()).await.unwrap(),
        b"copied"
    );
    request.source.etag = "no".to_owned();
    let outcome = bench.store.copy(TENANT, &to, &request).await;
    assert!(
        matches!(outcome, Err(RegionError::PreconditionFailed { .. })),
        "{outcome:?}"
    );
    request.from = bench.at("nothing here");
    let outcome = bench.store.copy(TENANT, &to, &request).await;
    assert!(
        matches!(
            outcome,
            Err(RegionError::NotFound { .. } | RegionError::PreconditionFailed { .. })
        ),
        "{outcome:?}"
    );
}
