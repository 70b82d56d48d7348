//! Checkpoints: signed and cosigned tree heads (C2SP tlog-checkpoint, tlog-cosignature).

use super::key::{KeyId, LogKey, LogVerifier, Origin, WitnessKey, WitnessVerifier};
use super::note::{self, Note, NoteSignature};
use super::tree::TreeHead;
use tlog_tiles::tlog;

/// A tree head of a named log: three lines, no extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// How large it is and what it holds.
    pub head: TreeHead,
}

/// The text of a signed note: a checkpoint, the log's signature, and cosignatures. Well-formed, but nothing is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint(String);

/// A checkpoint that a known log key signed, with the known witnesses that cosigned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// The known log keys that signed it: one or more.
    pub signers: Vec<KeyId>,
    /// The known witnesses that cosigned it, in the note's order.
    pub cosignatures: Vec<Cosignature>,
}

/// One witness's word that it saw the log grow consistently up to a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// The witness's key.
    pub witness: KeyId,
    /// When it cosigned, in seconds of POSIX time.
    pub unix_s: u64,
}

/// Why a text is not a checkpoint that can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a signed note of our profile, or not a checkpoint in it.
    #[error("the checkpoint is malformed")]
    Malformed,
    /// No known log key signed it.
    #[error("the checkpoint is not signed by a known key of the log")]
    Unsigned,
    /// A signature under the name and id of a known key that does not hold.
    #[error("the checkpoint carries a wrong signature of a known key")]
    BadSignature,
    /// Two lines, or two known keys, of one name and id: readers could pick different ones.
    #[error("the checkpoint carries one key's signature twice, or two known keys look alike")]
    Ambiguous,
    /// Signed by a key of another log.
    #[error("the checkpoint is signed by the key of another log")]
    OtherLog,
}

impl Checkpoint {
    /// The three signed lines.
    #[must_use]
    pub fn body(&self) -> String {
        let root = tlog::Hash(self.head.root);
        format!("{}\n{}\n{root}\n", self.origin, self.head.size)
    }

    /// Reads the three signed lines.
    ///
    /// # Errors
    ///
    /// When they are not three, or any is written in another way than [`Checkpoint::body`] would.
    pub fn from_body(body: &str) -> Result<Self, CheckpointError> {
        let parsed = tlog_tiles::Checkpoint::from_bytes(body.as_bytes())
            .map_err(|_| CheckpointError::Malformed)?;
        let origin = Origin::new(parsed.origin()).map_err(|_| CheckpointError::Malformed)?;
        let head = TreeHead {
            size: parsed.size(),
            root: parsed.hash().0,
        };
        let checkpoint = Self { origin, head };
        // What is written in another way (extensions, other line ends) is not ours.
        if !head.is_sound() || checkpoint.body() != body {
            return Err(CheckpointError::Malformed);
        }
        Ok(checkpoint)
    }

    /// Signs it as the log.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::OtherLog`] when `key` is of another log.
    pub fn sign(&self, key: &LogKey) -> Result<SignedCheckpoint, CheckpointError> {
        if key.origin() != self.origin {
            return Err(CheckpointError::OtherLog);
        }
        let body = self.body();
        let line = key.line(&body);
        Ok(SignedCheckpoint(format!("{body}\n{line}")))
    }

    /// The cosignature line of a witness at `unix_s`, with its line end. The caller has verified consistency.
    #[must_use]
    pub fn cosign(&self, key: &WitnessKey, unix_s: u64) -> String {
        key.line(&self.body(), unix_s)
    }
}

impl SignedCheckpoint {
    /// Checks the form of `text`; no signature is looked at.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Malformed`].
    pub fn parse(text: impl Into<String>) -> Result<Self, CheckpointError> {
        let text = text.into();
        let note = note::parse(&text).ok_or(CheckpointError::Malformed)?;
        Checkpoint::from_body(note.body)?;
        Ok(Self(text))
    }

    /// The text of the note.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the note claims; only [`open_checkpoint`] makes it more than a claim.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Malformed`].
    pub fn claimed(&self) -> Result<Checkpoint, CheckpointError> {
        let note = note::parse(&self.0).ok_or(CheckpointError::Malformed)?;
        Checkpoint::from_body(note.body)
    }

    /// Adds those of a witness's answer `lines` that verify under `witnesses`, in place of older ones of the same key.
    ///
    /// # Errors
    ///
    /// When the lines are malformed, or one under a known key does not hold.
    pub fn with_cosignatures(
        &self,
        lines: &str,
        witnesses: &[WitnessVerifier],
    ) -> Result<Self, CheckpointError> {
        let own = note::parse(&self.0).ok_or(CheckpointError::Malformed)?;
        let answered = note::signatures(lines).ok_or(CheckpointError::Malformed)?;
        let offered = Note {
            body: own.body,
            signatures: answered,
        };
        cosignatures(&offered, witnesses)?;
        let known = |signature: &NoteSignature| {
            find_witness(signature, witnesses).is_ok_and(|w| w.is_some())
        };
        let new: Vec<&NoteSignature> = offered.signatures.iter().filter(|s| known(s)).collect();
        let replaced =
            |old: &NoteSignature| new.iter().any(|s| s.name == old.name && s.id == old.id);
        let mut text = format!("{}\n", own.body);
        for signature in own.signatures.iter().filter(|old| !replaced(old)) {
            text.push_str(&signature.line());
        }
        for signature in new {
            text.push_str(&signature.line());
        }
        Self::parse(text)
    }
}

impl std::fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Verifies the note `text` under the keys `log` and `witnesses`: signatures of other keys are passed over, a wrong one
/// of a known key refuses the whole.
///
/// # Errors
///
/// When the form is not ours, no known log key signed, or anything is wrong with a known key's signature.
pub fn open_checkpoint(
    text: &str,
    log: &[LogVerifier],
    witnesses: &[WitnessVerifier],
) -> Result<OpenedCheckpoint, CheckpointError> {
    let note = note::parse(text).ok_or(CheckpointError::Malformed)?;
    let checkpoint = Checkpoint::from_body(note.body)?;
    let signers = signers(&note, log)?;
    if signers.is_empty() {
        return Err(CheckpointError::Unsigned);
    }
    if signers
        .iter()
        .any(|key| key.name().as_str() != checkpoint.origin.as_str())
    {
        return Err(CheckpointError::OtherLog);
    }
    Ok(OpenedCheckpoint {
        checkpoint,
        signers: signers.into_iter().map(LogVerifier::keyid).collect(),
        cosignatures: cosignatures(&note, witnesses)?,
    })
}

fn signers<'k>(
    note: &Note<'_>,
    log: &'k [LogVerifier],
) -> Result<Vec<&'k LogVerifier>, CheckpointError> {
    let mut signers: Vec<&LogVerifier> = Vec::new();
    for signature in &note.signatures {
        let named =
            |key: &&LogVerifier| *key.name() == signature.name && key.note_id() == signature.id;
        let Some(key) = only(log.iter().filter(named))? else {
            continue;
        };
        if signers.contains(&key) {
            return Err(CheckpointError::Ambiguous);
        }
        if !key.verifies(note.body, &signature.bytes) {
            return Err(CheckpointError::BadSignature);
        }
        signers.push(key);
    }
    Ok(signers)
}

fn cosignatures(
    note: &Note<'_>,
    witnesses: &[WitnessVerifier],
) -> Result<Vec<Cosignature>, CheckpointError> {
    let mut found: Vec<Cosignature> = Vec::new();
    for signature in &note.signatures {
        let Some(key) = find_witness(signature, witnesses)? else {
            continue;
        };
        let witness = key.keyid();
        if found
            .iter()
            .any(|cosignature| cosignature.witness == witness)
        {
            return Err(CheckpointError::Ambiguous);
        }
        let unix_s = key
            .verified_time(note.body, &signature.bytes)
            .ok_or(CheckpointError::BadSignature)?;
        found.push(Cosignature { witness, unix_s });
    }
    Ok(found)
}

fn find_witness<'k>(
    signature: &NoteSignature,
    witnesses: &'k [WitnessVerifier],
) -> Result<Option<&'k WitnessVerifier>, CheckpointError> {
    let named =
        |key: &&WitnessVerifier| *key.name() == signature.name && key.note_id() == signature.id;
    only(witnesses.iter().filter(named))
}

fn only<T>(mut found: impl Iterator<Item = T>) -> Result<Option<T>, CheckpointError> {
    let first = found.next();
    match found.next() {
        Some(_) => Err(CheckpointError::Ambiguous),
        None => Ok(first),
    }
}
