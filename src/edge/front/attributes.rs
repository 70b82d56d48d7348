//! GetObjectAttributes.

use super::Call;
use super::convert::{self, Checksums, with_checksums};
use super::objects::{existing_key, read};
use crate::ops::error::OpError;
use crate::ops::opened;
use crate::ops::scope::Access;
use s3s::dto;
use s3s::{S3Request, S3Response};

type Answer<O> = Result<S3Response<O>, OpError>;

pub(super) async fn attributes(
    call: Call,
    request: S3Request<dto::GetObjectAttributesInput>,
) -> Answer<dto::GetObjectAttributesOutput> {
    let input = &request.input;
    // Clients send one header with commas, or one header each.
    let wants = |name: &str| {
        let mut asked = input
            .object_attributes
            .iter()
            .flat_map(|attribute| attribute.as_str().split(','));
        asked.any(|attribute| attribute.trim() == name)
    };
    let place = (input.bucket.as_str(), input.key.as_str());
    let with_checksum = wants(dto::ObjectAttributes::CHECKSUM);
    let (answer, _) = read(
        &call,
        &request,
        place,
        input.version_id.as_deref(),
        None,
        with_checksum,
        false,
    )
    .await?;
    let object = &answer.object;
    let parts = match wants(dto::ObjectAttributes::OBJECT_PARTS) && object.is_multipart() {
        true => Some(object_parts(&call, input, object).await?),
        false => None,
    };
    let checksum = answer.checksum.as_ref().map(|(checksum, parts)| {
        let checksums = Checksums::of(Some(checksum), *parts);
        let message = dto::Checksum {
            checksum_type: checksums.kind.clone(),
            ..Default::default()
        };
        with_checksums!(message, checksums)
    });
    Ok(S3Response::new(dto::GetObjectAttributesOutput {
        checksum,
        e_tag: wants(dto::ObjectAttributes::ETAG).then(|| convert::etag(&object.client_etag())),
        last_modified: Some(convert::timestamp(object.head.last_modified)),
        object_parts: parts,
        object_size: wants(dto::ObjectAttributes::OBJECT_SIZE)
            .then(|| convert::size(object.plaintext_bytes)),
        storage_class: wants(dto::ObjectAttributes::STORAGE_CLASS)
            .then(|| dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
        version_id: object.version().map(|version| version.0.clone()),
        ..Default::default()
    }))
}

async fn object_parts(
    call: &Call,
    input: &dto::GetObjectAttributesInput,
    object: &opened::OpenedObject,
) -> Result<dto::GetObjectAttributesParts, OpError> {
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let key = existing_key(&scope, &input.key)?;
    let trailer = object.layout(&call.gateway, &scope, &key).await?;
    let max = usize::try_from(input.max_parts.unwrap_or(1000))
        .unwrap_or(0)
        .min(1000);
    let marker = input.part_number_marker.unwrap_or(0);
    let numbered = trailer.parts.iter().zip(1i32..);
    let mut rest = numbered.filter(|(_, number)| *number > marker);
    let page: Vec<dto::ObjectPart> = rest
        .by_ref()
        .take(max)
        .map(|(part, number)| {
            let message = dto::ObjectPart {
                part_number: Some(number),
                size: Some(convert::size(part.plaintext_bytes)),
                ..Default::default()
            };
            with_checksums!(message, Checksums::of(part.checksum.as_ref(), 1))
        })
        .collect();
    let truncated = rest.next().is_some();
    Ok(dto::GetObjectAttributesParts {
        is_truncated: Some(truncated),
        max_parts: i32::try_from(max).ok(),
        next_part_number_marker: page.last().and_then(|part| part.part_number),
        part_number_marker: Some(marker),
        total_parts_count: i32::try_from(trailer.parts.len()).ok(),
        parts: Some(page),
    })
}
