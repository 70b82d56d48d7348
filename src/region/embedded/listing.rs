//! Listings in S3's byte order.

use super::super::{ListRequest, ListedObject, Listing};
use super::rows::{TxError, after_prefix, object_key};
use super::tables::{Lookup, ReadTables};
use crate::clock::UnixMs;
use std::ops::Bound;

/// Entries of one page at most, whatever the request says.
const KEYS_MAX: usize = 1000;

/// One page. A common prefix costs one seek, however many keys lie under it.
pub(super) fn list(
    tables: &ReadTables,
    bucket: u64,
    request: &ListRequest,
) -> Result<Listing, TxError> {
    let keys_max = request.keys_max.clamp(1, KEYS_MAX);
    let end = after_prefix(&object_key(bucket, &request.prefix));
    let mut from = first_bound(bucket, request);
    let mut page = Listing::default();
    let mut last: Option<String> = None;
    'seek: loop {
        if past(&from, &end) {
            return Ok(page);
        }
        let low = from.as_ref().map(Vec::as_slice);
        let rows = tables
            .objects()
            .range::<&[u8]>((low, Bound::Excluded(end.as_slice())))?;
        for item in rows {
            let (row_key, row) = item?;
            let key = row_key
                .value()
                .get(8..)
                .and_then(|key| std::str::from_utf8(key).ok())
                .ok_or_else(|| TxError::damaged("an object's key"))?;
            if page.objects.len() + page.common_prefixes.len() == keys_max {
                page.next_start_after = last;
                return Ok(page);
            }
            if let Some(folded) = fold(key, request) {
                last = Some(folded.to_owned());
                page.common_prefixes.push(folded.to_owned());
                from = Bound::Included(after_prefix(&object_key(bucket, folded)));
                continue 'seek;
            }
            let (stored_bytes, last_modified_ms, etag, _, _) = row.value();
            last = Some(key.to_owned());
            page.objects.push(ListedObject {
                key: key.to_owned(),
                stored_bytes,
                etag: etag.to_owned(),
                last_modified: UnixMs(last_modified_ms),
            });
        }
        return Ok(page);
    }
}

fn past(from: &Bound<Vec<u8>>, end: &Vec<u8>) -> bool {
    match from {
        Bound::Included(low) | Bound::Excluded(low) => low >= end,
        Bound::Unbounded => false,
    }
}

/// Where the page begins: with the prefix, after `start_after`, and after the common prefix that `start_after` is or
/// lies under, which is not after it.
fn first_bound(bucket: u64, request: &ListRequest) -> Bound<Vec<u8>> {
    let prefix = object_key(bucket, &request.prefix);
    let Some(after) = &request.start_after else {
        return Bound::Included(prefix);
    };
    if let Some(folded) = fold(after, request) {
        return Bound::Included(after_prefix(&object_key(bucket, folded)));
    }
    let after = object_key(bucket, after);
    if after < prefix {
        Bound::Included(prefix)
    } else {
        Bound::Excluded(after)
    }
}

/// The common prefix that a key folds into.
fn fold<'k>(key: &'k str, request: &ListRequest) -> Option<&'k str> {
    let delimiter = request.delimiter.as_deref().filter(|d| !d.is_empty())?;
    let rest = key.strip_prefix(request.prefix.as_str())?;
    let at = rest.find(delimiter)?;
    key.get(..request.prefix.len() + at + delimiter.len())
}
