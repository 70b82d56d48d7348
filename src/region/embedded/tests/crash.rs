//! The process ends after any number of steps on its disk.

use super::super::EmbeddedOptions;
use super::super::steps::Steps;
use super::{files_in, ground_with, reopen};
use crate::region::suite::{Ground, pattern, streamed};
use crate::region::{
    CompletedPart, CopyRequest, DeleteRequest, HeadFields, PutCondition, PutRequest, RegionError,
    SourceCondition, UploadPartRequest, UpstreamUploadId,
};
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Steps until the end; what comes after it is not done.
#[derive(Clone)]
struct Countdown(Arc<AtomicI64>);

impl Countdown {
    fn unlimited() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MAX)))
    }

    fn end_after(&self, steps: i64) {
        self.0.store(steps, Ordering::SeqCst);
    }

    fn ended(&self) -> bool {
        self.0.load(Ordering::SeqCst) < 0
    }

    fn options(&self) -> EmbeddedOptions {
        let countdown = self.clone();
        EmbeddedOptions {
            steps: Steps::checked(move |_| {
                if countdown.0.fetch_sub(1, Ordering::SeqCst) <= 0 {
                    return Err(io::Error::other("the process has ended"));
                }
                Ok(())
            }),
            ..EmbeddedOptions::default()
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Put,
    Delete,
    Copy,
    Complete,
}

fn old() -> Bytes {
    pattern(1, 600_000)
}

fn new() -> Bytes {
    pattern(2, 700_000)
}

struct Prepared {
    source_etag: String,
    upload: UpstreamUploadId,
    part: CompletedPart,
}

/// `a` is old; `b` and an upload of `a` are new.
async fn prepare(ground: &Ground) -> Prepared {
    ground.put("a", &old()).await;
    let source_etag = ground.put("b", &new()).await.etag;
    let at = ground.at("a");
    let upload = ground
        .store
        .create_upload(ground.tenant, &at, &HeadFields::default())
        .await
        .unwrap();
    let request = UploadPartRequest {
        upload: upload.clone(),
        number: 1,
        stored_bytes: new().len() as u64,
        body: streamed(&new(), 100_000, None),
        in_lock_bucket: false,
    };
    let etag = ground
        .store
        .upload_part(ground.tenant, &at, request)
        .await
        .unwrap();
    Prepared {
        source_etag,
        upload,
        part: CompletedPart { number: 1, etag },
    }
}

async fn make(ground: &Ground, change: Change, prepared: &Prepared) -> Result<(), RegionError> {
    let (store, tenant, at) = (&ground.store, ground.tenant, ground.at("a"));
    match change {
        Change::Put => {
            let request = PutRequest {
                head: HeadFields::default(),
                stored_bytes: new().len() as u64,
                body: streamed(&new(), 100_000, None),
                condition: PutCondition::Always,
            };
            store.put(tenant, &at, request).await.map(drop)
        }
        Change::Delete => {
            let request = DeleteRequest::default();
            store.delete(tenant, &at, &request).await.map(drop)
        }
        Change::Copy => {
            let request = CopyRequest {
                from: ground.at("b"),
                from_version: None,
                source: SourceCondition {
                    etag: prepared.source_etag.clone(),
                },
                head: HeadFields::default(),
                copy_tags: false,
                condition: PutCondition::Always,
            };
            store.copy(tenant, &at, &request).await.map(drop)
        }
        Change::Complete => {
            let parts = [prepared.part.clone()];
            let always = PutCondition::Always;
            store
                .complete_upload(tenant, &at, &prepared.upload, &parts, &always)
                .await
                .map(drop)
        }
    }
}

/// Ends the process after 0, 1, 2, … steps of the change until the change gets through before the end.
async fn old_or_new_after_any_step(change: Change) {
    for steps in 0.. {
        assert!(steps < 200, "the change ends");
        let countdown = Countdown::unlimited();
        let (ground, store, dir) = ground_with(countdown.options()).await;
        let prepared = prepare(&ground).await;
        countdown.end_after(steps);
        let made = make(&ground, change, &prepared).await;
        let through = made.is_ok() && !countdown.ended();
        let (ground, store) = reopen(ground, store, dir.path());
        let found = match ground.head("a").await {
            Ok(_) => Some(ground.get("a").await.1),
            Err(RegionError::NotFound { .. }) => None,
            Err(error) => panic!("{change:?}, {steps} steps: {error:?}"),
        };
        let expected = match change {
            Change::Delete => None,
            _ => Some(new()),
        };
        match &made {
            Ok(()) => assert!(found == expected, "{change:?}, {steps} steps: not kept"),
            Err(RegionError::Unavailable { .. }) => {
                assert!(found == Some(old()), "{change:?}, {steps} steps: not old");
            }
            Err(RegionError::Unknown { .. }) => assert!(
                found == expected || found == Some(old()),
                "{change:?}, {steps} steps: neither old nor new"
            ),
            Err(other) => panic!("{change:?}, {steps} steps: {other:?}"),
        }
        assert!(
            ground.get("b").await.1 == new(),
            "{change:?}, {steps} steps"
        );
        check_files(&ground, &store, &prepared, dir.path()).await;
        if through {
            return;
        }
    }
}

/// After a sweep there are exactly the files of `a`, `b` and the upload, and none once all are deleted.
async fn check_files(
    ground: &Ground,
    store: &super::EmbeddedStore,
    prepared: &Prepared,
    dir: &std::path::Path,
) {
    let (tenant, at) = (ground.tenant, ground.at("a"));
    let parts = ground.store.list_parts(tenant, &at, &prepared.upload).await;
    let upload_open = usize::from(parts.is_ok());
    store.sweep().await.unwrap();
    let files = files_in(dir);
    assert!(
        (1 + upload_open..=2 + upload_open).contains(&files),
        "{files} files"
    );
    ground.delete("a").await;
    ground.delete("b").await;
    let aborted = ground
        .store
        .abort_upload(tenant, &at, &prepared.upload)
        .await;
    aborted.unwrap();
    store.sweep().await.unwrap();
    assert_eq!(files_in(dir), 0);
}

#[tokio::test]
async fn put_cut_short_leaves_old_or_new() {
    old_or_new_after_any_step(Change::Put).await;
}

#[tokio::test]
async fn delete_cut_short_leaves_old_or_nothing() {
    old_or_new_after_any_step(Change::Delete).await;
}

#[tokio::test]
async fn copy_cut_short_leaves_old_or_new() {
    old_or_new_after_any_step(Change::Copy).await;
}

#[tokio::test]
async fn complete_cut_short_leaves_old_or_new() {
    old_or_new_after_any_step(Change::Complete).await;
}
