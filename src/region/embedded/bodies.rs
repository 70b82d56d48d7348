//! Body files: written aside, synced, moved to their place; never changed afterwards.

use super::super::{Body, BodyError, ByteStream, RegionError};
use super::ids::{self, Id};
use super::steps::{Step, Steps};
use bytes::Bytes;
use futures::StreamExt;
use std::collections::{HashMap, HashSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes gathered before one write call.
const GATHER_BYTES: usize = 256 * 1024;
/// Bytes written between two syncs, so that the last sync of a large body stays short.
const SYNC_EVERY_BYTES: u64 = 64 << 20;

/// What the reaper thread is told.
pub(super) enum Reap {
    /// Remove these files unless a reader holds them.
    Files(Vec<Id>),
    /// Look for orphans now, and say how many were removed.
    Sweep(tokio::sync::oneshot::Sender<Result<u64, String>>),
    /// End.
    Stop,
}

#[derive(Default)]
struct Guarded {
    /// Files that a write may yet put into the index.
    in_flight: HashSet<Id>,
    /// Files that readers will open later, and how many of them.
    pinned: HashMap<Id, u32>,
}

/// The directory of body files.
pub(super) struct BodyFiles {
    bodies: PathBuf,
    aside: PathBuf,
    guarded: Mutex<Guarded>,
    reap: SyncSender<Reap>,
    steps: Steps,
    free_bytes_min: u64,
    index_bytes_min: u64,
    /// Longest wait for one step on the disk.
    pub(super) step_deadline: Duration,
    /// Longest wait for the next bytes of a request body.
    pub(super) body_deadline: Duration,
}

/// Limits of [`BodyFiles`].
pub(super) struct BodyLimits {
    pub(super) free_bytes_min: u64,
    pub(super) index_bytes_min: u64,
    pub(super) step_deadline: Duration,
    pub(super) body_deadline: Duration,
}

impl BodyFiles {
    /// Makes the directories of a new store.
    pub(super) fn create(dir: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(dir.join("aside"))?;
        for shard in 0..=u8::MAX {
            builder.create(dir.join("bodies").join(format!("{shard:02x}")))?;
        }
        File::open(dir.join("bodies"))?.sync_all()?;
        File::open(dir)?.sync_all()
    }

    /// Opens the directories of a store, and removes what earlier processes left aside.
    pub(super) fn open(
        dir: &Path,
        reap: SyncSender<Reap>,
        steps: Steps,
        limits: &BodyLimits,
    ) -> io::Result<Self> {
        let aside = dir.join("aside");
        for entry in std::fs::read_dir(&aside)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Self {
            bodies: dir.join("bodies"),
            aside,
            guarded: Mutex::default(),
            reap,
            steps,
            free_bytes_min: limits.free_bytes_min,
            index_bytes_min: limits.index_bytes_min,
            step_deadline: limits.step_deadline,
            body_deadline: limits.body_deadline,
        })
    }

    fn guarded(&self) -> MutexGuard<'_, Guarded> {
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, file: &Id) -> PathBuf {
        self.bodies.join(format!("{:02x}", file[0]))
    }

    /// Where a body file lies.
    pub(super) fn path(&self, file: &Id) -> PathBuf {
        self.shard(file).join(hex::encode(file))
    }

    fn aside_path(&self, file: &Id) -> PathBuf {
        self.aside.join(hex::encode(file))
    }

    /// Keeps files in place until the pin is dropped.
    pub(super) fn pin(self: &Arc<Self>, files: Vec<Id>) -> Pin {
        let mut guarded = self.guarded();
        for file in &files {
            *guarded.pinned.entry(*file).or_default() += 1;
        }
        drop(guarded);
        Pin {
            files,
            bodies: Arc::clone(self),
        }
    }

    /// Whether a write or a reader needs the file to stay.
    pub(super) fn in_use(&self, file: &Id) -> bool {
        let guarded = self.guarded();
        guarded.in_flight.contains(file) || guarded.pinned.contains_key(file)
    }

    /// Asks the reaper to remove files; when it has too much to do, they are left to its next sweep.
    pub(super) fn reap(&self, files: Vec<Id>) {
        if !files.is_empty() {
            let _ = self.reap.try_send(Reap::Files(files));
        }
    }

    /// Removes a file wherever it lies.
    pub(super) fn remove(&self, file: &Id) -> io::Result<()> {
        self.steps.check(Step::Remove)?;
        for path in [self.aside_path(file), self.path(file)] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The body files in one of the 256 directories.
    pub(super) fn in_shard(&self, shard: u8) -> io::Result<Vec<Id>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.bodies.join(format!("{shard:02x}")))? {
            if let Some(file) = file_of_name(&entry?.file_name()) {
                files.push(file);
            }
        }
        Ok(files)
    }

    /// The files that lie aside.
    pub(super) fn in_aside(&self) -> io::Result<Vec<Id>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.aside)? {
            if let Some(file) = file_of_name(&entry?.file_name()) {
                files.push(file);
            }
        }
        Ok(files)
    }

    /// Stores a request body of exactly `stored_bytes` in a new file, which stays only if the caller keeps it.
    ///
    /// # Errors
    /// [`RegionError::BodyFailed`] when the body breaks or has another length, [`RegionError::Unavailable`] when the
    /// disk fails or is full. Nothing stays in either case.
    pub(super) async fn store(
        self: &Arc<Self>,
        operation: &'static str,
        stored_bytes: u64,
        body: Body,
    ) -> Result<PendingFile, RegionError> {
        self.check_room(operation, stored_bytes)?;
        let pending = PendingFile::new(operation, Arc::clone(self))?;
        let mut writer = BodyWriter {
            pending,
            file: None,
            unsynced_bytes: 0,
        };
        let mut gathered = Vec::new();
        match body {
            Body::Replayable(bytes) => {
                if bytes.len() as u64 != stored_bytes {
                    return Err(incomplete(operation));
                }
                gathered.push(bytes);
            }
            Body::Once(stream) => {
                (writer, gathered) = self.drain(operation, stored_bytes, stream, writer).await?;
            }
        }
        self.step(operation, move || writer.finish(&gathered)).await
    }

    async fn drain(
        &self,
        operation: &'static str,
        stored_bytes: u64,
        mut stream: ByteStream,
        mut writer: BodyWriter,
    ) -> Result<(BodyWriter, Vec<Bytes>), RegionError> {
        let mut gathered = Vec::new();
        let (mut gathered_bytes, mut left) = (0, stored_bytes);
        loop {
            let next = tokio::time::timeout(self.body_deadline, stream.next())
                .await
                .unwrap_or(Some(Err(BodyError::TimedOut)));
            let chunk = match next {
                None if left == 0 => return Ok((writer, gathered)),
                None => return Err(incomplete(operation)),
                Some(Ok(chunk)) => chunk,
                Some(Err(source)) => return Err(RegionError::BodyFailed { operation, source }),
            };
            left = left
                .checked_sub(chunk.len() as u64)
                .ok_or_else(|| incomplete(operation))?;
            gathered_bytes += chunk.len();
            if !chunk.is_empty() {
                gathered.push(chunk);
            }
            if gathered_bytes >= GATHER_BYTES {
                let full = std::mem::take(&mut gathered);
                gathered_bytes = 0;
                writer = self.step(operation, move || writer.write(&full)).await?;
            }
        }
    }

    /// Runs a step on the disk off the async threads, within its deadline.
    async fn step<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, RegionError> {
        let unavailable = |reason: String| RegionError::Unavailable { operation, reason };
        tokio::time::timeout(self.step_deadline, tokio::task::spawn_blocking(step))
            .await
            .map_err(|_| unavailable("the disk took too long".to_owned()))?
            .map_err(|_| unavailable("the disk's thread ended".to_owned()))?
            .map_err(|error| unavailable(disk_reason(&error)))
    }

    /// Refuses a write of the index alone that makes it grow while there is hardly room: a commit that fails on a full disk closes the
    /// index for a moment, for readers too. What deletes is let through: it makes room.
    pub(super) fn check_room_to_index(&self, operation: &'static str) -> Result<(), RegionError> {
        self.check_free(operation, self.index_bytes_min)
    }

    /// Refuses a write that would leave the disk too full for the index to go on.
    fn check_room(&self, operation: &'static str, stored_bytes: u64) -> Result<(), RegionError> {
        self.check_free(operation, stored_bytes.saturating_add(self.free_bytes_min))
    }

    fn check_free(&self, operation: &'static str, wanted_bytes: u64) -> Result<(), RegionError> {
        let unavailable = |reason: String| RegionError::Unavailable { operation, reason };
        let disk = rustix::fs::statvfs(&self.bodies)
            .map_err(|error| unavailable(disk_reason(&error.into())))?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free_bytes < wanted_bytes {
            return Err(unavailable("the disk is full".to_owned()));
        }
        Ok(())
    }
}

fn file_of_name(name: &std::ffi::OsStr) -> Option<Id> {
    let mut file = [0; 16];
    hex::decode_to_slice(name.to_str()?, &mut file).ok()?;
    Some(file)
}

fn incomplete(operation: &'static str) -> RegionError {
    RegionError::BodyFailed {
        operation,
        source: BodyError::Incomplete,
    }
}

/// An I/O error in words that name no path.
pub(super) fn disk_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
        _ => format!("the disk failed: {error}"),
    }
}

/// Files that stay in place while this lives.
pub(super) struct Pin {
    files: Vec<Id>,
    bodies: Arc<BodyFiles>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut released = Vec::new();
        let mut guarded = self.bodies.guarded();
        for file in &self.files {
            if let Some(count) = guarded.pinned.get_mut(file) {
                *count -= 1;
                if *count == 0 {
                    guarded.pinned.remove(file);
                    released.push(*file);
                }
            }
        }
        drop(guarded);
        // The reaper asks the index again, so a file that is still named there stays.
        self.bodies.reap(released);
    }
}

/// A file that nothing names yet; dropping it removes it.
pub(super) struct PendingFile {
    file: Id,
    bodies: Arc<BodyFiles>,
    fate: Fate,
}

#[derive(PartialEq, Eq)]
enum Fate {
    Remove,
    Stay,
}

impl PendingFile {
    fn new(operation: &'static str, bodies: Arc<BodyFiles>) -> Result<Self, RegionError> {
        let file = ids::draw(operation)?;
        bodies.guarded().in_flight.insert(file);
        Ok(Self {
            file,
            bodies,
            fate: Fate::Remove,
        })
    }

    pub(super) fn id(&self) -> Id {
        self.file
    }

    /// Leaves the file where it is: the index names it now, or may when it is opened again.
    pub(super) fn stay(mut self) {
        self.fate = Fate::Stay;
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        self.bodies.guarded().in_flight.remove(&self.file);
        if self.fate == Fate::Remove {
            self.bodies.reap(vec![self.file]);
        }
    }
}

/// A body file being written. It travels into each blocking step, so that an abandoned request drops it only after
/// the step is over.
struct BodyWriter {
    pending: PendingFile,
    file: Option<File>,
    unsynced_bytes: u64,
}

impl BodyWriter {
    fn write(mut self, chunks: &[Bytes]) -> io::Result<Self> {
        let bodies = &self.pending.bodies;
        if self.file.is_none() {
            bodies.steps.check(Step::Create)?;
            let path = bodies.aside_path(&self.pending.file);
            self.file = Some(
                OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)?,
            );
        }
        let Some(file) = &mut self.file else {
            return Err(io::Error::other("a body file is not open"));
        };
        bodies.steps.check(Step::Write)?;
        write_chunks(file, chunks)?;
        self.unsynced_bytes += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        if self.unsynced_bytes >= SYNC_EVERY_BYTES {
            bodies.steps.check(Step::Sync)?;
            file.sync_data()?;
            self.unsynced_bytes = 0;
        }
        Ok(self)
    }

    fn finish(self, chunks: &[Bytes]) -> io::Result<PendingFile> {
        let Self { pending, file, .. } = self.write(chunks)?;
        let bodies = &pending.bodies;
        bodies.steps.check(Step::Sync)?;
        if let Some(file) = file {
            file.sync_all()?;
        }
        bodies.steps.check(Step::Rename)?;
        std::fs::rename(bodies.aside_path(&pending.file), bodies.path(&pending.file))?;
        bodies.steps.check(Step::SyncDirectory)?;
        File::open(bodies.shard(&pending.file))?.sync_all()?;
        Ok(pending)
    }
}

fn write_chunks(file: &mut File, chunks: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
    let mut rest = slices.as_mut_slice();
    // An empty first slice would make a full write look like none.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
