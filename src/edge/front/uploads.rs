//! The listing of a bucket's open uploads.

use super::Call;
use super::convert::{self, Encoding};
use super::listings::page_max;
use crate::catalog::UploadPage;
use crate::ops::error::OpError;
use crate::ops::list_objects::is_of_no_key;
use crate::ops::multipart;
use crate::ops::scope::Access;
use crate::tenants::UploadId;
use s3s::dto;
use s3s::{S3Request, S3Response};
use std::collections::BTreeSet;

type Answer<O> = Result<S3Response<O>, OpError>;

pub(super) async fn list(
    call: Call,
    request: S3Request<dto::ListMultipartUploadsInput>,
) -> Answer<dto::ListMultipartUploadsOutput> {
    let input = request.input;
    let encoding = Encoding::asked(input.encoding_type.as_ref())?;
    let rows_max = page_max(input.max_uploads, "max-uploads")?;
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let key_marker = input.key_marker.clone().filter(|marker| !marker.is_empty());
    let upload_marker = input
        .upload_id_marker
        .as_ref()
        .filter(|marker| !marker.is_empty())
        .map(|marker| UploadId::new(marker.as_str()));
    let upload_marker = upload_marker
        .transpose()
        .map_err(|_| OpError::invalid_argument("Invalid uploadId marker"))?
        .filter(|_| key_marker.is_some());
    let delimiter = input
        .delimiter
        .clone()
        .filter(|delimiter| !delimiter.is_empty());
    let page = Page {
        prefix: &prefix,
        delimiter: delimiter.as_deref(),
        rows_max: match is_of_no_key(&scope, &prefix) {
            true => 0,
            false => rows_max,
        },
    };
    let (of, prefix_of) = (&scope, prefix.as_str());
    let rows = |after: Option<Place>| async move {
        let after = after
            .as_ref()
            .map(|(key, upload)| (key.as_str(), upload.as_ref()));
        multipart::list_uploads(of, prefix_of, after, CATALOG_ROWS_MAX).await
    };
    let after = key_marker.clone().map(|key| (key, upload_marker));
    let listed = page.collect(after, rows).await?;
    let owner = call.owner();
    let uploads = listed.uploads.iter().map(|upload| dto::MultipartUpload {
        checksum_algorithm: upload
            .new
            .checksum
            .map(|(algorithm, _)| convert::algorithm(algorithm)),
        checksum_type: upload
            .new
            .checksum
            .map(|(_, kind)| convert::checksum_type(kind)),
        initiated: Some(convert::timestamp(upload.new.created)),
        initiator: Some(dto::Initiator {
            id: owner.id.clone(),
            display_name: owner.display_name.clone(),
        }),
        key: Some(encoding.text(upload.new.key.as_str())),
        owner: Some(owner.clone()),
        storage_class: Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
        upload_id: Some(upload.new.id.to_string()),
    });
    Ok(S3Response::new(dto::ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: Some(encoding.text(&prefix)),
        delimiter: encoding.optional(delimiter.as_ref()),
        encoding_type: input.encoding_type,
        key_marker: Some(encoding.text(key_marker.as_deref().unwrap_or_default())),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        is_truncated: Some(listed.next.is_some()),
        max_uploads: i32::try_from(rows_max).ok(),
        next_key_marker: listed.next.as_ref().map(|(key, _)| encoding.text(key)),
        next_upload_id_marker: listed
            .next
            .and_then(|(_, upload)| upload.map(|upload| upload.to_string())),
        common_prefixes: Some(
            listed
                .common_prefixes
                .iter()
                .map(|prefix| dto::CommonPrefix {
                    prefix: Some(encoding.text(prefix)),
                })
                .collect(),
        ),
        uploads: Some(uploads.collect()),
        ..Default::default()
    }))
}

/// Rows of one page of the catalog.
const CATALOG_ROWS_MAX: u32 = 1000;

/// Pages of the catalog that one page of ours may read. A prefix that folds more goes on in the next page.
const CATALOG_PAGES_MAX: usize = 20;

/// Where a listing goes on: behind a key, or behind one of its uploads.
type Place = (String, Option<UploadId>);

/// What one page of uploads is to hold.
struct Page<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    rows_max: usize,
}

#[derive(Default)]
struct ListedUploads {
    uploads: Vec<crate::catalog::Upload>,
    common_prefixes: BTreeSet<String>,
    next: Option<Place>,
}

impl Page<'_> {
    fn fold(&self, key: &str) -> Option<String> {
        let (delimiter, rest) = (self.delimiter?, key.strip_prefix(self.prefix)?);
        let end = rest.find(delimiter)? + delimiter.len();
        Some(format!("{}{}", self.prefix, &rest[..end]))
    }

    /// Reads the catalog's pages until this one is full, or has read enough.
    async fn collect<Asked>(
        &self,
        mut after: Option<Place>,
        rows: impl Fn(Option<Place>) -> Asked,
    ) -> Result<ListedUploads, OpError>
    where
        Asked: Future<Output = Result<UploadPage, OpError>>,
    {
        let mut listed = ListedUploads::default();
        if self.rows_max == 0 {
            return Ok(listed);
        }
        let begins_at = after.as_ref().map(|(key, _)| key.clone());
        for _ in 0..CATALOG_PAGES_MAX {
            let page = rows(after.clone()).await?;
            for upload in page.uploads {
                let key = upload.new.key.as_str().to_owned();
                let folded = self.fold(&key);
                let is_new = folded.as_ref().is_none_or(|folded| {
                    let is_passed = |marker: &String| marker.starts_with(folded.as_str());
                    !listed.common_prefixes.contains(folded)
                        && !begins_at.as_ref().is_some_and(is_passed)
                });
                if is_new && listed.uploads.len() + listed.common_prefixes.len() == self.rows_max {
                    listed.next = after;
                    return Ok(listed);
                }
                after = Some((key, Some(upload.new.id.clone())));
                match folded {
                    None => listed.uploads.push(upload),
                    Some(folded) if is_new => {
                        listed.common_prefixes.insert(folded);
                    }
                    Some(_) => {}
                }
            }
            if !page.truncated {
                return Ok(listed);
            }
        }
        listed.next = after;
        Ok(listed)
    }
}

#[cfg(test)]
#[path = "uploads/tests.rs"]
mod tests;
