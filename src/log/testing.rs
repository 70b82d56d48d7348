//! What the log's tests share.

use super::*;
use async_trait::async_trait;
use bytes::Bytes;
use lethe_receipts::log::{Entry, LogKey, Origin, statement_entry};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub(crate) fn entry(index: u64) -> Entry {
    statement_entry(&index.to_be_bytes())
}

pub(crate) fn origin() -> Origin {
    Origin::of_domain("eu", [0xab; 8]).unwrap()
}

pub(crate) fn log_key() -> LogKey {
    LogKey::from_seed(&origin(), &[7; 32])
}

pub(crate) fn sequencer(store: &Arc<dyn LogStore>) -> Sequencer {
    Sequencer::new(store.clone(), log_key(), &[])
}

pub(crate) fn dir_log() -> (tempfile::TempDir, Arc<dyn LogStore>) {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(DirLog::new(dir.path().to_owned()));
    (dir, log)
}

/// A source as the key store is one: a queue, and what became of each entry.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<QueueState>);

#[derive(Debug, Default)]
struct QueueState {
    waiting: Vec<Entry>,
    placed: BTreeMap<Entry, u64>,
    log_size: u64,
    /// Calls of `sequenced` that fail from now on: before or after they took note.
    fail: Option<bool>,
}

impl Queue {
    pub(crate) fn of(entries: impl IntoIterator<Item = u64>) -> Self {
        let queue = Self::default();
        queue.add(entries);
        queue
    }

    pub(crate) fn add(&self, entries: impl IntoIterator<Item = u64>) {
        self.0
            .lock()
            .unwrap()
            .waiting
            .extend(entries.into_iter().map(entry));
    }

    pub(crate) fn fail_next(&self, after_note: bool) {
        self.0.lock().unwrap().fail = Some(after_note);
    }

    pub(crate) fn placed(&self) -> BTreeMap<Entry, u64> {
        self.0.lock().unwrap().placed.clone()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().unwrap().waiting.len()
    }

    /// As a key store that was restored from before it heard anything.
    pub(crate) fn forget(&self) {
        let mut state = self.0.lock().unwrap();
        state.log_size = 0;
        let placed = std::mem::take(&mut state.placed);
        state.waiting.extend(placed.into_keys());
    }
}

#[async_trait]
impl LeafSource for Queue {
    async fn log_size(&self) -> Result<u64, SourceError> {
        Ok(self.0.lock().unwrap().log_size)
    }

    async fn pending(&self, max: usize) -> Result<Vec<Entry>, SourceError> {
        Ok(self
            .0
            .lock()
            .unwrap()
            .waiting
            .iter()
            .take(max)
            .copied()
            .collect())
    }

    async fn sequenced(&self, first: u64, entries: &[Entry], size: u64) -> Result<(), SourceError> {
        let mut state = self.0.lock().unwrap();
        let fail = state.fail.take();
        if fail == Some(false) {
            return Err(SourceError("a fault of the test".to_owned()));
        }
        for (entry, index) in entries.iter().zip(first..) {
            state.waiting.retain(|waiting| waiting != entry);
            let before = state.placed.insert(*entry, index);
            assert!(
                before.is_none_or(|before| before == index),
                "an entry has two places"
            );
        }
        state.log_size = state.log_size.max(size);
        match fail {
            Some(_) => Err(SourceError("a fault of the test".to_owned())),
            None => Ok(()),
        }
    }
}

pub(crate) fn options() -> VerifyOptions {
    VerifyOptions {
        log: vec![log_key().verifier()],
        ..VerifyOptions::default()
    }
}

/// Walks the log, and checks that it holds `count` entries, each once and where its source was told.
pub(crate) async fn assert_whole(store: &Arc<dyn LogStore>, queue: &Queue, count: u64) {
    let report = verify_log(store.as_ref(), &options(), &|_, _| {})
        .await
        .unwrap();
    assert!(report.holds(), "{report:#?}");
    assert_eq!(report.size, count);
    let placed = queue.placed();
    assert_eq!(placed.len() as u64, count);
    let indexes: std::collections::BTreeSet<u64> = placed.values().copied().collect();
    assert_eq!(indexes.len() as u64, count);
    assert_eq!(queue.waiting(), 0);
}

pub(crate) fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}
