//! The thread that carries out lifecycle rules: it looks for what is due, a page of the index at a time, and deletes it as a client
//! would. What a page found is looked at again in the change that deletes it, under the rules of that moment.

use super::super::{LifecycleRule, RegionError};
use super::ids::Id;
use super::index::{IndexQueue, Opened};
use super::rows::TxError;
use super::tables::{Lookup as _, ReadTables, WriteTables};
use crate::clock::{Clock, UnixMs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Rows of one look, and deletions of one commit, at most: clients' writes come in between.
const PAGE_LEN: usize = 256;

/// What the thread is told.
pub(super) enum Expire {
    /// To look now, and say how many objects and uploads went.
    Now(oneshot::Sender<Result<u64, RegionError>>),
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

/// A page's end: where the next begins.
type Next = Option<Vec<u8>>;

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
            Ok(0) => {}
            Ok(expired) => tracing::info!(op = "lifecycle", expired, outcome = "ok"),
            Err(error) => tracing::warn!(op = "lifecycle", outcome = "error", %error),
        }
    }

    /// Begun again, it finds what is left: nothing is remembered but the index itself.
    fn sweep(&self) -> Result<u64, RegionError> {
        let now = self.clock.now();
        let mut expired = 0;
        for (bucket, rules) in self.look(ReadTables::all_lifecycles)? {
            for rule in rules.iter().filter(|rule| rule.enabled) {
                if rule.expiration.is_some() {
                    expired += self.expire_objects(bucket, rule, now)?;
                }
                if rule.abort_uploads_days.is_some() {
                    expired += self.abort_uploads(bucket, now)?;
                }
            }
        }
        Ok(expired)
    }

    fn expire_objects(
        &self,
        bucket: u64,
        rule: &LifecycleRule,
        now: UnixMs,
    ) -> Result<u64, RegionError> {
        let prefix = rule.filter.conditions().prefix.unwrap_or_default();
        let mut expired = 0;
        let mut from: Next = None;
        loop {
            let rules = std::slice::from_ref(rule);
            let (due, next) = self.look(|tables| {
                tables.due_objects(bucket, &prefix, from.as_deref(), PAGE_LEN, rules, now)
            })?;
            if !due.is_empty() {
                expired += self.change(move |tables| expire(tables, bucket, &due, now))?;
            }
            match next {
                Some(next) if !self.stopping.load(Ordering::Relaxed) => from = Some(next),
                _ => return Ok(expired),
            }
        }
    }

    fn abort_uploads(&self, bucket: u64, now: UnixMs) -> Result<u64, RegionError> {
        let mut aborted = 0;
        let mut from: Next = None;
        loop {
            let (due, next) = self.look(|tables| {
                let rules = tables.lifecycle(bucket)?;
                tables.due_uploads(bucket, from.as_deref(), PAGE_LEN, &rules, now)
            })?;
            if !due.is_empty() {
                aborted += self.change(move |tables| abort(tables, bucket, &due, now))?;
            }
            match next {
                Some(next) if !self.stopping.load(Ordering::Relaxed) => from = Some(next),
                _ => return Ok(aborted),
            }
        }
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

    fn change(
        &self,
        work: impl FnOnce(&mut WriteTables<'_>) -> Result<u64, TxError> + Send + 'static,
    ) -> Result<u64, RegionError> {
        self.changes.change_blocking("lifecycle", work)
    }
}

/// Whether a rule selects an object that is due under it.
pub(super) fn is_due(
    rules: &[LifecycleRule],
    key: &str,
    stored_bytes: u64,
    modified: UnixMs,
    tags: &[(String, String)],
    now: UnixMs,
) -> bool {
    let selects = |rule: &LifecycleRule| {
        let conditions = rule.filter.conditions();
        conditions.selects(key, stored_bytes, tags)
    };
    rules
        .iter()
        .any(|rule| rule.expires(modified, now) && selects(rule))
}

/// Whether a rule ends an upload: none has a size or tags that a rule could go by.
pub(super) fn is_idle(rules: &[LifecycleRule], key: &str, begun: UnixMs, now: UnixMs) -> bool {
    rules
        .iter()
        .any(|rule| rule.aborts(begun, now) && rule.filter.conditions().selects(key, 0, &[]))
}

fn expire(
    tables: &mut WriteTables<'_>,
    bucket: u64,
    keys: &[String],
    now: UnixMs,
) -> Result<u64, TxError> {
    let rules = tables.lifecycle(bucket)?;
    let mut expired = 0;
    for key in keys {
        let Some(row) = tables.object(bucket, key)? else {
            continue;
        };
        let tags = &row.head.tags;
        if is_due(&rules, key, row.stored_bytes, row.last_modified, tags, now) {
            tables.remove_object(bucket, key)?;
            expired += 1;
        }
    }
    Ok(expired)
}

fn abort(
    tables: &mut WriteTables<'_>,
    bucket: u64,
    uploads: &[(Id, String)],
    now: UnixMs,
) -> Result<u64, TxError> {
    let rules = tables.lifecycle(bucket)?;
    let mut aborted = 0;
    for (upload, key) in uploads {
        // Completed or aborted since: then its time went with it.
        let Some(begun) = tables.upload_begun(bucket, upload)? else {
            continue;
        };
        if is_idle(&rules, key, begun, now) {
            tables.remove_upload(bucket, upload)?;
            aborted += 1;
        }
    }
    Ok(aborted)
}
