//! A sync of the index fails, the disk never gets what it was about, and later the power goes.

use super::super::steps::{Probe, Step, Steps};
use super::super::{EmbeddedOptions, EmbeddedStore};
use crate::region::suite::{Ground, pattern};
use crate::region::{PutCondition, RegionError, RegionStore};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const PAGE_BYTES: usize = 4096;
/// More than a change of the index, its failure and the index's next opening take.
const SYNCS_MAX: u64 = 40;

/// What the disk has of the index, apart from what can be read of its file: of a sync that fails the kernel says the error once, and
/// forgets that the pages were to be written.
#[derive(Default)]
struct Platter {
    index: Vec<u8>,
    /// Pages of the file that the next sync is about.
    dirty: BTreeSet<usize>,
    syncs: u64,
    failing: Range<u64>,
    is_off: bool,
}

#[derive(Clone)]
struct Disk(Arc<Mutex<Platter>>, Arc<TempDir>);

impl Probe for Disk {
    fn before(&self, step: Step) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        if platter.is_off {
            return Err(io::Error::other("the process has ended"));
        }
        if step != Step::IndexSync {
            return Ok(());
        }
        let dirty = std::mem::take(&mut platter.dirty);
        platter.syncs += 1;
        if platter.failing.contains(&(platter.syncs - 1)) {
            return Err(io::Error::other("planted"));
        }
        let file = std::fs::read(self.index())?;
        platter.index.resize(file.len(), 0);
        for page in dirty {
            let page = page * PAGE_BYTES..((page + 1) * PAGE_BYTES).min(file.len());
            if let Some(read) = file.get(page.clone()) {
                platter.index[page].copy_from_slice(read);
            }
        }
        Ok(())
    }

    fn index_written(&self, first: u64, bytes: usize) {
        let first = usize::try_from(first).unwrap();
        let pages = first / PAGE_BYTES..(first + bytes).div_ceil(PAGE_BYTES);
        self.0.lock().unwrap().dirty.extend(pages);
    }
}

impl Disk {
    fn new() -> Self {
        Self(Arc::default(), Arc::new(tempfile::tempdir().unwrap()))
    }

    fn path(&self) -> &Path {
        self.1.path()
    }

    fn index(&self) -> std::path::PathBuf {
        self.path().join("index.redb")
    }

    fn options(&self) -> EmbeddedOptions {
        EmbeddedOptions {
            steps: Steps::checked(self.clone()),
            ..EmbeddedOptions::default()
        }
    }

    /// Those syncs fail, counted from now.
    fn fail(&self, syncs: &Range<u64>) {
        let mut platter = self.0.lock().unwrap();
        platter.syncs = 0;
        platter.failing = syncs.clone();
    }

    fn syncs(&self) -> u64 {
        self.0.lock().unwrap().syncs
    }

    fn is_off(&self, is_off: bool) {
        self.0.lock().unwrap().is_off = is_off;
    }
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At once, with what it would still do left undone.
    Killed,
    Stopped,
}

/// The process ends, and the store is opened by another.
fn restart(
    disk: &Disk,
    end: End,
    (ground, store): (Ground, Arc<EmbeddedStore>),
    meanwhile: impl FnOnce(),
) -> (Ground, Arc<EmbeddedStore>) {
    disk.is_off(end == End::Killed);
    let (tenant, bucket) = (ground.tenant, ground.bucket.clone());
    drop(ground);
    drop(Arc::into_inner(store).expect("nobody else has the store"));
    meanwhile();
    disk.is_off(false);
    let store = Arc::new(EmbeddedStore::open_with(disk.path(), disk.options()).unwrap());
    let ground = Ground {
        store: Arc::clone(&store) as Arc<dyn RegionStore>,
        tenant,
        bucket,
    };
    (ground, store)
}

/// The ETag that the store says an object has, once it says anything: what a client believes that asks after a lost answer.
async fn told(ground: &Ground, key: &str) -> Option<String> {
    for _ in 0..SYNCS_MAX {
        match ground.head(key).await {
            Ok(head) => return Some(head.etag),
            Err(RegionError::NotFound { .. }) => return None,
            // Asking makes it open its index again.
            Err(RegionError::Unavailable { .. }) => drop(ground.store.ping().await),
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the disk works, and the store says nothing");
}

/// Whether any of those syncs were reached before the last restart.
async fn what_was_told_outlives_the_power(failing: &Range<u64>, end: Option<End>) -> bool {
    let at = format!("syncs {failing:?} fail, then {end:?}");
    let disk = Disk::new();
    let store = Arc::new(EmbeddedStore::create_with(disk.path(), disk.options()).unwrap());
    let ground = Ground::new(Arc::clone(&store) as Arc<dyn RegionStore>).await;
    let (old, new) = (pattern(1, 5_000), pattern(2, 6_000));
    let old_etag = ground.put("a", &old).await.etag;
    for n in 0..8 {
        ground.put(&format!("beside/{n}"), &pattern(n, 100)).await;
    }
    disk.fail(failing);
    let put = ground.put_if("a", &new, PutCondition::Always).await;
    let mut running = (ground, store);
    let mut reached = disk.syncs() > failing.start;
    if let Some(end) = end {
        // The start finds a disk that works.
        running = restart(&disk, end, running, || {
            reached = disk.syncs() > failing.start;
            disk.fail(&(0..0));
        });
    }
    let told_etag = told(&running.0, "a").await;
    match &put {
        Ok(put) => assert_eq!(told_etag.as_ref(), Some(&put.etag), "{at}"),
        Err(RegionError::Unavailable { .. }) => assert_eq!(told_etag, Some(old_etag), "{at}"),
        Err(RegionError::Unknown { .. }) => {}
        Err(error) => panic!("{at}: {error:?}"),
    }
    let mut later = Vec::new();
    for n in 0..2 {
        let key = format!("later/{n}");
        let bytes: Bytes = pattern(n, 200);
        if running
            .0
            .put_if(&key, &bytes, PutCondition::Always)
            .await
            .is_ok()
        {
            later.push((key, bytes));
        }
    }
    if end.is_none() {
        reached = disk.syncs() > failing.start;
    }
    let (ground, _store) = restart(&disk, End::Killed, running, || {
        disk.fail(&(0..0));
        let platter = disk.0.lock().unwrap();
        std::fs::write(disk.index(), &platter.index).unwrap();
    });
    let (head, bytes) = ground.get("a").await;
    assert_eq!(Some(head.etag), told_etag, "{at}: what was told is not so");
    assert!(bytes == old || bytes == new, "{at}");
    for n in 0..8 {
        let (_, bytes) = ground.get(&format!("beside/{n}")).await;
        assert!(bytes == pattern(n, 100), "{at}: beside/{n}");
    }
    for (key, bytes) in later {
        assert!(ground.get(&key).await.1 == bytes, "{at}: {key}");
    }
    reached
}

async fn every_sync_may_fail(count: u64, end: Option<End>) {
    for first in 0.. {
        assert!(first < SYNCS_MAX, "the changes end");
        if !what_was_told_outlives_the_power(&(first..first.saturating_add(count)), end).await {
            return;
        }
    }
}

#[tokio::test]
async fn sync_failing_before_a_power_cut_takes_back_nothing_that_was_told() {
    every_sync_may_fail(1, None).await;
    every_sync_may_fail(3, None).await;
}

#[tokio::test]
async fn sync_failing_before_a_restart_and_a_power_cut_takes_back_nothing_that_was_told() {
    for end in [End::Killed, End::Stopped] {
        every_sync_may_fail(1, Some(end)).await;
        every_sync_may_fail(SYNCS_MAX, Some(end)).await;
    }
}
