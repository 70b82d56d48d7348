//! CreateMultipartUpload and AbortMultipartUpload.

use crate::catalog::{NewUpload, Upload};
use crate::ops::error::{Code, OpError};
use crate::ops::gateway::Gateway;
use crate::ops::object_lock;
use crate::ops::put_object::seal_head;
use crate::ops::scope::BucketScope;
use crate::ops::stored_head;
use crate::region::{HeadFields, ObjectLock, RegionError};
use crate::tenants::{ObjectKey, UploadId};
use lethe_envelope::{ChecksumAlgorithm, ChecksumType, CustomerKey, Dek, ObjectId, ObjectMetadata};
use std::sync::Arc;

/// A new upload.
pub struct CreateUpload {
    /// The object's key.
    pub key: ObjectKey,
    /// What to seal beside it.
    pub metadata: ObjectMetadata,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// The retention and legal hold that it asks for.
    pub lock: ObjectLock,
    /// The checksum that its parts are to carry.
    pub algorithm: Option<ChecksumAlgorithm>,
    /// How the whole object's checksum comes from the parts'.
    pub checksum_type: Option<ChecksumType>,
    /// The key that every part has to come with, and without which nobody is to read the object.
    pub customer_key: Option<Arc<CustomerKey>>,
}

/// S3's rules of which algorithm can be full-object or composite, and which it is when the client names none.
fn checksum(create: &CreateUpload) -> Result<Option<(ChecksumAlgorithm, ChecksumType)>, OpError> {
    use ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme};
    use ChecksumType::{Composite, FullObject};
    match (create.algorithm, create.checksum_type) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(OpError::invalid_request(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        )),
        (Some(Crc64Nvme), None | Some(FullObject)) => Ok(Some((Crc64Nvme, FullObject))),
        (Some(algorithm), None | Some(Composite)) if algorithm != Crc64Nvme => {
            Ok(Some((algorithm, Composite)))
        }
        (Some(algorithm @ (Crc32 | Crc32c)), Some(FullObject)) => Ok(Some((algorithm, FullObject))),
        _ => Err(OpError::invalid_request(
            "The checksum type can't be used with the checksum algorithm: SHA1 and SHA256 are COMPOSITE, CRC64NVME is FULL_OBJECT.",
        )),
    }
}

/// Opens an upload. The first step is durable, so an upload that is cut off here is swept.
///
/// # Errors
/// `InvalidRequest`, `MetadataTooLarge`, or what the region answers.
pub async fn create_upload(
    gateway: &Gateway,
    scope: &BucketScope,
    create: CreateUpload,
) -> Result<Upload, OpError> {
    let checksum = checksum(&create)?;
    let lock = object_lock::of_new_object(gateway, scope, create.lock)?;
    let CreateUpload {
        key,
        metadata,
        tags,
        customer_key,
        ..
    } = create;
    let kek = scope.domain.keys.sealing_kek(scope.tenant).await?;
    let dek = Dek::generate().map_err(OpError::internal)?;
    let object_id = ObjectId::random().map_err(OpError::internal)?;
    let mut head = seal_head(
        gateway,
        scope,
        &key,
        &kek,
        object_id,
        &dek,
        None,
        &metadata,
        tags,
        customer_key.as_deref(),
    )
    .await?;
    // The upstream's upload keeps it until it makes the object: no object is there without it for a moment.
    head.lock = lock;
    let id = reserve(gateway, scope, &key, &head, checksum).await?;
    let catalog = &scope.domain.catalog;
    let upstream = match scope
        .region
        .store
        .create_upload(scope.tenant, &scope.at(&key), &head)
        .await
    {
        Ok(upstream) => upstream,
        Err(error) => {
            let may_be_open = matches!(
                error,
                RegionError::Unknown { .. } | RegionError::Lying { .. }
            );
            release(gateway, scope, &id, !may_be_open).await;
            return Err(error.into());
        }
    };
    if let Err(error) = catalog.open_upload(scope.tenant, &id, &upstream.0).await {
        // The client never learns this upload's id, and where the catalog did not take the upstream's, no job could end it.
        let store = &scope.region.store;
        let _ = store
            .abort_upload(scope.tenant, &scope.at(&key), &upstream)
            .await;
        return Err(error.into());
    }
    Ok(catalog.upload(scope.tenant, &id).await?)
}

/// Writes the row of an upload before the upstream opens it: it tells the sweeping job where to look for one whose gateway died.
pub(in crate::ops) async fn reserve(
    gateway: &Gateway,
    scope: &BucketScope,
    key: &ObjectKey,
    head: &HeadFields,
    checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
) -> Result<UploadId, OpError> {
    let (header, sealed_metadata) = stored_head::unpack(head)?
        .ok_or_else(|| OpError::internal("a packed head did not unpack"))?;
    let id = ObjectId::random().map_err(OpError::internal)?.to_string();
    let id = UploadId::new(id).map_err(OpError::internal)?;
    let new = NewUpload {
        id: id.clone(),
        bucket: scope.bucket.name.clone(),
        key: key.clone(),
        object_id: header.object_id,
        kek_id: header.kek_id,
        header: header.encode(),
        sealed_metadata,
        checksum,
        created: gateway.clock().now(),
    };
    let catalog = &scope.domain.catalog;
    catalog.begin_upload(scope.tenant, &new).await?;
    Ok(id)
}

/// Takes a reserved row back. While the upstream may still hold the upload, the row stays for the sweeping job.
pub(in crate::ops) async fn release(
    gateway: &Gateway,
    scope: &BucketScope,
    id: &UploadId,
    is_over: bool,
) {
    let (catalog, tenant) = (&scope.domain.catalog, scope.tenant);
    let released = async {
        catalog
            .begin_abort(tenant, id, gateway.clock().now())
            .await?;
        match is_over {
            true => catalog.forget_upload(tenant, id).await,
            false => Ok(()),
        }
    };
    if let Err(error) = released.await {
        tracing::debug!(%tenant, %error, "an upload's row is left to the sweeping job");
    }
}

/// Drops an upload and everything stored for it.
///
/// # Errors
/// `NoSuchUpload`; `OperationAborted` while it is being completed.
pub async fn abort_upload(
    gateway: &Gateway,
    scope: &BucketScope,
    key: &ObjectKey,
    id: &str,
) -> Result<(), OpError> {
    let upload = super::find_to_abort(scope, key, id).await?;
    if upload.answer.is_some() {
        return Err(OpError::new(
            Code::NoSuchUpload,
            "The specified upload has been completed.",
        ));
    }
    let catalog = &scope.domain.catalog;
    let now = gateway.clock().now();
    let upload = catalog
        .begin_abort(scope.tenant, &upload.new.id, now)
        .await?;
    if let Some(upstream) = &upload.upstream {
        scope
            .region
            .store
            .abort_upload(scope.tenant, &scope.at(key), upstream)
            .await?;
    }
    super::drop_spooled(&scope.region, &upload.new.id).await?;
    catalog.forget_upload(scope.tenant, &upload.new.id).await?;
    Ok(())
}
