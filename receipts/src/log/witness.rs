//! What a log asks of a witness (C2SP tlog-witness, `add-checkpoint`).

use super::checkpoint::SignedCheckpoint;
use super::note::NOTE_BYTES_MAX;
use super::tree::{Hash, SIZE_MAX};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// The body of an `add-checkpoint` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the tree that the witness cosigned last, or 0.
    pub old_size: u64,
    /// The consistency proof from there.
    pub proof: Vec<Hash>,
    /// The tree head to cosign, signed by the log.
    pub checkpoint: SignedCheckpoint,
}

/// A request that is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request is not a well-formed add-checkpoint request")]
pub struct RequestError;

/// C2SP tlog-witness allows no more lines than this.
const PROOF_LINES_MAX: usize = 63;

impl AddCheckpoint {
    /// No request is longer.
    pub const BYTES_MAX: usize = NOTE_BYTES_MAX + 4096;

    /// The text of the request.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("old {}\n", self.old_size);
        for hash in &self.proof {
            let _infallible = writeln!(text, "{}", STANDARD.encode(hash));
        }
        text.push('\n');
        text.push_str(self.checkpoint.as_str());
        text
    }

    /// Reads a request.
    ///
    /// # Errors
    ///
    /// When it is not one, or written in another way than [`AddCheckpoint::text`] would.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        if text.len() > Self::BYTES_MAX {
            return Err(RequestError);
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(RequestError)?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old "));
        let old_size: u64 = old_size
            .and_then(|size| size.parse().ok())
            .filter(|size| *size <= SIZE_MAX)
            .ok_or(RequestError)?;
        let proof: Vec<Hash> = lines
            .take(PROOF_LINES_MAX + 1)
            .map(hash)
            .collect::<Option<_>>()
            .filter(|proof: &Vec<Hash>| proof.len() <= PROOF_LINES_MAX)
            .ok_or(RequestError)?;
        let checkpoint = SignedCheckpoint::parse(checkpoint).map_err(|_| RequestError)?;
        let request = Self {
            old_size,
            proof,
            checkpoint,
        };
        if request.text() != text {
            return Err(RequestError);
        }
        Ok(request)
    }
}

fn hash(line: &str) -> Option<Hash> {
    STANDARD.decode(line).ok()?.try_into().ok()
}
