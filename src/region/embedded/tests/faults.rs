//! The disk fails at one step, and works again later.

use super::super::EmbeddedOptions;
use super::super::steps::{Step, Steps};
use super::{files_in, ground_with, reopen};
use crate::region::suite::pattern;
use crate::region::{PutCondition, RegionError, RegionStore as _};
use futures::future::join_all;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A step that fails while it is named here.
#[derive(Clone, Default)]
struct Failing(Arc<Mutex<Option<Step>>>, Arc<AtomicBool>);

impl Failing {
    fn set(&self, step: Option<Step>) {
        *self.0.lock().unwrap() = step;
    }

    /// The step fails the next time, and not again.
    fn once(&self, step: Step) {
        self.set(Some(step));
        self.1.store(true, Ordering::SeqCst);
    }

    /// Whether the step that is to fail has not been taken yet.
    fn is_set(&self) -> bool {
        self.0.lock().unwrap().is_some()
    }

    fn options(&self) -> EmbeddedOptions {
        let failing = self.clone();
        EmbeddedOptions {
            steps: Steps::checked(move |step| {
                let mut planted = failing.0.lock().unwrap();
                if *planted == Some(step) {
                    if failing.1.swap(false, Ordering::SeqCst) {
                        *planted = None;
                    }
                    return Err(io::Error::other("planted"));
                }
                Ok(())
            }),
            ..EmbeddedOptions::default()
        }
    }
}

#[tokio::test]
async fn body_step_failing_leaves_the_old_object_and_no_file() {
    let failing = Failing::default();
    let (ground, store, dir) = ground_with(failing.options()).await;
    let (old, new) = (pattern(1, 400_000), pattern(2, 500_000));
    ground.put("a", &old).await;
    let steps = [
        Step::Create,
        Step::Write,
        Step::Sync,
        Step::Rename,
        Step::SyncDirectory,
    ];
    for step in steps {
        failing.set(Some(step));
        let put = ground.put_if("a", &new, PutCondition::Always).await;
        let Err(RegionError::Unavailable { reason, .. }) = put else {
            panic!("{step:?}: {put:?}");
        };
        assert_eq!(reason, "the disk failed: planted");
        failing.set(None);
        assert!(ground.get("a").await.1 == old, "{step:?}");
        store.sweep().await.unwrap();
        assert_eq!(files_in(dir.path()), 1, "{step:?}");
    }
    ground.put("a", &new).await;
    assert!(ground.get("a").await.1 == new);
}

#[tokio::test]
async fn index_step_failing_is_unknown_or_unavailable_and_heals() {
    let failing = Failing::default();
    let (ground, store, dir) = ground_with(failing.options()).await;
    let mut now = pattern(0, 1000);
    ground.put("a", &now).await;
    for (seed, step) in (1..).zip([Step::IndexWrite, Step::IndexSync]) {
        let new = pattern(seed, 1000);
        failing.set(Some(step));
        let put = ground.put_if("a", &new, PutCondition::Always).await;
        let again = ground.put_if("a", &new, PutCondition::Always).await;
        assert!(
            matches!(again, Err(RegionError::Unavailable { .. })),
            "{step:?}: {again:?}"
        );
        failing.set(None);
        ground.store.ping().await.unwrap();
        let found = ground.get("a").await.1;
        match put {
            Err(RegionError::Unavailable { .. }) => assert_eq!(found, now, "{step:?}"),
            Err(RegionError::Unknown { .. }) => {
                assert!(found == now || found == new, "{step:?}");
            }
            other => panic!("{step:?}: {other:?}"),
        }
        now = found;
        store.sweep().await.unwrap();
        assert_eq!(files_in(dir.path()), 1, "{step:?}");
    }
    let (ground, _store) = reopen(ground, store, dir.path());
    assert_eq!(ground.get("a").await.1, now);
}

#[tokio::test]
async fn removal_failing_leaves_a_file_that_the_next_sweep_removes() {
    let failing = Failing::default();
    let (ground, store, dir) = ground_with(failing.options()).await;
    ground.put("a", &pattern(1, 1000)).await;
    failing.set(Some(Step::Remove));
    ground.put("a", &pattern(2, 1000)).await;
    store.sweep().await.expect_err("the removal fails");
    assert_eq!(files_in(dir.path()), 2);
    failing.set(None);
    // The note that the file was let go of may still be on its way, and be what removes it.
    store.sweep().await.unwrap();
    assert_eq!(files_in(dir.path()), 1);
    assert_eq!(ground.get("a").await.1, pattern(2, 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_puts_share_commits() {
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    let options = EmbeddedOptions {
        steps: Steps::checked(move |step| {
            if step == Step::IndexSync {
                counted.fetch_add(1, Ordering::SeqCst);
                // A slow disk, so that the others queue up.
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            Ok(())
        }),
        ..EmbeddedOptions::default()
    };
    let (ground, _store, _dir) = ground_with(options).await;
    syncs.store(0, Ordering::SeqCst);
    ground.put("alone", &pattern(0, 100)).await;
    let alone = syncs.swap(0, Ordering::SeqCst);
    assert!(alone >= 1, "a commit syncs");
    let bodies: Vec<_> = (0..64).map(|n| pattern(n, 100)).collect();
    let keys: Vec<_> = (0..64).map(|n| format!("k{n}")).collect();
    let puts = keys
        .iter()
        .zip(&bodies)
        .map(|(key, body)| ground.put(key, body));
    join_all(puts).await;
    let together = syncs.load(Ordering::SeqCst);
    assert!(
        together <= 64 * alone / 3,
        "64 puts took {together} syncs, one takes {alone}"
    );
}

/// As on a full disk: the commit of a delete fails. Who only reads never learns of it.
#[tokio::test]
async fn delete_whose_commit_failed_leaves_reads_working() {
    for step in [Step::IndexWrite, Step::IndexSync, Step::IndexResize] {
        let failing = Failing::default();
        let (ground, store, _dir) = ground_with(failing.options()).await;
        ground.put("a", &pattern(1, 1000)).await;
        ground.put("b", &pattern(2, 1000)).await;
        failing.once(step);
        let at = ground.at("a");
        let request = crate::region::DeleteRequest::default();
        let deleted = store.delete(ground.tenant, &at, &request).await;
        assert!(
            deleted.is_err() || failing.is_set(),
            "{step:?}: {deleted:?}"
        );
        // No write comes in between that would open the index again.
        assert!(ground.get("b").await.1 == pattern(2, 1000), "{step:?}");
    }
}

#[tokio::test]
async fn disk_with_hardly_room_takes_no_index_rows_but_lets_deletes_through() {
    let full = EmbeddedOptions::default();
    let (ground, store, dir) = ground_with(full).await;
    ground.put("a", &pattern(1, 1000)).await;
    let (tenant, bucket, a) = (ground.tenant, ground.bucket.clone(), ground.at("a"));
    drop((ground, store));
    let options = EmbeddedOptions {
        index_bytes_min: u64::MAX / 2,
        ..EmbeddedOptions::default()
    };
    let store = super::super::EmbeddedStore::open_with(dir.path(), options).unwrap();
    let head = crate::region::HeadFields::default();
    let tags = [("k".to_owned(), "v".to_owned())];
    for refused in [
        store.create_upload(tenant, &a, &head).await.err(),
        store.set_tags(tenant, &a, None, &tags).await.err(),
        store
            .create_bucket(
                tenant,
                &crate::region::UpstreamBucket::from_catalog("more".to_owned()),
            )
            .await
            .err(),
    ] {
        let Some(RegionError::Unavailable { reason, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(reason, "the disk is full");
    }
    let request = crate::region::DeleteRequest::default();
    store.delete(tenant, &a, &request).await.unwrap();
    store.delete_bucket(tenant, &bucket).await.unwrap();
}
