//! What is known of one request while it runs, and the one line that is logged of it.

use super::limits::{DocumentRoom, Share};
use crate::ops::OpError;
use crate::tenants::{Caller, ObjectKey, RegionName, TenantId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_envelope::KekId;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

/// The target of the access line, one a request.
pub const ACCESS_TARGET: &str = "lethe::access";

/// A request's id, as clients see it in `x-amz-request-id`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 8]);

impl RequestId {
    /// A random id.
    ///
    /// # Errors
    /// `InternalError` when the system has no random numbers.
    pub fn random() -> Result<Self, OpError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|e| OpError::internal(e.to_string()))?;
        Ok(Self(id))
    }

    /// The id that stands for none, where there are no random numbers to make one of.
    pub(super) const NONE: Self = Self([0; 8]);
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which gateway answered, for `x-amz-id-2`.
#[derive(Clone, Copy, Debug)]
pub struct GatewayId(pub [u8; 16]);

impl GatewayId {
    /// `x-amz-id-2` of one request.
    #[must_use]
    pub fn host_id(self, request: RequestId) -> String {
        STANDARD.encode([&self.0[..], &request.0[..]].concat())
    }
}

#[derive(Default)]
struct Record {
    tenant: Option<TenantId>,
    region: Option<RegionName>,
    op: Option<String>,
    bucket: Option<String>,
    object_hash: Option<String>,
    kek_id: Option<KekId>,
    verified: Option<Caller>,
}

#[derive(Default)]
struct Held {
    place: Option<OwnedSemaphorePermit>,
    share: Option<Share<TenantId>>,
    document: Option<DocumentRoom>,
}

/// One request; an `Arc` of it is in the request's extensions.
pub struct RequestContext {
    id: RequestId,
    /// The path as it came, for the client's own eyes: the log has hashes.
    resource: String,
    began: Instant,
    record: Mutex<Record>,
    /// Released when the last holder is done, which is after the answer's last byte.
    held: Mutex<Held>,
    operation_began: Notify,
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl RequestContext {
    /// A request for a path that begins now.
    #[must_use]
    pub fn new(id: RequestId, resource: &str) -> Arc<Self> {
        Arc::new(Self {
            id,
            resource: resource.to_owned(),
            began: Instant::now(),
            record: Mutex::default(),
            held: Mutex::default(),
            operation_began: Notify::new(),
        })
    }

    /// The request's id.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// The path that is asked for, as it came.
    #[must_use]
    pub(super) fn resource(&self) -> &str {
        &self.resource
    }

    /// Records who asks.
    pub fn record_caller(&self, caller: &Caller) {
        let mut record = self.record();
        record.tenant = Some(caller.tenant.id);
        record.region = Some(caller.tenant.region.clone());
    }

    /// Records whose signature was verified.
    pub(super) fn record_verified(&self, caller: &Caller) {
        self.record().verified = Some(caller.clone());
    }

    /// Who has signed the request; `None` until the signature is verified.
    pub(super) fn verified(&self) -> Option<Caller> {
        self.record().verified.clone()
    }

    /// Records what is asked for. The key is kept as a hash: it is the tenant's own text.
    pub fn record_target(&self, op: &str, bucket: Option<&str>, key: Option<&str>) {
        let mut record = self.record();
        record.op = Some(op.to_owned());
        record.bucket = bucket.map(str::to_owned);
        let named = key.and_then(|k| ObjectKey::new(k).ok());
        record.object_hash = named.map(|k| object_hash(record.tenant, bucket, &k));
    }

    /// Records the KEK that the object's key is wrapped under.
    pub fn record_kek(&self, kek_id: KekId) {
        self.record().kek_id = Some(kek_id);
    }

    /// Says that the request is verified and read, and that its operation begins.
    pub fn operation_begins(&self) {
        self.operation_began.notify_one();
    }

    /// Waits until the operation begins; for one waiter.
    pub(super) async fn operation_began(&self) {
        self.operation_began.notified().await;
    }

    pub(super) fn hold_place(&self, place: OwnedSemaphorePermit) {
        self.held().place = Some(place);
    }

    pub(super) fn hold_document(&self, room: DocumentRoom) {
        self.held().document = Some(room);
    }

    pub(super) fn hold_share(&self, share: Share<TenantId>) {
        self.held().share = Some(share);
    }

    /// Writes the access line.
    pub(super) fn log(&self, status: u16, bytes: u64, is_whole: bool) {
        let record = self.record();
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            target: ACCESS_TARGET,
            request_id = %self.id,
            tenant = record.tenant.map(|t| t.to_string()),
            region = record.region.as_ref().map(RegionName::as_str),
            op = record.op.as_deref(),
            bucket = record.bucket.as_deref(),
            object_hash = record.object_hash.as_deref(),
            kek_id = record.kek_id.map(|k| k.to_string()),
            bytes,
            elapsed_ms,
            status,
            outcome = if is_whole { "answered" } else { "broken off" },
        );
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 8 bytes of SHA-256 over tenant, bucket and key: enough to follow one object through the log.
#[must_use]
pub fn object_hash(tenant: Option<TenantId>, bucket: Option<&str>, key: &ObjectKey) -> String {
    let mut hasher = Sha256::new();
    let tenant = tenant.map(|t| t.to_string()).unwrap_or_default();
    for field in [tenant.as_str(), bucket.unwrap_or_default(), key.as_str()] {
        hasher.update((field.len() as u64).to_be_bytes());
        hasher.update(field);
    }
    hex::encode(&hasher.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ_and_have_one_length() {
        let (a, b) = (RequestId::random().unwrap(), RequestId::random().unwrap());
        assert_ne!(a, b);
        assert_eq!(RequestId([0; 8]).to_string(), "0000000000000000");
        assert_eq!(a.to_string().len(), 16);
        let gateway = GatewayId([7; 16]);
        assert_ne!(gateway.host_id(a), gateway.host_id(b));
    }

    #[test]
    fn object_hash_tells_fields_apart() {
        let key = |k: &str| ObjectKey::new(k).unwrap();
        let hash = |bucket, k: &str| object_hash(None, Some(bucket), &key(k));
        assert_ne!(hash("ab", "c"), hash("a", "bc"));
        assert_eq!(hash("ab", "c"), hash("ab", "c"));
        assert_eq!(hash("ab", "c").len(), 16);
    }
}
