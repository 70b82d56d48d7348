//! Multipart uploads: parts are bodies, and the finished object is the list of their files.

use super::super::{
    CompletedPart, Missing, ObjectRef, PartCopyRequest, PutCondition, RegionError, StoredPart,
    UpstreamUploadId, WriteOutcome,
};
use super::ids::Id;
use super::objects::{Fresh, check_condition, find, not_found, outcome, refused};
use super::rows::{Extent, ObjectRow, PartRow, TxError, clip};
use super::tables::{Lookup, WriteTables};
use crate::clock::UnixMs;
use crate::tenants::TenantId;
use std::collections::HashMap;

/// S3's highest part number.
const PART_NUMBER_MAX: u16 = 10_000;

/// An upload, and where its object is to be.
#[derive(Clone)]
pub(super) struct UploadRef {
    pub(super) tenant: TenantId,
    pub(super) at: ObjectRef,
    pub(super) upload: Id,
}

impl UploadRef {
    /// # Errors
    /// [`Missing::Upload`] when the text is not an id that this store gave.
    pub(super) fn new(
        operation: &'static str,
        tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
    ) -> Result<Self, RegionError> {
        let mut id = [0; 16];
        hex::decode_to_slice(&upload.0, &mut id).map_err(|_| RegionError::NotFound {
            operation,
            missing: Missing::Upload,
        })?;
        Ok(Self {
            tenant,
            at: at.clone(),
            upload: id,
        })
    }

    /// The bucket's number, if the upload is open.
    pub(super) fn find(
        &self,
        tables: &impl Lookup,
        operation: &'static str,
    ) -> Result<(u64, super::HeadFields), TxError> {
        let bucket = tables.bucket(operation, self.tenant, self.at.bucket.as_str())?;
        let head = tables
            .upload(bucket, &self.upload, self.at.key.as_str())?
            .ok_or_else(|| not_found(operation, Missing::Upload))?;
        Ok((bucket, head))
    }
}

pub(super) fn check_number(operation: &'static str, number: u16) -> Result<(), RegionError> {
    if (1..=PART_NUMBER_MAX).contains(&number) {
        Ok(())
    } else {
        Err(refused(operation, "InvalidArgument"))
    }
}

/// Puts a stored body file into the index as a part. Returns the part's ETag.
pub(super) fn put_part(
    tables: &mut WriteTables<'_>,
    upload: &UploadRef,
    number: u16,
    file: Extent,
    fresh: Fresh,
) -> Result<String, TxError> {
    upload.find(tables, "upload_part")?;
    tables.add_body(&fresh.body, &[file])?;
    let part = PartRow {
        number,
        stored_bytes: file.bytes,
        etag: fresh.etag,
        body: fresh.body,
    };
    tables.put_part(&upload.upload, &part)?;
    Ok(part.etag)
}

/// Makes a part that shares a range of a stored object's files. Returns the part's ETag.
pub(super) fn copy_part(
    tables: &mut WriteTables<'_>,
    upload: &UploadRef,
    request: &PartCopyRequest,
    fresh: Fresh,
) -> Result<String, TxError> {
    let operation = "upload_part_copy";
    upload.find(tables, operation)?;
    let version = request.from_version.as_ref();
    let (_, source) = find(tables, operation, upload.tenant, &request.from, version)?;
    if source.etag != request.source.etag {
        return Err(RegionError::PreconditionFailed { operation }.into());
    }
    let (first, last) = request.range;
    if first > last || last >= source.stored_bytes {
        return Err(RegionError::RangeNotSatisfiable {
            operation,
            stored_bytes: Some(source.stored_bytes),
        }
        .into());
    }
    let stored_bytes = last - first + 1;
    let extents = tables
        .extents(&source.body)?
        .ok_or_else(|| TxError::damaged("a body is missing"))?;
    tables.add_body(&fresh.body, &clip(&extents, first, stored_bytes))?;
    let part = PartRow {
        number: request.number,
        stored_bytes,
        etag: fresh.etag,
        body: fresh.body,
    };
    tables.put_part(&upload.upload, &part)?;
    Ok(part.etag)
}

/// Makes the object of the parts named, and lets go of the others.
pub(super) fn complete(
    tables: &mut WriteTables<'_>,
    upload: &UploadRef,
    parts: &[CompletedPart],
    condition: &PutCondition,
    fresh: Fresh,
    now: UnixMs,
) -> Result<WriteOutcome, TxError> {
    let operation = "complete_upload";
    let (bucket, head) = upload.find(tables, operation)?;
    let key = upload.at.key.as_str();
    let (stored_bytes, extents) = join(tables, upload, parts)?;
    let current = tables.object(bucket, key)?;
    check_condition(operation, condition, current.as_ref())?;
    let row = ObjectRow {
        stored_bytes,
        last_modified: now,
        etag: format!("{}-{}", fresh.etag, parts.len()),
        body: fresh.body,
        head,
    };
    tables.add_body(&row.body, &extents)?;
    tables.remove_upload(bucket, &upload.upload)?;
    tables.put_object(bucket, key, &row)?;
    Ok(outcome(&row))
}

/// The length and extents of the parts named, which must be the ones that the store holds, in ascending order.
fn join(
    tables: &WriteTables<'_>,
    upload: &UploadRef,
    parts: &[CompletedPart],
) -> Result<(u64, Vec<Extent>), TxError> {
    let operation = "complete_upload";
    if parts.is_empty() {
        return Err(refused(operation, "MalformedXML").into());
    }
    if !parts.is_sorted_by(|a, b| a.number < b.number) {
        return Err(refused(operation, "InvalidPartOrder").into());
    }
    let held: HashMap<u16, PartRow> = tables
        .part_rows(&upload.upload)?
        .into_iter()
        .map(|part| (part.number, part))
        .collect();
    let mut stored_bytes: u64 = 0;
    let mut extents = Vec::with_capacity(parts.len());
    for named in parts {
        let part = held
            .get(&named.number)
            .filter(|part| part.etag == named.etag)
            .ok_or(RegionError::InvalidPart {
                operation,
                number: Some(named.number),
            })?;
        stored_bytes = stored_bytes
            .checked_add(part.stored_bytes)
            .ok_or_else(|| refused(operation, "EntityTooLarge"))?;
        let body = tables
            .extents(&part.body)?
            .ok_or_else(|| TxError::damaged("a part's body is missing"))?;
        extents.extend(body);
    }
    Ok((stored_bytes, extents))
}

pub(super) fn list(tables: &impl Lookup, upload: &UploadRef) -> Result<Vec<StoredPart>, TxError> {
    upload.find(tables, "list_parts")?;
    Ok(tables
        .part_rows(&upload.upload)?
        .into_iter()
        .map(|part| StoredPart {
            number: part.number,
            etag: part.etag,
            stored_bytes: part.stored_bytes,
        })
        .collect())
}
