//! `/v1/objects/inspect`: what an object's header says, without opening it.

use super::error::{ApiError, ErrorBody};
use super::server::{Acting, JsonBody};
use super::state::Admin;
use crate::region::{ObjectRef, StoredHead, VersionId};
use crate::tenants::{BucketName, ObjectKey};
use axum::Json;
use axum::extract::State;
use lethe_envelope::{Header, Kind, layout};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// An object to inspect; in the body, so that its key is in no URL and no log.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InspectObject {
    /// The tenant's id or name.
    pub tenant: String,
    /// The tenant's domain; needed where several have a tenant of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The version; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What the store has of an object, as far as it can be seen without a key. Nothing here is authenticated.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ObjectView {
    /// The upstream bucket.
    pub upstream_bucket: String,
    /// The stored length.
    pub stored_bytes: u64,
    /// The plaintext length that follows from it; absent when no object of Lethe's has that length.
    pub plaintext_bytes: Option<u64>,
    /// The upstream's ETag.
    pub etag: String,
    /// The version, where the bucket is or was versioned.
    pub version: Option<String>,
    /// When it was written, in milliseconds since 1970.
    pub last_modified_ms: i64,
    /// The object header; absent when Lethe did not write the object.
    pub header: Option<HeaderView>,
}

/// An object header.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HeaderView {
    /// `single` or `multipart`.
    pub kind: String,
    /// The object's id.
    pub object_id: String,
    /// The KEK that wraps its DEK.
    pub kek_id: String,
    /// That KEK's commitment, in hexadecimal.
    pub kek_commitment: String,
}

/// Shows what an object's header says.
#[utoipa::path(post, path = "/v1/objects/inspect", tag = "objects", request_body = InspectObject,
    responses((status = 200, body = ObjectView), (status = 404, body = ErrorBody)))]
pub(super) async fn inspect(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    JsonBody(body): JsonBody<InspectObject>,
) -> Result<Json<ObjectView>, ApiError> {
    let (domain, tenant) = admin.tenant(&body.tenant, body.domain.as_deref()).await?;
    let bucket: BucketName = body.bucket.parse()?;
    let key = ObjectKey::new(body.key)?;
    let bucket = domain.stores.catalog.bucket(tenant.id, &bucket).await?;
    let region = domain.stores.regions.get(&bucket.region).ok_or_else(|| {
        ApiError::conflict(
            format!("region {} is not served by this gateway", bucket.region),
            "use the gateway that serves it",
        )
    })?;
    let upstream_bucket = bucket.upstream.as_str().to_owned();
    let at = ObjectRef {
        bucket: bucket.upstream,
        key,
    };
    let version = body.version.map(VersionId);
    let head = region.store.head(tenant.id, &at, version.as_ref()).await?;
    Ok(Json(view(upstream_bucket, head)))
}

fn view(upstream_bucket: String, head: StoredHead) -> ObjectView {
    let header = head
        .fields
        .metadata
        .values()
        .find_map(|value| Header::decode(value).ok());
    ObjectView {
        upstream_bucket,
        stored_bytes: head.stored_bytes,
        plaintext_bytes: header
            .as_ref()
            .and_then(|_| layout::plaintext_len_of_stored(head.stored_bytes)),
        etag: head.etag,
        version: head.version.map(|version| version.0),
        last_modified_ms: head.last_modified.0,
        header: header.map(|header| HeaderView {
            kind: match header.kind {
                Kind::Single => "single".to_owned(),
                Kind::Multipart => "multipart".to_owned(),
            },
            object_id: header.object_id.to_string(),
            kek_id: header.kek_id.to_string(),
            kek_commitment: hex::encode(header.kek_commitment),
        }),
    }
}
