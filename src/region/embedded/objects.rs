//! Whole objects: what a condition, a range or a version means here.

use super::super::{
    ByteRange, CopyRequest, DeleteOutcome, DeleteRequest, GetRequest, HeadFields, Missing,
    ObjectRef, PutCondition, RegionError, StoredHead, StoredObject, VersionId, WriteOutcome,
};
use super::bodies::BodyFiles;
use super::ids::Id;
use super::index::Opened;
use super::reader::{BodyReader, ReadFailure};
use super::rows::{Extent, ObjectRow, TxError, clip};
use super::tables::{Lookup, ReadTables, WriteTables};
use super::{CONTENT_DISPOSITION_BYTES_MAX, TAGS_MAX, USER_METADATA_BYTES_MAX};
use crate::clock::UnixMs;
use crate::tenants::TenantId;
use std::sync::Arc;

/// The version of everything in a bucket that was never versioned.
pub(super) const NULL_VERSION: &str = "null";
/// How often a read begins again because the object was replaced under it.
const READ_TRIES: usize = 64;

pub(super) fn not_found(operation: &'static str, missing: Missing) -> TxError {
    RegionError::NotFound { operation, missing }.into()
}

pub(super) fn refused(operation: &'static str, code: &str) -> RegionError {
    RegionError::Refused {
        operation,
        status: 400,
        code: code.to_owned(),
    }
}

/// Refuses heads over the limits that the profile tells.
pub(super) fn check_head(operation: &'static str, head: &HeadFields) -> Result<(), RegionError> {
    let metadata_bytes: usize = head
        .metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let disposition_bytes = head.content_disposition.as_ref().map_or(0, String::len);
    if metadata_bytes > USER_METADATA_BYTES_MAX || disposition_bytes > CONTENT_DISPOSITION_BYTES_MAX
    {
        return Err(refused(operation, "MetadataTooLarge"));
    }
    check_tags(operation, &head.tags)
}

/// Refuses tags over S3's limits: 10 of them, 128 and 256 characters.
pub(super) fn check_tags(
    operation: &'static str,
    tags: &[(String, String)],
) -> Result<(), RegionError> {
    let fits = |(name, value): &(String, String)| {
        name.chars().count() <= 128 && value.chars().count() <= 256
    };
    if tags.len() > TAGS_MAX || !tags.iter().all(fits) {
        return Err(refused(operation, "InvalidTag"));
    }
    Ok(())
}

/// Whether the condition holds for what is under the key now. A missing object fails `Present` and `Matches` with
/// "not found", as at S3.
pub(super) fn check_condition(
    operation: &'static str,
    condition: &PutCondition,
    current: Option<&ObjectRow>,
) -> Result<(), TxError> {
    let holds = match (condition, current) {
        (PutCondition::Always, _)
        | (PutCondition::Absent, None)
        | (PutCondition::Present, Some(_)) => true,
        (PutCondition::Absent, Some(_)) => false,
        (PutCondition::Present | PutCondition::Matches(_), None) => {
            return Err(not_found(operation, Missing::Object));
        }
        (PutCondition::Matches(etag), Some(row)) => row.etag == *etag,
    };
    if holds {
        Ok(())
    } else {
        Err(RegionError::PreconditionFailed { operation }.into())
    }
}

/// The tenant's bucket and the object in it, which must be there.
pub(super) fn find(
    tables: &impl Lookup,
    operation: &'static str,
    tenant: TenantId,
    at: &ObjectRef,
    version: Option<&VersionId>,
) -> Result<(u64, ObjectRow), TxError> {
    let bucket = tables.bucket(operation, tenant, at.bucket.as_str())?;
    check_version(operation, version)?;
    let row = tables
        .object(bucket, at.key.as_str())?
        .ok_or_else(|| not_found(operation, Missing::Object))?;
    Ok((bucket, row))
}

fn check_version(operation: &'static str, version: Option<&VersionId>) -> Result<(), TxError> {
    match version {
        Some(version) if version.0 != NULL_VERSION => Err(not_found(operation, Missing::Version)),
        _ => Ok(()),
    }
}

pub(super) fn outcome(row: &ObjectRow) -> WriteOutcome {
    WriteOutcome {
        etag: row.etag.clone(),
        version: None,
        last_modified: Some(row.last_modified),
        expiration: None,
    }
}

pub(super) fn stored_head(row: ObjectRow) -> StoredHead {
    let mut fields = row.head;
    let tags = std::mem::take(&mut fields.tags);
    StoredHead {
        stored_bytes: row.stored_bytes,
        etag: row.etag,
        last_modified: row.last_modified,
        version: None,
        fields,
        tag_count: u32::try_from(tags.len()).unwrap_or(u32::MAX),
        expiration: None,
    }
}

/// Ids that a write needs.
pub(super) struct Fresh {
    pub(super) body: Id,
    pub(super) etag: String,
}

impl Fresh {
    pub(super) fn draw(operation: &'static str) -> Result<Self, RegionError> {
        Ok(Self {
            body: super::ids::draw(operation)?,
            etag: hex::encode(super::ids::draw(operation)?),
        })
    }
}

/// A put's change of the index.
pub(super) struct Put {
    pub(super) tenant: TenantId,
    pub(super) at: ObjectRef,
    pub(super) head: HeadFields,
    pub(super) condition: PutCondition,
    pub(super) stored_bytes: u64,
    pub(super) file: Id,
    pub(super) fresh: Fresh,
    pub(super) now: UnixMs,
}

impl Put {
    pub(super) fn apply(self, tables: &mut WriteTables<'_>) -> Result<WriteOutcome, TxError> {
        let bucket = tables.bucket("put", self.tenant, self.at.bucket.as_str())?;
        let key = self.at.key.as_str();
        let current = tables.object(bucket, key)?;
        check_condition("put", &self.condition, current.as_ref())?;
        let row = ObjectRow {
            stored_bytes: self.stored_bytes,
            last_modified: self.now,
            etag: self.fresh.etag,
            body: self.fresh.body,
            head: self.head,
        };
        tables.add_body(
            &row.body,
            &[Extent {
                file: self.file,
                first: 0,
                bytes: self.stored_bytes,
            }],
        )?;
        tables.put_object(bucket, key, &row)?;
        Ok(outcome(&row))
    }
}

/// Whether a put could go on now, asked before its body is read; the change asks again.
pub(super) fn check_put(
    tables: &ReadTables,
    tenant: TenantId,
    at: &ObjectRef,
    condition: &PutCondition,
) -> Result<(), TxError> {
    let bucket = tables.bucket("put", tenant, at.bucket.as_str())?;
    if *condition == PutCondition::Always {
        return Ok(());
    }
    let current = tables.object(bucket, at.key.as_str())?;
    check_condition("put", condition, current.as_ref())
}

pub(super) fn copy(
    tables: &mut WriteTables<'_>,
    tenant: TenantId,
    to: &ObjectRef,
    request: CopyRequest,
    etag: String,
    now: UnixMs,
) -> Result<WriteOutcome, TxError> {
    let bucket = tables.bucket("copy", tenant, to.bucket.as_str())?;
    let (_, source) = find(
        tables,
        "copy",
        tenant,
        &request.from,
        request.from_version.as_ref(),
    )?;
    if source.etag != request.source.etag {
        return Err(RegionError::PreconditionFailed { operation: "copy" }.into());
    }
    let current = tables.object(bucket, to.key.as_str())?;
    check_condition("copy", &request.condition, current.as_ref())?;
    let mut head = request.head;
    if request.copy_tags {
        head.tags = source.head.tags;
    }
    let row = ObjectRow {
        stored_bytes: source.stored_bytes,
        last_modified: now,
        etag,
        body: source.body,
        head,
    };
    tables.share_body(&row.body)?;
    tables.put_object(bucket, to.key.as_str(), &row)?;
    Ok(outcome(&row))
}

pub(super) fn delete(
    tables: &mut WriteTables<'_>,
    tenant: TenantId,
    at: &ObjectRef,
    request: &DeleteRequest,
) -> Result<DeleteOutcome, TxError> {
    let bucket = tables.bucket("delete", tenant, at.bucket.as_str())?;
    check_version("delete", request.version.as_ref())?;
    let current = tables.object(bucket, at.key.as_str())?;
    check_condition("delete", &request.condition, current.as_ref())?;
    if current.is_some() {
        tables.remove_object(bucket, at.key.as_str())?;
    }
    Ok(DeleteOutcome {
        version: request.version.clone(),
        delete_marker: false,
    })
}

pub(super) fn set_tags(
    tables: &mut WriteTables<'_>,
    tenant: TenantId,
    at: &ObjectRef,
    version: Option<&VersionId>,
    tags: Vec<(String, String)>,
) -> Result<(), TxError> {
    let (bucket, mut row) = find(tables, "set_tags", tenant, at, version)?;
    row.head.tags = tags;
    tables.rewrite_object(bucket, at.key.as_str(), &row)
}

/// The first byte of a range and how many there are.
fn resolve(range: Option<ByteRange>, stored_bytes: u64) -> Result<(u64, u64), TxError> {
    let (first, bytes) = match range {
        None => return Ok((0, stored_bytes)),
        Some(ByteRange::Inclusive { first, last }) => {
            let end = last.saturating_add(1).min(stored_bytes);
            (first, end.saturating_sub(first))
        }
        Some(ByteRange::Suffix { bytes }) => {
            let bytes = bytes.min(stored_bytes);
            (stored_bytes - bytes, bytes)
        }
    };
    if bytes == 0 {
        return Err(RegionError::RangeNotSatisfiable {
            operation: "get",
            stored_bytes: Some(stored_bytes),
        }
        .into());
    }
    Ok((first, bytes))
}

/// Opens an object for reading. Blocks on the disk.
pub(super) fn get(
    index: &Opened,
    bodies: &Arc<BodyFiles>,
    tenant: TenantId,
    at: &ObjectRef,
    request: &GetRequest,
) -> Result<StoredObject, RegionError> {
    let mut missing: Option<Id> = None;
    for _ in 0..READ_TRIES {
        match try_get(index, bodies, tenant, at, request) {
            Ok(object) => return Ok(object),
            // The body was replaced between the look at the index and the open, unless the index still names it.
            Err(GetFailure::Gone(body)) if missing != Some(body) => missing = Some(body),
            Err(GetFailure::Gone(_)) => return Err(ReadFailure::Gone.into_region("get")),
            Err(GetFailure::Read(failure)) => return Err(failure.into_region("get")),
            Err(GetFailure::Index(error)) => return Err(error.into_region("get")),
        }
    }
    Err(RegionError::Unavailable {
        operation: "get",
        reason: "the object is replaced faster than it can be opened".to_owned(),
    })
}

enum GetFailure {
    Gone(Id),
    Read(ReadFailure),
    Index(TxError),
}

impl From<TxError> for GetFailure {
    fn from(error: TxError) -> Self {
        Self::Index(error)
    }
}

fn try_get(
    index: &Opened,
    bodies: &Arc<BodyFiles>,
    tenant: TenantId,
    at: &ObjectRef,
    request: &GetRequest,
) -> Result<StoredObject, GetFailure> {
    let tables = index.read()?;
    let (_, row) = find(&tables, "get", tenant, at, request.version.as_ref())?;
    if request
        .if_match
        .as_ref()
        .is_some_and(|etag| *etag != row.etag)
    {
        let failed = RegionError::PreconditionFailed { operation: "get" };
        return Err(TxError::from(failed).into());
    }
    let (first, body_bytes) = resolve(request.range, row.stored_bytes)?;
    let extents = tables
        .extents(&row.body)?
        .ok_or_else(|| TxError::damaged("a body is missing"))?;
    let extents = clip(&extents, first, body_bytes);
    if extents.iter().map(|extent| extent.bytes).sum::<u64>() != body_bytes {
        return Err(TxError::damaged("a body has another length than its object").into());
    }
    drop(tables);
    // Of several files only the first is opened now. The others must stay: they are pinned, and the index is looked at
    // again, because a file may have been let go of before the pin.
    let pin =
        (extents.len() > 1).then(|| bodies.pin(extents.iter().map(|extent| extent.file).collect()));
    if pin.is_some() && index.read()?.extents(&row.body)?.is_none() {
        return Err(GetFailure::Gone(row.body));
    }
    let mut reader =
        BodyReader::open(Arc::clone(bodies), extents, pin).map_err(|failure| match failure {
            ReadFailure::Gone => GetFailure::Gone(row.body),
            other => GetFailure::Read(other),
        })?;
    let first_chunk = reader.chunk().map_err(GetFailure::Read)?;
    Ok(StoredObject {
        head: stored_head(row),
        first,
        body_bytes,
        body: reader.into_stream(first_chunk),
    })
}
