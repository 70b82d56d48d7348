//! What a Complete is to make: the client's list held against what was recorded.

use super::complete::{CompleteUpload, RequestedPart};
use crate::catalog::{Attempt, Upload};
use crate::ops::checksum;
use crate::ops::error::{Code, OpError};
use crate::ops::etag::ClientEtag;
use crate::ops::scope::BucketScope;
use lethe_envelope::{Checksum, ChecksumAlgorithm, ChecksumType, layout};
use std::collections::BTreeMap;

const PARTS_MAX: u32 = 10_000;

/// The attempts that the client's list names.
pub(super) struct Plan {
    pub(super) attempts: Vec<Attempt>,
    pub(super) checksum: Option<Checksum>,
}

pub(super) async fn plan(
    scope: &BucketScope,
    upload: &Upload,
    complete: &CompleteUpload,
) -> Result<Plan, OpError> {
    let recorded = scope
        .domain
        .catalog
        .parts(scope.tenant, &upload.new.id, 0, PARTS_MAX)
        .await?;
    let recorded: BTreeMap<u16, Attempt> = recorded
        .into_iter()
        .map(|part| (part.number, part))
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
    let mut attempts = Vec::with_capacity(requested.len());
    for (index, part) in requested.iter().enumerate() {
        let attempt = recorded
            .get(&part.number)
            .ok_or_else(|| invalid_part(part.number))?;
        if !matches(attempt, part) && !names_its_equal(scope, upload, attempt, part).await? {
            return Err(invalid_part(part.number));
        }
        let is_last = index + 1 == requested.len();
        if !is_last
            && (attempt.stored.plaintext_bytes < layout::PART_BYTES_MIN
                || attempt.stored.spool_key.is_some())
        {
            return Err(too_small());
        }
        attempts.push(attempt.clone());
    }
    let checksum = whole_checksum(upload, &attempts);
    check_declared(complete, &attempts, checksum.as_ref())?;
    Ok(Plan { attempts, checksum })
}

fn matches(attempt: &Attempt, part: &RequestedPart) -> bool {
    let etag = ClientEtag::from_upstream(&attempt.stored.upstream_etag);
    let checksum = match (&part.checksum, &attempt.stored.checksum) {
        (None, _) => true,
        (Some(named), Some(stored)) => {
            named.algorithm == stored.algorithm && named.value == stored.value
        }
        (Some(_), None) => false,
    };
    etag == part.etag && checksum
}

/// Whether the client names another attempt of the same content, as S3's own ETags would not tell apart.
async fn names_its_equal(
    scope: &BucketScope,
    upload: &Upload,
    current: &Attempt,
    part: &RequestedPart,
) -> Result<bool, OpError> {
    let (catalog, id) = (&scope.domain.catalog, &upload.new.id);
    let attempts = catalog.attempts(scope.tenant, id, part.number).await?;
    let mut named = attempts.iter().filter(|attempt| matches(attempt, part));
    Ok(named.any(|attempt| is_same_content(attempt, current)))
}

/// A part without a checksum is the same as no other.
pub(super) fn is_same_content(a: &Attempt, b: &Attempt) -> bool {
    a.stored.plaintext_bytes == b.stored.plaintext_bytes
        && a.stored.checksum.is_some()
        && a.stored.checksum == b.stored.checksum
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
fn whole_checksum(upload: &Upload, attempts: &[Attempt]) -> Option<Checksum> {
    let (algorithm, kind) = upload
        .new
        .checksum
        .unwrap_or((ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject));
    let parts: Vec<(Option<&Checksum>, u64)> = attempts
        .iter()
        .map(|part| (part.stored.checksum.as_ref(), part.stored.plaintext_bytes))
        .collect();
    checksum::of_parts(algorithm, kind, &parts)
}

fn check_declared(
    complete: &CompleteUpload,
    attempts: &[Attempt],
    whole: Option<&Checksum>,
) -> Result<(), OpError> {
    let plaintext_bytes: u64 = attempts
        .iter()
        .map(|part| part.stored.plaintext_bytes)
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

/// What is fixed before the trailer is sealed: which parts, of which content. Which attempt of equal content is not.
pub(super) fn part_list(attempts: &[Attempt]) -> Vec<u8> {
    let mut list = Vec::new();
    for part in attempts {
        list.extend_from_slice(&part.number.to_be_bytes());
        list.extend_from_slice(&part.stored.plaintext_bytes.to_be_bytes());
        let checksum = part
            .stored
            .checksum
            .as_ref()
            .map_or(&[][..], |checksum| &checksum.value);
        list.push(u8::try_from(checksum.len()).unwrap_or(u8::MAX));
        list.extend_from_slice(checksum);
    }
    list
}
