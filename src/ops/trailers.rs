//! Opened trailers of multipart objects, so that reads by ranges ask for each only once.

use crate::tenants::TenantId;
use lethe_envelope::{ObjectId, Trailer};
use std::sync::Arc;
use std::time::Duration;

/// Opened trailers of multipart objects. They hold no key; each use follows an unwrap of the object's own DEK, so a shredded
/// tenant's entries answer nothing.
pub(crate) struct TrailerCache(moka::sync::Cache<(TenantId, ObjectId, String), Arc<Trailer>>);

const TRAILER_CACHE_BYTES_MAX: u64 = 32 << 20;
const TRAILER_TTL: Duration = Duration::from_secs(300);

impl TrailerCache {
    pub(crate) fn new() -> Self {
        let cache = moka::sync::Cache::builder()
            .max_capacity(TRAILER_CACHE_BYTES_MAX)
            .weigher(|_, trailer: &Arc<Trailer>| {
                u32::try_from(256 + trailer.parts.len() * 160).unwrap_or(u32::MAX)
            })
            .time_to_live(TRAILER_TTL)
            .build();
        Self(cache)
    }

    pub(crate) fn get(
        &self,
        tenant: TenantId,
        object: ObjectId,
        etag: &str,
    ) -> Option<Arc<Trailer>> {
        self.0.get(&(tenant, object, etag.to_owned()))
    }

    pub(crate) fn put(
        &self,
        tenant: TenantId,
        object: ObjectId,
        etag: &str,
        trailer: &Arc<Trailer>,
    ) {
        self.0
            .insert((tenant, object, etag.to_owned()), Arc::clone(trailer));
    }
}
