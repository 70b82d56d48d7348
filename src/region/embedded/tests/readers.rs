//! Readers whose object goes away, files that are not what they were, requests that are abandoned.

use super::super::EmbeddedOptions;
use super::{files_in, ground_with};
use crate::region::suite::{Ground, drain, pattern};
use crate::region::{
    Body, BodyError, ByteRange, CompletedPart, GetRequest, HeadFields, PutCondition, PutRequest,
    RegionError, UploadPartRequest,
};
use bytes::Bytes;
use futures::StreamExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

async fn multipart(ground: &Ground, key: &str, parts: &[Bytes]) -> String {
    let at = ground.at(key);
    let (store, tenant) = (&ground.store, ground.tenant);
    let upload = store
        .create_upload(tenant, &at, &HeadFields::default())
        .await
        .unwrap();
    let mut sent = Vec::new();
    for (number, bytes) in (1..).zip(parts) {
        let request = UploadPartRequest {
            upload: upload.clone(),
            number,
            stored_bytes: bytes.len() as u64,
            body: Body::Replayable(bytes.clone()),
            in_lock_bucket: false,
        };
        let etag = store.upload_part(tenant, &at, request).await.unwrap();
        sent.push(CompletedPart { number, etag });
    }
    let always = PutCondition::Always;
    let completed = store
        .complete_upload(tenant, &at, &upload, &sent, &always)
        .await;
    completed.unwrap().etag
}

/// Waits until the reaper is done.
async fn assert_files(dir: &Path, expected: usize) {
    for _ in 0..200 {
        if files_in(dir) == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(files_in(dir), expected);
}

#[tokio::test]
async fn object_of_many_files_replaced_while_read_is_read_to_its_end() {
    let (ground, store, dir) = ground_with(EmbeddedOptions::default()).await;
    let parts: Vec<Bytes> = (0..5).map(|n| pattern(n, 400_000)).collect();
    let etag = multipart(&ground, "a", &parts).await;
    assert!(etag.ends_with("-5"), "{etag}");
    let object = ground.open("a", &GetRequest::default()).await.unwrap();
    let mut body = object.body;
    let first = body.next().await.unwrap().unwrap();
    ground.put("a", &pattern(9, 10)).await;
    ground.delete("a").await;
    store.sweep().await.unwrap();
    assert!(files_in(dir.path()) >= 4, "files to be read stay");
    let rest = drain(body).await.unwrap();
    assert!(
        [first, rest].concat() == parts.concat(),
        "not the old bytes"
    );
    assert_files(dir.path(), 0).await;
}

#[tokio::test]
async fn reader_dropped_early_lets_go_of_its_files() {
    let (ground, _store, dir) = ground_with(EmbeddedOptions::default()).await;
    let parts: Vec<Bytes> = (0..3).map(|n| pattern(n, 400_000)).collect();
    multipart(&ground, "a", &parts).await;
    let object = ground.open("a", &GetRequest::default()).await.unwrap();
    ground.delete("a").await;
    drop(object);
    assert_files(dir.path(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn object_of_many_files_overwritten_all_the_time_is_read_whole() {
    let (ground, _store, dir) = ground_with(EmbeddedOptions::default()).await;
    let marked = |n: u8| -> Vec<Bytes> { vec![Bytes::from(vec![n; 30_000]); 4] };
    multipart(&ground, "a", &marked(0)).await;
    let write = async {
        for n in 1..40 {
            multipart(&ground, "a", &marked(n)).await;
        }
    };
    let read = async {
        loop {
            let (_, bytes) = ground.get("a").await;
            assert_eq!(bytes.len(), 120_000);
            assert!(bytes.iter().all(|byte| *byte == bytes[0]), "a mixture");
            if bytes[0] == 39 {
                return;
            }
        }
    };
    tokio::join!(write, read, async {
        for _ in 0..20 {
            ground.get("a").await;
        }
    });
    assert_files(dir.path(), 4).await;
}

fn only_file(dir: &Path) -> PathBuf {
    let mut found = Vec::new();
    for shard in std::fs::read_dir(dir.join("bodies")).unwrap() {
        for file in std::fs::read_dir(shard.unwrap().path()).unwrap() {
            found.push(file.unwrap().path());
        }
    }
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[tokio::test]
async fn body_file_cut_short_or_gone_is_lying() {
    let (ground, _store, dir) = ground_with(EmbeddedOptions::default()).await;
    ground.put("a", &pattern(1, 900_000)).await;
    let path = only_file(dir.path());
    let object = ground.open("a", &GetRequest::default()).await.unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(899_999).unwrap();
    let midway = drain(object.body).await;
    assert!(matches!(midway, Err(BodyError::Source(_))), "{midway:?}");
    let opened = ground.open("a", &GetRequest::default()).await;
    assert!(
        matches!(opened, Err(RegionError::Lying { .. })),
        "{opened:?}"
    );
    let range = ByteRange::Inclusive { first: 5, last: 9 };
    assert_eq!(
        ground.range("a", range).await.unwrap().1,
        pattern(1, 900_000).slice(5..10)
    );
    std::fs::remove_file(&path).unwrap();
    let opened = ground.open("a", &GetRequest::default()).await;
    assert!(
        matches!(opened, Err(RegionError::Lying { .. })),
        "{opened:?}"
    );
}

#[tokio::test]
async fn put_abandoned_midway_leaves_nothing_and_its_file_is_not_swept_before() {
    let (ground, store, dir) = ground_with(EmbeddedOptions::default()).await;
    let (send, chunks) = futures::channel::mpsc::unbounded();
    let request = PutRequest {
        head: HeadFields::default(),
        stored_bytes: 1_000_000,
        body: Body::Once(chunks.boxed()),
        condition: PutCondition::Always,
    };
    let at = ground.at("a");
    let mut put = ground.store.put(ground.tenant, &at, request);
    send.unbounded_send(Ok(pattern(1, 400_000))).unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(300), &mut put).await;
    assert!(waited.is_err(), "the put waits for its body");
    assert_eq!(store.sweep().await.unwrap(), 0);
    assert_eq!(files_in(dir.path()), 1, "the file in flight stays");
    drop(put);
    assert_files(dir.path(), 0).await;
    ground.assert_absent("a").await;
}

#[tokio::test]
async fn body_that_stalls_is_ended_by_the_deadline() {
    let options = EmbeddedOptions {
        body_deadline: Duration::from_millis(50),
        ..EmbeddedOptions::default()
    };
    let (ground, _store, dir) = ground_with(options).await;
    let request = PutRequest {
        head: HeadFields::default(),
        stored_bytes: 10,
        body: Body::Once(futures::stream::pending().boxed()),
        condition: PutCondition::Always,
    };
    let put = ground
        .store
        .put(ground.tenant, &ground.at("a"), request)
        .await;
    let Err(RegionError::BodyFailed { source, .. }) = put else {
        panic!("{put:?}");
    };
    assert!(matches!(source, BodyError::TimedOut), "{source:?}");
    assert_files(dir.path(), 0).await;
}
