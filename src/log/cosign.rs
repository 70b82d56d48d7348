//! The gateway's side of witnesses: gathering cosignatures, and asking what they have seen.

use super::http::{HttpClient, HttpError};
use super::newest::NewestError;
use super::proofs::{LogProofError, consistency_proof};
use super::store::{Head, LogReader, LogStore, Swap};
use crate::clock::UnixMs;
use bytes::Bytes;
use futures::future::join_all;
use http::{Method, StatusCode};
use lethe_receipts::log::{
    AddCheckpoint, CheckpointError, LogVerifier, OpenedCheckpoint, Origin, SignedCheckpoint,
    TreeHead, WitnessVerifier, open_checkpoint,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

/// A witness's answer: a few lines, or a checkpoint.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Requests to one witness for one tree head: one that finds out what it knows, and one that counts, and one for a race.
const ASKS_MAX: usize = 3;
/// All of them together: a witness that hangs delays its own cosignature, and nothing else for long.
const ASKING_DEADLINE: Duration = Duration::from_secs(10);
/// A witness that is asked for the time alone: nothing waits for one that is away.
const TIME_DEADLINE: Duration = Duration::from_secs(3);
/// Swaps of the cosigned checkpoint before giving up for this time.
const SWAPS_MAX: usize = 5;

/// One witness as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessPeer {
    /// Where it listens.
    pub url: String,
    /// Its name and key.
    pub key: WitnessVerifier,
}

/// Why one witness did not cosign.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    /// It can't be reached.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It has seen a larger log: this one was rolled back, or another gateway was quicker.
    #[error("it has seen a log of {seen} entries, larger than ours of {ours}")]
    Ahead {
        /// What it has seen.
        seen: u64,
        /// What we hold.
        ours: u64,
    },
    /// It has seen another log under this name.
    #[error("it has seen another log of the same name: {0}")]
    Forked(String),
    /// Its answer is of no use.
    #[error("its answer: {0}")]
    Answer(String),
    /// It did not answer within the deadline.
    #[error("no answer within {} s", ASKING_DEADLINE.as_secs())]
    TooLate,
    /// The proof that it needs can't be made.
    #[error(transparent)]
    Proof(#[from] LogProofError),
}

impl CosignError {
    /// Whether the witness has seen something else than this log: it was rolled back or forked, here or there.
    #[must_use]
    pub fn contradicts(&self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::Forked(_))
    }
}

/// A tree head with the cosignatures that there are.
#[derive(Debug)]
pub struct Cosigning {
    /// The newest tree head with every cosignature gathered, as stored beside the log.
    pub checkpoint: SignedCheckpoint,
    /// The same, verified.
    pub opened: OpenedCheckpoint,
    /// Witnesses, by name, that have not cosigned it, and why.
    pub failed: Vec<(String, CosignError)>,
}

/// The witnesses of one log.
#[derive(Debug)]
pub struct Witnesses {
    pub(super) client: HttpClient,
    pub(super) origin: Origin,
    pub(super) log: Vec<LogVerifier>,
    pub(super) peers: Vec<WitnessPeer>,
    /// By witness's name: the size that it cosigned last, as far as we know.
    sizes: Mutex<BTreeMap<String, u64>>,
}

impl Witnesses {
    /// The witnesses `peers` of the log `origin`, whose tree heads `log` verifies; `ca` replaces the machine's roots.
    ///
    /// # Errors
    /// [`HttpError::Unusable`] when the certificates to trust can't be read.
    pub fn new(
        origin: Origin,
        log: Vec<LogVerifier>,
        peers: Vec<WitnessPeer>,
        ca: Option<&Path>,
    ) -> Result<Self, HttpError> {
        Ok(Self {
            client: HttpClient::new(ca)?,
            origin,
            log,
            peers,
            sizes: Mutex::new(BTreeMap::new()),
        })
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.peers.iter().map(|peer| peer.key.name().as_str())
    }

    /// How many of these witnesses cosigned a checkpoint of this log; none where it is no such checkpoint.
    #[must_use]
    pub fn cosignatures(&self, checkpoint: &SignedCheckpoint) -> usize {
        let opened = self.open(checkpoint.as_str());
        opened.map_or(0, |(_, opened)| opened.cosignatures.len())
    }

    /// Their public keys.
    pub fn public_keys(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.peers.iter().map(|peer| peer.key.public_key())
    }

    fn keys(&self) -> Vec<WitnessVerifier> {
        self.peers.iter().map(|peer| peer.key.clone()).collect()
    }

    pub(super) fn open(
        &self,
        text: &str,
    ) -> Result<(SignedCheckpoint, OpenedCheckpoint), CheckpointError> {
        let opened = open_checkpoint(text, &self.log, &self.keys())?;
        if opened.checkpoint.origin != self.origin {
            return Err(CheckpointError::OtherLog);
        }
        Ok((SignedCheckpoint::parse(text)?, opened))
    }

    async fn stored(
        &self,
        store: &dyn LogStore,
        head: Head,
    ) -> Result<Option<Stored>, NewestError> {
        let Some(found) = store.head(head).await? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&found.bytes).map_err(|_| CheckpointError::Malformed)?;
        let (signed, opened) = self.open(text)?;
        Ok(Some(Stored {
            signed,
            opened,
            version: found.version,
        }))
    }

    /// Asks the witnesses that have not cosigned the newest tree head yet, and stores what they answer beside the log.
    /// `None` while the log has no tree head. Repeating it asks only those that are left.
    ///
    /// # Errors
    /// [`NewestError`] when the store fails or does not hold this log; a witness's failure is no error.
    pub async fn cosign(&self, store: &dyn LogStore) -> Result<Option<Cosigning>, NewestError> {
        let Some(newest) = self.stored(store, Head::Checkpoint).await? else {
            return Ok(None);
        };
        let head = newest.opened.checkpoint.head;
        let before = self.stored(store, Head::Cosigned).await?;
        let same = before.filter(|before| before.opened.checkpoint.head == head);
        let start = same.unwrap_or(newest);
        // One that is known to have seen more is asked, too: its cosignature of then says nothing of a log that went back.
        let has =
            |peer: &&WitnessPeer| start.cosigned_by(&peer.key) && self.known(peer) <= head.size;
        let asked: Vec<&WitnessPeer> = self.peers.iter().filter(|peer| !has(peer)).collect();
        let asking = asked.iter().map(|peer| async {
            let answer = self.ask(store, peer, &start.signed, head);
            let answer = tokio::time::timeout(ASKING_DEADLINE, answer).await;
            answer.unwrap_or(Err(CosignError::TooLate))
        });
        let answers = join_all(asking).await;
        let (mut lines, mut failed) = (String::new(), Vec::new());
        for (peer, answer) in asked.iter().zip(answers) {
            match answer {
                Ok(line) => lines.push_str(&line),
                Err(error) => failed.push((peer.key.name().to_string(), error)),
            }
        }
        let (checkpoint, opened) = self.keep(store, start.signed, &lines, head).await?;
        Ok(Some(Cosigning {
            checkpoint,
            opened,
            failed,
        }))
    }

    /// Has every witness cosign the newest tree head once more, whatever it has cosigned, and answers the times that they put to it.
    /// Nothing is stored, and who does not answer soon is left out.
    ///
    /// # Errors
    /// [`NewestError`] when the store fails or does not hold this log.
    pub async fn times(&self, store: &dyn LogStore) -> Result<Vec<(String, UnixMs)>, NewestError> {
        if self.peers.is_empty() {
            return Ok(Vec::new());
        }
        let Some(newest) = self.stored(store, Head::Checkpoint).await? else {
            return Ok(Vec::new());
        };
        let head = newest.opened.checkpoint.head;
        let signed = &newest.signed;
        let asking = self.peers.iter().map(|peer| async move {
            let answer = self.ask(store, peer, signed, head);
            let line = tokio::time::timeout(TIME_DEADLINE, answer)
                .await
                .ok()?
                .ok()?;
            let key = std::slice::from_ref(&peer.key);
            let cosigned = signed.with_cosignatures(&line, key).ok()?;
            let opened = open_checkpoint(cosigned.as_str(), &self.log, key).ok()?;
            let unix_s = opened.cosignatures.iter().map(|one| one.unix_s).max()?;
            let unix_ms = i64::try_from(unix_s).ok()?.saturating_mul(1000);
            // To the end of the second that it names: a clock is behind only for certain.
            Some((peer.key.name().to_string(), UnixMs(unix_ms).plus_ms(999)))
        });
        Ok(join_all(asking).await.into_iter().flatten().collect())
    }

    /// Swaps the cosigned checkpoint for one with `lines`, unless a larger tree's is there already.
    async fn keep(
        &self,
        store: &dyn LogStore,
        start: SignedCheckpoint,
        lines: &str,
        head: TreeHead,
    ) -> Result<(SignedCheckpoint, OpenedCheckpoint), NewestError> {
        for _ in 0..SWAPS_MAX {
            let held = self.stored(store, Head::Cosigned).await?;
            let base = match &held {
                Some(held) if held.opened.checkpoint.head == head => held.signed.clone(),
                _ => start.clone(),
            };
            let merged = match lines {
                "" => base,
                lines => base.with_cosignatures(lines, &self.keys())?,
            };
            let opened = self.open(merged.as_str())?.1;
            let larger = |held: &Stored| held.opened.checkpoint.head.size > head.size;
            let nothing_new = |held: &Stored| held.signed == merged;
            if held
                .as_ref()
                .is_some_and(|held| larger(held) || nothing_new(held))
            {
                return Ok((merged, opened));
            }
            let version = held.map(|held| held.version);
            let bytes = Bytes::from(merged.to_string());
            if store.swap(Head::Cosigned, version.as_ref(), bytes).await? == Swap::Done {
                return Ok((merged, opened));
            }
        }
        Err(NewestError::Contended)
    }

    /// One witness's verified signature lines over `signed`.
    async fn ask(
        &self,
        store: &dyn LogStore,
        peer: &WitnessPeer,
        signed: &SignedCheckpoint,
        head: TreeHead,
    ) -> Result<String, CosignError> {
        let mut known = self.known(peer).min(head.size);
        for _ in 0..ASKS_MAX {
            let reader: &dyn LogReader = store;
            let request = AddCheckpoint {
                old_size: known,
                proof: consistency_proof(reader, known, &head).await?,
                checkpoint: signed.clone(),
            };
            let url = format!("{}/add-checkpoint", peer.url.trim_end_matches('/'));
            let body = Bytes::from(request.text());
            let answer = self
                .client
                .exchange(Method::POST, &url, None, body, ANSWER_BYTES_MAX)
                .await?;
            let text = std::str::from_utf8(&answer.1)
                .map_err(|_| CosignError::Answer("not text".to_owned()))?;
            match answer.0 {
                StatusCode::OK => return self.cosignature(peer, signed, head, text),
                StatusCode::CONFLICT => {
                    let seen: u64 = text
                        .trim_end()
                        .parse()
                        .map_err(|_| CosignError::Answer("a conflict without a size".to_owned()))?;
                    let ours = head.size;
                    if seen > ours {
                        return Err(CosignError::Ahead { seen, ours });
                    }
                    if seen == known {
                        let what = format!("it holds another tree of {seen} entries");
                        return Err(CosignError::Forked(what));
                    }
                    known = seen;
                }
                StatusCode::UNPROCESSABLE_ENTITY => {
                    let what = format!("our log does not continue its {known} entries");
                    return Err(CosignError::Forked(what));
                }
                status => return Err(CosignError::Answer(format!("HTTP status {status}"))),
            }
        }
        Err(CosignError::Answer(
            "what it knows changes all the time".to_owned(),
        ))
    }

    fn cosignature(
        &self,
        peer: &WitnessPeer,
        signed: &SignedCheckpoint,
        head: TreeHead,
        lines: &str,
    ) -> Result<String, CosignError> {
        let refused = |error: CheckpointError| CosignError::Answer(error.to_string());
        let key = std::slice::from_ref(&peer.key);
        let cosigned = signed.with_cosignatures(lines, key).map_err(refused)?;
        let opened = open_checkpoint(cosigned.as_str(), &self.log, key).map_err(refused)?;
        if opened.cosignatures.is_empty() {
            return Err(CosignError::Answer("no cosignature of its key".to_owned()));
        }
        if let Ok(mut sizes) = self.sizes.lock() {
            sizes.insert(peer.key.name().to_string(), head.size);
        }
        Ok(lines.to_owned())
    }

    fn known(&self, peer: &WitnessPeer) -> u64 {
        let sizes = self.sizes.lock();
        let size = sizes
            .ok()
            .and_then(|sizes| sizes.get(peer.key.name().as_str()).copied());
        size.unwrap_or(0)
    }
}

struct Stored {
    signed: SignedCheckpoint,
    opened: OpenedCheckpoint,
    version: super::store::Version,
}

impl Stored {
    fn cosigned_by(&self, key: &WitnessVerifier) -> bool {
        let keyid = key.keyid();
        self.opened
            .cosignatures
            .iter()
            .any(|cosignature| cosignature.witness == keyid)
    }
}
