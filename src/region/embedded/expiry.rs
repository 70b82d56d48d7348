//! The thread that carries out lifecycle rules: it goes once over the objects and once over the uploads of each bucket that has any,
//! whatever their number, a page of the index at a time, and deletes what is due as a client would. What a page found is looked at
//! again in the change that deletes it, under the rules of that moment.

use super::super::{LifecycleRule, RegionError};
use super::ids::Id;
use super::index::{IndexQueue, Opened};
use super::rows::TxError;
use super::selection::Selection;
use super::tables::{Lookup as _, ReadTables, WriteTables};
use crate::clock::{Clock, UnixMs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Rows of one look, and deletions of one commit, at most: clients' writes come in between.
const PAGE_LEN: usize = 256;
/// Parts of uploads after which a commit takes no further upload; one upload goes whole.
const PARTS_LEN: usize = 1_000;

/// What the thread is told.
pub(super) enum Expire {
    /// To look now, and say what was done.
    Now(oneshot::Sender<Result<Swept, RegionError>>),
    /// To end.
    Stop,
}

pub(super) struct Expiry {
    pub(super) index: Arc<Opened>,
    pub(super) changes: IndexQueue,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) told: Receiver<Expire>,
    pub(super) stopping: Arc<AtomicBool>,
    pub(super) interval: Duration,
}

/// What one look over all buckets did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// Objects and uploads that went.
    pub(super) gone: u64,
    /// Rows of objects and uploads that were looked at.
    pub(super) rows: u64,
}

impl Expiry {
    /// Works until it is told to stop. The first look is at once: a gateway may be started more often than an interval ends.
    pub(super) fn run(self) {
        self.sweep_and_log();
        loop {
            match self.told.recv_timeout(self.interval) {
                Ok(Expire::Now(answer)) => {
                    let _ = answer.send(self.sweep());
                }
                Err(RecvTimeoutError::Timeout) => self.sweep_and_log(),
                Ok(Expire::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn sweep_and_log(&self) {
        match self.sweep() {
            Ok(Swept { gone: 0, .. }) => {}
            Ok(Swept { gone, rows }) => {
                tracing::info!(op = "lifecycle", expired = gone, rows, outcome = "ok");
            }
            Err(error) => tracing::warn!(op = "lifecycle", outcome = "error", %error),
        }
    }

    /// Begun again, it finds what is left: nothing is remembered but the index itself.
    fn sweep(&self) -> Result<Swept, RegionError> {
        let now = self.clock.now();
        let mut swept = Swept::default();
        let mut after = None;
        while let Some((bucket, rules)) = self.look(|tables| tables.next_lifecycle(after))? {
            self.expire_objects(bucket, &rules, now, &mut swept)?;
            self.abort_uploads(bucket, &rules, now, &mut swept)?;
            if self.is_stopping() {
                break;
            }
            after = Some(bucket);
        }
        Ok(swept)
    }

    fn expire_objects(
        &self,
        bucket: u64,
        rules: &[LifecycleRule],
        now: UnixMs,
        swept: &mut Swept,
    ) -> Result<(), RegionError> {
        let selection = Selection::of_objects(rules, now);
        let mut from = None;
        loop {
            let page = self
                .look(|tables| tables.due_objects(bucket, from.as_deref(), PAGE_LEN, &selection))?;
            swept.rows += page.rows;
            if !page.due.is_empty() {
                swept.gone += self.change(move |tables| expire(tables, bucket, &page.due, now))?;
            }
            match page.next {
                Some(next) if !self.is_stopping() => from = Some(next),
                _ => return Ok(()),
            }
        }
    }

    fn abort_uploads(
        &self,
        bucket: u64,
        rules: &[LifecycleRule],
        now: UnixMs,
        swept: &mut Swept,
    ) -> Result<(), RegionError> {
        let selection = Selection::of_uploads(rules, now);
        if selection.is_empty() {
            return Ok(());
        }
        let mut from = None;
        loop {
            let page = self
                .look(|tables| tables.due_uploads(bucket, from.as_deref(), PAGE_LEN, &selection))?;
            swept.rows += page.rows;
            let mut due = page.due;
            while !due.is_empty() {
                let (left, gone) = self.change(move |tables| abort(tables, bucket, due, now))?;
                swept.gone += gone;
                due = left;
            }
            match page.next {
                Some(next) if !self.is_stopping() => from = Some(next),
                _ => return Ok(()),
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn look<T>(
        &self,
        look: impl FnOnce(&ReadTables) -> Result<T, TxError>,
    ) -> Result<T, RegionError> {
        let tables = self.index.read();
        tables
            .and_then(|tables| look(&tables))
            .map_err(|error| error.into_region("lifecycle"))
    }

    fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut WriteTables<'_>) -> Result<T, TxError> + Send + 'static,
    ) -> Result<T, RegionError> {
        self.changes.change_blocking("lifecycle", work)
    }
}

fn expire(
    tables: &mut WriteTables<'_>,
    bucket: u64,
    keys: &[String],
    now: UnixMs,
) -> Result<u64, TxError> {
    let selection = Selection::of_objects(&tables.lifecycle(bucket)?, now);
    let mut expired = 0;
    for key in keys {
        let Some(row) = tables.object(bucket, key)? else {
            continue;
        };
        let (bytes, modified, tags) = (row.stored_bytes, row.last_modified, row.head.tags);
        if selection.lets_go(key, bytes, modified, || Ok(tags))? {
            tables.remove_object(bucket, key)?;
            expired += 1;
        }
    }
    Ok(expired)
}

/// The uploads that are left for another change, and how many went.
fn abort(
    tables: &mut WriteTables<'_>,
    bucket: u64,
    mut uploads: Vec<(Id, String)>,
    now: UnixMs,
) -> Result<(Vec<(Id, String)>, u64), TxError> {
    let selection = Selection::of_uploads(&tables.lifecycle(bucket)?, now);
    let (mut aborted, mut parts) = (0, 0);
    while let Some((upload, key)) = uploads.pop() {
        // Completed or aborted since: then its time went with it.
        let Some(begun) = tables.upload_begun(bucket, &upload)? else {
            continue;
        };
        if selection.lets_go(&key, 0, begun, || Ok(Vec::new()))? {
            parts += tables.remove_upload(bucket, &upload)?;
            aborted += 1;
        }
        if parts >= PARTS_LEN {
            break;
        }
    }
    Ok((uploads, aborted))
}
