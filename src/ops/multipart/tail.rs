//! The tail of a finished upload: the spooled last part, if there is one, with pad and trailer behind it.

use crate::catalog::{Attempt, Upload};
use crate::ops::error::OpError;
use crate::ops::scope::BucketScope;
use crate::region::{Body, BodyError, ByteStream, CompletedPart, GetRequest, UploadPartRequest};
use crate::tenants::SPOOL_OWNER;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use lethe_envelope::layout;
use std::sync::Arc;

/// A spooled body up to this is read into memory, so that sending it can be repeated.
const REPLAYABLE_BYTES_MAX: u64 = 8 << 20;
const PART_NUMBER_MAX: u16 = 10_000;

/// Sends the upload's final part. `above` is the highest part number of any attempt.
pub(super) async fn send_tail(
    scope: &BucketScope,
    upload: &Upload,
    last: &Attempt,
    above: u16,
    pad_and_trailer: Vec<u8>,
) -> Result<CompletedPart, OpError> {
    let tail_bytes = pad_and_trailer.len() as u64;
    let (number, stored_bytes, body) = match &last.stored.spool_key {
        None => (
            // Number 10,000 itself is free: a part of that number is always spooled.
            above.saturating_add(1).min(PART_NUMBER_MAX),
            tail_bytes,
            Body::Replayable(Bytes::from(pad_and_trailer)),
        ),
        Some(_) => {
            let (spooled_bytes, body) = spooled_with(scope, last, pad_and_trailer).await?;
            (last.number, spooled_bytes + tail_bytes, body)
        }
    };
    let at = scope.at(&upload.new.key);
    let request = UploadPartRequest {
        upload: super::upstream(upload)?.clone(),
        number,
        stored_bytes,
        body,
        in_lock_bucket: scope.bucket.object_lock,
    };
    let etag = scope
        .region
        .store
        .upload_part(scope.tenant, &at, request)
        .await?;
    Ok(CompletedPart { number, etag })
}

async fn spooled_with(
    scope: &BucketScope,
    last: &Attempt,
    behind: Vec<u8>,
) -> Result<(u64, Body), OpError> {
    let key = last
        .stored
        .spool_key
        .as_ref()
        .ok_or_else(|| OpError::internal("the attempt is not spooled"))?;
    let request = GetRequest {
        if_match: Some(last.stored.upstream_etag.clone()),
        ..GetRequest::default()
    };
    let spooled = scope
        .region
        .store
        .get(SPOOL_OWNER, &super::spool_at(scope, key), &request)
        .await?;
    let bytes = layout::sealed_len(last.stored.plaintext_bytes);
    if spooled.body_bytes != bytes {
        return Err(OpError::not_authentic(
            "a spooled part does not have its length",
        ));
    }
    let stream = exactly(spooled.body, bytes)
        .chain(futures::stream::once(async { Ok(Bytes::from(behind)) }));
    if bytes > REPLAYABLE_BYTES_MAX {
        return Ok((bytes, Body::Once(stream.boxed())));
    }
    let collected = stream
        .try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok::<_, BodyError>(all)
        })
        .await
        .map_err(OpError::upstream_body)?;
    Ok((bytes, Body::Replayable(Bytes::from(collected))))
}

/// A body that fails unless it has this length, so that pad and trailer never lie behind anything else.
fn exactly(body: ByteStream, bytes: u64) -> ByteStream {
    let end = futures::stream::once(async { Ok(Bytes::new()) });
    let mut left = bytes;
    let counted = body.map(|chunk| (chunk, false));
    let checked = counted.chain(end.map(|chunk| (chunk, true)));
    checked
        .map(move |(chunk, is_end)| {
            let chunk = chunk?;
            let rest = left.checked_sub(chunk.len() as u64);
            left = rest.ok_or_else(wrong_length)?;
            match (is_end, left) {
                (true, 1..) => Err(wrong_length()),
                _ => Ok(chunk),
            }
        })
        .try_filter(|chunk| std::future::ready(!chunk.is_empty()))
        .boxed()
}

fn wrong_length() -> BodyError {
    BodyError::Source(Arc::new(WrongLength))
}

#[derive(Debug, thiserror::Error)]
#[error("a spooled part does not have its length")]
struct WrongLength;
