//! What a Complete is to make: the client's list held against what was recorded.

use super::checksums::{self, Part};
use super::complete::{CompleteUpload, RequestedPart};
use crate::catalog::Upload;
use crate::ops::checksum;
use crate::ops::error::{Code, OpError};
use crate::ops::etag::ClientEtag;
use crate::ops::gateway::Gateway;
use crate::ops::scope::BucketScope;
use lethe_envelope::{Checksum, ChecksumAlgorithm, ChecksumType, CustomerKey, layout};
use std::collections::BTreeMap;

const PARTS_MAX: u32 = 10_000;

/// The attempts that the client's list names.
pub(super) struct Plan {
    pub(super) parts: Vec<Part>,
    pub(super) checksum: Option<Checksum>,
    /// What is fixed before the trailer is sealed: which parts, of which content. Which attempt of equal content is not.
    pub(super) list_digest: [u8; 32],
}

pub(super) async fn plan(
    gateway: &Gateway,
    scope: &BucketScope,
    upload: &Upload,
    complete: &CompleteUpload,
) -> Result<Plan, OpError> {
    let recorded = scope
        .domain
        .catalog
        .parts(scope.tenant, &upload.new.id, 0, PARTS_MAX)
        .await?;
    let customer_key = complete.customer_key.as_deref();
    let recorded = checksums::open(gateway, scope, upload, customer_key, recorded).await?;
    let recorded: BTreeMap<u16, Part> = recorded
        .into_iter()
        .map(|part| (part.attempt.number, part))
        .collect();
    let mut requested: Vec<&RequestedPart> = Vec::with_capacity(complete.parts.len());
    for part in &complete.parts {
        match requested.last_mut() {
            Some(before) if before.number > part.number => {
                return Err(OpError::new(
                    Code::InvalidPartOrder,
                    "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
                ));
            }
            // Of a number named twice the last counts.
            Some(before) if before.number == part.number => *before = part,
            _ => requested.push(part),
        }
    }
    if requested.is_empty() {
        return Err(OpError::new(
            Code::MalformedXML,
            "The list of parts is empty: name at least one part.",
        ));
    }
    let mut parts = Vec::with_capacity(requested.len());
    for (index, part) in requested.iter().enumerate() {
        let current = recorded
            .get(&part.number)
            .ok_or_else(|| invalid_part(part.number))?;
        if !matches(current, part) {
            let attempts = attempts(gateway, scope, upload, customer_key, part.number).await?;
            let mut named = attempts.iter().filter(|attempt| matches(attempt, part));
            // The client may name another attempt of the same content, which S3's own ETags would not tell apart.
            if !named.any(|attempt| is_same_content(attempt, current)) {
                return Err(invalid_part(part.number));
            }
        }
        let is_last = index + 1 == requested.len();
        let stored = &current.attempt.stored;
        if !is_last
            && (stored.plaintext_bytes < layout::PART_BYTES_MIN || stored.spool_key.is_some())
        {
            return Err(too_small());
        }
        parts.push(current.clone());
    }
    let checksum = whole_checksum(upload, &parts);
    check_declared(complete, &parts, checksum.as_ref())?;
    Ok(Plan {
        list_digest: checksums::list_digest(scope, upload, customer_key, &parts).await?,
        parts,
        checksum,
    })
}

fn matches(part: &Part, named: &RequestedPart) -> bool {
    let etag = ClientEtag::from_upstream(&part.attempt.stored.upstream_etag);
    let checksum = match (&named.checksum, &part.checksum) {
        (None, _) => true,
        (Some(named), Some(stored)) => {
            named.algorithm == stored.algorithm && named.value == stored.value
        }
        (Some(_), None) => false,
    };
    etag == named.etag && checksum
}

/// The finished attempts at one part that are still known, the newest first.
pub(super) async fn attempts(
    gateway: &Gateway,
    scope: &BucketScope,
    upload: &Upload,
    customer_key: Option<&CustomerKey>,
    number: u16,
) -> Result<Vec<Part>, OpError> {
    let (catalog, id) = (&scope.domain.catalog, &upload.new.id);
    let attempts = catalog.attempts(scope.tenant, id, number).await?;
    checksums::open(gateway, scope, upload, customer_key, attempts).await
}

/// A part without a checksum is the same as no other.
pub(super) fn is_same_content(a: &Part, b: &Part) -> bool {
    a.attempt.stored.plaintext_bytes == b.attempt.stored.plaintext_bytes
        && a.checksum.is_some()
        && a.checksum == b.checksum
}

pub(super) fn invalid_part(number: u16) -> OpError {
    OpError::new(
        Code::InvalidPart,
        format!(
            "One or more of the specified parts could not be found (part {number}). The part may not have been uploaded, or the \
             specified entity tag may not match the part's entity tag."
        ),
    )
}

pub(super) fn too_small() -> OpError {
    OpError::new(
        Code::EntityTooSmall,
        "Your proposed upload is smaller than the minimum allowed size: only the last part may be smaller than 5 MiB.",
    )
}

/// The whole object's checksum: of the kind that the upload was created with, else CRC-64/NVME where every part has one.
fn whole_checksum(upload: &Upload, parts: &[Part]) -> Option<Checksum> {
    let (algorithm, kind) = upload
        .new
        .checksum
        .unwrap_or((ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject));
    let parts: Vec<(Option<&Checksum>, u64)> = parts
        .iter()
        .map(|part| (part.checksum.as_ref(), part.attempt.stored.plaintext_bytes))
        .collect();
    checksum::of_parts(algorithm, kind, &parts)
}

fn check_declared(
    complete: &CompleteUpload,
    parts: &[Part],
    whole: Option<&Checksum>,
) -> Result<(), OpError> {
    let plaintext_bytes: u64 = parts
        .iter()
        .map(|part| part.attempt.stored.plaintext_bytes)
        .sum();
    if plaintext_bytes > layout::PLAINTEXT_BYTES_MAX {
        return Err(OpError::new(
            Code::EntityTooLarge,
            "Your proposed upload exceeds the maximum allowed object size.",
        ));
    }
    if complete
        .plaintext_bytes
        .is_some_and(|declared| declared != plaintext_bytes)
    {
        return Err(OpError::invalid_request(format!(
            "The provided 'x-amz-mp-object-size' header does not match what was computed: {plaintext_bytes}"
        )));
    }
    match (&complete.checksum, whole) {
        (None, _) => Ok(()),
        (Some(declared), Some(whole))
            if declared.algorithm == whole.algorithm && declared.value == whole.value =>
        {
            Ok(())
        }
        _ => Err(OpError::new(
            Code::BadDigest,
            "The checksum you specified for the whole object did not match what was computed from its parts.",
        )),
    }
}
