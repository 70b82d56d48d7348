//! What a witness remembers, and when it cosigns.

use crate::clock::Clock;
use lethe_receipts::log::{
    AddCheckpoint, Checkpoint, CheckpointError, LogVerifier, Origin, SignedCheckpoint, TreeHead,
    WitnessKey, open_checkpoint, verify_consistency,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

const LOCK: &str = "lock";
/// A checkpoint with all its signatures is at most this long.
const CHECKPOINT_BYTES_MAX: u64 = 64 << 10;

/// Why a witness can't start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory failed.
    #[error("the witness's state {path}: {error}")]
    Disk {
        /// What was touched.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another witness works on the same directory.
    #[error("the witness's state {0} is in use")]
    InUse(PathBuf),
    /// What it remembered of a log is not its own cosigned checkpoint. Starting without it could cosign a second history.
    #[error("the witness's state {path} is not usable: {error}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: CheckpointError,
    },
}

/// Why a tree head is not cosigned; each is one status of C2SP tlog-witness.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// 404.
    #[error("the log is not known here")]
    UnknownLog,
    /// 403.
    #[error("no known key of the log signed the checkpoint: {0}")]
    Unsigned(CheckpointError),
    /// 400.
    #[error("the old size is larger than the checkpoint's")]
    OldSize,
    /// 409, with the size that was cosigned last.
    #[error("the tree head cosigned last is of {known} entries")]
    Conflict {
        /// Entries of the tree that was cosigned last.
        known: u64,
    },
    /// 422: a proof that does not hold, or a fork.
    #[error("the checkpoint does not continue the one cosigned last")]
    Inconsistent,
    /// 500: what would be cosigned can't be remembered.
    #[error("the witness's state can't be written: {0}")]
    Disk(io::Error),
}

#[derive(Debug)]
struct Log {
    keys: Vec<LogVerifier>,
    file: PathBuf,
    /// Held from comparing to having remembered: two requests can't both continue the same tree.
    last: Arc<Mutex<Option<Cosigned>>>,
}

#[derive(Clone, Debug)]
struct Cosigned {
    head: TreeHead,
    text: SignedCheckpoint,
}

/// One witness with the logs that it knows.
#[derive(Debug)]
pub struct Witness {
    key: WitnessKey,
    clock: Arc<dyn ClockDebug>,
    logs: BTreeMap<Origin, Log>,
    _lock: File,
}

/// A clock in something that is printed in tests.
trait ClockDebug: Clock + std::fmt::Debug {}
impl<C: Clock + std::fmt::Debug> ClockDebug for C {}

impl Witness {
    /// A witness that remembers in `dir` and knows the logs of `keys`, which may have several keys of one log.
    ///
    /// # Errors
    /// [`OpenError`] when the directory is in use, or what it remembers can't be relied on.
    pub fn open<C: Clock + std::fmt::Debug>(
        dir: &Path,
        key: WitnessKey,
        keys: Vec<LogVerifier>,
        clock: C,
    ) -> Result<Self, OpenError> {
        let disk = |error| OpenError::Disk {
            path: dir.to_owned(),
            error,
        };
        std::fs::create_dir_all(dir).map_err(disk)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(dir.join(LOCK))
            .map_err(disk)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(disk(error)),
        }
        let mut by_origin: BTreeMap<Origin, Vec<LogVerifier>> = BTreeMap::new();
        for log in keys {
            // A key's name is its log's origin; as a name it can always be one.
            let Ok(origin) = Origin::new(log.name().as_str()) else {
                continue;
            };
            let known = by_origin.entry(origin).or_default();
            if !known.contains(&log) {
                known.push(log);
            }
        }
        let mut logs = BTreeMap::new();
        for (origin, keys) in by_origin {
            let file = dir.join(format!("{}.checkpoint", name_of(&origin)));
            let last = remembered(&file, &origin, &keys, &key)?;
            let last = Arc::new(Mutex::new(last));
            logs.insert(origin, Log { keys, file, last });
        }
        Ok(Self {
            key,
            clock: Arc::new(clock),
            logs,
            _lock: lock,
        })
    }

    /// The logs that it knows.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.logs.keys()
    }

    /// Cosigns what continues the tree head cosigned last, and answers the signature line once that is remembered.
    ///
    /// A request that is given up after the comparison has begun is carried out all the same, and only then is the next one compared:
    /// otherwise that one could be answered while this one's tree head is still on its way to the disk.
    ///
    /// # Errors
    /// [`AddError`]; nothing was cosigned then.
    pub async fn add(self: &Arc<Self>, request: AddCheckpoint) -> Result<String, AddError> {
        let claimed = request.checkpoint.claimed().map_err(AddError::Unsigned)?;
        let log = self.logs.get(&claimed.origin).ok_or(AddError::UnknownLog)?;
        let opened = open_checkpoint(request.checkpoint.as_str(), &log.keys, &[])
            .map_err(AddError::Unsigned)?;
        let checkpoint = opened.checkpoint;
        if request.old_size > checkpoint.head.size {
            return Err(AddError::OldSize);
        }
        let file = log.file.clone();
        let last = Arc::clone(&log.last).lock_owned().await;
        let witness = Arc::clone(self);
        let cosign = move || witness.cosign(last, &file, &request, &checkpoint);
        tokio::task::spawn_blocking(cosign)
            .await
            .map_err(|error| AddError::Disk(io::Error::other(error)))?
    }

    /// Compares, cosigns and remembers, under a lock that is its own until it has.
    fn cosign(
        &self,
        mut last: OwnedMutexGuard<Option<Cosigned>>,
        file: &Path,
        request: &AddCheckpoint,
        checkpoint: &Checkpoint,
    ) -> Result<String, AddError> {
        let known = last.as_ref().map_or(TreeHead::EMPTY, |last| last.head);
        if request.old_size != known.size {
            return Err(AddError::Conflict { known: known.size });
        }
        if checkpoint.head.size == known.size && checkpoint.head != known {
            return Err(AddError::Conflict { known: known.size });
        }
        verify_consistency(&known, &checkpoint.head, &request.proof)
            .map_err(|_| AddError::Inconsistent)?;
        let unix_s = u64::try_from(self.clock.now().0 / 1000).unwrap_or_default();
        let line = checkpoint.cosign(&self.key, unix_s);
        let own = [self.key.verifier()];
        // What is kept carries the log's signature and this witness's: proof for both sides of any quarrel.
        let text = request
            .checkpoint
            .with_cosignatures(&line, &own)
            .map_err(AddError::Unsigned)?;
        remember(file, text.to_string().as_bytes()).map_err(AddError::Disk)?;
        *last = Some(Cosigned {
            head: checkpoint.head,
            text,
        });
        Ok(line)
    }

    /// The newest checkpoint that it cosigned of the log whose origin has this name (hexadecimal SHA-256 of the origin).
    pub async fn newest(&self, name: &str) -> Option<SignedCheckpoint> {
        let log = self.logs.iter().find(|(origin, _)| name_of(origin) == name);
        let last = log?.1.last.lock().await;
        last.as_ref().map(|last| last.text.clone())
    }
}

fn name_of(origin: &Origin) -> String {
    hex::encode(Sha256::digest(origin.as_str()))
}

fn remembered(
    file: &Path,
    origin: &Origin,
    keys: &[LogVerifier],
    key: &WitnessKey,
) -> Result<Option<Cosigned>, OpenError> {
    let disk = |error| OpenError::Disk {
        path: file.to_owned(),
        error,
    };
    let unusable = |error| OpenError::Unusable {
        path: file.to_owned(),
        error,
    };
    let mut text = String::new();
    match File::open(file) {
        Ok(found) => {
            let read = found
                .take(CHECKPOINT_BYTES_MAX + 1)
                .read_to_string(&mut text);
            read.map_err(disk)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk(error)),
    }
    let opened = open_checkpoint(&text, keys, &[key.verifier()]).map_err(unusable)?;
    if opened.cosignatures.is_empty() {
        return Err(unusable(CheckpointError::Unsigned));
    }
    if opened.checkpoint.origin != *origin {
        return Err(unusable(CheckpointError::OtherLog));
    }
    Ok(Some(Cosigned {
        head: opened.checkpoint.head,
        text: SignedCheckpoint::parse(text).map_err(unusable)?,
    }))
}

/// Replaces the file whole: aside, synced, moved, the directory synced.
fn remember(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("."));
    let mut aside = tempfile::Builder::new()
        .prefix(".aside-")
        .tempfile_in(dir)?;
    aside.write_all(bytes)?;
    aside.as_file().sync_all()?;
    aside.persist(file)?;
    File::open(dir)?.sync_all()
}
