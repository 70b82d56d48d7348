//! Copies: whole objects, and ranges as parts of an upload.

use super::Call;
use super::convert::{self, Checksums, Encryption, with_checksums, with_encryption};
use super::locks;
use super::multipart::{key, number};
use super::objects::existing_key;
use crate::edge::conditions;
use crate::ops::copy_object::{self, CopyObject};
use crate::ops::error::OpError;
use crate::ops::headers;
use crate::ops::multipart::{self, UploadPartCopy};
use crate::ops::scope::{self, Access, BucketScope};
use crate::region::VersionId;
use crate::tenants::ObjectKey;
use s3s::dto::{self, CopySource};
use s3s::{S3Request, S3Response};

type Answer<O> = Result<S3Response<O>, OpError>;

/// A copy's source: a bucket of the caller's own tenant, whatever the header says.
async fn copy_source(
    call: &Call,
    source: &CopySource,
) -> Result<(BucketScope, ObjectKey, Option<VersionId>), OpError> {
    let CopySource::Bucket {
        bucket,
        key,
        version_id,
    } = source
    else {
        return Err(OpError::not_implemented(
            "Copies from access points are not supported.",
        ));
    };
    let scope = call.source_bucket(bucket).await?;
    let key = existing_key(&scope, key)?;
    Ok((scope, key, scope::version(version_id.as_deref())?))
}

pub(super) async fn copy(
    call: Call,
    request: S3Request<dto::CopyObjectInput>,
) -> Answer<dto::CopyObjectOutput> {
    let (input, sent) = (&request.input, &request.headers);
    headers::check_supported_but_lock(sent)?;
    let keys = call.customer_keys.of_copy(sent)?;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let (source, source_key, source_version) = copy_source(&call, &input.copy_source).await?;
    if input.checksum_algorithm.is_some() {
        return Err(OpError::not_implemented(
            "A copy keeps its source's checksum: a new checksum would need the data to pass through the gateway. Upload it again instead.",
        ));
    }
    let metadata = match input
        .metadata_directive
        .as_ref()
        .map(dto::MetadataDirective::as_str)
    {
        None | Some(dto::MetadataDirective::COPY) => None,
        Some(dto::MetadataDirective::REPLACE) => {
            Some(headers::object_metadata(sent, input.metadata.as_ref())?)
        }
        Some(_) => return Err(OpError::invalid_argument("Unknown metadata directive.")),
    };
    let tags = match input
        .tagging_directive
        .as_ref()
        .map(dto::TaggingDirective::as_str)
    {
        None | Some(dto::TaggingDirective::COPY) => None,
        Some(dto::TaggingDirective::REPLACE) => Some(headers::tags(sent)?),
        Some(_) => return Err(OpError::invalid_argument("Unknown tagging directive.")),
    };
    let copy = CopyObject {
        source,
        source_key,
        source_version,
        source_conditions: conditions::copy_source_conditions(sent),
        key: scope.key(&input.key)?,
        metadata,
        tags,
        lock: locks::asked(
            input.object_lock_mode.as_ref(),
            input.object_lock_retain_until_date.as_ref(),
            input.object_lock_legal_hold_status.as_ref(),
        )?,
        condition: conditions::write_condition(sent)?,
        source_customer_key: keys.source.as_ref().map(|sent| sent.key()),
        customer_key: keys.object.as_ref().map(|sent| sent.key()),
    };
    let answer = copy_object::copy_object(&call.gateway, &scope, &copy).await?;
    let checksums = Checksums::of(
        answer.checksum.as_ref().map(|(checksum, _)| checksum),
        answer.checksum.as_ref().map_or(1, |c| c.1),
    );
    let result = dto::CopyObjectResult {
        e_tag: Some(convert::etag(&answer.etag)),
        last_modified: Some(convert::timestamp(answer.last_modified)),
        checksum_type: checksums.kind.clone(),
        ..Default::default()
    };
    let output = dto::CopyObjectOutput {
        copy_object_result: Some(with_checksums!(result, checksums)),
        copy_source_version_id: answer.source_version.map(|version| version.0),
        version_id: answer.version.map(|version| version.0),
        expiration: answer.expiration,
        ..Default::default()
    };
    let method = headers::server_side_encryption(sent)?;
    let encryption = Encryption::of(keys.object.as_deref(), method);
    Ok(S3Response::new(with_encryption!(output, encryption)))
}

/// `bytes=first-last`: a copy source's range has both ends.
fn source_range(text: &str) -> Result<(u64, u64), OpError> {
    let ends = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'));
    let digits = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<u64>().ok())
            .flatten()
    };
    ends.and_then(|(first, last)| Some((digits(first)?, digits(last)?))).filter(|(first, last)| first <= last).ok_or_else(|| {
        OpError::invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based \
             offsets of the first and last bytes to copy",
        )
    })
}

pub(super) async fn part(
    call: Call,
    request: S3Request<dto::UploadPartCopyInput>,
) -> Answer<dto::UploadPartCopyOutput> {
    let (input, sent) = (&request.input, &request.headers);
    headers::check_supported(sent)?;
    let keys = call.customer_keys.of_copy(sent)?;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let (source, source_key, source_version) = copy_source(&call, &input.copy_source).await?;
    let copy = UploadPartCopy {
        key: key(&input.key)?,
        upload: input.upload_id.clone(),
        number: number(input.part_number)?,
        source,
        source_key,
        source_version,
        source_conditions: conditions::copy_source_conditions(sent),
        range: input
            .copy_source_range
            .as_deref()
            .map(source_range)
            .transpose()?,
        source_customer_key: keys.source.as_ref().map(|sent| sent.key()),
        customer_key: keys.object.as_ref().map(|sent| sent.key()),
    };
    let (answer, version) = multipart::upload_part_copy(&call.gateway, &scope, copy).await?;
    let result = dto::CopyPartResult {
        e_tag: Some(convert::etag(&answer.etag)),
        last_modified: Some(convert::timestamp(answer.last_modified)),
        ..Default::default()
    };
    let output = dto::UploadPartCopyOutput {
        copy_part_result: Some(with_checksums!(
            result,
            Checksums::of(answer.checksum.as_ref(), 1)
        )),
        copy_source_version_id: version.map(|version| version.0),
        ..Default::default()
    };
    let encryption = Encryption::stored(keys.object.as_deref());
    Ok(S3Response::new(with_encryption!(output, encryption)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_range_needs_both_ends_in_order() {
        assert_eq!(source_range("bytes=0-9").unwrap(), (0, 9));
        for bad in [
            "bytes=9-0",
            "bytes=0-",
            "bytes=-5",
            "0-9",
            "bytes=+1-2",
            "bytes=a-b",
            "bytes=0-1,2-3",
            "",
        ] {
            assert!(source_range(bad).is_err(), "{bad}");
        }
    }
}
