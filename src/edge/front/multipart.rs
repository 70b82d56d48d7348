//! Multipart uploads: their start, parts, end, and the listing of parts.

use super::convert::{self, Checksums, Encryption, with_checksums, with_encryption};
use super::listings::page_max;
use super::locks;
use super::{Call, IncomingBody};
use crate::edge::conditions;
use crate::ops::checksum::{self, Declared};
use crate::ops::error::{Code, OpError};
use crate::ops::headers;
use crate::ops::multipart::{
    self, CompleteAnswer, CompleteUpload, CreateUpload, RequestedPart, UploadPart,
};
use crate::ops::scope::Access;
use crate::tenants::ObjectKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::uri::Scheme;
use lethe_envelope::{Checksum, ChecksumAlgorithm, ChecksumType};
use s3s::dto;
use s3s::{S3Request, S3Response};

type Answer<O> = Result<S3Response<O>, OpError>;

/// Most parts of one upload.
const PARTS_MAX: usize = 10_000;

const CUSTOMER_ALGORITHM: HeaderName =
    HeaderName::from_static("x-amz-server-side-encryption-customer-algorithm");
const CUSTOMER_KEY_MD5: HeaderName =
    HeaderName::from_static("x-amz-server-side-encryption-customer-key-md5");

pub(super) fn key(text: &str) -> Result<ObjectKey, OpError> {
    ObjectKey::new(text).map_err(|_| OpError::new(Code::KeyTooLongError, "Your key is too long"))
}

pub(super) fn number(number: i32) -> Result<u16, OpError> {
    u16::try_from(number)
        .ok()
        .filter(|number| (1..=10_000).contains(number))
        .ok_or_else(|| {
            OpError::invalid_argument(
                "Part number must be an integer between 1 and 10000, inclusive",
            )
        })
}

fn checksum_type(text: Option<&dto::ChecksumType>) -> Result<Option<ChecksumType>, OpError> {
    match text.map(dto::ChecksumType::as_str) {
        None => Ok(None),
        Some(dto::ChecksumType::FULL_OBJECT) => Ok(Some(ChecksumType::FullObject)),
        Some(dto::ChecksumType::COMPOSITE) => Ok(Some(ChecksumType::Composite)),
        Some(_) => Err(OpError::invalid_request(
            "Value for x-amz-checksum-type header is invalid.",
        )),
    }
}

pub(super) async fn create(
    call: Call,
    request: S3Request<dto::CreateMultipartUploadInput>,
) -> Answer<dto::CreateMultipartUploadOutput> {
    let (input, sent) = (&request.input, &request.headers);
    headers::check_supported_but_lock(sent)?;
    let customer_key = call.customer_keys.of_object(sent)?;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let algorithm = input
        .checksum_algorithm
        .as_ref()
        .map(|algorithm| checksum::parse_algorithm(algorithm.as_str()))
        .transpose()?;
    let create = CreateUpload {
        key: scope.key(&input.key)?,
        metadata: headers::object_metadata(sent, input.metadata.as_ref())?,
        tags: headers::tags(sent)?,
        lock: locks::asked(
            input.object_lock_mode.as_ref(),
            input.object_lock_retain_until_date.as_ref(),
            input.object_lock_legal_hold_status.as_ref(),
        )?,
        algorithm,
        checksum_type: checksum_type(input.checksum_type.as_ref())?,
        customer_key: customer_key.as_ref().map(|sent| sent.key()),
    };
    let upload = multipart::create_upload(&call.gateway, &scope, create).await?;
    let output = dto::CreateMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        upload_id: Some(upload.new.id.to_string()),
        checksum_algorithm: upload
            .new
            .checksum
            .map(|(algorithm, _)| convert::algorithm(algorithm)),
        checksum_type: upload
            .new
            .checksum
            .map(|(_, kind)| convert::checksum_type(kind)),
        ..Default::default()
    };
    let method = headers::server_side_encryption(sent)?;
    let encryption = Encryption::of(customer_key.as_deref(), method);
    Ok(S3Response::new(with_encryption!(output, encryption)))
}

pub(super) async fn abort(
    call: Call,
    request: S3Request<dto::AbortMultipartUploadInput>,
) -> Answer<dto::AbortMultipartUploadOutput> {
    let input = &request.input;
    if input.if_match_initiated_time.is_some() {
        return Err(OpError::not_implemented(
            "Aborting on an initiation time is not supported.",
        ));
    }
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    multipart::abort_upload(&call.gateway, &scope, &key(&input.key)?, &input.upload_id).await?;
    Ok(S3Response::with_status(
        dto::AbortMultipartUploadOutput::default(),
        http::StatusCode::NO_CONTENT,
    ))
}

pub(super) async fn part(
    call: Call,
    mut request: S3Request<dto::UploadPartInput>,
) -> Answer<dto::UploadPartOutput> {
    let body = request.input.body.take();
    let IncomingBody {
        stream,
        plaintext_bytes,
        trailers,
    } = call.body(body, &request)?;
    let (input, sent) = (&request.input, &request.headers);
    headers::check_supported(sent)?;
    let customer_key = call.customer_keys.of_object(sent)?;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let part = UploadPart {
        key: key(&input.key)?,
        upload: input.upload_id.clone(),
        number: number(input.part_number)?,
        body: stream,
        plaintext_bytes,
        declared: Declared::from_headers(sent)?,
        trailers,
        customer_key: customer_key.as_ref().map(|sent| sent.key()),
    };
    let answer = multipart::upload_part(&call.gateway, &scope, part).await?;
    let output = dto::UploadPartOutput {
        e_tag: Some(convert::etag(&answer.etag)),
        ..Default::default()
    };
    let output = with_encryption!(output, Encryption::stored(customer_key.as_deref()));
    Ok(S3Response::new(with_checksums!(
        output,
        Checksums::of(answer.checksum.as_ref(), 1)
    )))
}

/// The one checksum that a message names, if any; `-N` behind a composite one is dropped.
fn named_checksum(
    fields: [(ChecksumAlgorithm, Option<&String>); 5],
) -> Result<Option<Checksum>, OpError> {
    let mut named = fields
        .into_iter()
        .filter_map(|(algorithm, text)| text.map(|text| (algorithm, text)));
    let Some((algorithm, text)) = named.next() else {
        return Ok(None);
    };
    let (digest, kind) = match text.split_once('-') {
        Some((digest, _)) => (digest, ChecksumType::Composite),
        None => (text.as_str(), ChecksumType::FullObject),
    };
    let value = STANDARD.decode(digest).ok();
    match (
        value.and_then(|value| Checksum::new(algorithm, kind, value).ok()),
        named.next(),
    ) {
        (Some(checksum), None) => Ok(Some(checksum)),
        _ => Err(OpError::invalid_request(
            "A checksum is invalid, or more than one is named.",
        )),
    }
}

macro_rules! checksum_fields {
    ($message:expr) => {
        named_checksum([
            (ChecksumAlgorithm::Crc32, $message.checksum_crc32.as_ref()),
            (ChecksumAlgorithm::Crc32c, $message.checksum_crc32c.as_ref()),
            (
                ChecksumAlgorithm::Crc64Nvme,
                $message.checksum_crc64nvme.as_ref(),
            ),
            (ChecksumAlgorithm::Sha1, $message.checksum_sha1.as_ref()),
            (ChecksumAlgorithm::Sha256, $message.checksum_sha256.as_ref()),
        ])
    };
}

fn requested(part: &dto::CompletedPart) -> Result<RequestedPart, OpError> {
    let malformed = || {
        OpError::new(
            Code::MalformedXML,
            "Every part needs a PartNumber and an ETag.",
        )
    };
    Ok(RequestedPart {
        number: part
            .part_number
            .and_then(|number| u16::try_from(number).ok())
            .filter(|number| (1..=10_000).contains(number))
            .ok_or_else(|| {
                OpError::new(
                    Code::InvalidPart,
                    "A part number must be between 1 and 10000.",
                )
            })?,
        etag: part
            .e_tag
            .as_ref()
            .map(convert::client_etag)
            .ok_or_else(malformed)?,
        checksum: checksum_fields!(part)?,
    })
}

pub(super) async fn complete(
    call: Call,
    request: S3Request<dto::CompleteMultipartUploadInput>,
) -> Answer<dto::CompleteMultipartUploadOutput> {
    let customer_key = call.customer_keys.of_object(&request.headers)?;
    let location = location(&request);
    let input = request.input;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let listed = input
        .multipart_upload
        .as_ref()
        .and_then(|upload| upload.parts.as_deref())
        .unwrap_or_default();
    if listed.len() > PARTS_MAX {
        return Err(OpError::new(
            Code::MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema: name 1 to 10,000 parts.",
        ));
    }
    let complete = CompleteUpload {
        key: key(&input.key)?,
        upload: input.upload_id.clone(),
        parts: listed.iter().map(requested).collect::<Result<_, _>>()?,
        checksum: checksum_fields!(input)?,
        plaintext_bytes: input
            .mpu_object_size
            .map(u64::try_from)
            .transpose()
            .map_err(|_| {
                OpError::invalid_request("Value for x-amz-mp-object-size header is invalid.")
            })?,
        condition: conditions::write_condition(&request.headers)?,
        customer_key: customer_key.as_ref().map(|sent| sent.key()),
    };
    let encryption = Encryption::stored(customer_key.as_deref());
    let base = dto::CompleteMultipartUploadOutput {
        location: Some(location),
        bucket: Some(input.bucket),
        key: Some(input.key),
        server_side_encryption: encryption.method,
        ..Default::default()
    };
    let answer = multipart::complete_upload(&call.gateway, &scope, &complete).await?;
    let mut response = S3Response::new(completed(base, answer));
    // The message has no fields for these.
    for (name, value) in [
        (CUSTOMER_ALGORITHM, encryption.customer_algorithm),
        (CUSTOMER_KEY_MD5, encryption.customer_key_md5),
    ] {
        convert::set(&mut response.headers, name, value.as_deref());
    }
    Ok(response)
}

/// The object's URL, by the host that the client asked.
fn location<I>(request: &S3Request<I>) -> String {
    let scheme = request.extensions.get::<Scheme>();
    let host = request.headers.get(http::header::HOST);
    format!(
        "{}://{}{}",
        scheme.map_or("https", Scheme::as_str),
        host.and_then(|host| host.to_str().ok()).unwrap_or_default(),
        request.uri.path()
    )
}

fn completed(
    base: dto::CompleteMultipartUploadOutput,
    answer: CompleteAnswer,
) -> dto::CompleteMultipartUploadOutput {
    let checksums = Checksums::of(
        answer.checksum.as_ref().map(|(checksum, _)| checksum),
        answer.checksum.as_ref().map_or(1, |c| c.1),
    );
    let output = dto::CompleteMultipartUploadOutput {
        e_tag: Some(convert::etag(&answer.etag)),
        version_id: answer.version.map(|version| version.0),
        expiration: answer.expiration,
        checksum_type: checksums.kind.clone(),
        ..base
    };
    with_checksums!(output, checksums)
}

pub(super) async fn list_parts(
    call: Call,
    request: S3Request<dto::ListPartsInput>,
) -> Answer<dto::ListPartsOutput> {
    let customer_key = call.customer_keys.of_object(&request.headers)?;
    let customer_key = customer_key.map(|sent| sent.key());
    let input = request.input;
    let rows_max = page_max(input.max_parts, "max-parts")?;
    let after = u16::try_from(input.part_number_marker.unwrap_or(0).clamp(0, 10_000)).unwrap_or(0);
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let page = multipart::list_parts(
        &call.gateway,
        &scope,
        &key(&input.key)?,
        &input.upload_id,
        after,
        u16::try_from(rows_max).unwrap_or(1000),
        customer_key.as_deref(),
    )
    .await?;
    let parts: Vec<dto::Part> = page
        .parts
        .iter()
        .map(|part| {
            let stored = &part.attempt.stored;
            let message = dto::Part {
                e_tag: Some(convert::etag(&crate::ops::ClientEtag::from_upstream(
                    &stored.upstream_etag,
                ))),
                last_modified: Some(convert::timestamp(part.attempt.finished)),
                part_number: Some(i32::from(part.attempt.number)),
                size: Some(convert::size(stored.plaintext_bytes)),
                ..Default::default()
            };
            with_checksums!(message, Checksums::of(part.checksum.as_ref(), 1))
        })
        .collect();
    let owner = call.owner();
    Ok(S3Response::new(dto::ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        checksum_algorithm: page
            .upload
            .new
            .checksum
            .map(|(algorithm, _)| convert::algorithm(algorithm)),
        checksum_type: page
            .upload
            .new
            .checksum
            .map(|(_, kind)| convert::checksum_type(kind)),
        initiator: Some(dto::Initiator {
            id: owner.id.clone(),
            display_name: owner.display_name.clone(),
        }),
        owner: Some(owner),
        is_truncated: Some(page.truncated),
        max_parts: i32::try_from(rows_max).ok(),
        part_number_marker: Some(i32::from(after)),
        next_part_number_marker: parts
            .last()
            .and_then(|part| part.part_number)
            .filter(|_| page.truncated),
        parts: Some(parts),
        storage_class: Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
        ..Default::default()
    }))
}
