//! Cosignatures from real witnesses over HTTP, and what they have seen.

use crate::clock::{ManualClock, UnixMs};
use crate::log::testing::{Queue, dir_log, log_key, origin, sequencer};
use crate::log::*;
use crate::shred::{DomainLog, ShredLog};
use crate::witness::{Witness, serve};
use lethe_receipts::log::{KeyName, SignedCheckpoint, WitnessKey, WitnessVerifier};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const NOW_S: u64 = 1_800_000_000;

struct Running {
    peer: WitnessPeer,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn stop(mut self) {
        drop(self.stop.take());
        self.task.await.unwrap();
    }
}

fn key(seed: u8) -> WitnessKey {
    WitnessKey::from_seed(&KeyName::new(format!("w{seed}")).unwrap(), &[seed; 32])
}

async fn witness(dir: &Path, seed: u8) -> Running {
    let clock = ManualClock::at(UnixMs(i64::try_from(NOW_S).unwrap() * 1000));
    let known = vec![log_key().verifier()];
    let witness = Arc::new(Witness::open(dir, key(seed), known, clock).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        serve(witness, listener, async { drop(stopped.await) }).await;
    });
    Running {
        peer: WitnessPeer {
            url,
            key: key(seed).verifier(),
        },
        stop: Some(stop),
        task,
    }
}

fn witnesses(peers: &[&WitnessPeer]) -> Witnesses {
    let peers = peers.iter().map(|peer| (*peer).clone()).collect();
    Witnesses::new(origin(), vec![log_key().verifier()], peers, None).unwrap()
}

fn names(cosigning: &Cosigning, keys: &[&WitnessVerifier]) -> Vec<String> {
    let cosigned = &cosigning.opened.cosignatures;
    let has = |key: &&&WitnessVerifier| {
        cosigned
            .iter()
            .any(|c| c.witness == key.keyid() && c.unix_s == NOW_S)
    };
    keys.iter()
        .filter(has)
        .map(|key| key.name().to_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cosignatures_are_gathered_stored_and_completed_later() {
    let (_dir, store) = dir_log();
    let queue = Queue::of(0..300);
    let sequencer = sequencer(&store);
    sequencer.sequence_pending(&queue).await.unwrap();
    let states = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, two) = (
        witness(states[0].path(), 1).await,
        witness(states[1].path(), 2).await,
    );
    let keys = [&one.peer.key.clone(), &two.peer.key.clone()];
    let all = witnesses(&[&one.peer, &two.peer]);
    let both = all.cosign(store.as_ref()).await.unwrap().unwrap();
    assert_eq!(names(&both, &keys), ["w1", "w2"]);
    // The log grows while one witness is away.
    let url = two.peer.url.clone();
    two.stop().await;
    queue.add(300..900);
    sequencer.sequence_pending(&queue).await.unwrap();
    let partly = all.cosign(store.as_ref()).await.unwrap().unwrap();
    assert_eq!(partly.opened.checkpoint.head.size, 900);
    assert_eq!(names(&partly, &keys), ["w1"]);
    assert_eq!(partly.failed[0].0, "w2");
    let stored = store.head(Head::Cosigned).await.unwrap().unwrap();
    assert_eq!(stored.bytes, partly.checkpoint.as_str());
    // It comes back, where it was; a gateway that knows nothing of either asks it.
    let two = witness(states[1].path(), 2).await;
    let restarted = witnesses(&[&one.peer, &two.peer]);
    assert_ne!(url, two.peer.url);
    let later = restarted.cosign(store.as_ref()).await.unwrap().unwrap();
    assert_eq!(names(&later, &keys), ["w1", "w2"]);
    assert!(later.failed.is_empty());
    // Nothing is left to ask.
    one.stop().await;
    two.stop().await;
    let again = restarted.cosign(store.as_ref()).await.unwrap().unwrap();
    assert!(again.failed.is_empty());
    assert_eq!(again.checkpoint, later.checkpoint);
}

#[tokio::test(flavor = "multi_thread")]
async fn witnesses_tell_their_time_again_and_who_is_away_is_left_out() {
    let (_dir, store) = dir_log();
    let queue = Queue::of(0..3);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    let states = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, two) = (
        witness(states[0].path(), 1).await,
        witness(states[1].path(), 2).await,
    );
    let both = witnesses(&[&one.peer, &two.peer]);
    both.cosign(store.as_ref()).await.unwrap();
    two.stop().await;
    let cosigned = store.head(Head::Cosigned).await.unwrap().unwrap();
    for _ in 0..2 {
        let times = both.times(store.as_ref()).await.unwrap();
        let expected = UnixMs(i64::try_from(NOW_S).unwrap() * 1000 + 999);
        assert_eq!(times, [("w1".to_owned(), expected)]);
    }
    let after = store.head(Head::Cosigned).await.unwrap().unwrap();
    assert_eq!(after.bytes, cosigned.bytes, "nothing is stored");
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_is_what_a_witness_saw_of_a_log_that_was_rolled_back() {
    let (dir, store) = dir_log();
    let queue = Queue::of(0..20);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    let old = std::fs::read(dir.path().join("checkpoint")).unwrap();
    queue.add(20..30);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let running = witness(state.path(), 1).await;
    let witnesses = witnesses(&[&running.peer]);
    let before = witnesses.newest(store.as_ref()).await.unwrap();
    assert_eq!(before.greatest.unwrap().1, Holder::Log);
    witnesses.cosign(store.as_ref()).await.unwrap();
    assert!(
        !witnesses
            .newest(store.as_ref())
            .await
            .unwrap()
            .rolled_back()
    );
    std::fs::write(dir.path().join("checkpoint"), &old).unwrap();
    let newest = witnesses.newest(store.as_ref()).await.unwrap();
    assert!(newest.rolled_back());
    let (head, holder) = newest.greatest.unwrap();
    assert_eq!((head.size, holder), (30, Holder::Witness("w1".to_owned())));
    let refused = witnesses.cosign(store.as_ref()).await.unwrap().unwrap();
    assert!(matches!(
        refused.failed[0].1,
        CosignError::Ahead { seen: 30, ours: 20 }
    ));
    // What was cosigned of the larger log stays: it is the proof.
    let kept = store.head(Head::Cosigned).await.unwrap().unwrap();
    let kept = SignedCheckpoint::parse(std::str::from_utf8(&kept.bytes).unwrap()).unwrap();
    assert_eq!(kept.claimed().unwrap().head.size, 30);
    running.stop().await;
    let silent = witnesses.newest(store.as_ref()).await.unwrap();
    assert_eq!(silent.silent[0].0, "w1");
}

#[tokio::test(flavor = "multi_thread")]
async fn fork_under_a_witness_is_refused_by_it_and_seen() {
    let (_dir, store) = dir_log();
    sequencer(&store)
        .sequence_pending(&Queue::of(0..20))
        .await
        .unwrap();
    let state = tempfile::tempdir().unwrap();
    let running = witness(state.path(), 1).await;
    witnesses(&[&running.peer])
        .cosign(store.as_ref())
        .await
        .unwrap();
    // The same key signs another history, as large and larger.
    for count in [20, 45] {
        let (_dir, forked) = dir_log();
        sequencer(&forked)
            .sequence_pending(&Queue::of(500..500 + count))
            .await
            .unwrap();
        let asked = witnesses(&[&running.peer]);
        let refused = asked.cosign(forked.as_ref()).await.unwrap().unwrap();
        assert!(
            matches!(refused.failed[0].1, CosignError::Forked(_)),
            "{refused:?}"
        );
        assert!(refused.opened.cosignatures.is_empty());
        let newest = asked.newest(forked.as_ref()).await;
        assert!(
            matches!(newest, Err(NewestError::Forked { seen: 20, .. })),
            "{newest:?}"
        );
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn witness_that_signs_with_another_key_has_not_cosigned() {
    let (_dir, store) = dir_log();
    sequencer(&store)
        .sequence_pending(&Queue::of(0..20))
        .await
        .unwrap();
    let state = tempfile::tempdir().unwrap();
    let running = witness(state.path(), 1).await;
    let mistaken = WitnessPeer {
        key: key(9).verifier(),
        ..running.peer.clone()
    };
    let asked = witnesses(&[&mistaken]);
    let refused = asked.cosign(store.as_ref()).await.unwrap().unwrap();
    assert!(matches!(refused.failed[0].1, CosignError::Answer(_)));
    assert!(refused.opened.cosignatures.is_empty());
    let newest = asked.newest(store.as_ref()).await.unwrap();
    assert_eq!(newest.silent[0].0, "w9");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_log_put_back_under_a_running_gateway_is_noticed_by_what_a_witness_signed() {
    let (dir, store) = dir_log();
    let queue = Queue::of(0..20);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let running = witness(state.path(), 1).await;
    let asked = witnesses(&[&running.peer]);
    asked.cosign(store.as_ref()).await.unwrap();
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let old = ["checkpoint", "cosigned"].map(|name| (name, read(name)));
    queue.add(20..30);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    asked.cosign(store.as_ref()).await.unwrap();
    for (name, bytes) in old {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let refused = asked.cosign(store.as_ref()).await.unwrap().unwrap();
    let (_, error) = &refused.failed[0];
    assert!(
        matches!(error, CosignError::Ahead { seen: 30, ours: 20 }),
        "{error}"
    );
    assert!(error.contradicts());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_sequenced_without_a_word_to_a_witness() {
    let (_dir, store) = dir_log();
    let state = tempfile::tempdir().unwrap();
    let running = witness(state.path(), 1).await;
    let queue = Arc::new(Queue::of(0..20));
    let asked = witnesses(&[&running.peer]);
    let log = DomainLog::new(sequencer(&store), asked, queue.clone(), 1);
    ShredLog::sequence(&log).await.unwrap();
    assert_eq!(queue.waiting(), 0);
    let seen = log.witnesses.newest(store.as_ref()).await.unwrap();
    assert_eq!(
        seen.greatest.unwrap().1,
        Holder::Log,
        "no witness has seen it"
    );
    // Its loop shows it to them.
    let shown = async {
        while store.head(Head::Cosigned).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    log.run(shown).await;
    let newest = ShredLog::newest(&log).await.unwrap().unwrap();
    assert_eq!((newest.head.size, newest.cosignatures), (20, 1));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_that_is_away_leaves_what_its_witnesses_saw() {
    let (dir, store) = dir_log();
    let queue = Queue::of(0..20);
    sequencer(&store).sequence_pending(&queue).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let running = witness(state.path(), 1).await;
    let asked = witnesses(&[&running.peer]);
    asked.cosign(store.as_ref()).await.unwrap();
    // A file in the place of the log's directory.
    let nowhere = DirLog::new(dir.path().join("checkpoint"));
    let newest = asked.newest(&nowhere).await.unwrap();
    assert!(newest.away.is_some() && newest.log.is_none() && !newest.rolled_back());
    let (head, holder) = newest.greatest.unwrap();
    assert_eq!((head.size, holder), (20, Holder::Witness("w1".to_owned())));
    running.stop().await;
    let neither = asked.newest(&nowhere).await.unwrap();
    assert!(neither.greatest.is_none() && neither.silent.len() == 1);
}
