//! Whole objects and their tags.

use super::body::receive;
use super::errors::{Call, from_sdk};
use super::headers::{
    ENCODED, ENCODED_IN_PATH, condition, extent, head_answer, of_write, quoted, range_header,
    stored_head, tagging, unix_ms, unquoted, write_outcome,
};
use super::lean::Template;
use super::locks::{hold_status, sdk_time};
use super::retry::until_done;
use super::trailing::with_trailer_claiming;
use super::{CRC64NVME, S3Store, checksum_value};
use crate::region::{
    Body, CopyRequest, DeleteOutcome, DeleteRequest, GetRequest, Missing, ObjectRef, PutCondition,
    PutRequest, RegionError, StoredHead, StoredObject, VersionId, WriteOutcome,
};
use aws_sdk_s3::types::{MetadataDirective, Tag, Tagging, TaggingDirective};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Method, StatusCode};
use percent_encoding::utf8_percent_encode;

/// `bucket/key?versionId=…` as the header of a copy takes it.
pub(super) fn copy_source(from: &ObjectRef, version: Option<&VersionId>) -> String {
    let bucket = utf8_percent_encode(from.bucket.as_str(), ENCODED);
    let key = utf8_percent_encode(from.key.as_str(), ENCODED_IN_PATH);
    match version {
        Some(id) => format!(
            "{bucket}/{key}?versionId={}",
            utf8_percent_encode(&id.0, ENCODED)
        ),
        None => format!("{bucket}/{key}"),
    }
}

fn at_object(method: Method, at: &ObjectRef) -> Template {
    Template::new(method, at.bucket.as_str(), Some(at.key.as_str()))
}

fn version_text(version: Option<&VersionId>) -> Option<String> {
    version.map(|id| id.0.clone())
}

impl S3Store {
    pub(super) async fn put_object(
        &self,
        at: &ObjectRef,
        request: PutRequest,
    ) -> Result<WriteOutcome, RegionError> {
        let call = Call::write("put", Missing::Bucket);
        let mut headers = of_write(call, &request.head, &request.condition)?;
        let (body, stored_bytes) = (request.body, request.stored_bytes);
        if request.head.lock.is_some() {
            let template = at_object(Method::PUT, at).headers(headers);
            let answer = self.upload_checked(call, template, body, stored_bytes);
            return write_outcome(call, &answer.await?);
        }
        if let Some((name, value)) = self.checksum_header(&body) {
            headers.insert(name, value);
        }
        let template = at_object(Method::PUT, at).headers(headers);
        let answer = self.upload(call, &template, body, stored_bytes).await?;
        write_outcome(call, &answer)
    }

    /// Puts an object with a checksum that the caller says is its own, right or wrong (`region check`).
    pub(in crate::region) async fn put_claiming_crc64nvme(
        &self,
        at: &ObjectRef,
        bytes: Bytes,
        crc: u64,
    ) -> Result<WriteOutcome, RegionError> {
        let call = Call::write("put", Missing::Bucket);
        let mut template = at_object(Method::PUT, at);
        if let Some(value) = checksum_value(crc) {
            template.headers.insert(CRC64NVME, value);
        }
        let stored_bytes = bytes.len() as u64;
        let answer = self
            .upload(call, &template, Body::Replayable(bytes), stored_bytes)
            .await?;
        write_outcome(call, &answer)
    }

    /// Puts a stream whose trailer claims another checksum than it has (`region check`).
    pub(in crate::region) async fn put_with_wrong_trailer(
        &self,
        at: &ObjectRef,
        bytes: &'static [u8],
    ) -> Result<WriteOutcome, RegionError> {
        let call = Call::write("put", Missing::Bucket);
        let template = at_object(Method::PUT, at);
        let body = stream::iter([Ok(Bytes::from_static(bytes))]).boxed();
        let stored_bytes = bytes.len() as u64;
        let (template, body, encoded_bytes) =
            with_trailer_claiming(call, template, body, stored_bytes, |crc| !crc)?;
        let body = Body::Once(body);
        let answer = self.upload(call, &template, body, encoded_bytes).await?;
        write_outcome(call, &answer)
    }

    pub(super) async fn get_object(
        &self,
        at: &ObjectRef,
        request: &GetRequest,
    ) -> Result<StoredObject, RegionError> {
        let version = request.version.as_ref();
        let call = Call::read("get", Missing::Object).of_version(version);
        let mut template =
            at_object(Method::GET, at).maybe_query("versionId", version_text(version).as_deref());
        if let Some(range) = request.range {
            template = template.header(call, "range", &range_header(range))?;
        }
        if let Some(etag) = &request.if_match {
            template = template.header(call, "if-match", &quoted(etag))?;
        }
        let response = self
            .ask(
                call,
                &template,
                &[StatusCode::OK, StatusCode::PARTIAL_CONTENT],
            )
            .await?;
        let (head, body) = response.into_parts();
        let extent = extent(call, request.range, head.status, &head.headers)?;
        let stored = stored_head(call, &head.headers, extent.stored_bytes)?;
        if request
            .if_match
            .as_ref()
            .is_some_and(|etag| *etag != stored.etag)
        {
            return Err(call.lying("another object than If-Match named"));
        }
        Ok(StoredObject {
            head: stored,
            first: extent.first,
            body_bytes: extent.body_bytes,
            body: receive(body, extent.body_bytes, self.transport.deadlines.idle()),
        })
    }

    pub(super) async fn head_object(
        &self,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<StoredHead, RegionError> {
        let call = Call::read("head", Missing::Object).of_version(version);
        let template =
            at_object(Method::HEAD, at).maybe_query("versionId", version_text(version).as_deref());
        let response = self.ask(call, &template, &[StatusCode::OK]).await?;
        head_answer(call, response.headers())
    }

    pub(super) async fn delete_object(
        &self,
        at: &ObjectRef,
        request: &DeleteRequest,
    ) -> Result<DeleteOutcome, RegionError> {
        let call = Call::write("delete", Missing::Object);
        if request.condition == PutCondition::Absent {
            return Err(RegionError::Unsupported {
                operation: call.operation,
                what: "If-None-Match on a delete",
            });
        }
        let version = version_text(request.version.as_ref());
        // Not by the SDK: it builds no request for a key of nothing but spaces.
        let mut template =
            at_object(Method::DELETE, at).maybe_query("versionId", version.as_deref());
        if let (Some(if_match), _) = condition(&request.condition) {
            template = template.header(call, "if-match", &if_match)?;
        }
        if request.bypass_governance {
            template = template.header(call, "x-amz-bypass-governance-retention", "true")?;
        }
        let good = [StatusCode::NO_CONTENT, StatusCode::OK];
        let deleted = self.ask(call, &template, &good).await;
        let unconditional = request.condition == PutCondition::Always;
        match deleted {
            Ok(done) => {
                let text = |name: &str| done.headers().get(name)?.to_str().ok();
                Ok(DeleteOutcome {
                    version: text("x-amz-version-id").map(|id| VersionId(id.to_owned())),
                    delete_marker: text("x-amz-delete-marker") == Some("true"),
                })
            }
            Err(RegionError::NotFound {
                missing: Missing::Object | Missing::Version,
                ..
            }) if unconditional => Ok(DeleteOutcome::default()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn copy_object(
        &self,
        to: &ObjectRef,
        request: &CopyRequest,
    ) -> Result<WriteOutcome, RegionError> {
        let call = Call::write("copy", Missing::Object);
        // The SDK would panic or drop what is no header value.
        of_write(call, &request.head, &request.condition)?;
        let (if_match, if_none_match) = condition(&request.condition);
        let (directive, tags) = if request.copy_tags {
            (TaggingDirective::Copy, None)
        } else {
            (TaggingDirective::Replace, tagging(&request.head.tags))
        };
        let lock = request.head.lock.unwrap_or_default();
        let copied = until_done(&self.retries, || async {
            self.sdk_long
                .copy_object()
                .bucket(to.bucket.as_str())
                .key(to.key.as_str())
                .copy_source(copy_source(
                    &self.stored(&request.from),
                    request.from_version.as_ref(),
                ))
                .copy_source_if_match(quoted(&request.source.etag))
                .metadata_directive(MetadataDirective::Replace)
                .set_metadata(Some(request.head.metadata.clone().into_iter().collect()))
                .set_content_disposition(request.head.content_disposition.clone())
                .tagging_directive(directive.clone())
                .set_tagging(tags.clone())
                .set_object_lock_mode(lock.retention.map(|kept| kept.mode.as_str().into()))
                .set_object_lock_retain_until_date(lock.retention.map(|kept| sdk_time(kept.until)))
                .set_object_lock_legal_hold_status(lock.legal_hold.map(hold_status))
                .set_if_match(if_match.clone())
                .set_if_none_match(if_none_match.clone())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        let result = copied
            .copy_object_result
            .ok_or_else(|| call.lying("no CopyObjectResult"))?;
        let etag = result.e_tag.as_deref().map(unquoted);
        Ok(WriteOutcome {
            etag: etag
                .filter(|etag| !etag.is_empty())
                .ok_or_else(|| call.lying("no ETag"))?,
            version: copied.version_id.map(VersionId),
            last_modified: result.last_modified.as_ref().map(unix_ms),
            expiration: copied.expiration,
        })
    }

    pub(super) async fn object_tags(
        &self,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<Vec<(String, String)>, RegionError> {
        let call = Call::read("tags", Missing::Object).of_version(version);
        let found = until_done(&self.retries, || async {
            self.sdk
                .get_object_tagging()
                .bucket(at.bucket.as_str())
                .key(at.key.as_str())
                .set_version_id(version_text(version))
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        Ok(found
            .tag_set
            .into_iter()
            .map(|tag| (tag.key, tag.value))
            .collect())
    }

    pub(super) async fn set_object_tags(
        &self,
        at: &ObjectRef,
        version: Option<&VersionId>,
        tags: &[(String, String)],
    ) -> Result<(), RegionError> {
        let call = Call::write("set_tags", Missing::Object).of_version(version);
        if tags.is_empty() {
            until_done(&self.retries, || async {
                self.sdk
                    .delete_object_tagging()
                    .bucket(at.bucket.as_str())
                    .key(at.key.as_str())
                    .set_version_id(version_text(version))
                    .send()
                    .await
                    .map_err(|error| from_sdk(call, error))
            })
            .await?;
            return Ok(());
        }
        let unbuildable = |_| call.refused(400, "InvalidTag");
        let set = tags
            .iter()
            .map(|(name, value)| Tag::builder().key(name).value(value).build())
            .collect::<Result<Vec<_>, _>>()
            .map_err(unbuildable)?;
        let tagging = Tagging::builder()
            .set_tag_set(Some(set))
            .build()
            .map_err(unbuildable)?;
        until_done(&self.retries, || async {
            self.sdk
                .put_object_tagging()
                .bucket(at.bucket.as_str())
                .key(at.key.as_str())
                .set_version_id(version_text(version))
                .tagging(tagging.clone())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        Ok(())
    }
}
