//! What is newest of a log, as its store and its witnesses hold it: what a key store is compared with before it opens.

use super::cosign::{ANSWER_BYTES_MAX, WitnessPeer, Witnesses};
use super::proofs::{LogProofError, consistency_proof};
use super::store::{Head, LogPath, LogReader, LogStoreError};
use bytes::Bytes;
use futures::future::join_all;
use http::{Method, StatusCode};
use lethe_receipts::log::{CheckpointError, TreeHead, open_checkpoint, verify_consistency};
use sha2::{Digest, Sha256};

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
    /// The log's own; `None` where it has no checkpoint, or is away.
    pub log: Option<TreeHead>,
    /// Why the log's store could not be asked.
    pub away: Option<String>,
    /// The greatest that anybody holds, and who.
    pub greatest: Option<(TreeHead, Holder)>,
    /// Witnesses, by name, that did not answer usably, and why.
    pub silent: Vec<(String, String)>,
}

impl Newest {
    /// Whether a witness has seen more of the log than its store, which answers, holds: it was rolled back.
    #[must_use]
    pub fn rolled_back(&self) -> bool {
        let log = self.log.map_or(0, |head| head.size);
        let greatest = self.greatest.as_ref();
        self.away.is_none() && greatest.is_some_and(|(head, _)| head.size > log)
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

impl Witnesses {
    /// The greatest tree head that the log and its witnesses hold. One whom nobody contradicts may still be old: compare
    /// with [`Newest::silent`].
    ///
    /// # Errors
    /// [`NewestError::Forked`] when a witness has seen another log, else when the store is not this log's. One that does
    /// not answer is no error: it is [`Newest::away`].
    pub async fn newest(&self, log: &dyn LogReader) -> Result<Newest, NewestError> {
        let mut away = None;
        let head = match log.read(&LogPath::Head(Head::Checkpoint)).await {
            Ok(None) => None,
            Ok(Some(bytes)) => {
                let text = std::str::from_utf8(&bytes).map_err(|_| CheckpointError::Malformed)?;
                Some(self.open(text)?.1.checkpoint.head)
            }
            Err(error @ LogStoreError::Away { .. }) => {
                away = Some(error.to_string());
                None
            }
            Err(error) => return Err(error.into()),
        };
        let seen = join_all(self.peers.iter().map(|peer| self.seen(peer))).await;
        let mut newest = Newest {
            log: head,
            away,
            greatest: head.map(|head| (head, Holder::Log)),
            silent: Vec::new(),
        };
        for (peer, seen) in self.peers.iter().zip(seen) {
            let witness = peer.key.name().to_string();
            match seen {
                Ok(None) => {}
                Ok(Some(head)) => {
                    continues(log, newest.log, head, &witness).await?;
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

    /// The tree head that each witness cosigned last, by its name; `Err` where it does not say.
    pub async fn seen_by_each(&self) -> Vec<(String, Result<Option<TreeHead>, String>)> {
        let seen = join_all(self.peers.iter().map(|peer| self.seen(peer))).await;
        let names = self.names().map(str::to_owned);
        names.zip(seen).collect()
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
    reader: &dyn LogReader,
    log: Option<TreeHead>,
    seen: TreeHead,
    witness: &str,
) -> Result<(), NewestError> {
    let Some(log) = log.filter(|log| log.size >= seen.size) else {
        return Ok(());
    };
    let proof = consistency_proof(reader, seen.size, &log).await?;
    verify_consistency(&seen, &log, &proof).map_err(|_| NewestError::Forked {
        witness: witness.to_owned(),
        seen: seen.size,
    })
}
