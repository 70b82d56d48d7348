//! Single objects: PUT, GET, HEAD, DELETE, copies, attributes and tags.

use super::convert::{self, Checksums, with_checksums};
use super::{Call, IncomingBody};
use crate::edge::{conditions, range};
use crate::ops::checksum::Declared;
use crate::ops::conditions::WriteCondition;
use crate::ops::copy_object::{self, CopyObject};
use crate::ops::delete_object::{self, DeleteObject};
use crate::ops::error::{Code, OpError};
use crate::ops::put_object::{self, PutObject};
use crate::ops::read_object::{self, ObjectAnswer, ReadAnswer, ReadRequest};
use crate::ops::scope::{self, Access, BucketScope};
use crate::ops::{headers, opened, tagging};
use crate::region::{DeleteOutcome, VersionId};
use crate::tenants::ObjectKey;
use s3s::dto::{self, CopySource};
use s3s::{S3Request, S3Response};

/// Deletes in one list.
const DELETES_MAX: usize = 1000;

type Answer<O> = Result<S3Response<O>, OpError>;

pub(super) async fn put(
    call: Call,
    mut request: S3Request<dto::PutObjectInput>,
) -> Answer<dto::PutObjectOutput> {
    let body = request.input.body.take();
    let IncomingBody {
        stream,
        plaintext_bytes,
        trailers,
    } = call.body(body, &request)?;
    let (input, sent) = (&request.input, &request.headers);
    headers::check_supported(sent)?;
    if input.write_offset_bytes.is_some() {
        return Err(OpError::not_implemented(
            "Appending to objects is not supported.",
        ));
    }
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let put = PutObject {
        key: scope.key(&input.key)?,
        metadata: headers::object_metadata(sent, input.metadata.as_ref())?,
        tags: headers::tags(sent)?,
        condition: conditions::write_condition(sent)?,
        body: stream,
        plaintext_bytes,
        declared: Declared::from_headers(sent)?,
        trailers,
    };
    let answer = put_object::put_object(&call.gateway, &scope, put).await?;
    let checksums = Checksums::of(answer.checksum.as_ref(), 1);
    let output = dto::PutObjectOutput {
        e_tag: Some(convert::etag(&answer.etag)),
        version_id: answer.version.map(|version| version.0),
        checksum_type: checksums.kind.clone(),
        server_side_encryption: Some(dto::ServerSideEncryption::from_static(
            headers::server_side_encryption(sent)?,
        )),
        ..Default::default()
    };
    Ok(S3Response::new(with_checksums!(output, checksums)))
}

fn part_number(number: Option<i32>) -> Result<Option<u16>, OpError> {
    match number {
        None => Ok(None),
        Some(number) => match u16::try_from(number) {
            Ok(number) if (1..=10_000).contains(&number) => Ok(Some(number)),
            _ => Err(OpError::invalid_argument(
                "Part number must be an integer between 1 and 10000, inclusive",
            )),
        },
    }
}

async fn read<I>(
    call: &Call,
    request: &S3Request<I>,
    (bucket, key): (&str, &str),
    version: Option<&str>,
    part: Option<i32>,
    with_checksum: bool,
    with_body: bool,
) -> Result<Box<ObjectAnswer>, OpError> {
    headers::check_supported(&request.headers)?;
    let scope = call.bucket(bucket, Access::Read).await?;
    let key = existing_key(key)?;
    let read = ReadRequest {
        version: scope::version(version)?,
        range: range::range(&request.headers),
        part_number: part_number(part)?,
        conditions: conditions::read_conditions(&request.headers),
        with_checksum,
        with_body,
    };
    if read.range.is_some() && read.part_number.is_some() {
        return Err(OpError::invalid_request(
            "Cannot specify both Range header and partNumber query parameter",
        ));
    }
    match read_object::read_object(&call.gateway, &scope, &key, &read).await? {
        ReadAnswer::Object(answer) => Ok(answer),
        ReadAnswer::NotModified(object) => Err(OpError::not_modified(
            object.client_etag(),
            object.head.last_modified,
        )),
    }
}

/// A key that is only looked for: what a region would refuse to store is just not there.
fn existing_key(key: &str) -> Result<ObjectKey, OpError> {
    ObjectKey::new(key).map_err(|_| OpError::new(Code::KeyTooLongError, "Your key is too long"))
}

fn wants_checksum(mode: Option<&dto::ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == dto::ChecksumMode::ENABLED)
}

/// Headers of an answer that has `answer`'s object, `overridden` ones left to the query's `response-*`.
fn answer_headers(answer: &ObjectAnswer, query: Option<&str>) -> http::HeaderMap {
    let mut sent = convert::system_headers(&answer.object.metadata);
    let overridden = [
        ("response-content-type", http::header::CONTENT_TYPE),
        (
            "response-content-disposition",
            http::header::CONTENT_DISPOSITION,
        ),
        ("response-content-encoding", http::header::CONTENT_ENCODING),
        ("response-content-language", http::header::CONTENT_LANGUAGE),
        ("response-cache-control", http::header::CACHE_CONTROL),
        ("response-expires", http::header::EXPIRES),
    ];
    for pair in query.unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let Some((_, header)) = overridden.iter().find(|(query, _)| *query == name) {
            let value = percent_encoding::percent_decode_str(&value.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned();
            convert::set(&mut sent, header.clone(), Some(&value));
        }
    }
    sent
}

fn content_range(answer: &ObjectAnswer) -> Option<String> {
    answer.range.map(|range| {
        format!(
            "bytes {}-{}/{}",
            range.first, range.last, answer.object.plaintext_bytes
        )
    })
}

pub(super) async fn get(
    call: Call,
    request: S3Request<dto::GetObjectInput>,
) -> Answer<dto::GetObjectOutput> {
    let input = &request.input;
    let with_checksum = wants_checksum(input.checksum_mode.as_ref());
    let place = (input.bucket.as_str(), input.key.as_str());
    let mut answer = read(
        &call,
        &request,
        place,
        input.version_id.as_deref(),
        input.part_number,
        with_checksum,
        true,
    )
    .await?;
    let body = answer.body.take().map(convert::blob);
    let checksums = Checksums::of(
        answer.checksum.as_ref().map(|(checksum, _)| checksum),
        answer.checksum.as_ref().map_or(1, |c| c.1),
    );
    let object = &answer.object;
    let output = dto::GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body,
        content_length: Some(convert::size(answer.content_bytes)),
        content_range: content_range(&answer),
        e_tag: Some(convert::etag(&object.client_etag())),
        last_modified: Some(convert::timestamp(object.head.last_modified)),
        metadata: user_metadata(object),
        parts_count: answer
            .parts_count
            .and_then(|count| i32::try_from(count).ok()),
        tag_count: tag_count(object),
        version_id: object.version().map(|version| version.0.clone()),
        server_side_encryption: Some(dto::ServerSideEncryption::from_static(
            dto::ServerSideEncryption::AES256,
        )),
        checksum_type: checksums.kind.clone(),
        ..Default::default()
    };
    let mut response = S3Response::new(with_checksums!(output, checksums));
    response.headers = answer_headers(&answer, request.uri.query());
    Ok(response)
}

pub(super) async fn head(
    call: Call,
    request: S3Request<dto::HeadObjectInput>,
) -> Answer<dto::HeadObjectOutput> {
    let input = &request.input;
    let with_checksum = wants_checksum(input.checksum_mode.as_ref());
    let place = (input.bucket.as_str(), input.key.as_str());
    let answer = read(
        &call,
        &request,
        place,
        input.version_id.as_deref(),
        input.part_number,
        with_checksum,
        false,
    )
    .await?;
    let checksums = Checksums::of(
        answer.checksum.as_ref().map(|(checksum, _)| checksum),
        answer.checksum.as_ref().map_or(1, |c| c.1),
    );
    let object = &answer.object;
    let output = dto::HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(convert::size(answer.content_bytes)),
        content_range: content_range(&answer),
        e_tag: Some(convert::etag(&object.client_etag())),
        last_modified: Some(convert::timestamp(object.head.last_modified)),
        metadata: user_metadata(object),
        parts_count: answer
            .parts_count
            .and_then(|count| i32::try_from(count).ok()),
        version_id: object.version().map(|version| version.0.clone()),
        server_side_encryption: Some(dto::ServerSideEncryption::from_static(
            dto::ServerSideEncryption::AES256,
        )),
        checksum_type: checksums.kind.clone(),
        ..Default::default()
    };
    let mut response = S3Response::new(with_checksums!(output, checksums));
    response.headers = answer_headers(&answer, request.uri.query());
    Ok(response)
}

fn user_metadata(object: &opened::OpenedObject) -> Option<dto::Metadata> {
    let user = &object.metadata.user;
    (!user.is_empty()).then(|| user.clone().into_iter().collect())
}

fn tag_count(object: &opened::OpenedObject) -> Option<i32> {
    i32::try_from(object.head.tag_count)
        .ok()
        .filter(|count| *count > 0)
}

pub(super) async fn delete(
    call: Call,
    request: S3Request<dto::DeleteObjectInput>,
) -> Answer<dto::DeleteObjectOutput> {
    let input = &request.input;
    refuse_unsupported_delete(
        input.mfa.is_some(),
        input.if_match_last_modified_time.is_some() || input.if_match_size.is_some(),
    )?;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let delete = DeleteObject {
        key: existing_key(&input.key)?,
        version: scope::version(input.version_id.as_deref())?,
        condition: conditions::write_condition(&request.headers)?,
    };
    let outcome = delete_object::delete_object(&scope, &delete).await?;
    Ok(S3Response::with_status(
        dto::DeleteObjectOutput {
            delete_marker: outcome.delete_marker.then_some(true),
            version_id: outcome.version.map(|version| version.0),
            ..Default::default()
        },
        http::StatusCode::NO_CONTENT,
    ))
}

fn refuse_unsupported_delete(mfa: bool, condition: bool) -> Result<(), OpError> {
    match (mfa, condition) {
        (true, _) => Err(OpError::not_implemented("MFA delete is not supported.")),
        (_, true) => Err(OpError::not_implemented(
            "Deletes on a size or time are not supported: use If-Match.",
        )),
        _ => Ok(()),
    }
}

pub(super) async fn delete_list(
    call: Call,
    request: S3Request<dto::DeleteObjectsInput>,
) -> Answer<dto::DeleteObjectsOutput> {
    let input = request.input;
    refuse_unsupported_delete(input.mfa.is_some(), false)?;
    if input.delete.objects.is_empty() || input.delete.objects.len() > DELETES_MAX {
        return Err(OpError::new(
            Code::MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema: name 1 to 1,000 objects.",
        ));
    }
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let (mut deleted, mut errors, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
    for object in input.delete.objects {
        match listed_delete(&object) {
            Ok(delete) => deletes.push(delete),
            Err(error) => errors.push(delete_error(&object.key, object.version_id, &error)),
        }
    }
    let quiet = input.delete.quiet.unwrap_or(false);
    for (delete, outcome) in delete_object::delete_objects(&scope, deletes).await {
        let (key, version) = (delete.key.as_str(), delete.version.map(|version| version.0));
        match outcome {
            Ok(outcome) if !quiet => deleted.push(deleted_object(key, version, outcome)),
            Ok(_) => {}
            Err(error) => errors.push(delete_error(key, version, &error)),
        }
    }
    Ok(S3Response::new(dto::DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        ..Default::default()
    }))
}

fn listed_delete(object: &dto::ObjectIdentifier) -> Result<DeleteObject, OpError> {
    refuse_unsupported_delete(
        false,
        object.last_modified_time.is_some() || object.size.is_some(),
    )?;
    Ok(DeleteObject {
        key: existing_key(&object.key)?,
        version: scope::version(object.version_id.as_deref())?,
        condition: match &object.e_tag {
            None => WriteCondition::Always,
            Some(etag) => conditions::delete_entry_condition(Some(etag.value()))?,
        },
    })
}

fn deleted_object(key: &str, asked: Option<String>, outcome: DeleteOutcome) -> dto::DeletedObject {
    let made = outcome.version.map(|version| version.0);
    dto::DeletedObject {
        key: Some(key.to_owned()),
        delete_marker: outcome.delete_marker.then_some(true),
        delete_marker_version_id: made.filter(|_| outcome.delete_marker),
        version_id: asked,
    }
}

fn delete_error(key: &str, version: Option<String>, error: &OpError) -> dto::Error {
    dto::Error {
        code: Some(error.code().as_str().to_owned()),
        key: Some(key.to_owned()),
        message: Some(error.message().to_owned()),
        version_id: version,
    }
}

/// A copy's source: a bucket of the caller's own tenant, whatever the header says.
pub(super) async fn copy_source(
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
    let scope = call.bucket(bucket, Access::Read).await?;
    let key = existing_key(key)?;
    Ok((scope, key, scope::version(version_id.as_deref())?))
}

pub(super) async fn copy(
    call: Call,
    request: S3Request<dto::CopyObjectInput>,
) -> Answer<dto::CopyObjectOutput> {
    let (input, sent) = (&request.input, &request.headers);
    headers::check_supported(sent)?;
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
        condition: conditions::write_condition(sent)?,
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
    Ok(S3Response::new(dto::CopyObjectOutput {
        copy_object_result: Some(with_checksums!(result, checksums)),
        copy_source_version_id: answer.source_version.map(|version| version.0),
        version_id: answer.version.map(|version| version.0),
        server_side_encryption: Some(dto::ServerSideEncryption::from_static(
            headers::server_side_encryption(sent)?,
        )),
        ..Default::default()
    }))
}

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
    let answer = read(
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
    let key = existing_key(&input.key)?;
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

pub(super) async fn get_tags(
    call: Call,
    request: S3Request<dto::GetObjectTaggingInput>,
) -> Answer<dto::GetObjectTaggingOutput> {
    let input = &request.input;
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let key = existing_key(&input.key)?;
    let version = scope::version(input.version_id.as_deref())?;
    let tags = tagging::get_tags(&scope, &key, version.as_ref()).await?;
    Ok(S3Response::new(dto::GetObjectTaggingOutput {
        tag_set: convert::tags(tags),
        version_id: input.version_id.clone(),
    }))
}

async fn replace_tags(
    call: &Call,
    (bucket, key): (&str, &str),
    version: Option<&str>,
    tags: &[(String, String)],
) -> Result<(), OpError> {
    let scope = call.bucket(bucket, Access::Write).await?;
    let key = existing_key(key)?;
    let version = scope::version(version)?;
    tagging::set_tags(&scope, &key, version.as_ref(), tags).await
}

pub(super) async fn put_tags(
    call: Call,
    request: S3Request<dto::PutObjectTaggingInput>,
) -> Answer<dto::PutObjectTaggingOutput> {
    let input = request.input;
    let tags: Option<Vec<_>> = input
        .tagging
        .tag_set
        .into_iter()
        .map(|tag| Some((tag.key?, tag.value?)))
        .collect();
    let tags =
        tags.ok_or_else(|| OpError::new(Code::MalformedXML, "A tag needs a key and a value."))?;
    headers::check_tags(&tags)?;
    replace_tags(
        &call,
        (&input.bucket, &input.key),
        input.version_id.as_deref(),
        &tags,
    )
    .await?;
    Ok(S3Response::new(dto::PutObjectTaggingOutput {
        version_id: input.version_id,
    }))
}

pub(super) async fn delete_tags(
    call: Call,
    request: S3Request<dto::DeleteObjectTaggingInput>,
) -> Answer<dto::DeleteObjectTaggingOutput> {
    let input = request.input;
    replace_tags(
        &call,
        (&input.bucket, &input.key),
        input.version_id.as_deref(),
        &[],
    )
    .await?;
    Ok(S3Response::with_status(
        dto::DeleteObjectTaggingOutput {
            version_id: input.version_id,
        },
        http::StatusCode::NO_CONTENT,
    ))
}

pub(super) async fn get_acl(
    call: Call,
    request: S3Request<dto::GetObjectAclInput>,
) -> Answer<dto::GetObjectAclOutput> {
    let input = &request.input;
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let key = existing_key(&input.key)?;
    let version = scope::version(input.version_id.as_deref())?;
    scope
        .region
        .store
        .head(scope.tenant, &scope.at(&key), version.as_ref())
        .await?;
    Ok(S3Response::new(dto::GetObjectAclOutput {
        grants: Some(vec![super::buckets::full_control(&call)]),
        owner: Some(call.owner()),
        ..Default::default()
    }))
}

pub(super) async fn put_acl(
    call: Call,
    request: S3Request<dto::PutObjectAclInput>,
) -> Answer<dto::PutObjectAclOutput> {
    let input = &request.input;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let key = existing_key(&input.key)?;
    let version = scope::version(input.version_id.as_deref())?;
    scope
        .region
        .store
        .head(scope.tenant, &scope.at(&key), version.as_ref())
        .await?;
    super::buckets::check_acl(
        &call,
        &request.headers,
        input.access_control_policy.as_ref(),
    )?;
    Ok(S3Response::new(dto::PutObjectAclOutput::default()))
}
