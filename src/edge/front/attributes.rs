//! GetObjectAttributes.

use super::Call;
use super::convert::{self, Checksums, with_checksums};
use super::listings::page_max;
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
    let asked = asked(&input.object_attributes)?;
    let wants = |name: &str| asked.contains(&name);
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

const ATTRIBUTES: [&str; 5] = [
    dto::ObjectAttributes::CHECKSUM,
    dto::ObjectAttributes::ETAG,
    dto::ObjectAttributes::OBJECT_PARTS,
    dto::ObjectAttributes::OBJECT_SIZE,
    dto::ObjectAttributes::STORAGE_CLASS,
];

/// The attributes that are asked for: clients send one header with commas, or one header each.
fn asked(headers: &[dto::ObjectAttributes]) -> Result<Vec<&str>, OpError> {
    let names = headers.iter().flat_map(|names| names.as_str().split(','));
    let asked: Vec<&str> = names
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    if asked.is_empty() {
        return Err(OpError::invalid_request(
            "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty",
        ));
    }
    match asked.iter().all(|name| ATTRIBUTES.contains(name)) {
        true => Ok(asked),
        false => Err(OpError::invalid_argument(
            "Invalid attribute name specified.",
        )),
    }
}

async fn object_parts(
    call: &Call,
    input: &dto::GetObjectAttributesInput,
    object: &opened::OpenedObject,
) -> Result<dto::GetObjectAttributesParts, OpError> {
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let key = existing_key(&scope, &input.key)?;
    let trailer = object.layout(&call.gateway, &scope, &key).await?;
    let max = page_max(input.max_parts, "max-parts")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_in_one_header_or_many_and_must_be_known() {
        let of = |headers: &[&'static str]| {
            let headers: Vec<_> = headers
                .iter()
                .map(|names| dto::ObjectAttributes::from_static(names))
                .collect();
            let names = asked(&headers).map_err(|refused| refused.code())?;
            Ok::<_, crate::ops::Code>(names.join(" "))
        };
        assert_eq!(
            of(&["ETag, ObjectSize,", "Checksum"]).unwrap(),
            "ETag ObjectSize Checksum"
        );
        assert_eq!(of(&[" ,"]), Err(crate::ops::Code::InvalidRequest));
        assert_eq!(of(&["ETag,etag"]), Err(crate::ops::Code::InvalidArgument));
    }
}
