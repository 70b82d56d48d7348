//! The steps that a store takes on its disk, each of which a test can make fail.

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

/// One change that the store makes on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// Creating a body file aside.
    Create,
    /// Writing bytes of a body file.
    Write,
    /// Syncing a body file.
    Sync,
    /// Moving a body file to its place.
    Rename,
    /// Syncing the directory of that place.
    SyncDirectory,
    /// Removing a body file.
    Remove,
    /// Growing or shrinking the index.
    IndexResize,
    /// Writing pages of the index.
    IndexWrite,
    /// Syncing the index.
    IndexSync,
}

/// Who is asked before every step; the step is not taken when it refuses.
pub(super) trait Probe: Send + Sync {
    fn before(&self, step: Step) -> io::Result<()>;

    /// Bytes of the index were written.
    fn index_written(&self, _first: u64, _bytes: usize) {}
}

impl<F: Fn(Step) -> io::Result<()> + Send + Sync> Probe for F {
    fn before(&self, step: Step) -> io::Result<()> {
        self(step)
    }
}

/// The steps, with whoever is asked.
#[derive(Clone, Default)]
pub(super) struct Steps(Option<Arc<dyn Probe>>);

impl Steps {
    /// Asks `probe` before every step.
    #[cfg(test)]
    pub(super) fn checked(probe: impl Probe + 'static) -> Self {
        Self(Some(Arc::new(probe)))
    }

    pub(super) fn check(&self, step: Step) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |probe| probe.before(step))
    }

    fn index_written(&self, first: u64, bytes: usize) {
        if let Some(probe) = &self.0 {
            probe.index_written(first, bytes);
        }
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Steps")
    }
}

/// The index's file, with its steps checked.
#[derive(Debug)]
pub(super) struct IndexFile {
    file: FileBackend,
    steps: Steps,
}

impl IndexFile {
    pub(super) fn new(file: File, steps: Steps) -> Result<Self, redb::DatabaseError> {
        Ok(Self {
            file: FileBackend::new(file)?,
            steps,
        })
    }
}

impl StorageBackend for IndexFile {
    fn len(&self) -> Result<u64, io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.steps.check(Step::IndexResize)?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.steps.check(Step::IndexSync)?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.steps.check(Step::IndexWrite)?;
        self.file.write(offset, data)?;
        self.steps.index_written(offset, data.len());
        Ok(())
    }

    fn close(&self) -> Result<(), io::Error> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
