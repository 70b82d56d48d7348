//! Multipart uploads.

use super::S3Store;
use super::errors::{Call, from_sdk};
use super::headers::{condition, etag, of_write, quoted, tagging, unquoted};
use super::lean::Template;
use super::lists::decoded;
use super::locks::{hold_status, sdk_time};
use super::objects::copy_source;
use super::retry::until_done;
use crate::region::{
    CompletedPart, HeadFields, Missing, ObjectRef, PartCopyRequest, PutCondition, RegionError,
    StoredPart, UploadPartRequest, UpstreamUploadId, VersionId, WriteOutcome,
};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart as SdkPart, EncodingType, Part,
};
use http::Method;
use std::collections::BTreeMap;

const PARTS_MAX: usize = 10_000;
/// Pages of open uploads that are read for one key: a listing can be narrowed to a prefix only.
const UPLOAD_PAGES_MAX: u32 = 100;

impl S3Store {
    pub(super) async fn open_upload(
        &self,
        at: &ObjectRef,
        head: &HeadFields,
    ) -> Result<UpstreamUploadId, RegionError> {
        let call = Call::write("create_upload", Missing::Bucket);
        of_write(call, head, &PutCondition::Always)?;
        let lock = head.lock.unwrap_or_default();
        // Parts with a checksum need an upload that names its algorithm.
        let algorithm = (head.lock.is_some() && self.profile.put_checksum)
            .then_some(ChecksumAlgorithm::Crc64Nvme);
        let opened = until_done(&self.retries, || async {
            self.sdk
                .create_multipart_upload()
                .bucket(at.bucket.as_str())
                .key(at.key.as_str())
                .set_metadata(Some(head.metadata.clone().into_iter().collect()))
                .set_content_disposition(head.content_disposition.clone())
                .set_tagging(tagging(&head.tags))
                .set_checksum_algorithm(algorithm.clone())
                .set_object_lock_mode(lock.retention.map(|kept| kept.mode.as_str().into()))
                .set_object_lock_retain_until_date(lock.retention.map(|kept| sdk_time(kept.until)))
                .set_object_lock_legal_hold_status(lock.legal_hold.map(hold_status))
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        match opened.upload_id {
            Some(id) if !id.is_empty() => Ok(UpstreamUploadId(id)),
            _ => Err(call.lying("no upload id")),
        }
    }

    pub(super) async fn put_part(
        &self,
        at: &ObjectRef,
        request: UploadPartRequest,
    ) -> Result<String, RegionError> {
        let call = Call::write("upload_part", Missing::Upload);
        let template = Template::new(Method::PUT, at.bucket.as_str(), Some(at.key.as_str()))
            .query("partNumber", &request.number.to_string())
            .query("uploadId", &request.upload.0);
        let (body, stored_bytes) = (request.body, request.stored_bytes);
        let answer = match request.in_lock_bucket {
            true => {
                self.upload_checked(call, template, body, stored_bytes)
                    .await
            }
            false => self.upload(call, &template, body, stored_bytes).await,
        };
        etag(call, &answer?)
    }

    pub(super) async fn copy_part(
        &self,
        at: &ObjectRef,
        request: &PartCopyRequest,
    ) -> Result<String, RegionError> {
        // A source that is gone and an upload that is gone differ by their codes only.
        let call = Call::write("upload_part_copy", Missing::Object);
        let (first, last) = request.range;
        let copied = until_done(&self.retries, || async {
            self.sdk_long
                .upload_part_copy()
                .bucket(at.bucket.as_str())
                .key(at.key.as_str())
                .upload_id(&request.upload.0)
                .part_number(i32::from(request.number))
                .copy_source(copy_source(
                    &self.stored(&request.from),
                    request.from_version.as_ref(),
                ))
                .copy_source_if_match(quoted(&request.source.etag))
                .copy_source_range(format!("bytes={first}-{last}"))
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        let etag = copied
            .copy_part_result
            .and_then(|result| result.e_tag)
            .map(|etag| unquoted(&etag));
        etag.filter(|etag| !etag.is_empty())
            .ok_or_else(|| call.lying("no ETag"))
    }

    pub(super) async fn finish_upload(
        &self,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
        parts: &[CompletedPart],
        wanted: &PutCondition,
    ) -> Result<WriteOutcome, RegionError> {
        let call = Call::write("complete_upload", Missing::Upload);
        let (if_match, if_none_match) = condition(wanted);
        let listed = parts
            .iter()
            .map(|part| {
                SdkPart::builder()
                    .part_number(i32::from(part.number))
                    .e_tag(quoted(&part.etag))
                    .build()
            })
            .collect();
        let body = CompletedMultipartUpload::builder()
            .set_parts(Some(listed))
            .build();
        let completed = until_done(&self.retries, || async {
            self.sdk_long
                .complete_multipart_upload()
                .bucket(at.bucket.as_str())
                .key(at.key.as_str())
                .upload_id(&upload.0)
                .multipart_upload(body.clone())
                .set_if_match(if_match.clone())
                .set_if_none_match(if_none_match.clone())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await
        .map_err(|error| match error {
            // Parts are sized before they come here: too small is one that is missing or another one (SeaweedFS).
            RegionError::Refused { code, .. } if code == "EntityTooSmall" => {
                RegionError::InvalidPart {
                    operation: call.operation,
                    number: None,
                }
            }
            other => other,
        })?;
        let etag = completed.e_tag.as_deref().map(unquoted);
        Ok(WriteOutcome {
            etag: etag
                .filter(|etag| !etag.is_empty())
                .ok_or_else(|| call.lying("no ETag"))?,
            version: completed.version_id.map(VersionId),
            last_modified: None,
            expiration: completed.expiration,
        })
    }

    pub(super) async fn drop_upload(
        &self,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
    ) -> Result<(), RegionError> {
        let call = Call::write("abort_upload", Missing::Upload);
        let dropped = until_done(&self.retries, || async {
            self.sdk
                .abort_multipart_upload()
                .bucket(at.bucket.as_str())
                .key(at.key.as_str())
                .upload_id(&upload.0)
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await;
        match dropped {
            Ok(_)
            | Err(RegionError::NotFound {
                missing: Missing::Upload,
                ..
            }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn stored_parts(
        &self,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
    ) -> Result<Vec<StoredPart>, RegionError> {
        let call = Call::read("list_parts", Missing::Upload);
        let mut newest: BTreeMap<u16, Part> = BTreeMap::new();
        let mut marker: Option<String> = None;
        loop {
            let page = until_done(&self.retries, || async {
                self.sdk
                    .list_parts()
                    .bucket(at.bucket.as_str())
                    .key(at.key.as_str())
                    .upload_id(&upload.0)
                    .set_part_number_marker(marker.clone())
                    .send()
                    .await
                    .map_err(|error| from_sdk(call, error))
            })
            .await?;
            for part in page.parts.unwrap_or_default() {
                keep_newest(call, &mut newest, part)?;
            }
            if page.is_truncated != Some(true) {
                break;
            }
            let next = page.next_part_number_marker;
            let number =
                |marker: &Option<String>| marker.as_ref().and_then(|text| text.parse::<u16>().ok());
            // Growing numbers below 65,536 bound the pages.
            if number(&next) <= number(&marker) {
                return Err(call.lying("pages that do not advance"));
            }
            marker = next;
        }
        newest
            .into_iter()
            .map(|(number, part)| {
                let stored_bytes = part.size.and_then(|size| u64::try_from(size).ok());
                Ok(StoredPart {
                    number,
                    etag: part.e_tag.as_deref().map(unquoted).unwrap_or_default(),
                    stored_bytes: stored_bytes
                        .ok_or_else(|| call.lying("a part without a size"))?,
                })
            })
            .collect()
    }
}

impl S3Store {
    pub(super) async fn open_uploads(
        &self,
        at: &ObjectRef,
    ) -> Result<Vec<UpstreamUploadId>, RegionError> {
        let call = Call::read("uploads_at", Missing::Bucket);
        let (mut open, mut marker): (Vec<_>, Option<(String, Option<String>)>) = (Vec::new(), None);
        for _ in 0..UPLOAD_PAGES_MAX {
            let (key_marker, id_marker) = marker.clone().unzip();
            let page = until_done(&self.retries, || async {
                self.sdk
                    .list_multipart_uploads()
                    .bucket(at.bucket.as_str())
                    .prefix(at.key.as_str())
                    .encoding_type(EncodingType::Url)
                    .set_key_marker(key_marker.clone())
                    .set_upload_id_marker(id_marker.clone().flatten())
                    .send()
                    .await
                    .map_err(|error| from_sdk(call, error))
            })
            .await?;
            let encoded = page.encoding_type == Some(EncodingType::Url);
            let plain = |text: &str| match encoded {
                true => decoded(call, text),
                false => Ok(text.to_owned()),
            };
            for upload in page.uploads.unwrap_or_default() {
                // Some stores say that they encode keys and don't (SeaweedFS); the prefix keeps the two readings apart.
                let listed = upload.key.as_deref().unwrap_or_default();
                let is_here = listed == at.key.as_str()
                    || plain(listed).is_ok_and(|key| key == at.key.as_str());
                if !is_here {
                    continue;
                }
                let id = upload.upload_id.filter(|id| !id.is_empty());
                let id = id.ok_or_else(|| call.lying("an upload without an id"))?;
                open.push(UpstreamUploadId(id));
            }
            if page.is_truncated != Some(true) {
                return Ok(open);
            }
            let next = match page.next_key_marker.as_deref() {
                Some(key) if !key.is_empty() => Some((plain(key)?, page.next_upload_id_marker)),
                _ => None,
            };
            if next.is_none() || next == marker {
                return Err(call.lying("pages that do not advance"));
            }
            marker = next;
        }
        Err(RegionError::Unavailable {
            operation: call.operation,
            reason: "too many uploads are open under keys that begin so".to_owned(),
        })
    }
}

/// Some stores also list the attempts that a later one replaced (SeaweedFS); the last one written is the part. Times may
/// be whole seconds: of attempts within one second the last one listed is taken, which may not be the newest.
fn keep_newest(
    call: Call,
    newest: &mut BTreeMap<u16, Part>,
    part: Part,
) -> Result<(), RegionError> {
    let number = part
        .part_number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| (1..=PARTS_MAX).contains(&usize::from(*number)))
        .ok_or_else(|| call.lying("a part without a number"))?;
    let written = |part: &Part| {
        part.last_modified
            .as_ref()
            .map(|time| (time.secs(), time.subsec_nanos()))
    };
    match newest.get(&number) {
        Some(known) if written(known) > written(&part) => {}
        _ => {
            newest.insert(number, part);
        }
    }
    Ok(())
}
