//! One suite for every store of a log.

use super::faulty::FaultyLog;
use super::testing::{Queue, assert_whole, bytes, dir_log, sequencer};
use super::*;
use bytes::Bytes;
use lethe_receipts::log::{TileKind, TilePath};
use std::sync::Arc;

async fn suite(store: Arc<dyn LogStore>) {
    tiles(store.as_ref()).await;
    heads(store.as_ref()).await;
    race(&store).await;
    statements(store.as_ref()).await;
}

/// A log of its own, grown and verified.
async fn whole_log(store: Arc<dyn LogStore>) {
    let queue = Queue::of(0..300);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    queue.add(300..520);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    assert_whole(&store, &queue, 520).await;
}

async fn tiles(store: &dyn LogStore) {
    let tile = TilePath::new(TileKind::Hashes { level: 0 }, 1234, 1).unwrap();
    let path = LogPath::Tile(tile);
    assert_eq!(store.read(&path).await.unwrap(), None);
    let content = Bytes::from(vec![7; 32]);
    store.write_tile(&tile, content.clone()).await.unwrap();
    store.write_tile(&tile, content.clone()).await.unwrap();
    assert_eq!(store.read(&path).await.unwrap(), Some(content.clone()));
    let other = store.write_tile(&tile, Bytes::from(vec![8; 32])).await;
    assert!(
        matches!(other, Err(LogStoreError::Differs { .. })),
        "{other:?}"
    );
    assert_eq!(store.read(&path).await.unwrap(), Some(content));
    // A full tile is a file beside the directory of its partial ones.
    let full = Bytes::from(vec![7; 8192]);
    store.write_tile(&tile.full(), full.clone()).await.unwrap();
    assert_eq!(
        store.read(&LogPath::Tile(tile.full())).await.unwrap(),
        Some(full)
    );
}

async fn heads(store: &dyn LogStore) {
    let head = Head::Cosigned;
    assert_eq!(store.head(head).await.unwrap(), None);
    let swap = |expected: Option<Version>, text| async move {
        store
            .swap(head, expected.as_ref(), bytes(text))
            .await
            .unwrap()
    };
    let nowhere = Version("0123456789abcdef0123456789abcdef".to_owned());
    assert_eq!(swap(Some(nowhere), "early").await, Swap::Lost);
    assert_eq!(swap(None, "one").await, Swap::Done);
    assert_eq!(swap(None, "again").await, Swap::Lost);
    let one = store.head(head).await.unwrap().unwrap();
    assert_eq!(one.bytes, bytes("one"));
    assert_eq!(swap(Some(one.version.clone()), "two").await, Swap::Done);
    assert_eq!(swap(Some(one.version), "late").await, Swap::Lost);
    assert_eq!(store.head(head).await.unwrap().unwrap().bytes, bytes("two"));
    assert_eq!(store.head(Head::Intent).await.unwrap(), None);
}

async fn race(store: &Arc<dyn LogStore>) {
    const RACERS: usize = 6;
    let mut racing = tokio::task::JoinSet::new();
    for racer in 0..RACERS {
        let store = store.clone();
        racing.spawn(async move {
            let text = Bytes::from(format!("racer {racer}"));
            (racer, store.swap(Head::Intent, None, text).await.unwrap())
        });
    }
    let ended = racing.join_all().await;
    let winners: Vec<usize> = ended
        .iter()
        .filter(|(_, swap)| *swap == Swap::Done)
        .map(|(racer, _)| *racer)
        .collect();
    assert_eq!(winners.len(), 1, "{ended:?}");
    let held = store.head(Head::Intent).await.unwrap().unwrap();
    assert_eq!(held.bytes, format!("racer {}", winners[0]));
}

async fn statements(store: &dyn LogStore) {
    assert_eq!(store.statements(None, 10).await.unwrap(), []);
    let ids: Vec<ReceiptId> = (0..5).map(|n| ReceiptId([n * 50; 16])).collect();
    for id in ids.iter().rev() {
        store.put_statement(*id, bytes("{}")).await.unwrap();
    }
    store.put_statement(ids[0], bytes("{}")).await.unwrap();
    let other = store.put_statement(ids[0], bytes("[]")).await;
    assert!(matches!(other, Err(LogStoreError::Differs { .. })));
    assert_eq!(store.statements(None, 10).await.unwrap(), ids);
    assert_eq!(store.statements(None, 2).await.unwrap(), ids[..2]);
    assert_eq!(store.statements(Some(ids[1]), 2).await.unwrap(), ids[2..4]);
    assert_eq!(store.statements(Some(ids[4]), 2).await.unwrap(), []);
    let read = store.read(&LogPath::Statement(ids[2])).await.unwrap();
    assert_eq!(read, Some(bytes("{}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_passes_the_suite() {
    let (_dir, store) = dir_log();
    suite(store).await;
    let (_dir, store) = dir_log();
    whole_log(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_store_without_faults_passes_the_suite() {
    let (_dir, store) = dir_log();
    suite(Arc::new(FaultyLog::new(store))).await;
}

#[tokio::test]
async fn directory_with_an_endless_file_is_not_read() {
    let (dir, store) = dir_log();
    std::fs::write(dir.path().join("checkpoint"), vec![b'x'; 300 << 10]).unwrap();
    let read = store.head(Head::Checkpoint).await;
    assert!(matches!(read, Err(LogStoreError::Lying { .. })), "{read:?}");
}

#[test]
fn paths_of_a_log_are_read_only_as_they_are_written() {
    for text in [
        "checkpoint",
        "cosigned",
        "intent",
        "tile/0/000",
        "tile/entries/x001/000.p/7",
        "statements/000102030405060708090a0b0c0d0e0f.json",
    ] {
        assert_eq!(LogPath::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "",
        "lock",
        "Checkpoint",
        "checkpoint/",
        "statements/",
        "statements/x.json",
        "statements/../checkpoint",
        "statements/000102030405060708090A0B0C0D0E0F.json",
        "statements/000102030405060708090a0b0c0d0e0f",
        "tile/0/../../checkpoint",
        "/checkpoint",
        "tile/0/000/",
        "statements/000102030405060708090a0b0c0d0e0f.json/",
    ] {
        assert_eq!(LogPath::parse(text), None, "{text}");
    }
}
