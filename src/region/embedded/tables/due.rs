//! What lifecycle rules let go, looked for a page at a time.

use super::super::super::LifecycleRule;
use super::super::ids::Id;
use super::super::rows::{TxError, after_prefix, decode_head, object_key};
use super::super::selection::Selection;
use super::{Lookup as _, ReadTables};
use crate::clock::UnixMs;

/// A part of a pass.
pub(in super::super) struct DuePage<T> {
    /// What of it is due.
    pub(in super::super) due: Vec<T>,
    /// Where the next page begins.
    pub(in super::super) next: Option<Vec<u8>>,
    /// Rows looked at.
    pub(in super::super) rows: u64,
}

impl<T> DuePage<T> {
    fn new() -> Self {
        Self {
            due: Vec::new(),
            next: None,
            rows: 0,
        }
    }
}

impl ReadTables {
    /// The first bucket with lifecycle rules behind `after`, and its rules.
    pub(in super::super) fn next_lifecycle(
        &self,
        after: Option<u64>,
    ) -> Result<Option<(u64, Vec<LifecycleRule>)>, TxError> {
        let first = after.map_or(0, |bucket| bucket.saturating_add(1));
        let Some(item) = self.lifecycles.range(first..)?.next() else {
            return Ok(None);
        };
        let bucket = item?.0.value();
        Ok(Some((bucket, self.lifecycle(bucket)?)))
    }

    /// A page of a bucket's objects that rules may be for: those that are due, and where the next page begins.
    pub(in super::super) fn due_objects(
        &self,
        bucket: u64,
        from: Option<&[u8]>,
        rows_max: usize,
        selection: &Selection,
    ) -> Result<DuePage<String>, TxError> {
        let mut page = DuePage::new();
        let mut steps = 0;
        for prefix in selection.prefixes() {
            let first = object_key(bucket, prefix);
            let high = after_prefix(&first);
            let low = from.unwrap_or_default().max(&first);
            if low >= high.as_slice() {
                continue;
            }
            // Finding a prefix without any row counts too: there may be a thousand of them.
            if steps >= rows_max {
                page.next = Some(low.to_vec());
                return Ok(page);
            }
            steps += 1;
            for item in self.objects.range(low..high.as_slice())? {
                let (place, row) = item?;
                if steps > rows_max {
                    page.next = Some(place.value().to_vec());
                    return Ok(page);
                }
                (steps, page.rows) = (steps + 1, page.rows + 1);
                let key = place.value().get(8..).unwrap_or_default();
                let key =
                    std::str::from_utf8(key).map_err(|_| TxError::damaged("an object's key"))?;
                let (stored_bytes, modified, _, _, head) = row.value();
                let tags = || decode_head(head).map(|head| head.tags);
                if selection.lets_go(key, stored_bytes, UnixMs(modified), tags)? {
                    page.due.push(key.to_owned());
                }
            }
        }
        Ok(page)
    }

    /// A page of a bucket's uploads: those that are due, with their keys, and where the next page begins.
    pub(in super::super) fn due_uploads(
        &self,
        bucket: u64,
        from: Option<&[u8]>,
        rows_max: usize,
        selection: &Selection,
    ) -> Result<DuePage<(Id, String)>, TxError> {
        let first = bucket.to_be_bytes();
        let high = after_prefix(&first);
        let low = from.unwrap_or(&first);
        let mut page = DuePage::new();
        for (rows, item) in self.uploads.range(low..high.as_slice())?.enumerate() {
            let (place, row) = item?;
            if rows == rows_max {
                page.next = Some(place.value().to_vec());
                return Ok(page);
            }
            page.rows += 1;
            let Some(begun) = self.upload_times.get(place.value())? else {
                continue;
            };
            let id = place.value().get(8..).and_then(|id| Id::try_from(id).ok());
            let id = id.ok_or_else(|| TxError::damaged("an upload's key"))?;
            let key = std::str::from_utf8(row.value().0)
                .map_err(|_| TxError::damaged("an upload's object key"))?;
            if selection.lets_go(key, 0, UnixMs(begun.value()), || Ok(Vec::new()))? {
                page.due.push((id, key.to_owned()));
            }
        }
        Ok(page)
    }
}
