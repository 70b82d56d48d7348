//! Listings: ListObjects v1 and v2, ListObjectVersions.

use super::Call;
use super::convert::{self, Encoding};
use crate::ops::error::OpError;
use crate::ops::list_objects::{self, PlainObject, PlainVersion};
use crate::ops::scope::Access;
use crate::region::{ListRequest, VersionId, VersionListRequest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto;
use s3s::{S3Request, S3Response};

const KEYS_MAX: usize = 1000;

type Answer<O> = Result<S3Response<O>, OpError>;

/// `max-keys` and its like: 1,000 at most and by default.
pub(super) fn page_max(asked: Option<i32>, name: &str) -> Result<usize, OpError> {
    match asked {
        None => Ok(KEYS_MAX),
        Some(asked) => usize::try_from(asked)
            .map(|asked| asked.min(KEYS_MAX))
            .map_err(|_| {
                OpError::invalid_argument(format!(
                    "Argument {name} must be an integer between 0 and 2147483647"
                ))
            }),
    }
}

fn non_empty(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

fn prefixes(prefixes: &[String], encoding: Encoding) -> Option<Vec<dto::CommonPrefix>> {
    let fold = |prefix: &String| dto::CommonPrefix {
        prefix: Some(encoding.text(prefix)),
    };
    (!prefixes.is_empty()).then(|| prefixes.iter().map(fold).collect())
}

fn object(object: PlainObject, owner: Option<dto::Owner>, encoding: Encoding) -> dto::Object {
    dto::Object {
        key: Some(encoding.text(&object.key)),
        size: Some(convert::size(object.plaintext_bytes)),
        e_tag: Some(convert::etag(&object.etag)),
        last_modified: Some(convert::timestamp(object.last_modified)),
        storage_class: Some(dto::ObjectStorageClass::from_static(
            dto::ObjectStorageClass::STANDARD,
        )),
        owner,
        ..Default::default()
    }
}

pub(super) async fn v1(
    call: Call,
    request: S3Request<dto::ListObjectsInput>,
) -> Answer<dto::ListObjectsOutput> {
    let input = request.input;
    let encoding = Encoding::asked(input.encoding_type.as_ref())?;
    let keys_max = page_max(input.max_keys, "max-keys")?;
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let list = ListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: non_empty(input.delimiter.as_ref()),
        start_after: non_empty(input.marker.as_ref()),
        keys_max,
    };
    let page = list_objects::list_objects(&scope, &list).await?;
    let is_truncated = page.next_start_after.is_some();
    Ok(S3Response::new(dto::ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.text(&list.prefix)),
        marker: Some(encoding.text(input.marker.as_deref().unwrap_or_default())),
        max_keys: i32::try_from(keys_max).ok(),
        is_truncated: Some(is_truncated),
        common_prefixes: prefixes(&page.common_prefixes, encoding),
        next_marker: encoding.optional(
            page.next_start_after
                .as_ref()
                .filter(|_| list.delimiter.is_some()),
        ),
        delimiter: encoding.optional(list.delimiter.as_ref()),
        encoding_type: input.encoding_type,
        contents: Some(
            page.objects
                .into_iter()
                .map(|listed| object(listed, Some(call.owner()), encoding))
                .collect(),
        ),
        ..Default::default()
    }))
}

pub(super) async fn v2(
    call: Call,
    request: S3Request<dto::ListObjectsV2Input>,
) -> Answer<dto::ListObjectsV2Output> {
    let input = request.input;
    let encoding = Encoding::asked(input.encoding_type.as_ref())?;
    let keys_max = page_max(input.max_keys, "max-keys")?;
    let token = non_empty(input.continuation_token.as_ref());
    let start_after = match &token {
        Some(token) => Some(read_token(token)?),
        None => non_empty(input.start_after.as_ref()),
    };
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let list = ListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: non_empty(input.delimiter.as_ref()),
        start_after,
        keys_max,
    };
    let page = list_objects::list_objects(&scope, &list).await?;
    let owner = input.fetch_owner.unwrap_or(false).then(|| call.owner());
    let key_count = i32::try_from(page.objects.len() + page.common_prefixes.len()).ok();
    Ok(S3Response::new(dto::ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoding.text(&list.prefix)),
        max_keys: i32::try_from(keys_max).ok(),
        key_count,
        continuation_token: input.continuation_token,
        is_truncated: Some(page.next_start_after.is_some()),
        next_continuation_token: page
            .next_start_after
            .as_ref()
            .map(|next| URL_SAFE_NO_PAD.encode(next)),
        common_prefixes: prefixes(&page.common_prefixes, encoding),
        delimiter: encoding.optional(list.delimiter.as_ref()),
        encoding_type: input.encoding_type,
        start_after: encoding.optional(input.start_after.as_ref()),
        contents: Some(
            page.objects
                .into_iter()
                .map(|listed| object(listed, owner.clone(), encoding))
                .collect(),
        ),
        ..Default::default()
    }))
}

fn read_token(token: &str) -> Result<String, OpError> {
    URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| !text.is_empty() && text.len() <= 1024)
        .ok_or_else(|| OpError::invalid_argument("The continuation token provided is incorrect"))
}

fn version(call: &Call, listed: &PlainVersion, encoding: Encoding) -> dto::ObjectVersion {
    dto::ObjectVersion {
        key: Some(encoding.text(&listed.object.key)),
        size: Some(convert::size(listed.object.plaintext_bytes)),
        e_tag: Some(convert::etag(&listed.object.etag)),
        last_modified: Some(convert::timestamp(listed.object.last_modified)),
        is_latest: Some(listed.is_latest),
        owner: Some(call.owner()),
        storage_class: Some(dto::ObjectVersionStorageClass::from_static(
            dto::ObjectVersionStorageClass::STANDARD,
        )),
        version_id: Some(listed.version.0.clone()),
        ..Default::default()
    }
}

fn marker(call: &Call, listed: &PlainVersion, encoding: Encoding) -> dto::DeleteMarkerEntry {
    dto::DeleteMarkerEntry {
        key: Some(encoding.text(&listed.object.key)),
        is_latest: Some(listed.is_latest),
        last_modified: Some(convert::timestamp(listed.object.last_modified)),
        owner: Some(call.owner()),
        version_id: Some(listed.version.0.clone()),
    }
}

pub(super) async fn versions(
    call: Call,
    request: S3Request<dto::ListObjectVersionsInput>,
) -> Answer<dto::ListObjectVersionsOutput> {
    let input = request.input;
    let encoding = Encoding::asked(input.encoding_type.as_ref())?;
    let keys_max = page_max(input.max_keys, "max-keys")?;
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let version_marker = non_empty(input.version_id_marker.as_ref());
    if version_marker.is_some() && non_empty(input.key_marker.as_ref()).is_none() {
        return Err(OpError::invalid_argument(
            "A version-id marker cannot be specified without a key marker.",
        ));
    }
    let list = VersionListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: non_empty(input.delimiter.as_ref()),
        key_marker: non_empty(input.key_marker.as_ref()),
        version_marker: version_marker.map(VersionId),
        keys_max,
    };
    let page = list_objects::list_versions(&scope, &list).await?;
    let (markers, versions): (Vec<_>, Vec<_>) = page
        .versions
        .iter()
        .partition(|listed| listed.delete_marker);
    Ok(S3Response::new(dto::ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.text(&list.prefix)),
        max_keys: i32::try_from(keys_max).ok(),
        is_truncated: Some(page.next_key_marker.is_some()),
        key_marker: Some(encoding.text(input.key_marker.as_deref().unwrap_or_default())),
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        next_key_marker: encoding.optional(page.next_key_marker.as_ref()),
        next_version_id_marker: page
            .next_version_marker
            .as_ref()
            .map(|version| version.0.clone()),
        common_prefixes: prefixes(&page.common_prefixes, encoding),
        delimiter: encoding.optional(list.delimiter.as_ref()),
        encoding_type: input.encoding_type,
        versions: Some(
            versions
                .into_iter()
                .map(|listed| version(&call, listed, encoding))
                .collect(),
        ),
        delete_markers: Some(
            markers
                .into_iter()
                .map(|listed| marker(&call, listed, encoding))
                .collect(),
        ),
        ..Default::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_reads_back_and_a_made_up_one_is_refused() {
        for text in ["a", "ü/\u{0}", &"x".repeat(1024)] {
            assert_eq!(read_token(&URL_SAFE_NO_PAD.encode(text)).unwrap(), text);
        }
        let long = URL_SAFE_NO_PAD.encode("x".repeat(1025));
        for bad in ["", "!", "_w", long.as_str()] {
            assert!(read_token(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn page_size_is_capped_and_never_negative() {
        assert_eq!(page_max(None, "max-keys").unwrap(), 1000);
        assert_eq!(page_max(Some(0), "max-keys").unwrap(), 0);
        assert_eq!(page_max(Some(5000), "max-keys").unwrap(), 1000);
        assert!(page_max(Some(-1), "max-keys").is_err());
    }
}
