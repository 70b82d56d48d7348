//! What lifecycle rules let go, looked for a page at a time.

use super::super::super::LifecycleRule;
use super::super::expiry::{is_due, is_idle};
use super::super::ids::Id;
use super::super::rows::{TxError, after_prefix, decode_head, object_key};
use super::{Lookup as _, ReadTables};
use crate::clock::UnixMs;
use redb::ReadableTable as _;

/// What of a page is due, and where the next page begins.
type DuePage<T> = (Vec<T>, Option<Vec<u8>>);

impl ReadTables {
    /// Every bucket that has lifecycle rules, with them.
    pub(in super::super) fn all_lifecycles(
        &self,
    ) -> Result<Vec<(u64, Vec<LifecycleRule>)>, TxError> {
        let mut found = Vec::new();
        for item in self.lifecycles.iter()? {
            let bucket = item?.0.value();
            found.push((bucket, self.lifecycle(bucket)?));
        }
        Ok(found)
    }

    /// A page of a bucket's objects below a prefix: those that are due, and where the next page begins.
    pub(in super::super) fn due_objects(
        &self,
        bucket: u64,
        prefix: &str,
        from: Option<&[u8]>,
        rows_max: usize,
        rules: &[LifecycleRule],
        now: UnixMs,
    ) -> Result<DuePage<String>, TxError> {
        let first = object_key(bucket, prefix);
        let high = after_prefix(&first);
        let low = from.unwrap_or(&first);
        let mut due = Vec::new();
        for (rows, item) in self.objects.range(low..high.as_slice())?.enumerate() {
            let (place, row) = item?;
            if rows == rows_max {
                return Ok((due, Some(place.value().to_vec())));
            }
            let key = place.value().get(8..).unwrap_or_default();
            let key = std::str::from_utf8(key).map_err(|_| TxError::damaged("an object's key"))?;
            let (stored_bytes, modified, _, _, head) = row.value();
            let tags = decode_head(head)?.tags;
            if is_due(rules, key, stored_bytes, UnixMs(modified), &tags, now) {
                due.push(key.to_owned());
            }
        }
        Ok((due, None))
    }

    /// A page of a bucket's uploads: those that are due, with their keys, and where the next page begins.
    pub(in super::super) fn due_uploads(
        &self,
        bucket: u64,
        from: Option<&[u8]>,
        rows_max: usize,
        rules: &[LifecycleRule],
        now: UnixMs,
    ) -> Result<DuePage<(Id, String)>, TxError> {
        let first = bucket.to_be_bytes();
        let high = after_prefix(&first);
        let low = from.unwrap_or(&first);
        let mut due = Vec::new();
        for (rows, item) in self.uploads.range(low..high.as_slice())?.enumerate() {
            let (place, row) = item?;
            if rows == rows_max {
                return Ok((due, Some(place.value().to_vec())));
            }
            let Some(begun) = self.upload_times.get(place.value())? else {
                continue;
            };
            let id = place.value().get(8..).and_then(|id| Id::try_from(id).ok());
            let id = id.ok_or_else(|| TxError::damaged("an upload's key"))?;
            let key = std::str::from_utf8(row.value().0)
                .map_err(|_| TxError::damaged("an upload's object key"))?;
            if is_idle(rules, key, UnixMs(begun.value()), now) {
                due.push((id, key.to_owned()));
            }
        }
        Ok((due, None))
    }
}
