//! A log in a directory: written aside, synced, moved to its place, the directory synced.

use super::store::{
    Head, LogPath, LogReader, LogStore, LogStoreError, ReceiptId, Swap, Version, Versioned,
};
use async_trait::async_trait;
use bytes::Bytes;
use lethe_receipts::log::TilePath;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Held while a changing file is compared and replaced; processes on one machine and one file system see it.
const LOCK: &str = "lock";
const LOCK_DEADLINE: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// A disk that hangs must not hang its caller.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// A log's directory. It must be in no backup of the key store.
#[derive(Clone, Debug)]
pub struct DirLog {
    root: PathBuf,
}

impl DirLog {
    /// The log in `root`, which exists already.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn place(&self, path: &LogPath) -> PathBuf {
        self.root.join(path.to_string())
    }

    async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: impl fmt::Display,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, LogStoreError> {
        let done = tokio::time::timeout(CALL_DEADLINE, tokio::task::spawn_blocking(work)).await;
        match done {
            Ok(Ok(outcome)) => outcome.map_err(|error| LogStoreError::away(operation, path, error)),
            Ok(Err(error)) => Err(LogStoreError::away(operation, path, error)),
            Err(_) => Err(LogStoreError::away(
                operation,
                path,
                "the disk took too long",
            )),
        }
    }

    async fn write_once(
        &self,
        operation: &'static str,
        path: LogPath,
        bytes: Bytes,
    ) -> Result<(), LogStoreError> {
        let (root, place) = (self.root.clone(), self.place(&path));
        let same = self.call(operation, &path, move || {
            write_once(&root, &place, &bytes, path.bytes_max())
        });
        if same.await? {
            return Ok(());
        }
        Err(LogStoreError::Differs {
            path: path.to_string(),
        })
    }
}

#[async_trait]
impl LogReader for DirLog {
    async fn read(&self, path: &LogPath) -> Result<Option<Bytes>, LogStoreError> {
        let (place, max) = (self.place(path), path.bytes_max());
        let found = self
            .call("reading", path, move || read(&place, max))
            .await?;
        match found {
            Found::Nothing => Ok(None),
            Found::Bytes(bytes) => Ok(Some(bytes)),
            Found::TooLong => Err(LogStoreError::lying(
                "reading",
                path,
                "the file is too long",
            )),
        }
    }

    async fn statements(
        &self,
        after: Option<ReceiptId>,
        max: usize,
    ) -> Result<Vec<ReceiptId>, LogStoreError> {
        let dir = self.root.join("statements");
        let listing = self.call("listing", "statements", move || {
            statements(&dir, after, max)
        });
        listing.await
    }
}

#[async_trait]
impl LogStore for DirLog {
    async fn write_tile(&self, tile: &TilePath, bytes: Bytes) -> Result<(), LogStoreError> {
        self.write_once("writing", LogPath::Tile(*tile), bytes)
            .await
    }

    async fn put_statement(&self, id: ReceiptId, envelope: Bytes) -> Result<(), LogStoreError> {
        self.write_once("writing", LogPath::Statement(id), envelope)
            .await
    }

    async fn head(&self, head: Head) -> Result<Option<Versioned>, LogStoreError> {
        let found = self.read(&LogPath::Head(head)).await?;
        Ok(found.map(|bytes| Versioned {
            version: version(&bytes),
            bytes,
        }))
    }

    async fn swap(
        &self,
        head: Head,
        expected: Option<&Version>,
        bytes: Bytes,
    ) -> Result<Swap, LogStoreError> {
        let path = LogPath::Head(head);
        let (root, place, max) = (self.root.clone(), self.place(&path), path.bytes_max());
        let expected = expected.cloned();
        self.call("replacing", &path, move || {
            let _locked = lock(&root)?;
            let held = match read(&place, max)? {
                Found::Nothing => None,
                Found::Bytes(bytes) => Some(version(&bytes)),
                Found::TooLong => return Err(io::Error::other("the file is too long")),
            };
            if held != expected {
                return Ok(Swap::Lost);
            }
            let aside = write_aside(&place, &bytes)?;
            aside.persist(&place).map_err(|error| error.error)?;
            sync_dir(&root)?;
            Ok(Swap::Done)
        })
        .await
    }
}

/// Files whose content says all of their state, so the content is the version.
fn version(bytes: &[u8]) -> Version {
    Version(hex::encode(Sha256::digest(bytes)))
}

enum Found {
    Nothing,
    Bytes(Bytes),
    TooLong,
}

fn read(place: &Path, max: usize) -> io::Result<Found> {
    let file = match File::open(place) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Ok(Found::TooLong);
    }
    Ok(Found::Bytes(bytes.into()))
}

/// Whether the place holds `bytes` now.
fn write_once(root: &Path, place: &Path, bytes: &[u8], max: usize) -> io::Result<bool> {
    let same = |found| matches!(found, Found::Bytes(held) if held == bytes);
    match read(place, max)? {
        Found::Nothing => {}
        found => {
            // It may be there because a call before this one failed to sync.
            sync_place(place)?;
            return Ok(same(found));
        }
    }
    make_parents(root, place)?;
    let aside = write_aside(place, bytes)?;
    match aside.persist_noclobber(place) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.error),
    }
    sync_place(place)?;
    Ok(same(read(place, max)?))
}

fn parent(place: &Path) -> &Path {
    place.parent().unwrap_or(Path::new("."))
}

fn sync_place(place: &Path) -> io::Result<()> {
    sync_dir(parent(place))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes the directories between the root and a file, each durable in the one above it.
fn make_parents(root: &Path, place: &Path) -> io::Result<()> {
    let inside = parent(place).strip_prefix(root).map_err(io::Error::other)?;
    let mut dir = root.to_owned();
    for part in inside {
        let above = dir.clone();
        dir.push(part);
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        sync_dir(&above)?;
    }
    Ok(())
}

fn write_aside(place: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut aside = tempfile::Builder::new()
        .prefix(".aside-")
        .tempfile_in(parent(place))?;
    aside.write_all(bytes)?;
    aside.as_file().sync_all()?;
    Ok(aside)
}

fn lock(root: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(root.join(LOCK))?;
    let until = Instant::now() + LOCK_DEADLINE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another process holds the lock"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn statements(dir: &Path, after: Option<ReceiptId>, max: usize) -> io::Result<Vec<ReceiptId>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // The smallest `max` of them, without holding all.
    let mut ids = std::collections::BTreeSet::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
        let Some(id) = id.and_then(|id| id.parse::<ReceiptId>().ok()) else {
            continue;
        };
        // Opening anything else can fail, or never return.
        if !entry.file_type()?.is_file() {
            continue;
        }
        if after.is_none_or(|after| id > after) {
            ids.insert(id);
        }
        if ids.len() > max {
            ids.pop_last();
        }
    }
    Ok(ids.into_iter().collect())
}
