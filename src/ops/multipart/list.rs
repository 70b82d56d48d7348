//! ListParts and ListMultipartUploads, answered from the catalog: upstream shows sealed lengths and superseded attempts.

use crate::catalog::{Attempt, Upload, UploadPage};
use crate::ops::error::OpError;
use crate::ops::scope::BucketScope;
use crate::tenants::{ObjectKey, UploadId};

/// One page of an upload's parts.
pub struct PartPage {
    /// The upload.
    pub upload: Upload,
    /// The current attempt of each part, ascending.
    pub parts: Vec<Attempt>,
    /// Whether more follow.
    pub truncated: bool,
}

/// Lists an upload's parts after a number.
///
/// # Errors
/// `NoSuchUpload`.
pub async fn list_parts(
    scope: &BucketScope,
    key: &ObjectKey,
    id: &str,
    after: u16,
    rows_max: u16,
) -> Result<PartPage, OpError> {
    let upload = super::find(scope, key, id).await?;
    if upload.answer.is_some() {
        return Err(OpError::no_such_upload());
    }
    let rows = u32::from(rows_max) + 1;
    let mut parts = scope
        .domain
        .catalog
        .parts(scope.tenant, &upload.new.id, after, rows)
        .await?;
    let truncated = parts.len() > usize::from(rows_max);
    parts.truncate(usize::from(rows_max));
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
