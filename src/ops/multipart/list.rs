//! ListParts and ListMultipartUploads, answered from the catalog: upstream shows sealed lengths and superseded attempts.

use crate::catalog::{Attempt, Upload, UploadPage};
use crate::ops::error::OpError;
use crate::ops::scope::BucketScope;
use crate::tenants::{ObjectKey, UploadId};
use lethe_envelope::CustomerKey;

/// One page of an upload's parts.
pub struct PartPage {
    /// The upload.
    pub upload: Upload,
    /// The current attempt of each part, ascending.
    pub parts: Vec<Attempt>,
    /// Whether more follow.
    pub truncated: bool,
}

/// Lists an upload's parts after a number. Checksums of an upload with a customer key are shown to those who send it.
///
/// # Errors
/// `NoSuchUpload`; `InvalidRequest` for another customer key.
pub async fn list_parts(
    scope: &BucketScope,
    key: &ObjectKey,
    id: &str,
    after: u16,
    rows_max: u16,
    customer_key: Option<&CustomerKey>,
) -> Result<PartPage, OpError> {
    let upload = super::find(scope, key, id).await?;
    if upload.answer.is_some() {
        return Err(OpError::no_such_upload());
    }
    let hides_checksums = customer_key.is_none() && super::has_customer_key(&upload)?;
    if !hides_checksums {
        super::check_customer_key(scope, &upload, customer_key).await?;
    }
    let rows = u32::from(rows_max) + 1;
    let mut parts = scope
        .domain
        .catalog
        .parts(scope.tenant, &upload.new.id, after, rows)
        .await?;
    let truncated = parts.len() > usize::from(rows_max);
    parts.truncate(usize::from(rows_max));
    for part in parts.iter_mut().filter(|_| hides_checksums) {
        part.stored.checksum = None;
    }
    Ok(PartPage {
        upload,
        parts,
        truncated,
    })
}

/// Lists a bucket's open uploads after a marker.
///
/// # Errors
/// 503 when the catalog is away.
pub async fn list_uploads(
    scope: &BucketScope,
    prefix: &str,
    after: Option<(&str, Option<&UploadId>)>,
    rows_max: u32,
) -> Result<UploadPage, OpError> {
    Ok(scope
        .domain
        .catalog
        .uploads(scope.tenant, &scope.bucket.name, prefix, after, rows_max)
        .await?)
}
