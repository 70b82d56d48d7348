//! Rows of the index and their keys, as bytes and as values.

use super::super::{HeadFields, RegionError};
use super::ids::Id;
use crate::clock::UnixMs;
use redb::StorageError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const EXTENT_BYTES: usize = 32;

/// Why a look at or a change of the index did not come about.
#[derive(Debug)]
pub(super) enum TxError {
    /// The request can't be done; the index is fine.
    Refused(RegionError),
    /// The index failed.
    Index(String),
}

impl From<RegionError> for TxError {
    fn from(error: RegionError) -> Self {
        Self::Refused(error)
    }
}

macro_rules! index_error {
    ($($error:ty),*) => {
        $(impl From<$error> for TxError {
            fn from(error: $error) -> Self {
                Self::Index(error.to_string())
            }
        })*
    };
}
index_error!(StorageError, redb::TableError, redb::TransactionError);

impl TxError {
    pub(super) fn damaged(what: &str) -> Self {
        Self::Index(format!("the index is damaged: {what}"))
    }

    pub(super) fn into_region(self, operation: &'static str) -> RegionError {
        match self {
            Self::Refused(error) => error,
            Self::Index(reason) => RegionError::Unavailable { operation, reason },
        }
    }
}

/// A stretch of a body file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) file: Id,
    pub(super) first: u64,
    pub(super) bytes: u64,
}

/// An object's row.
#[derive(Clone, Debug)]
pub(super) struct ObjectRow {
    pub(super) stored_bytes: u64,
    pub(super) last_modified: UnixMs,
    pub(super) etag: String,
    pub(super) body: Id,
    pub(super) head: HeadFields,
}

/// A part's row.
#[derive(Clone, Debug)]
pub(super) struct PartRow {
    pub(super) number: u16,
    pub(super) stored_bytes: u64,
    pub(super) etag: String,
    pub(super) body: Id,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadRow {
    metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_disposition: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<(String, String)>,
}

pub(super) fn encode_head(head: &HeadFields) -> Result<Vec<u8>, TxError> {
    serde_json::to_vec(&HeadRow {
        metadata: head.metadata.clone(),
        content_disposition: head.content_disposition.clone(),
        tags: head.tags.clone(),
    })
    .map_err(|_| TxError::Index("a head can't be written as JSON".to_owned()))
}

pub(super) fn decode_head(bytes: &[u8]) -> Result<HeadFields, TxError> {
    let row: HeadRow =
        serde_json::from_slice(bytes).map_err(|_| TxError::damaged("an object's head"))?;
    Ok(HeadFields {
        metadata: row.metadata,
        content_disposition: row.content_disposition,
        tags: row.tags,
        lock: None,
    })
}

pub(super) fn encode_extents(extents: &[Extent]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(extents.len() * EXTENT_BYTES);
    for extent in extents {
        packed.extend_from_slice(&extent.file);
        packed.extend_from_slice(&extent.first.to_be_bytes());
        packed.extend_from_slice(&extent.bytes.to_be_bytes());
    }
    packed
}

pub(super) fn decode_extents(packed: &[u8]) -> Result<Vec<Extent>, TxError> {
    let (chunks, rest) = packed.as_chunks::<EXTENT_BYTES>();
    if !rest.is_empty() {
        return Err(TxError::damaged("a body's extents"));
    }
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0_u64, |n, byte| (n << 8) | u64::from(*byte))
    };
    Ok(chunks
        .iter()
        .map(|chunk| {
            let mut file = [0; 16];
            file.copy_from_slice(&chunk[..16]);
            Extent {
                file,
                first: number(&chunk[16..24]),
                bytes: number(&chunk[24..]),
            }
        })
        .collect())
}

/// The extents of the body's bytes `first..first + bytes`.
pub(super) fn clip(extents: &[Extent], first: u64, bytes: u64) -> Vec<Extent> {
    let (mut skip, mut left) = (first, bytes);
    let mut clipped = Vec::new();
    for extent in extents {
        if left == 0 {
            break;
        }
        if skip >= extent.bytes {
            skip -= extent.bytes;
            continue;
        }
        let take = left.min(extent.bytes - skip);
        clipped.push(Extent {
            file: extent.file,
            first: extent.first + skip,
            bytes: take,
        });
        left -= take;
        skip = 0;
    }
    clipped
}

/// The row key of an object: its bucket's number, then its key, so that rows lie in S3's byte order.
pub(super) fn object_key(bucket: u64, key: &str) -> Vec<u8> {
    [&bucket.to_be_bytes(), key.as_bytes()].concat()
}

/// The least byte string above everything that begins with `prefix`.
pub(super) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

pub(super) fn upload_key(bucket: u64, upload: &Id) -> Vec<u8> {
    [&bucket.to_be_bytes()[..], upload].concat()
}

pub(super) fn part_key(upload: &Id, number: u16) -> Vec<u8> {
    [&upload[..], &number.to_be_bytes()].concat()
}
