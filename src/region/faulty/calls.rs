//! The calls: each forwarded, or failed, as the plan of its store says.

use super::super::{
    CompletedPart, CopyRequest, DeleteOutcome, DeleteRequest, GetRequest, HeadFields,
    LifecycleRule, ListRequest, Listing, LockConfiguration, ObjectLock, ObjectRef, PartCopyRequest,
    PutCondition, PutRequest, RegionError, RegionProfile, RegionStore, Retention, StoredHead,
    StoredObject, StoredPart, UploadPartRequest, UpstreamBucket, UpstreamUploadId, VersionId,
    VersionListRequest, VersionListing, Versioning, WriteOutcome,
};
use super::streams::{distort, flip_body, take};
use super::{Fault, FaultyStore, Op, shift, unknown, with_fault};
use crate::tenants::TenantId;
use async_trait::async_trait;

#[async_trait]
impl RegionStore for FaultyStore {
    async fn create_bucket(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError> {
        self.call(Op::CreateBucket, self.inner.create_bucket(tenant, bucket))
            .await
    }

    async fn delete_bucket(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError> {
        self.call(Op::DeleteBucket, self.inner.delete_bucket(tenant, bucket))
            .await
    }

    async fn bucket_exists(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<bool, RegionError> {
        self.call(Op::BucketExists, self.inner.bucket_exists(tenant, bucket))
            .await
    }

    async fn versioning(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<Versioning, RegionError> {
        self.call(Op::Versioning, self.inner.versioning(tenant, bucket))
            .await
    }

    async fn set_versioning(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
        state: Versioning,
    ) -> Result<(), RegionError> {
        let call = self.inner.set_versioning(tenant, bucket, state);
        self.call(Op::SetVersioning, call).await
    }

    async fn put(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        mut request: PutRequest,
    ) -> Result<WriteOutcome, RegionError> {
        let fault = self.meet(Op::Put).await;
        if let Some(Fault::ClosesMidBody { after_bytes }) = fault {
            take(request.body, after_bytes).await;
            return Err(unknown(Op::Put));
        }
        request.body = flip_body(request.body, fault);
        with_fault(Op::Put, fault, self.inner.put(tenant, at, request)).await
    }

    async fn get(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: &GetRequest,
    ) -> Result<StoredObject, RegionError> {
        let fault = self.meet(Op::Get).await;
        let call = self.inner.get(tenant, at, request);
        // Here a broken connection breaks the stream, not the call.
        let of_call = fault.filter(|fault| !matches!(fault, Fault::ClosesMidBody { .. }));
        let object = with_fault(Op::Get, of_call, call).await?;
        Ok(distort(object, fault))
    }

    async fn head(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<StoredHead, RegionError> {
        let fault = self.meet(Op::Head).await;
        let mut head = with_fault(Op::Head, fault, self.inner.head(tenant, at, version)).await?;
        head.stored_bytes = shift(head.stored_bytes, fault);
        Ok(head)
    }

    async fn delete(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: &DeleteRequest,
    ) -> Result<DeleteOutcome, RegionError> {
        self.call(Op::Delete, self.inner.delete(tenant, at, request))
            .await
    }

    async fn copy(
        &self,
        tenant: TenantId,
        to: &ObjectRef,
        request: &CopyRequest,
    ) -> Result<WriteOutcome, RegionError> {
        self.call(Op::Copy, self.inner.copy(tenant, to, request))
            .await
    }

    async fn list(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
        request: &ListRequest,
    ) -> Result<Listing, RegionError> {
        let fault = self.meet(Op::List).await;
        let call = self.inner.list(tenant, bucket, request);
        let mut page = with_fault(Op::List, fault, call).await?;
        for object in &mut page.objects {
            object.stored_bytes = shift(object.stored_bytes, fault);
        }
        Ok(page)
    }

    async fn list_versions(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
        request: &VersionListRequest,
    ) -> Result<VersionListing, RegionError> {
        let fault = self.meet(Op::ListVersions).await;
        let call = self.inner.list_versions(tenant, bucket, request);
        let mut page = with_fault(Op::ListVersions, fault, call).await?;
        for version in &mut page.versions {
            version.object.stored_bytes = shift(version.object.stored_bytes, fault);
        }
        Ok(page)
    }

    async fn create_upload(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        head: &HeadFields,
    ) -> Result<UpstreamUploadId, RegionError> {
        self.call(Op::CreateUpload, self.inner.create_upload(tenant, at, head))
            .await
    }

    async fn upload_part(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        mut request: UploadPartRequest,
    ) -> Result<String, RegionError> {
        let op = Op::UploadPart;
        let fault = self.meet(op).await;
        if let Some(Fault::ClosesMidBody { after_bytes }) = fault {
            take(request.body, after_bytes).await;
            return Err(unknown(op));
        }
        request.body = flip_body(request.body, fault);
        with_fault(op, fault, self.inner.upload_part(tenant, at, request)).await
    }

    async fn upload_part_copy(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: &PartCopyRequest,
    ) -> Result<String, RegionError> {
        let call = self.inner.upload_part_copy(tenant, at, request);
        self.call(Op::UploadPartCopy, call).await
    }

    async fn complete_upload(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
        parts: &[CompletedPart],
        condition: &PutCondition,
    ) -> Result<WriteOutcome, RegionError> {
        let call = self
            .inner
            .complete_upload(tenant, at, upload, parts, condition);
        self.call(Op::CompleteUpload, call).await
    }

    async fn abort_upload(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
    ) -> Result<(), RegionError> {
        self.call(Op::AbortUpload, self.inner.abort_upload(tenant, at, upload))
            .await
    }

    async fn list_parts(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
    ) -> Result<Vec<StoredPart>, RegionError> {
        let fault = self.meet(Op::ListParts).await;
        let call = self.inner.list_parts(tenant, at, upload);
        let mut parts = with_fault(Op::ListParts, fault, call).await?;
        for part in &mut parts {
            part.stored_bytes = shift(part.stored_bytes, fault);
        }
        Ok(parts)
    }

    async fn uploads_at(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
    ) -> Result<Vec<UpstreamUploadId>, RegionError> {
        self.call(Op::UploadsAt, self.inner.uploads_at(tenant, at))
            .await
    }

    async fn tags(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<Vec<(String, String)>, RegionError> {
        self.call(Op::Tags, self.inner.tags(tenant, at, version))
            .await
    }

    async fn set_tags(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
        tags: &[(String, String)],
    ) -> Result<(), RegionError> {
        let call = self.inner.set_tags(tenant, at, version, tags);
        self.call(Op::SetTags, call).await
    }

    async fn create_lock_bucket(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError> {
        let call = self.inner.create_lock_bucket(tenant, bucket);
        self.call(Op::CreateBucket, call).await
    }

    async fn lock_configuration(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<Option<LockConfiguration>, RegionError> {
        let call = self.inner.lock_configuration(tenant, bucket);
        self.call(Op::LockConfiguration, call).await
    }

    async fn set_lock_configuration(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
        configuration: &LockConfiguration,
    ) -> Result<(), RegionError> {
        let call = self
            .inner
            .set_lock_configuration(tenant, bucket, configuration);
        self.call(Op::SetLockConfiguration, call).await
    }

    async fn object_lock(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<ObjectLock, RegionError> {
        let told = self.plan().lock;
        let inner = self.inner.object_lock(tenant, at, version);
        let call = async {
            match told {
                Some(lock) => Ok(lock),
                None => inner.await,
            }
        };
        self.call(Op::ObjectLock, call).await
    }

    async fn set_retention(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
        retention: Option<Retention>,
        bypass: bool,
    ) -> Result<(), RegionError> {
        let inner = self
            .inner
            .set_retention(tenant, at, version, retention, bypass);
        let call = async {
            if let Some(told) = &mut self.plan().lock {
                told.retention = retention;
                return Ok(());
            }
            inner.await
        };
        self.call(Op::SetRetention, call).await
    }

    async fn set_legal_hold(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
        on: bool,
    ) -> Result<(), RegionError> {
        let call = self.inner.set_legal_hold(tenant, at, version, on);
        self.call(Op::SetLegalHold, call).await
    }

    async fn lifecycle(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<Vec<LifecycleRule>, RegionError> {
        let call = self.inner.lifecycle(tenant, bucket);
        self.call(Op::Lifecycle, call).await
    }

    async fn set_lifecycle(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
        rules: &[LifecycleRule],
    ) -> Result<(), RegionError> {
        let call = self.inner.set_lifecycle(tenant, bucket, rules);
        self.call(Op::SetLifecycle, call).await
    }

    async fn ping(&self) -> Result<(), RegionError> {
        self.call(Op::Ping, self.inner.ping()).await
    }

    fn profile(&self) -> &RegionProfile {
        self.profile
            .as_deref()
            .unwrap_or_else(|| self.inner.profile())
    }
}
