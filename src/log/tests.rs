//! The sequencer killed at every write, run twice at once, and shown damaged and rolled-back logs.

use super::faulty::{Fault, FaultyLog};
use super::testing::{Queue, assert_whole, dir_log, entry, log_key, options, origin, sequencer};
use super::*;
use lethe_receipts::log::{Checkpoint, LogKey, TreeHead, open_checkpoint, verify_inclusion};
use std::path::Path;
use std::sync::Arc;

/// From an unaligned size over a full tile, so that every kind of write happens.
const BEFORE: u64 = 250;
const AFTER: u64 = 270;

async fn kill_at_every_write(fault: Fault) {
    let mut nth = 0;
    loop {
        let (_dir, inner) = dir_log();
        let queue = Queue::of(0..BEFORE);
        sequencer(&inner).sequence_pending(&queue).await.unwrap();
        queue.add(BEFORE..AFTER);
        let faulty = Arc::new(FaultyLog::new(inner.clone()));
        faulty.fail_write(nth, fault);
        let store: Arc<dyn LogStore> = faulty.clone();
        let killed = sequencer(&store).sequence_pending(&queue).await;
        if faulty.writes() <= nth {
            killed.unwrap();
            assert!(nth >= 7, "only {nth} writes");
            return;
        }
        assert!(killed.is_err(), "write {nth} failed and nobody noticed");
        // More entries came meanwhile; another process takes over.
        queue.add(AFTER..AFTER + 3);
        let done = sequencer(&inner).sequence_pending(&queue).await.unwrap();
        assert_eq!(done.head.size, AFTER + 3);
        assert_whole(&inner, &queue, AFTER + 3).await;
        nth += 1;
    }
}

#[tokio::test]
async fn sequencer_killed_before_any_write_loses_and_doubles_nothing() {
    kill_at_every_write(Fault::Failed).await;
}

#[tokio::test]
async fn sequencer_killed_after_any_write_loses_and_doubles_nothing() {
    kill_at_every_write(Fault::FailedButDone).await;
}

#[tokio::test]
async fn first_checkpoint_killed_at_every_write_ends_as_one_log() {
    for fault in [Fault::Failed, Fault::FailedButDone] {
        for nth in 0..6 {
            let (_dir, inner) = dir_log();
            let queue = Queue::of(0..3);
            let faulty = FaultyLog::new(inner.clone());
            faulty.fail_write(nth, fault);
            let store: Arc<dyn LogStore> = Arc::new(faulty);
            let _killed = sequencer(&store).sequence_pending(&queue).await;
            sequencer(&inner).sequence_pending(&queue).await.unwrap();
            assert_whole(&inner, &queue, 3).await;
        }
    }
}

#[tokio::test]
async fn source_that_fails_is_told_again_and_nothing_is_entered_twice() {
    for after_note in [false, true] {
        let (_dir, store) = dir_log();
        let queue = Queue::of(0..5);
        queue.fail_next(after_note);
        let sequencer = sequencer(&store);
        let failed = sequencer.sequence_pending(&queue).await;
        assert!(
            matches!(failed, Err(SequencerError::Source(_))),
            "{failed:?}"
        );
        queue.add(5..7);
        sequencer.sequence_pending(&queue).await.unwrap();
        assert_whole(&store, &queue, 7).await;
    }
}

#[tokio::test]
async fn source_that_forgot_is_told_of_every_entry_again() {
    let (_dir, store) = dir_log();
    let queue = Queue::of(0..600);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    queue.forget();
    let done = sequencer(&store).sequence_pending(&queue).await.unwrap();
    assert_eq!(done.told, 600);
    assert_whole(&store, &queue, 600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sequencers_at_once_make_one_log() {
    let (_dir, store) = dir_log();
    let queue = Arc::new(Queue::of(0..700));
    let mut running = tokio::task::JoinSet::new();
    for n in 0..4 {
        let (store, queue) = (store.clone(), queue.clone());
        running.spawn(async move {
            let sequencer = sequencer(&store);
            for round in 0..5 {
                sequencer.sequence_pending(queue.as_ref()).await.unwrap();
                let first = 1000 + n * 100 + round * 10;
                queue.add(first..first + 7);
            }
            sequencer.sequence_pending(queue.as_ref()).await.unwrap();
        });
    }
    running.join_all().await;
    assert_whole(&store, &queue, 700 + 4 * 5 * 7).await;
}

#[tokio::test]
async fn sequencer_slow_at_its_checkpoint_does_not_undo_a_quicker_one() {
    let (_dir, inner) = dir_log();
    let queue = Arc::new(Queue::of(0..10));
    // Writes: first checkpoint, intent, bundle, tile, checkpoint. The last waits while others go on.
    let faulty = FaultyLog::new(inner.clone());
    faulty.fail_write(4, Fault::Slow(std::time::Duration::from_millis(700)));
    let slow_store: Arc<dyn LogStore> = Arc::new(faulty);
    let slow_queue = queue.clone();
    let slow = tokio::spawn(async move {
        sequencer(&slow_store)
            .sequence_pending(slow_queue.as_ref())
            .await
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    sequencer(&inner)
        .sequence_pending(queue.as_ref())
        .await
        .unwrap();
    queue.add(10..15);
    sequencer(&inner)
        .sequence_pending(queue.as_ref())
        .await
        .unwrap();
    slow.await.unwrap().unwrap();
    assert_whole(&inner, &queue, 15).await;
}

#[tokio::test]
async fn entries_in_the_log_have_proofs_that_hold() {
    let (_dir, store) = dir_log();
    let queue = Queue::of(0..300);
    let done = sequencer(&store).sequence_pending(&queue).await.unwrap();
    let opened = open_checkpoint(done.checkpoint.as_str(), &[log_key().verifier()], &[]).unwrap();
    assert_eq!(opened.checkpoint.head, done.head);
    for (entry, index) in queue.placed() {
        let proof = inclusion_proof(store.as_ref(), &done.head, index)
            .await
            .unwrap();
        verify_inclusion(&done.head, index, &entry, &proof).unwrap();
    }
}

async fn grown(count: u64) -> (tempfile::TempDir, Arc<dyn LogStore>, Queue) {
    let (dir, store) = dir_log();
    let queue = Queue::of(0..count);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    (dir, store, queue)
}

#[tokio::test]
async fn log_that_was_rolled_back_is_refused_by_its_sequencer() {
    let (dir, store, queue) = grown(20).await;
    let copy = tempfile::tempdir().unwrap();
    for name in ["checkpoint", "intent"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    queue.add(20..30);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    // Its checkpoint alone, its checkpoint and intent, nothing at all.
    let newer = std::fs::read(dir.path().join("intent")).unwrap();
    for (intent, checkpoint) in [(Some(&newer), true), (None, true), (None, false)] {
        for name in ["checkpoint", "intent"] {
            let to = dir.path().join(name);
            std::fs::remove_file(&to).unwrap_or_default();
            if checkpoint {
                std::fs::copy(copy.path().join(name), &to).unwrap();
            }
        }
        if let Some(intent) = intent {
            // This intent begins where the old checkpoint ends: finishing it is right, not a refusal.
            std::fs::write(dir.path().join("intent"), intent).unwrap();
            sequencer(&store).sequence_pending(&queue).await.unwrap();
            assert_whole(&store, &queue, 30).await;
            continue;
        }
        let refused = sequencer(&store).sequence_pending(&queue).await;
        let Err(SequencerError::RolledBack { log, known }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((log, known), (if checkpoint { 20 } else { 0 }, 30));
        // A lost log is not begun anew: that would be a second history of the same name.
        assert_eq!(dir.path().join("checkpoint").exists(), checkpoint);
    }
}

#[tokio::test]
async fn checkpoint_of_another_key_or_log_is_refused_by_the_sequencer() {
    let (_dir, store, queue) = grown(5).await;
    let stranger = Sequencer::new(store.clone(), LogKey::from_seed(&origin(), &[8; 32]), &[]);
    let refused = stranger.sequence_pending(&queue).await;
    assert!(
        matches!(refused, Err(SequencerError::Checkpoint(_))),
        "{refused:?}"
    );
    // A rotated key goes on where the earlier one ended.
    let earlier = [log_key().verifier()];
    let rotated = Sequencer::new(store, LogKey::from_seed(&origin(), &[8; 32]), &earlier);
    queue.add(5..6);
    assert_eq!(rotated.sequence_pending(&queue).await.unwrap().head.size, 6);
}

#[tokio::test]
async fn damaged_edge_is_refused_by_the_sequencer() {
    for name in ["tile/0/000.p/20", "tile/entries/000.p/20"] {
        let (dir, store, queue) = grown(20).await;
        let path = dir.path().join(name);
        let mut content = std::fs::read(&path).unwrap();
        content[40] ^= 1;
        std::fs::write(&path, content).unwrap();
        queue.add(20..21);
        let refused = sequencer(&store).sequence_pending(&queue).await;
        assert!(
            matches!(refused, Err(SequencerError::Damaged(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn entry_altered_in_its_bundle_is_not_told_to_the_source() {
    let (dir, store, queue) = grown(300).await;
    let path = dir.path().join("tile/entries/000");
    let mut content = std::fs::read(&path).unwrap();
    content[40] ^= 1;
    std::fs::write(&path, content).unwrap();
    queue.forget();
    let refused = sequencer(&store).sequence_pending(&queue).await;
    assert!(
        matches!(refused, Err(SequencerError::Damaged(_))),
        "{refused:?}"
    );
    assert!(!queue.placed().contains_key(&entry(1)));
}

#[tokio::test]
async fn store_that_loses_a_write_is_found_out_by_the_walk() {
    let (_dir, inner) = dir_log();
    let faulty = FaultyLog::new(inner.clone());
    faulty.fail_write(2, Fault::Lying);
    let store: Arc<dyn LogStore> = Arc::new(faulty);
    sequencer(&store)
        .sequence_pending(&Queue::of(0..4))
        .await
        .unwrap();
    let report = verify_log(inner.as_ref(), &options(), &|_, _| {})
        .await
        .unwrap();
    assert!(!report.holds());
}

async fn outcome(store: &Arc<dyn LogStore>, name: &str) -> Outcome {
    let report = verify_log(store.as_ref(), &options(), &|_, _| {})
        .await
        .unwrap();
    let check = report.checks.iter().find(|check| check.name == name);
    check.unwrap_or_else(|| panic!("{report:#?}")).outcome
}

fn flip(path: &Path, at: usize) {
    let mut content = std::fs::read(path).unwrap();
    content[at] ^= 1;
    std::fs::write(path, content).unwrap();
}

#[tokio::test]
async fn walk_finds_every_damaged_file() {
    let tiles = [
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/44",
    ];
    for name in tiles {
        let (dir, store, _queue) = grown(300).await;
        assert_eq!(outcome(&store, "tiles").await, Outcome::Ok);
        flip(&dir.path().join(name), 5);
        assert_eq!(
            outcome(&store, "tiles").await,
            Outcome::Failed,
            "{name} altered"
        );
        std::fs::remove_file(dir.path().join(name)).unwrap();
        assert_eq!(
            outcome(&store, "tiles").await,
            Outcome::Failed,
            "{name} removed"
        );
    }
    let (dir, store, _queue) = grown(300).await;
    flip(&dir.path().join("checkpoint"), 150);
    assert_eq!(outcome(&store, "checkpoint").await, Outcome::Failed);
    let head = TreeHead {
        size: 300,
        root: [1; 32],
    };
    let forged = Checkpoint {
        origin: origin(),
        head,
    }
    .sign(&log_key())
    .unwrap();
    std::fs::write(dir.path().join("checkpoint"), forged.as_str()).unwrap();
    assert_eq!(outcome(&store, "root").await, Outcome::Failed);
    std::fs::create_dir(dir.path().join("statements")).unwrap();
    let statement = ReceiptId([1; 16]);
    std::fs::write(
        dir.path().join(format!("statements/{statement}.json")),
        "{}",
    )
    .unwrap();
    assert_eq!(outcome(&store, "statements").await, Outcome::Failed);
}

#[tokio::test]
async fn walk_compares_with_what_others_have_seen() {
    let (_dir, store, queue) = grown(300).await;
    let at_300 = sequencer(&store)
        .sequence_pending(&queue)
        .await
        .unwrap()
        .head;
    queue.add(300..700);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    let forked = TreeHead {
        root: [9; 32],
        ..at_300
    };
    let larger = TreeHead {
        size: 701,
        ..at_300
    };
    for (seen, expected) in [
        (at_300, true),
        (forked, false),
        (larger, false),
        (TreeHead::EMPTY, true),
    ] {
        let mut options = options();
        options.seen.push(("w1".to_owned(), seen));
        let report = verify_log(store.as_ref(), &options, &|_, _| {})
            .await
            .unwrap();
        assert_eq!(report.holds(), expected, "{report:#?}");
    }
}

/// What a key store and a catalog would remember of the log that `queue` was told of.
struct Memory {
    entries: Vec<KnownEntry>,
    recorded: u64,
}

impl Memory {
    fn of(queue: &Queue) -> Self {
        let mut placed: Vec<(u64, lethe_receipts::log::Entry)> = queue
            .placed()
            .into_iter()
            .map(|(entry, index)| (index, entry))
            .collect();
        placed.sort_unstable_by_key(|(index, _)| *index);
        let entries: Vec<KnownEntry> = placed
            .into_iter()
            .map(|(_, entry)| KnownEntry {
                entry,
                statement: None,
            })
            .collect();
        Self {
            recorded: entries.len() as u64,
            entries,
        }
    }
}

#[async_trait::async_trait]
impl LogHistory for Memory {
    async fn log_size(&self) -> Result<u64, SourceError> {
        Ok(self.recorded)
    }

    async fn entries(&self, from: u64, max: usize) -> Result<Vec<KnownEntry>, SourceError> {
        let rest = self.entries.get(from as usize..).unwrap_or_default();
        Ok(rest.iter().take(max.min(100)).copied().collect())
    }

    async fn statement(&self, _receipt: ReceiptId) -> Result<Option<bytes::Bytes>, SourceError> {
        Ok(None)
    }
}

async fn rebuilt(
    store: &Arc<dyn LogStore>,
    memory: &Memory,
    seen: &[(String, lethe_receipts::log::TreeHead)],
) -> Result<Rebuilt, RebuildError> {
    let key = log_key();
    let verifiers = [key.verifier()];
    rebuild_log(store.as_ref(), &key, &verifiers, memory, seen).await
}

/// Every file of a log's directory but those that only a run in progress needs.
fn files(dir: &std::path::Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            if !["intent", "lock", "cosigned"].contains(&name.as_str()) {
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

#[tokio::test]
async fn lost_log_is_rebuilt_to_the_same_bytes_and_grows_on() {
    let (old_dir, old) = dir_log();
    let queue = Queue::of(0..700);
    let grown = sequencer(&old).sequence_pending(&queue).await.unwrap();
    let memory = Memory::of(&queue);
    let (dir, store) = dir_log();
    let seen = [("witness w1".to_owned(), grown.head)];
    let made = rebuilt(&store, &memory, &seen).await.unwrap();
    assert_eq!((made.head, made.was_there), (grown.head, false));
    let (before, after) = (files(old_dir.path()), files(dir.path()));
    assert_eq!(before["checkpoint"], after["checkpoint"]);
    for (name, bytes) in &after {
        assert_eq!(before.get(name), Some(bytes), "{name}");
    }
    // Of the old one only edges of smaller trees are not written again.
    let left: Vec<&String> = before
        .keys()
        .filter(|name| !after.contains_key(*name))
        .collect();
    assert!(left.iter().all(|name| name.contains(".p/")), "{left:?}");
    assert_whole(&store, &queue, 700).await;
    queue.add(700..710);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    assert_whole(&store, &queue, 710).await;
    // Again, in a log that is whole, it changes nothing.
    let again = rebuilt(&store, &Memory::of(&queue), &seen).await.unwrap();
    assert!(again.was_there);
}

#[tokio::test]
async fn log_that_a_crash_left_ahead_of_its_key_store_is_rebuilt_from_what_was_pending() {
    let (_old_dir, old) = dir_log();
    let queue = Queue::of(0..300);
    let grown = sequencer(&old).sequence_pending(&queue).await.unwrap();
    let mut memory = Memory::of(&queue);
    memory.recorded = 290;
    let (_dir, store) = dir_log();
    let seen = [("witness w1".to_owned(), grown.head)];
    let made = rebuilt(&store, &memory, &seen).await.unwrap();
    assert_eq!(made.head, grown.head);
}

#[tokio::test]
async fn log_is_not_rebuilt_otherwise_than_it_was_seen() {
    let (_old_dir, old) = dir_log();
    let queue = Queue::of(0..300);
    let half = sequencer(&old).sequence_pending(&queue).await.unwrap();
    queue.add(300..400);
    sequencer(&old).sequence_pending(&queue).await.unwrap();
    let seen = [("witness w1".to_owned(), half.head)];
    let (dir, store) = dir_log();
    // Another entry below what was seen.
    let mut memory = Memory::of(&queue);
    memory.entries.swap(3, 4);
    let refused = rebuilt(&store, &memory, &seen).await.unwrap_err();
    assert!(
        matches!(&refused, RebuildError::Contradicted { size: 300, .. }),
        "{refused}"
    );
    // One that is not known.
    let mut memory = Memory::of(&queue);
    memory.entries.truncate(250);
    memory.recorded = 250;
    let refused = rebuilt(&store, &memory, &seen).await.unwrap_err();
    assert!(
        matches!(
            &refused,
            RebuildError::EntryMissing {
                index: 250,
                size: 300
            }
        ),
        "{refused}"
    );
    // A statement that the catalog lost.
    let mut memory = Memory::of(&queue);
    memory.entries[7].statement = Some(ReceiptId([7; 16]));
    let refused = rebuilt(&store, &memory, &seen).await.unwrap_err();
    assert!(
        matches!(&refused, RebuildError::Statement { index: 7, .. }),
        "{refused}"
    );
    assert_eq!(files(dir.path()).len(), 0, "something was written");
    // A checkpoint that is there is one that was seen.
    let (_other_dir, other) = dir_log();
    let others = Queue::of(1000..1010);
    sequencer(&other).sequence_pending(&others).await.unwrap();
    let refused = rebuilt(&other, &Memory::of(&queue), &[]).await.unwrap_err();
    assert!(
        matches!(&refused, RebuildError::Contradicted { size: 10, .. }),
        "{refused}"
    );
}
