//! A witness cosigns what continues, refuses what does not, and remembers before it answers.

use super::*;
use crate::clock::{Clock, ManualClock, UnixMs};
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use lethe_receipts::log::{
    AddCheckpoint, Checkpoint, Frontier, KeyName, LogKey, Origin, TileSet, TreeHead, WitnessKey,
    open_checkpoint, prove_consistency, statement_entry,
};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use tower::ServiceExt as _;

const NOW_S: u64 = 1_800_000_000;

fn origin() -> Origin {
    Origin::of_domain("eu", [1; 8]).unwrap()
}

fn log_key() -> LogKey {
    LogKey::from_seed(&origin(), &[1; 32])
}

fn witness_key() -> WitnessKey {
    WitnessKey::from_seed(&KeyName::new("w").unwrap(), &[2; 32])
}

fn open(dir: &Path) -> Result<Witness, OpenError> {
    let clock = ManualClock::at(UnixMs(i64::try_from(NOW_S).unwrap() * 1000));
    Witness::open(dir, witness_key(), vec![log_key().verifier()], clock)
}

/// A log of the entries `first..first + size` with every tile.
struct Log {
    head: TreeHead,
    tiles: TileSet,
}

fn log(first: u64, size: u64) -> Log {
    let mut frontier = Frontier::default();
    let mut tiles = TileSet::default();
    let entries: Vec<_> = (first..first + size)
        .map(|n| statement_entry(&n.to_be_bytes()))
        .collect();
    for tile in frontier.append(&entries).unwrap() {
        tiles.insert(tile.path, tile.bytes);
    }
    Log {
        head: frontier.head(),
        tiles,
    }
}

fn request(log: &Log, old_size: u64, key: &LogKey) -> AddCheckpoint {
    let checkpoint = Checkpoint {
        origin: key.origin(),
        head: log.head,
    };
    AddCheckpoint {
        old_size,
        proof: prove_consistency(old_size.min(log.head.size), &log.head, &log.tiles).unwrap(),
        checkpoint: checkpoint.sign(key).unwrap(),
    }
}

async fn post(witness: &Arc<Witness>, body: String) -> (StatusCode, String, String) {
    let request = Request::post("/add-checkpoint")
        .body(Body::from(body))
        .unwrap();
    let response = router(witness.clone()).oneshot(request).await.unwrap();
    let status = response.status();
    let kind = response.headers().get("content-type");
    let kind = kind.map_or_else(String::new, |kind| kind.to_str().unwrap().to_owned());
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, kind, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn witness_cosigns_what_continues_and_says_what_it_knows() {
    let dir = tempfile::tempdir().unwrap();
    let witness = Arc::new(open(dir.path()).unwrap());
    let (small, large) = (log(0, 20), log(0, 300));
    let first = request(&small, 0, &log_key());
    let (status, _, line) = post(&witness, first.text()).await;
    assert_eq!(status, StatusCode::OK, "{line}");
    let own = [witness_key().verifier()];
    let cosigned = first.checkpoint.with_cosignatures(&line, &own).unwrap();
    let opened = open_checkpoint(cosigned.as_str(), &[log_key().verifier()], &own).unwrap();
    assert_eq!(opened.cosignatures[0].unix_s, NOW_S);
    // The same once more is the same tree: cosigned again when the old size says so.
    let (status, kind, body) = post(&witness, first.text()).await;
    assert_eq!(
        (status, kind.as_str(), body.as_str()),
        (StatusCode::CONFLICT, "text/x.tlog.size", "20\n")
    );
    assert_eq!(
        post(&witness, request(&small, 20, &log_key()).text())
            .await
            .0,
        StatusCode::OK
    );
    assert_eq!(
        post(&witness, request(&large, 0, &log_key()).text())
            .await
            .0,
        StatusCode::CONFLICT
    );
    assert_eq!(
        post(&witness, request(&large, 20, &log_key()).text())
            .await
            .0,
        StatusCode::OK
    );
    // Not back again.
    assert_eq!(
        post(&witness, request(&small, 20, &log_key()).text())
            .await
            .2,
        "300\n"
    );
    assert_eq!(
        post(&witness, request(&small, 300, &log_key()).text())
            .await
            .0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn witness_refuses_forks_strangers_and_wrong_proofs() {
    let dir = tempfile::tempdir().unwrap();
    let witness = Arc::new(open(dir.path()).unwrap());
    let stranger = LogKey::from_seed(&origin(), &[9; 32]);
    let elsewhere = LogKey::from_seed(&Origin::of_domain("us", [1; 8]).unwrap(), &[1; 32]);
    let (twenty, fifty) = (log(0, 20), log(0, 50));
    assert_eq!(
        post(&witness, request(&twenty, 0, &stranger).text())
            .await
            .0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        post(&witness, request(&twenty, 0, &elsewhere).text())
            .await
            .0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        post(&witness, request(&twenty, 0, &log_key()).text())
            .await
            .0,
        StatusCode::OK
    );
    let fork = request(&log(700, 20), 20, &log_key());
    assert_eq!(post(&witness, fork.text()).await.0, StatusCode::CONFLICT);
    let fork = request(&log(700, 50), 20, &log_key());
    assert_eq!(
        post(&witness, fork.text()).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let right = request(&fifty, 20, &log_key());
    for at in 0..right.proof.len() {
        let mut wrong = right.clone();
        wrong.proof[at][0] ^= 1;
        assert_eq!(
            post(&witness, wrong.text()).await.0,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    let mut short = right.clone();
    short.proof.pop();
    assert_eq!(
        post(&witness, short.text()).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        post(&witness, "old 20\n\n".to_owned()).await.0,
        StatusCode::BAD_REQUEST
    );
    let endless = "A".repeat(AddCheckpoint::BYTES_MAX + 1);
    assert_eq!(
        post(&witness, endless).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(post(&witness, right.text()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn witness_remembers_what_it_cosigned_before_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let witness = Arc::new(open(dir.path()).unwrap());
    assert!(matches!(open(dir.path()), Err(OpenError::InUse(_))));
    post(&witness, request(&log(0, 20), 0, &log_key()).text()).await;
    drop(witness);
    let witness = Arc::new(open(dir.path()).unwrap());
    assert_eq!(
        post(&witness, request(&log(0, 30), 0, &log_key()).text())
            .await
            .2,
        "20\n"
    );
    let name = hex::encode(Sha256::digest(origin().as_str()));
    let own = [witness_key().verifier()];
    let newest = witness.newest(&name).await.unwrap();
    let opened = open_checkpoint(newest.as_str(), &[log_key().verifier()], &own).unwrap();
    assert_eq!(
        (opened.checkpoint.head, opened.cosignatures.len()),
        (log(0, 20).head, 1)
    );
    assert!(witness.newest("0").await.is_none());
    // What can't be remembered is not cosigned.
    std::fs::rename(dir.path(), dir.path().with_extension("away")).unwrap();
    let (status, _, body) = post(&witness, request(&log(0, 30), 20, &log_key()).text()).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!body.contains('—'), "{body}");
    std::fs::rename(dir.path().with_extension("away"), dir.path()).unwrap();
    assert_eq!(
        post(&witness, request(&log(0, 31), 20, &log_key()).text())
            .await
            .0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn witness_with_damaged_memory_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let witness = Arc::new(open(dir.path()).unwrap());
    post(&witness, request(&log(0, 20), 0, &log_key()).text()).await;
    drop(witness);
    let name = hex::encode(Sha256::digest(origin().as_str()));
    let file = dir.path().join(format!("{name}.checkpoint"));
    let good = std::fs::read_to_string(&file).unwrap();
    let unsigned = request(&log(0, 20), 0, &log_key()).checkpoint.to_string();
    for bad in [String::new(), good.replace("\n20\n", "\n19\n"), unsigned] {
        std::fs::write(&file, bad).unwrap();
        assert!(matches!(open(dir.path()), Err(OpenError::Unusable { .. })));
    }
    std::fs::write(&file, good).unwrap();
    assert!(open(dir.path()).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_get_one_history() {
    let dir = tempfile::tempdir().unwrap();
    let witness = Arc::new(open(dir.path()).unwrap());
    let mut asking = tokio::task::JoinSet::new();
    for fork in 0..8 {
        let witness = witness.clone();
        let text = request(&log(fork * 1000, 20), 0, &log_key()).text();
        asking.spawn(async move { post(&witness, text).await.0 });
    }
    let answers = asking.join_all().await;
    let cosigned = answers
        .iter()
        .filter(|status| **status == StatusCode::OK)
        .count();
    assert_eq!(cosigned, 1, "{answers:?}");
}

/// Stops whoever asks it the time first, until the gate is opened.
#[derive(Debug)]
struct GatedClock {
    asked: tokio::sync::mpsc::UnboundedSender<()>,
    gate: std::sync::Mutex<Option<std::sync::mpsc::Receiver<()>>>,
}

impl Clock for GatedClock {
    fn now(&self) -> UnixMs {
        let gate = self.gate.lock().unwrap().take();
        if let Some(gate) = gate {
            self.asked.send(()).unwrap();
            gate.recv().unwrap();
        }
        UnixMs(i64::try_from(NOW_S).unwrap() * 1000)
    }
}

#[tokio::test]
async fn request_given_up_while_it_is_cosigned_binds_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (asked, mut was_asked) = tokio::sync::mpsc::unbounded_channel();
    let (open_gate, gate) = std::sync::mpsc::channel();
    let clock = GatedClock {
        asked,
        gate: std::sync::Mutex::new(Some(gate)),
    };
    let keys = vec![log_key().verifier()];
    let witness = Arc::new(Witness::open(dir.path(), witness_key(), keys, clock).unwrap());
    let first = request(&log(0, 20), 0, &log_key());
    let given_up = tokio::spawn({
        let (witness, text) = (witness.clone(), first.text());
        async move { post(&witness, text).await }
    });
    was_asked.recv().await.unwrap();
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    let fork = tokio::spawn({
        let (witness, text) = (
            witness.clone(),
            request(&log(700, 20), 0, &log_key()).text(),
        );
        async move { post(&witness, text).await.0 }
    });
    // Lets it come as far as it can.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    open_gate.send(()).unwrap();
    assert_eq!(fork.await.unwrap(), StatusCode::CONFLICT);
    let name = hex::encode(Sha256::digest(origin().as_str()));
    let newest = witness.newest(&name).await.unwrap();
    assert_eq!(newest.claimed().unwrap().head, log(0, 20).head);
    let kept = std::fs::read_to_string(dir.path().join(format!("{name}.checkpoint")));
    assert_eq!(kept.unwrap(), newest.to_string());
}
