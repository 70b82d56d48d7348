//! The region store's calls, each a look at the index, a change of it, or both around a body file.

use super::super::{
    CompletedPart, CopyRequest, DeleteOutcome, DeleteRequest, GetRequest, HeadFields,
    LifecycleRule, ListRequest, ListedVersion, Listing, ObjectRef, PartCopyRequest, PutCondition,
    PutRequest, RegionError, RegionProfile, RegionStore, StoredHead, StoredObject, StoredPart,
    UploadPartRequest, UpstreamBucket, UpstreamUploadId, VersionId, VersionListRequest,
    VersionListing, Versioning, WriteOutcome,
};
use super::index::{IndexQueue, Opened};
use super::multipart::{self, UploadRef};
use super::objects::{self, Fresh, NULL_VERSION, Put, check_head, check_tags};
use super::rows::{Extent, TxError};
use super::tables::{Lookup, ReadTables, WriteTables};
use super::{EmbeddedStore, ids, listing};
use crate::tenants::TenantId;
use async_trait::async_trait;
use std::sync::Arc;

impl EmbeddedStore {
    fn queue(&self, operation: &'static str) -> Result<&IndexQueue, RegionError> {
        self.queue.as_ref().ok_or_else(|| RegionError::Unavailable {
            operation,
            reason: "the store is closed".to_owned(),
        })
    }

    /// Looks at the index off the async threads.
    async fn look<T: Send + 'static>(
        &self,
        operation: &'static str,
        look: impl FnOnce(&ReadTables) -> Result<T, TxError> + Send + 'static,
    ) -> Result<T, RegionError> {
        self.block(operation, move |index| {
            index
                .read()
                .and_then(|tables| look(&tables))
                .map_err(|error| error.into_region(operation))
        })
        .await
    }

    async fn block<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Opened) -> Result<T, RegionError> + Send + 'static,
    ) -> Result<T, RegionError> {
        let unavailable = |reason: &str| RegionError::Unavailable {
            operation,
            reason: reason.to_owned(),
        };
        let index = Arc::clone(&self.index);
        let task = tokio::task::spawn_blocking(move || work(&index));
        tokio::time::timeout(self.step_deadline, task)
            .await
            .map_err(|_| unavailable("the disk took too long"))?
            .map_err(|_| unavailable("the disk's thread ended"))?
    }

    /// Changes the index so that it grows, without a body file.
    async fn grow<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut WriteTables<'_>) -> Result<T, TxError> + Send + 'static,
    ) -> Result<T, RegionError> {
        self.bodies.check_room_to_index(operation)?;
        self.change(operation, work).await
    }

    /// Changes the index, without a body file.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut WriteTables<'_>) -> Result<T, TxError> + Send + 'static,
    ) -> Result<T, RegionError> {
        self.queue(operation)?.change(operation, None, work).await
    }
}

#[async_trait]
impl RegionStore for EmbeddedStore {
    async fn create_bucket(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError> {
        let name = bucket.as_str().to_owned();
        self.grow("create_bucket", move |tables| {
            match tables.bucket_owner(&name)? {
                None => tables.add_bucket(tenant, &name),
                Some((owner, _)) if owner == tenant => Ok(()),
                Some(_) => Err(RegionError::Refused {
                    operation: "create_bucket",
                    status: 409,
                    code: "BucketAlreadyExists".to_owned(),
                }
                .into()),
            }
        })
        .await
    }

    async fn delete_bucket(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError> {
        let name = bucket.as_str().to_owned();
        self.change("delete_bucket", move |tables| {
            let number = match tables.bucket_owner(&name)? {
                Some((owner, number)) if owner == tenant => number,
                _ => return Ok(()),
            };
            if tables.holds_objects(number)? {
                let operation = "delete_bucket";
                return Err(RegionError::BucketNotEmpty { operation }.into());
            }
            tables.remove_bucket(&name, number)
        })
        .await
    }

    async fn bucket_exists(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<bool, RegionError> {
        let name = bucket.as_str().to_owned();
        self.look("bucket_exists", move |tables| {
            let owner = tables.bucket_owner(&name)?;
            Ok(owner.is_some_and(|(owner, _)| owner == tenant))
        })
        .await
    }

    async fn versioning(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<Versioning, RegionError> {
        let name = bucket.as_str().to_owned();
        self.look("versioning", move |tables| {
            tables.bucket("versioning", tenant, &name)?;
            Ok(Versioning::Off)
        })
        .await
    }

    async fn set_versioning(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
        state: Versioning,
    ) -> Result<(), RegionError> {
        let name = bucket.as_str().to_owned();
        self.look("set_versioning", move |tables| {
            tables.bucket("set_versioning", tenant, &name)?;
            match state {
                Versioning::Off => Ok(()),
                Versioning::Enabled | Versioning::Suspended => Err(RegionError::Unsupported {
                    operation: "set_versioning",
                    what: "versioning",
                }
                .into()),
            }
        })
        .await
    }

    async fn put(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: PutRequest,
    ) -> Result<WriteOutcome, RegionError> {
        check_head("put", &request.head)?;
        let (place, condition) = (at.clone(), request.condition.clone());
        self.look("put", move |tables| {
            objects::check_put(tables, tenant, &place, &condition)
        })
        .await?;
        let pending = self
            .bodies
            .store("put", request.stored_bytes, request.body)
            .await?;
        let put = Put {
            tenant,
            at: at.clone(),
            head: request.head,
            condition: request.condition,
            stored_bytes: request.stored_bytes,
            file: pending.id(),
            fresh: Fresh::draw("put")?,
            now: self.clock.now(),
        };
        self.queue("put")?
            .change("put", Some(pending), move |tables| put.apply(tables))
            .await
    }

    async fn get(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: &GetRequest,
    ) -> Result<StoredObject, RegionError> {
        let (at, request) = (at.clone(), request.clone());
        let bodies = Arc::clone(&self.bodies);
        self.block("get", move |index| {
            objects::get(index, &bodies, tenant, &at, &request)
        })
        .await
    }

    async fn head(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<StoredHead, RegionError> {
        let (at, version) = (at.clone(), version.cloned());
        self.look("head", move |tables| {
            let (_, row) = objects::find(tables, "head", tenant, &at, version.as_ref())?;
            Ok(objects::stored_head(row))
        })
        .await
    }

    async fn delete(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: &DeleteRequest,
    ) -> Result<DeleteOutcome, RegionError> {
        let (at, request) = (at.clone(), request.clone());
        self.change("delete", move |tables| {
            objects::delete(tables, tenant, &at, &request)
        })
        .await
    }

    async fn copy(
        &self,
        tenant: TenantId,
        to: &ObjectRef,
        request: &CopyRequest,
    ) -> Result<WriteOutcome, RegionError> {
        check_head("copy", &request.head)?;
        let (to, request) = (to.clone(), request.clone());
        let (fresh, now) = (Fresh::draw("copy")?, self.clock.now());
        self.grow("copy", move |tables| {
            objects::copy(tables, tenant, &to, request, fresh.etag, now)
        })
        .await
    }

    async fn list(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
        request: &ListRequest,
    ) -> Result<Listing, RegionError> {
        let (name, request) = (bucket.as_str().to_owned(), request.clone());
        self.look("list", move |tables| {
            let number = tables.bucket("list", tenant, &name)?;
            listing::list(tables, number, &request)
        })
        .await
    }

    async fn list_versions(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
        request: &VersionListRequest,
    ) -> Result<VersionListing, RegionError> {
        // Every key has one version, so both markers end after the key.
        let current = ListRequest {
            prefix: request.prefix.clone(),
            delimiter: request.delimiter.clone(),
            start_after: request.key_marker.clone(),
            keys_max: request.keys_max,
        };
        let page = self.list(tenant, bucket, &current).await?;
        let null = || VersionId(NULL_VERSION.to_owned());
        Ok(VersionListing {
            versions: page
                .objects
                .into_iter()
                .map(|object| ListedVersion {
                    object,
                    version: null(),
                    is_latest: true,
                    delete_marker: false,
                })
                .collect(),
            common_prefixes: page.common_prefixes,
            next_version_marker: page.next_start_after.as_ref().map(|_| null()),
            next_key_marker: page.next_start_after,
        })
    }

    async fn create_upload(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        head: &HeadFields,
    ) -> Result<UpstreamUploadId, RegionError> {
        check_head("create_upload", head)?;
        let (at, head) = (at.clone(), head.clone());
        let upload = ids::draw("create_upload")?;
        let now = self.clock.now();
        self.grow("create_upload", move |tables| {
            let bucket = tables.bucket("create_upload", tenant, at.bucket.as_str())?;
            tables.add_upload(bucket, &upload, at.key.as_str(), &head, now)
        })
        .await?;
        Ok(UpstreamUploadId(hex::encode(upload)))
    }

    async fn upload_part(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: UploadPartRequest,
    ) -> Result<String, RegionError> {
        multipart::check_number("upload_part", request.number)?;
        let upload = UploadRef::new("upload_part", tenant, at, &request.upload)?;
        let sought = upload.clone();
        self.look("upload_part", move |tables| {
            sought.find(tables, "upload_part").map(drop)
        })
        .await?;
        let stored_bytes = request.stored_bytes;
        let pending = self
            .bodies
            .store("upload_part", stored_bytes, request.body)
            .await?;
        let file = Extent {
            file: pending.id(),
            first: 0,
            bytes: stored_bytes,
        };
        let fresh = Fresh::draw("upload_part")?;
        self.queue("upload_part")?
            .change("upload_part", Some(pending), move |tables| {
                multipart::put_part(tables, &upload, request.number, file, fresh)
            })
            .await
    }

    async fn upload_part_copy(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        request: &PartCopyRequest,
    ) -> Result<String, RegionError> {
        multipart::check_number("upload_part_copy", request.number)?;
        let upload = UploadRef::new("upload_part_copy", tenant, at, &request.upload)?;
        let request = request.clone();
        let fresh = Fresh::draw("upload_part_copy")?;
        self.grow("upload_part_copy", move |tables| {
            multipart::copy_part(tables, &upload, &request, fresh)
        })
        .await
    }

    async fn complete_upload(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
        parts: &[CompletedPart],
        condition: &PutCondition,
    ) -> Result<WriteOutcome, RegionError> {
        let upload = UploadRef::new("complete_upload", tenant, at, upload)?;
        let (parts, condition) = (parts.to_vec(), condition.clone());
        let (fresh, now) = (Fresh::draw("complete_upload")?, self.clock.now());
        self.change("complete_upload", move |tables| {
            multipart::complete(tables, &upload, &parts, &condition, fresh, now)
        })
        .await
    }

    async fn abort_upload(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
    ) -> Result<(), RegionError> {
        let Ok(upload) = UploadRef::new("abort_upload", tenant, at, upload) else {
            return Ok(());
        };
        self.change("abort_upload", move |tables| {
            let bucket = tables.bucket("abort_upload", tenant, upload.at.bucket.as_str())?;
            match tables.upload(bucket, &upload.upload, upload.at.key.as_str())? {
                Some(_) => tables.remove_upload(bucket, &upload.upload).map(drop),
                None => Ok(()),
            }
        })
        .await
    }

    async fn list_parts(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        upload: &UpstreamUploadId,
    ) -> Result<Vec<StoredPart>, RegionError> {
        let upload = UploadRef::new("list_parts", tenant, at, upload)?;
        self.look("list_parts", move |tables| multipart::list(tables, &upload))
            .await
    }

    async fn uploads_at(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
    ) -> Result<Vec<UpstreamUploadId>, RegionError> {
        let at = at.clone();
        self.look("uploads_at", move |tables| {
            let bucket = tables.bucket("uploads_at", tenant, at.bucket.as_str())?;
            let open = tables.uploads_of(bucket, at.key.as_str())?;
            Ok(open
                .iter()
                .map(|id| UpstreamUploadId(hex::encode(id)))
                .collect())
        })
        .await
    }

    async fn tags(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
    ) -> Result<Vec<(String, String)>, RegionError> {
        let (at, version) = (at.clone(), version.cloned());
        self.look("tags", move |tables| {
            let (_, row) = objects::find(tables, "tags", tenant, &at, version.as_ref())?;
            Ok(row.head.tags)
        })
        .await
    }

    async fn set_tags(
        &self,
        tenant: TenantId,
        at: &ObjectRef,
        version: Option<&VersionId>,
        tags: &[(String, String)],
    ) -> Result<(), RegionError> {
        check_tags("set_tags", tags)?;
        let (at, version, tags) = (at.clone(), version.cloned(), tags.to_vec());
        self.grow("set_tags", move |tables| {
            objects::set_tags(tables, tenant, &at, version.as_ref(), tags)
        })
        .await
    }

    async fn lifecycle(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
    ) -> Result<Vec<LifecycleRule>, RegionError> {
        let name = bucket.as_str().to_owned();
        self.look("lifecycle", move |tables| {
            let number = tables.bucket("lifecycle", tenant, &name)?;
            tables.lifecycle(number)
        })
        .await
    }

    async fn set_lifecycle(
        &self,
        tenant: TenantId,
        bucket: &UpstreamBucket,
        rules: &[LifecycleRule],
    ) -> Result<(), RegionError> {
        let (name, rules) = (bucket.as_str().to_owned(), rules.to_vec());
        self.grow("set_lifecycle", move |tables| {
            let number = tables.bucket("set_lifecycle", tenant, &name)?;
            tables.set_lifecycle(number, &rules)
        })
        .await
    }

    async fn ping(&self) -> Result<(), RegionError> {
        if self.index.is_away() {
            // Any change makes the writer open the index again.
            return self.change("ping", |_| Ok(())).await;
        }
        self.look("ping", |tables| tables.bucket_owner("").map(drop))
            .await
    }

    fn profile(&self) -> &RegionProfile {
        &self.profile
    }
}
