//! The gateway's side of witnesses: gathering cosignatures, and asking what they have seen.

use super::http::{HttpClient, HttpError};
use super::proofs::{LogProofError, consistency_proof};
use super::store::{Head, LogReader, LogStore, LogStoreError, Swap};
use bytes::Bytes;
use futures::future::join_all;
use http::{Method, StatusCode};
use lethe_receipts::log::{
    AddCheckpoint, CheckpointError, LogVerifier, OpenedCheckpoint, Origin, SignedCheckpoint,
    TreeHead, WitnessVerifier, open_checkpoint, verify_consistency,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

/// A witness's answer: a few lines, or a checkpoint.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Requests to one witness for one tree head: one that finds out what it knows, and one that counts, and one for a race.
const ASKS_MAX: usize = 3;
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
    /// The proof that it needs can't be made.
    #[error(transparent)]
    Proof(#[from] LogProofError),
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

/// Who holds a tree head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The log's store.
    Log,
    /// A witness, by name.
    Witness(String),
}

/// The tree heads that are held.
#[derive(Clone, Debug)]
pub struct Newest {
    /// The log's own.
    pub log: Option<TreeHead>,
    /// The greatest that anybody holds, and who.
    pub greatest: Option<(TreeHead, Holder)>,
    /// Witnesses, by name, that did not answer usably, and why.
    pub silent: Vec<(String, String)>,
}

impl Newest {
    /// Whether a witness has seen more of the log than its store holds: it was rolled back.
    #[must_use]
    pub fn rolled_back(&self) -> bool {
        let log = self.log.map_or(0, |head| head.size);
        self.greatest
            .as_ref()
            .is_some_and(|(head, _)| head.size > log)
    }
}

/// Why it can't be told what is newest.
#[derive(Debug, thiserror::Error)]
pub enum NewestError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] LogStoreError),
    /// The stored tree head is not one of this log.
    #[error("the log's checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The stored tiles are not those of the tree head.
    #[error(transparent)]
    Proof(LogProofError),
    /// Witness and log hold trees of which neither is the beginning of the other.
    #[error("witness {witness} has seen another log of the same name ({seen} entries)")]
    Forked {
        /// The witness.
        witness: String,
        /// Entries that it has seen.
        seen: u64,
    },
    /// Others changed the cosigned checkpoint all the time.
    #[error("the cosigned checkpoint changes all the time")]
    Contended,
}

impl From<LogProofError> for NewestError {
    fn from(error: LogProofError) -> Self {
        match error {
            LogProofError::Store(error) => Self::Store(error),
            other => Self::Proof(other),
        }
    }
}

/// The witnesses of one log.
#[derive(Debug)]
pub struct Witnesses {
    client: HttpClient,
    origin: Origin,
    log: Vec<LogVerifier>,
    peers: Vec<WitnessPeer>,
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

    fn keys(&self) -> Vec<WitnessVerifier> {
        self.peers.iter().map(|peer| peer.key.clone()).collect()
    }

    fn open(&self, text: &str) -> Result<(SignedCheckpoint, OpenedCheckpoint), CheckpointError> {
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
        let has = |peer: &&WitnessPeer| start.cosigned_by(&peer.key);
        let asked: Vec<&WitnessPeer> = self.peers.iter().filter(|peer| !has(peer)).collect();
        let asking = asked
            .iter()
            .map(|peer| self.ask(store, peer, &start.signed, head));
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

    /// The greatest tree head that the log and its witnesses hold. One whom nobody contradicts may still be old: compare
    /// with [`Newest::silent`].
    ///
    /// # Errors
    /// [`NewestError::Forked`] when a witness has seen another log, else when the store fails or is not this log's.
    pub async fn newest(&self, store: &dyn LogStore) -> Result<Newest, NewestError> {
        let log = self.stored(store, Head::Checkpoint).await?;
        let log = log.map(|stored| stored.opened.checkpoint.head);
        let seen = join_all(self.peers.iter().map(|peer| self.seen(peer))).await;
        let mut newest = Newest {
            log,
            greatest: log.map(|head| (head, Holder::Log)),
            silent: Vec::new(),
        };
        for (peer, seen) in self.peers.iter().zip(seen) {
            let witness = peer.key.name().to_string();
            match seen {
                Ok(None) => {}
                Ok(Some(head)) => {
                    continues(store, log, head, &witness).await?;
                    let greatest = newest.greatest.as_ref().map_or(0, |(head, _)| head.size);
                    if head.size > greatest {
                        newest.greatest = Some((head, Holder::Witness(witness)));
                    }
                }
                Err(problem) => newest.silent.push((witness, problem)),
            }
        }
        Ok(newest)
    }

    /// The tree head that a witness cosigned last.
    async fn seen(&self, peer: &WitnessPeer) -> Result<Option<TreeHead>, String> {
        let name = hex::encode(Sha256::digest(self.origin.as_str()));
        let url = format!("{}/checkpoint/{name}", peer.url.trim_end_matches('/'));
        let answer = self
            .client
            .exchange(Method::GET, &url, None, Bytes::new(), ANSWER_BYTES_MAX)
            .await;
        let (status, body) = answer.map_err(|error| error.to_string())?;
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(format!("HTTP status {status}")),
        }
        let text = std::str::from_utf8(&body).map_err(|_| "not text".to_owned())?;
        let key = std::slice::from_ref(&peer.key);
        let opened = open_checkpoint(text, &self.log, key).map_err(|error| error.to_string())?;
        if opened.checkpoint.origin != self.origin || opened.cosignatures.is_empty() {
            return Err("not its cosigned checkpoint of this log".to_owned());
        }
        Ok(Some(opened.checkpoint.head))
    }
}

/// Refuses a witness's tree that is not the beginning of the log's; a larger one can't be compared.
async fn continues(
    store: &dyn LogStore,
    log: Option<TreeHead>,
    seen: TreeHead,
    witness: &str,
) -> Result<(), NewestError> {
    let Some(log) = log.filter(|log| log.size >= seen.size) else {
        return Ok(());
    };
    let reader: &dyn LogReader = store;
    let proof = consistency_proof(reader, seen.size, &log).await?;
    verify_consistency(&seen, &log, &proof).map_err(|_| NewestError::Forked {
        witness: witness.to_owned(),
        seen: seen.size,
    })
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
