//! The embedded region: an index in `redb` and body files, in one directory (`docs/architecture.md`).
//!
//! A write first makes its body file durable (aside, synced, renamed, directory synced) and then visible, by one commit
//! of the index that it shares with the writes beside it. Until that commit the old object stands. A body file that no
//! row names is removed, after the commit that let go of it or by the next sweep.
//!
//! Keys are kept as they are and lie in UTF-8 byte order. There is no versioning: the one version is called `null`.

mod bodies;
mod directory;
mod expiry;
mod ids;
mod index;
mod listing;
mod multipart;
mod objects;
mod reader;
mod reaper;
mod rows;
mod selection;
mod steps;
mod store;
mod tables;
#[cfg(test)]
mod tests;

pub use directory::{EmbeddedError, StoreIdentity};

use super::{HeadFields, KeyRules, RegionError, RegionProfile, RuleKind};
use crate::clock::{Clock, SystemClock};
use bodies::{BodyFiles, BodyLimits, Reap};
use directory::Directory;
use expiry::{Expire, Expiry, Swept};
use index::{IndexQueue, IndexSettings, Opened, Writer};
use reaper::Reaper;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use steps::Steps;

/// Bytes of user metadata (names and values) of one object.
const USER_METADATA_BYTES_MAX: usize = 8192;
/// Bytes of Content-Disposition of one object.
const CONTENT_DISPOSITION_BYTES_MAX: usize = 8192;
/// Tags of one object, as at S3.
const TAGS_MAX: usize = 10;
/// Messages that wait for the reaper at most; what finds no room is left to its next sweep.
const REAPER_QUEUE_LEN: usize = 4096;

/// How an embedded store is run.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// Where `last_modified` comes from.
    pub clock: Arc<dyn Clock>,
    /// Memory for pages of the index.
    pub index_cache_bytes: usize,
    /// Time between two sweeps for orphans.
    pub sweep_interval: Duration,
    /// Time between two looks for what lifecycle rules let go.
    pub lifecycle_interval: Duration,
    /// Bytes of the disk that writes leave free, so that the index can always go on and deletes work.
    pub free_bytes_min: u64,
    /// Bytes of the disk that writes of the index alone leave free, deletes aside.
    pub index_bytes_min: u64,
    /// Longest wait for one step on the disk, and for the index.
    pub step_deadline: Duration,
    /// Longest wait for the next bytes of a request body.
    pub body_deadline: Duration,
    steps: Steps,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            index_cache_bytes: 64 << 20,
            sweep_interval: Duration::from_secs(3600),
            lifecycle_interval: Duration::from_secs(3600),
            free_bytes_min: 64 << 20,
            index_bytes_min: 8 << 20,
            step_deadline: Duration::from_secs(30),
            body_deadline: Duration::from_secs(300),
            steps: Steps::default(),
        }
    }
}

impl fmt::Debug for EmbeddedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedOptions")
            .field("index_cache_bytes", &self.index_cache_bytes)
            .field("sweep_interval", &self.sweep_interval)
            .field("free_bytes_min", &self.free_bytes_min)
            .finish_non_exhaustive()
    }
}

/// A region store in a directory of this machine.
pub struct EmbeddedStore {
    bodies: Arc<BodyFiles>,
    index: Arc<Opened>,
    /// Absent only while the store is dropped.
    queue: Option<IndexQueue>,
    reap: SyncSender<Reap>,
    expire: SyncSender<Expire>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    clock: Arc<dyn Clock>,
    profile: RegionProfile,
    step_deadline: Duration,
    directory: Directory,
}

impl EmbeddedStore {
    /// Makes a new store in a directory that is absent or empty, and opens it. Blocks on the disk.
    ///
    /// # Errors
    /// [`EmbeddedError::Occupied`] when anything is in the directory.
    pub fn create(dir: &Path) -> Result<Self, EmbeddedError> {
        Self::create_with(dir, EmbeddedOptions::default())
    }

    /// [`Self::create`] with options.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_with(dir: &Path, options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        Directory::create(dir, &index_settings(dir, &options))?;
        Self::open_with(dir, options)
    }

    /// Opens the store that was created in a directory; never creates one. Blocks on the disk.
    ///
    /// # Errors
    /// [`EmbeddedError::Absent`] when there is none, [`EmbeddedError::InUse`] when it is open already.
    pub fn open(dir: &Path) -> Result<Self, EmbeddedError> {
        Self::open_with(dir, EmbeddedOptions::default())
    }

    /// [`Self::open`] with options.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(dir: &Path, options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let settings = index_settings(dir, &options);
        let (directory, database) = Directory::open(dir, &settings)?;
        let disk = |step: &'static str| {
            move |source| EmbeddedError::Disk {
                path: dir.to_owned(),
                step,
                source,
            }
        };
        let (reap, reaped) = sync_channel(REAPER_QUEUE_LEN);
        let limits = BodyLimits {
            free_bytes_min: options.free_bytes_min,
            index_bytes_min: options.index_bytes_min,
            step_deadline: options.step_deadline,
            body_deadline: options.body_deadline,
        };
        let bodies = BodyFiles::open(dir, reap.clone(), options.steps.clone(), &limits)
            .map_err(disk("listing the files aside"))?;
        let bodies = Arc::new(bodies);
        let index = Arc::new(Opened::new(database));
        let stopping = Arc::new(AtomicBool::new(false));
        let (writer, queue) = Writer::new(
            Arc::clone(&index),
            settings,
            Arc::clone(&bodies),
            options.step_deadline,
        );
        let reaper = Reaper {
            bodies: Arc::clone(&bodies),
            index: Arc::clone(&index),
            queue: reaped,
            stopping: Arc::clone(&stopping),
            sweep_interval: options.sweep_interval,
        };
        let (expire, told) = sync_channel(1);
        let expiry = Expiry {
            index: Arc::clone(&index),
            changes: queue.clone(),
            clock: Arc::clone(&options.clock),
            told,
            stopping: Arc::clone(&stopping),
            interval: options.lifecycle_interval,
        };
        let mut store = Self {
            bodies,
            index,
            queue: Some(queue),
            reap,
            expire,
            stopping,
            threads: Vec::new(),
            clock: options.clock,
            profile: profile(),
            step_deadline: options.step_deadline,
            directory,
        };
        // Pushed one by one: were the second not to start, dropping the store ends the first.
        let failed = disk("starting its threads");
        store
            .threads
            .push(spawn("region-index", || writer.run()).map_err(&failed)?);
        store
            .threads
            .push(spawn("region-reaper", || reaper.run()).map_err(&failed)?);
        store
            .threads
            .push(spawn("region-lifecycle", || expiry.run()).map_err(&failed)?);
        Ok(store)
    }

    /// What tells this store from every other.
    #[must_use]
    pub fn identity(&self) -> StoreIdentity {
        self.directory.identity
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory.path
    }

    /// Removes orphans now, and says how many there were.
    ///
    /// # Errors
    /// [`RegionError::Unavailable`] when the disk or the index fails.
    pub async fn sweep(&self) -> Result<u64, RegionError> {
        let unavailable = |reason: String| RegionError::Unavailable {
            operation: "sweep",
            reason,
        };
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.reap
            .try_send(Reap::Sweep(answer))
            .map_err(|_| unavailable("the reaper has too much to do".to_owned()))?;
        answered
            .await
            .map_err(|_| unavailable("the reaper has ended".to_owned()))?
            .map_err(unavailable)
    }
}

impl EmbeddedStore {
    /// Deletes now what lifecycle rules let go, and says how many objects and uploads there were.
    ///
    /// # Errors
    /// [`RegionError::Unavailable`] when the index fails.
    pub async fn expire(&self) -> Result<u64, RegionError> {
        self.sweep_due().await.map(|swept| swept.gone)
    }

    async fn sweep_due(&self) -> Result<Swept, RegionError> {
        let ended = |reason: &str| RegionError::Unavailable {
            operation: "lifecycle",
            reason: reason.to_owned(),
        };
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.expire
            .try_send(Expire::Now(answer))
            .map_err(|_| ended("another look is waiting"))?;
        answered
            .await
            .map_err(|_| ended("the lifecycle's thread has ended"))?
    }
}

impl Drop for EmbeddedStore {
    /// Waits for the writes that were accepted, so that the directory can be opened again at once.
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.queue = None;
        let _ = self.reap.send(Reap::Stop);
        // Its end lets go of the last way to the index's thread, which then ends too.
        let _ = self.expire.send(Expire::Stop);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.index.close();
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore")
            .field("identity", &self.directory.identity)
            .finish_non_exhaustive()
    }
}

fn index_settings(dir: &Path, options: &EmbeddedOptions) -> IndexSettings {
    IndexSettings {
        path: Directory::index_path(dir),
        cache_bytes: options.index_cache_bytes,
        steps: options.steps.clone(),
    }
}

fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, std::io::Error> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
}

fn profile() -> RegionProfile {
    RegionProfile {
        conditional_put: true,
        conditional_complete: true,
        conditional_copy: true,
        conditional_delete: true,
        equal_parts: false,
        versioning: false,
        tagging: true,
        keys: KeyRules::all(),
        put_checksum: false,
        put_checksum_trailer: false,
        object_lock: false,
        object_lock_copy: false,
        // Also those on versions, of which there are none.
        lifecycle: RuleKind::all(),
        content_disposition_bytes_max: CONTENT_DISPOSITION_BYTES_MAX,
        user_metadata_bytes_max: USER_METADATA_BYTES_MAX,
        version_paging: None,
    }
}
