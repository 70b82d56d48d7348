//! A region whose store speaks S3.
//!
//! Objects and parts go through a lean client, everything else through the AWS SDK; both share one transport and one
//! credential provider. Bodies are not signed: what matters in them is authenticated above.

mod body;
mod buckets;
mod config;
mod credentials;
mod errors;
pub(in crate::region) mod folders;
mod headers;
mod identity;
mod lean;
mod lifecycle;
mod lists;
mod lists_late;
mod locks;
mod objects;
mod retry;
mod sdk;
mod trailing;
mod transport;
mod uploads;
mod version_walk;
mod versions;
mod xml;

#[cfg(test)]
mod hostile;
#[cfg(test)]
pub(crate) mod testbed;
#[cfg(test)]
mod tests_bodies;
#[cfg(test)]
mod tests_faults;
#[cfg(test)]
mod tests_late;
#[cfg(test)]
mod tests_weed;
#[cfg(test)]
mod tests_weed_lists;
#[cfg(test)]
mod tests_weed_parts;
#[cfg(test)]
mod tests_weed_versions;

pub use config::{ConnectError, Deadlines, UpstreamConfig};
pub use credentials::CredentialsError;
pub use identity::RegionIdentity;

use crate::clock::SystemClock;
use crate::region::{
    Body, CompletedPart, CopyRequest, DeleteOutcome, DeleteRequest, GetRequest, HeadFields,
    LifecycleRule, ListRequest, Listing, LockConfiguration, ObjectLock, ObjectRef, PartCopyRequest,
    PutCondition, PutRequest, RegionError, RegionProfile, RegionStore, Retention, StoredHead,
    StoredObject, StoredPart, UploadPartRequest, UpstreamBucket, UpstreamUploadId, VersionId,
    VersionListRequest, VersionListing, Versioning, WriteOutcome,
};
use crate::tenants::TenantId;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::Endpoint;
use credentials::FileCredentials;
use http::header::{HeaderName, HeaderValue};
use retry::Retries;
use std::fmt;
use std::sync::Arc;
use transport::Transport;

const CRC64NVME: HeaderName = HeaderName::from_static("x-amz-checksum-crc64nvme");

/// An S3 store as a region. Keys, bodies and heads are the gateway's; this only carries them.
pub struct S3Store {
    endpoint: Endpoint,
    region: String,
    bucket_prefix: String,
    profile: RegionProfile,
    retries: Retries,
    transport: Arc<Transport>,
    credentials: Arc<FileCredentials>,
    /// For calls with small requests and answers.
    sdk: aws_sdk_s3::Client,
    /// For calls that make the store move bytes.
    sdk_long: aws_sdk_s3::Client,
    clock: SystemClock,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("endpoint", &self.endpoint.authority)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl S3Store {
    /// Prepares the clients; no connection is made yet.
    ///
    /// # Errors
    /// [`ConnectError`] when the configuration, the certificates to trust or the credentials can't be used.
    pub async fn connect(
        config: UpstreamConfig,
        profile: RegionProfile,
    ) -> Result<Self, ConnectError> {
        let endpoint = config.check()?;
        let credentials = Arc::new(FileCredentials::open(&config.credentials_file).await?);
        let transport = Arc::new(Transport::new(&config).await?);
        let client = |deadline| {
            sdk::client(
                &config,
                &endpoint,
                Arc::clone(&transport),
                Arc::clone(&credentials),
                deadline,
            )
        };
        let (sdk, sdk_long) = (
            client(config.deadlines.small_call()),
            client(config.deadlines.long_call()),
        );
        Ok(Self {
            sdk,
            sdk_long,
            retries: Retries {
                attempts_max: config.attempts_max,
                begin_within: config.deadlines.small_call() / 2,
            },
            region: config.region,
            bucket_prefix: config.bucket_prefix,
            endpoint,
            profile,
            transport,
            credentials,
            clock: SystemClock,
        })
    }

    /// What the names of this store's buckets begin with.
    #[must_use]
    pub fn bucket_prefix(&self) -> &str {
        &self.bucket_prefix
    }

    /// The same store, asked only for what another profile allows.
    #[must_use]
    pub fn with_profile(&self, profile: RegionProfile) -> Self {
        Self {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            bucket_prefix: self.bucket_prefix.clone(),
            profile,
            retries: self.retries,
            transport: Arc::clone(&self.transport),
            credentials: Arc::clone(&self.credentials),
            sdk: self.sdk.clone(),
            sdk_long: self.sdk_long.clone(),
            clock: SystemClock,
        }
    }

    /// A checksum over stored bytes for stores that take one (AWS demands one under object lock). A stream's is not
    /// known before its end, so only bodies in memory have it.
    fn checksum_header(&self, body: &Body) -> Option<(HeaderName, HeaderValue)> {
        let Body::Replayable(bytes) = body else {
            return None;
        };
        if !self.profile.put_checksum {
            return None;
        }
        Some((CRC64NVME, checksum_value(crc64nvme(bytes))?))
    }
}

pub(super) fn crc64nvme(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes)
}

fn checksum_value(crc: u64) -> Option<HeaderValue> {
    HeaderValue::from_str(&STANDARD.encode(crc.to_be_bytes())).ok()
}

#[async_trait]
impl RegionStore for S3Store {
    async fn create_bucket(
        &self,
        _tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError> {
        self.make_bucket(bucket, false).await
    }

    async fn delete_bucket(
        &self,
        _tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError> {
        self.drop_bucket(bucket).await
    }

    async fn bucket_exists(
        &self,
        _tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<bool, RegionError> {
        self.has_bucket(bucket).await
    }

    async fn versioning(
        &self,
        _tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<Versioning, RegionError> {
        self.bucket_versioning(bucket).await
    }

    async fn set_versioning(
        &self,
        _tenant: TenantId,
        bucket: &UpstreamBucket,
        state: Versioning,
    ) -> Result<(), RegionError> {
        self.set_bucket_versioning(bucket, state).await
    }

    async fn put(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        request: PutRequest,
    ) -> Result<WriteOutcome, RegionError> {
        self.put_object(&self.stored(at), request).await
    }

    async fn get(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        request: &GetRequest,
    ) -> Result<StoredObject, RegionError> {
        self.get_object(&self.stored(at), request).await
    }

    async fn head(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<StoredHead, RegionError> {
        self.head_object(&self.stored(at), version).await
    }

    async fn delete(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        request: &DeleteRequest,
    ) -> Result<DeleteOutcome, RegionError> {
        self.delete_object(&self.stored(at), request).await
    }

    async fn copy(
        &self,
        _tenant: TenantId,
        to: &ObjectRef,
        request: &CopyRequest,
    ) -> Result<WriteOutcome, RegionError> {
        self.copy_object(&self.stored(to), request).await
    }

    async fn list(
        &self,
        _tenant: TenantId,
        bucket: &UpstreamBucket,
        request: &ListRequest,
    ) -> Result<Listing, RegionError> {
        self.list_objects(bucket, request).await
    }

    async fn list_versions(
        &self,
        _tenant: TenantId,
        bucket: &UpstreamBucket,
        request: &VersionListRequest,
    ) -> Result<VersionListing, RegionError> {
        self.list_object_versions(bucket, request).await
    }

    async fn create_upload(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        head: &HeadFields,
    ) -> Result<UpstreamUploadId, RegionError> {
        self.open_upload(&self.stored(at), head).await
    }

    async fn upload_part(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        request: UploadPartRequest,
    ) -> Result<String, RegionError> {
        self.put_part(&self.stored(at), request).await
    }

    async fn upload_part_copy(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        request: &PartCopyRequest,
    ) -> Result<String, RegionError> {
        self.copy_part(&self.stored(at), request).await
    }

    async fn complete_upload(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
        parts: &[CompletedPart],
        condition: &PutCondition,
    ) -> Result<WriteOutcome, RegionError> {
        self.finish_upload(&self.stored(at), upload, parts, condition)
            .await
    }

    async fn abort_upload(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
    ) -> Result<(), RegionError> {
        self.drop_upload(&self.stored(at), upload).await
    }

    async fn list_parts(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
    ) -> Result<Vec<StoredPart>, RegionError> {
        self.stored_parts(&self.stored(at), upload).await
    }

    async fn uploads_at(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
    ) -> Result<Vec<UpstreamUploadId>, RegionError> {
        self.open_uploads(&self.stored(at)).await
    }

    async fn tags(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<Vec<(String, String)>, RegionError> {
        self.object_tags(&self.stored(at), version).await
    }

    async fn set_tags(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
        tags: &[(String, String)],
    ) -> Result<(), RegionError> {
        self.set_object_tags(&self.stored(at), version, tags).await
    }

    async fn create_lock_bucket(
        &self,
        _tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError> {
        self.make_lock_bucket(bucket).await
    }

    async fn lock_configuration(
        &self,
        _tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<Option<LockConfiguration>, RegionError> {
        self.bucket_lock(bucket).await
    }

    async fn set_lock_configuration(
        &self,
        _tenant: TenantId,
        bucket: &UpstreamBucket,
        configuration: &LockConfiguration,
    ) -> Result<(), RegionError> {
        self.set_bucket_lock(bucket, configuration).await
    }

    async fn object_lock(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<ObjectLock, RegionError> {
        self.version_lock(&self.stored(at), version).await
    }

    async fn set_retention(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
        retention: Option<Retention>,
        bypass: bool,
    ) -> Result<(), RegionError> {
        self.set_version_retention(&self.stored(at), version, retention, bypass)
            .await
    }

    async fn set_legal_hold(
        &self,
        _tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
        on: bool,
    ) -> Result<(), RegionError> {
        self.set_version_legal_hold(&self.stored(at), version, on)
            .await
    }

    async fn lifecycle(
        &self,
        _tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<Vec<LifecycleRule>, RegionError> {
        self.bucket_lifecycle(bucket).await
    }

    async fn set_lifecycle(
        &self,
        _tenant: TenantId,
        bucket: &UpstreamBucket,
        rules: &[LifecycleRule],
    ) -> Result<(), RegionError> {
        self.set_bucket_lifecycle(bucket, rules).await
    }

    async fn ping(&self) -> Result<(), RegionError> {
        // Whether the identity's bucket is there yet does not matter: the store answered, and took the credentials.
        self.has_bucket(&self.identity_bucket()).await.map(|_| ())
    }

    fn profile(&self) -> &RegionProfile {
        &self.profile
    }
}
