//! A log's store that fails as told.

use super::store::{
    Head, LogPath, LogReader, LogStore, LogStoreError, ReceiptId, Swap, Version, Versioned,
};
use async_trait::async_trait;
use bytes::Bytes;
use lethe_receipts::log::TilePath;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails and does nothing.
    Failed,
    /// It does what it should and fails nevertheless.
    FailedButDone,
    /// It takes so long.
    Slow(Duration),
    /// A write says that it is done and is not; a read answers other bytes than are stored.
    Lying,
}

/// A store whose writes, counted from 0, and reads of named files fail as told.
#[derive(Debug)]
pub struct FaultyLog {
    inner: Arc<dyn LogStore>,
    writes: AtomicU64,
    faults: Mutex<BTreeMap<u64, Fault>>,
    reads: Mutex<Vec<(LogPath, Fault)>>,
}

impl FaultyLog {
    /// A store without faults yet.
    #[must_use]
    pub fn new(inner: Arc<dyn LogStore>) -> Self {
        Self {
            inner,
            writes: AtomicU64::new(0),
            faults: Mutex::default(),
            reads: Mutex::default(),
        }
    }

    /// What happens to the write `nth`, counted from 0 since this store was made.
    pub fn fail_write(&self, nth: u64, fault: Fault) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.insert(nth, fault);
    }

    /// What happens to every read of a file.
    pub fn fail_reads(&self, path: LogPath, fault: Fault) {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        reads.push((path, fault));
    }

    /// Writes so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    fn next_write(&self) -> Option<Fault> {
        let nth = self.writes.fetch_add(1, Ordering::SeqCst);
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.get(&nth).copied()
    }

    fn read_fault(&self, path: &LogPath) -> Option<Fault> {
        let reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let found = reads.iter().find(|(of, _)| of == path);
        found.map(|(_, fault)| *fault)
    }

    async fn write<T>(
        &self,
        path: LogPath,
        unlike: T,
        write: impl Future<Output = Result<T, LogStoreError>> + Send,
    ) -> Result<T, LogStoreError> {
        let failed = || LogStoreError::away("writing", path, "a fault of the test");
        match self.next_write() {
            None => write.await,
            Some(Fault::Failed) => Err(failed()),
            Some(Fault::FailedButDone) => {
                write.await?;
                Err(failed())
            }
            Some(Fault::Slow(pause)) => {
                tokio::time::sleep(pause).await;
                write.await
            }
            Some(Fault::Lying) => Ok(unlike),
        }
    }

    async fn after_read(
        &self,
        path: &LogPath,
        found: Option<Bytes>,
    ) -> Result<Option<Bytes>, LogStoreError> {
        match self.read_fault(path) {
            None => Ok(found),
            Some(Fault::Failed | Fault::FailedButDone) => {
                Err(LogStoreError::away("reading", path, "a fault of the test"))
            }
            Some(Fault::Slow(pause)) => {
                tokio::time::sleep(pause).await;
                Ok(found)
            }
            Some(Fault::Lying) => Ok(found.map(|bytes| {
                let mut altered = bytes.to_vec();
                if let Some(last) = altered.last_mut() {
                    *last ^= 1;
                }
                altered.into()
            })),
        }
    }
}

#[async_trait]
impl LogReader for FaultyLog {
    async fn read(&self, path: &LogPath) -> Result<Option<Bytes>, LogStoreError> {
        let found = self.inner.read(path).await?;
        self.after_read(path, found).await
    }

    async fn statements(
        &self,
        after: Option<ReceiptId>,
        max: usize,
    ) -> Result<Vec<ReceiptId>, LogStoreError> {
        self.inner.statements(after, max).await
    }
}

#[async_trait]
impl LogStore for FaultyLog {
    async fn write_tile(&self, tile: &TilePath, bytes: Bytes) -> Result<(), LogStoreError> {
        let path = LogPath::Tile(*tile);
        self.write(path, (), self.inner.write_tile(tile, bytes))
            .await
    }

    async fn put_statement(&self, id: ReceiptId, envelope: Bytes) -> Result<(), LogStoreError> {
        let path = LogPath::Statement(id);
        self.write(path, (), self.inner.put_statement(id, envelope))
            .await
    }

    async fn head(&self, head: Head) -> Result<Option<Versioned>, LogStoreError> {
        let found = self.inner.head(head).await?;
        let Some(Versioned { bytes, version }) = found else {
            return Ok(None);
        };
        let bytes = self.after_read(&LogPath::Head(head), Some(bytes)).await?;
        Ok(bytes.map(|bytes| Versioned { bytes, version }))
    }

    async fn swap(
        &self,
        head: Head,
        expected: Option<&Version>,
        bytes: Bytes,
    ) -> Result<Swap, LogStoreError> {
        let swap = self.inner.swap(head, expected, bytes);
        self.write(LogPath::Head(head), Swap::Done, swap).await
    }
}
