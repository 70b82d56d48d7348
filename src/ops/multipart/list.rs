//! ListParts and ListMultipartUploads, answered from the catalog: upstream shows sealed lengths and superseded attempts.

use super::checksums::{self, Part};
use crate::catalog::{Attempt, Upload, UploadPage};
use crate::ops::error::OpError;
use crate::ops::gateway::Gateway;
use crate::ops::scope::BucketScope;
use crate::tenants::{ObjectKey, UploadId};
use lethe_envelope::CustomerKey;

/// One page of an upload's parts.
pub struct PartPage {
    /// The upload.
    pub upload: Upload,
    /// The current attempt of each part, ascending.
    pub parts: Vec<Part>,
    /// Whether more follow.
    pub truncated: bool,
}

/// Lists an upload's parts after a number. Checksums of an upload with a customer key are shown to those who send it.
///
/// # Errors
/// `NoSuchUpload`; `InvalidRequest` for another customer key.
pub async fn list_parts(
    gateway: &Gateway,
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
    let rows = u32::from(rows_max) + 1;
    let mut attempts = scope
        .domain
        .catalog
        .parts(scope.tenant, &upload.new.id, after, rows)
        .await?;
    let truncated = attempts.len() > usize::from(rows_max);
    attempts.truncate(usize::from(rows_max));
    let parts = match customer_key.is_none() && super::has_customer_key(&upload)? {
        true => attempts.into_iter().map(without_checksum).collect(),
        false => checksums::open(gateway, scope, &upload, customer_key, attempts).await?,
    };
    Ok(PartPage {
        upload,
        parts,
        truncated,
    })
}

fn without_checksum(attempt: Attempt) -> Part {
    Part {
        attempt,
        checksum: None,
    }
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
