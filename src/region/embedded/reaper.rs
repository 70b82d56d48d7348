//! The thread that removes body files: those let go of, and orphans that a killed process left.

use super::bodies::{BodyFiles, Reap};
use super::ids::Id;
use super::index::Opened;
use super::rows::TxError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

pub(super) struct Reaper {
    pub(super) bodies: Arc<BodyFiles>,
    pub(super) index: Arc<Opened>,
    pub(super) queue: Receiver<Reap>,
    pub(super) stopping: Arc<AtomicBool>,
    pub(super) sweep_interval: Duration,
}

impl Reaper {
    /// Works until it is told to stop. The first sweep is at once: it is what cleans up after a crash.
    pub(super) fn run(self) {
        self.sweep_and_log();
        loop {
            match self.queue.recv_timeout(self.sweep_interval) {
                Ok(Reap::Files(files)) => {
                    if let Err(reason) = self.remove_unnamed(files) {
                        tracing::warn!(op = "reap", outcome = "error", reason);
                    }
                }
                Ok(Reap::Sweep(answer)) => {
                    let _ = answer.send(self.sweep());
                }
                Err(RecvTimeoutError::Timeout) => self.sweep_and_log(),
                Ok(Reap::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn sweep_and_log(&self) {
        match self.sweep() {
            Ok(0) => {}
            Ok(files) => tracing::info!(op = "sweep", files, outcome = "ok"),
            Err(reason) => tracing::warn!(op = "sweep", outcome = "error", reason),
        }
    }

    fn sweep(&self) -> Result<u64, String> {
        let files = self.bodies.in_aside().map_err(|e| e.to_string())?;
        let mut removed = self.remove_unnamed(files)?;
        for shard in 0..=u8::MAX {
            if self.stopping.load(Ordering::Relaxed) {
                break;
            }
            let files = self.bodies.in_shard(shard).map_err(|e| e.to_string())?;
            removed += self.remove_unnamed(files)?;
        }
        Ok(removed)
    }

    /// Removes those files that no write, no reader and no row of the index needs.
    ///
    /// The order matters: a file leaves the writes in flight only after its commit, so a file that is not in flight
    /// is in the index that is looked at afterwards, or will never be. For the same reason, after a commit of unknown
    /// outcome the index is closed before the files leave the writes in flight, and the look fails.
    fn remove_unnamed(&self, mut files: Vec<Id>) -> Result<u64, String> {
        files.retain(|file| !self.bodies.in_use(file));
        if files.is_empty() {
            return Ok(0);
        }
        let reason = |error: TxError| error.into_region("sweep").to_string();
        let tables = self.index.read().map_err(reason)?;
        let mut removed = 0;
        for file in files {
            // Again `in_use`: a reader may have pinned the file while the index still named it.
            if tables.knows_file(&file).map_err(reason)? || self.bodies.in_use(&file) {
                continue;
            }
            self.bodies.remove(&file).map_err(|e| e.to_string())?;
            removed += 1;
        }
        Ok(removed)
    }
}
