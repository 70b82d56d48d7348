//! Objects: PUT, GET, HEAD, DELETE and lists of deletes.

use super::convert::{self, Checksums, Encryption, with_checksums, with_encryption};
use super::locks::{self, LockFields};
use super::{Call, IncomingBody};
use crate::edge::guard::query::Query;
use crate::edge::{conditions, range};
use crate::ops::checksum::Declared;
use crate::ops::conditions::WriteCondition;
use crate::ops::customer_key::SentCustomerKey;
use crate::ops::delete_object::{self, DeleteObject};
use crate::ops::error::{Code, OpError};
use crate::ops::put_object::{self, PutObject};
use crate::ops::read_object::{self, ObjectAnswer, ReadAnswer, ReadRequest};
use crate::ops::scope::{self, Access, BucketScope};
use crate::ops::{headers, opened};
use crate::region::DeleteOutcome;
use crate::tenants::ObjectKey;
use http::{HeaderName, HeaderValue};
use s3s::dto;
use s3s::{S3Request, S3Response};
use std::sync::Arc;

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
    headers::check_supported_but_lock(sent)?;
    let customer_key = call.customer_keys.of_object(sent)?;
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
        lock: locks::asked(
            input.object_lock_mode.as_ref(),
            input.object_lock_retain_until_date.as_ref(),
            input.object_lock_legal_hold_status.as_ref(),
        )?,
        condition: conditions::write_condition(sent)?,
        body: stream,
        plaintext_bytes,
        declared: Declared::from_headers(sent)?,
        trailers,
        customer_key: customer_key.as_ref().map(|sent| sent.key()),
    };
    let answer = put_object::put_object(&call.gateway, &scope, put).await?;
    let checksums = Checksums::of(answer.checksum.as_ref(), 1);
    let output = dto::PutObjectOutput {
        e_tag: Some(convert::etag(&answer.etag)),
        version_id: answer.version.map(|version| version.0),
        expiration: answer.expiration,
        checksum_type: checksums.kind.clone(),
        ..Default::default()
    };
    let encryption = Encryption::of(
        customer_key.as_deref(),
        headers::server_side_encryption(sent)?,
    );
    let output = with_encryption!(output, encryption);
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

/// Reads an object; also gives the customer key that the request came with.
pub(super) async fn read<I>(
    call: &Call,
    request: &S3Request<I>,
    (bucket, key): (&str, &str),
    version: Option<&str>,
    part: Option<i32>,
    with_checksum: bool,
    with_body: bool,
) -> Result<(Box<ObjectAnswer>, Option<Arc<SentCustomerKey>>), OpError> {
    headers::check_read(&request.headers)?;
    let customer_key = call.customer_keys.of_object(&request.headers)?;
    let scope = call.bucket(bucket, Access::Read).await?;
    let key = existing_key(&scope, key)?;
    let read = ReadRequest {
        version: scope::version(version)?,
        range: range::range(&request.headers),
        part_number: part_number(part)?,
        conditions: conditions::read_conditions(&request.headers),
        with_checksum,
        with_body,
        customer_key: customer_key.as_ref().map(|sent| sent.key()),
    };
    if read.range.is_some() && read.part_number.is_some() {
        return Err(OpError::invalid_request(
            "Cannot specify both Range header and partNumber query parameter",
        ));
    }
    match read_object::read_object(&call.gateway, &scope, &key, &read).await? {
        ReadAnswer::Object(answer) => Ok((answer, customer_key)),
        ReadAnswer::NotModified(object) => Err(OpError::not_modified(
            object.client_etag(),
            object.head.last_modified,
        )),
    }
}

/// A key that an operation looks for. What the region would not store as it is, it does not have; asked for it, it would answer for
/// another object.
pub(super) fn existing_key(scope: &BucketScope, key: &str) -> Result<ObjectKey, OpError> {
    scope.key(key).map_err(|refused| match refused.code() {
        Code::InvalidArgument if !key.is_empty() => OpError::no_such_key().caused_by(refused),
        _ => refused,
    })
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
    // The guard has read the same query: what can't be read here is not there.
    let query = Query::parse(query.unwrap_or_default()).unwrap_or_default();
    for (name, value) in query.pairs().filter(|(_, value)| !value.is_empty()) {
        if let Some((_, header)) = overridden.iter().find(|(query, _)| *query == name) {
            convert::set(&mut sent, header.clone(), Some(value));
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
    let (mut answer, customer_key) = read(
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
    let lock = LockFields::of(object.head.fields.lock);
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
        expiration: object.head.expiration.clone(),
        version_id: object.version().map(|version| version.0.clone()),
        object_lock_mode: lock.mode,
        object_lock_retain_until_date: lock.until,
        object_lock_legal_hold_status: lock.legal_hold,
        checksum_type: checksums.kind.clone(),
        ..Default::default()
    };
    let output = with_encryption!(output, Encryption::stored(customer_key.as_deref()));
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
    let (answer, customer_key) = read(
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
    let lock = LockFields::of(object.head.fields.lock);
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
        expiration: object.head.expiration.clone(),
        version_id: object.version().map(|version| version.0.clone()),
        object_lock_mode: lock.mode,
        object_lock_retain_until_date: lock.until,
        object_lock_legal_hold_status: lock.legal_hold,
        checksum_type: checksums.kind.clone(),
        ..Default::default()
    };
    let output = with_encryption!(output, Encryption::stored(customer_key.as_deref()));
    let mut response = S3Response::new(with_checksums!(output, checksums));
    response.headers = answer_headers(&answer, request.uri.query());
    if let Some(count) = tag_count(&answer.object) {
        let name = HeaderName::from_static("x-amz-tagging-count");
        response.headers.insert(name, HeaderValue::from(count));
    }
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
    let version = scope::version(input.version_id.as_deref())?;
    let condition = conditions::write_condition(&request.headers)?;
    let bypass_governance = input.bypass_governance_retention.unwrap_or(false);
    let outcome = match existing_key(&scope, &input.key) {
        Err(gone) if gone.code() == Code::NoSuchKey && !condition.is_conditional() => {
            DeleteOutcome::default()
        }
        key => {
            let delete = DeleteObject {
                key: key?,
                version,
                condition,
                bypass_governance,
            };
            delete_object::delete_object(&scope, &delete).await?
        }
    };
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
    let bypass = input.bypass_governance_retention.unwrap_or(false);
    let (mut deleted, mut errors, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
    let quiet = input.delete.quiet.unwrap_or(false);
    for object in input.delete.objects {
        match listed_delete(&scope, &object, bypass) {
            Ok(delete) => deletes.push(delete),
            Err(gone) if gone.code() == Code::NoSuchKey && object.e_tag.is_none() => {
                let outcome = DeleteOutcome::default();
                deleted.push(deleted_object(&object.key, object.version_id, outcome));
            }
            Err(error) => errors.push(delete_error(&object.key, object.version_id, &error)),
        }
    }
    for (delete, outcome) in delete_object::delete_objects(&scope, deletes).await {
        let (key, version) = (delete.key.as_str(), delete.version.map(|version| version.0));
        match outcome {
            Ok(outcome) => deleted.push(deleted_object(key, version, outcome)),
            Err(error) => errors.push(delete_error(key, version, &error)),
        }
    }
    Ok(S3Response::new(dto::DeleteObjectsOutput {
        deleted: Some(if quiet { Vec::new() } else { deleted }),
        errors: Some(errors),
        ..Default::default()
    }))
}

fn listed_delete(
    scope: &BucketScope,
    object: &dto::ObjectIdentifier,
    bypass_governance: bool,
) -> Result<DeleteObject, OpError> {
    refuse_unsupported_delete(
        false,
        object.last_modified_time.is_some() || object.size.is_some(),
    )?;
    Ok(DeleteObject {
        key: existing_key(scope, &object.key)?,
        version: scope::version(object.version_id.as_deref())?,
        condition: match &object.e_tag {
            None => WriteCondition::Always,
            Some(etag) => conditions::delete_entry_condition(Some(etag.value()))?,
        },
        bypass_governance,
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
