//! CopyObject: one key is wrapped again for the new place, and no data passes through the gateway.

use crate::clock::UnixMs;
use crate::ops::conditions::{CopySourceConditions, Validators, WriteCondition};
use crate::ops::customer_key::{self, UnwrapError};
use crate::ops::error::{Code, OpError};
use crate::ops::etag::ClientEtag;
use crate::ops::gateway::Gateway;
use crate::ops::multipart;
use crate::ops::object_lock;
use crate::ops::opened::{self, OpenedObject};
use crate::ops::put_object::{seal_head, settle, upstream_condition};
use crate::ops::read_object::object_checksum;
use crate::ops::scope::BucketScope;
use crate::region::{
    CompletedPart, CopyRequest, HeadFields, ObjectLock, ObjectRef, PartCopyRequest, PutCondition,
    RegionError, SourceCondition, VersionId, WriteOutcome,
};
use crate::tenants::ObjectKey;
use lethe_envelope::{Checksum, CustomerKey, ObjectMetadata};
use std::sync::Arc;

/// One copy within a tenant.
pub struct CopyObject {
    /// The source's bucket.
    pub source: BucketScope,
    /// The source's key.
    pub source_key: ObjectKey,
    /// The source's version.
    pub source_version: Option<VersionId>,
    /// What must hold of the source.
    pub source_conditions: CopySourceConditions,
    /// The copy's key.
    pub key: ObjectKey,
    /// New metadata instead of the source's.
    pub metadata: Option<ObjectMetadata>,
    /// New tags instead of the source's.
    pub tags: Option<Vec<(String, String)>>,
    /// The retention and legal hold that the copy asks for; it never has its source's.
    pub lock: ObjectLock,
    /// What must hold at the destination.
    pub condition: WriteCondition,
    /// The key that the source was stored with.
    pub source_customer_key: Option<Arc<CustomerKey>>,
    /// The key without which nobody is to read the copy.
    pub customer_key: Option<Arc<CustomerKey>>,
}

/// The answer of a copy.
pub struct CopyAnswer {
    /// The copy's ETag.
    pub etag: ClientEtag,
    /// When it was made.
    pub last_modified: UnixMs,
    /// The copy's version.
    pub version: Option<VersionId>,
    /// The source's version.
    pub source_version: Option<VersionId>,
    /// The checksum that the copy has from its source.
    pub checksum: Option<(Checksum, usize)>,
    /// When lifecycle rules let it go, in the region's words (`x-amz-expiration`).
    pub expiration: Option<String>,
}

/// Copies an object.
///
/// # Errors
/// `NoSuchKey`, `PreconditionFailed`, `InvalidRequest` for a copy onto itself that changes nothing; those of a read for the source's
/// customer key.
pub async fn copy_object(
    gateway: &Gateway,
    scope: &BucketScope,
    copy: &CopyObject,
) -> Result<CopyAnswer, OpError> {
    if copy.condition.is_conditional() && !scope.region.store.profile().conditional_copy {
        return Err(OpError::not_implemented(
            "This region does not support conditional copies.",
        ));
    }
    if copy.source.region.name != scope.region.name {
        return Err(OpError::not_implemented(
            "Copies between regions are not supported.",
        ));
    }
    let onto_itself = copy.source.bucket.name == scope.bucket.name && copy.source_key == copy.key;
    let keeps_encryption = copy.customer_key.is_none() && copy.source_customer_key.is_none();
    if onto_itself && copy.source_version.is_none() && copy.metadata.is_none() && keeps_encryption {
        return Err(OpError::new(
            Code::InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, \
             storage class, website redirect location or encryption attributes.",
        ));
    }
    let lock = object_lock::of_new_object(gateway, scope, copy.lock)?;
    let by_parts = needs_parts_for_lock(scope, copy);
    if by_parts
        && copy.condition.is_conditional()
        && !scope.region.store.profile().conditional_complete
    {
        return Err(OpError::not_implemented(
            "This region does not support conditional copies in buckets with object lock.",
        ));
    }
    let object = open_source(gateway, copy).await?;
    let checksum = object_checksum(gateway, &copy.source, &copy.source_key, &object).await?;
    let condition = upstream_condition(scope, &copy.key, &copy.condition).await?;
    let mut head = new_head(gateway, scope, copy, &object).await?;
    head.lock = lock;
    let from = copy.source.at(&copy.source_key);
    let outcome = match by_parts || object.head.stored_bytes > gateway.copies.whole_bytes_max {
        true => {
            let row = multipart::reserve(gateway, scope, &copy.key, &head, None).await?;
            let (outcome, is_over) =
                copy_raw_parts(gateway, scope, copy, &object, from, &head, &condition).await;
            multipart::release(gateway, scope, &row, is_over).await;
            outcome
        }
        false => {
            let request = CopyRequest {
                from,
                from_version: object.head.version.clone(),
                source: SourceCondition {
                    etag: object.head.etag.clone(),
                },
                head: head.clone(),
                copy_tags: copy.tags.is_none(),
                condition: condition.clone(),
            };
            scope
                .region
                .store
                .copy(scope.tenant, &scope.at(&copy.key), &request)
                .await
        }
    };
    let outcome = match outcome {
        // Without a condition of its own at the destination, what failed is that the source is no longer what was opened.
        Err(error @ RegionError::PreconditionFailed { .. })
            if condition == PutCondition::Always =>
        {
            return Err(OpError::further_read(error));
        }
        outcome => settle(scope, &copy.key, &head, outcome).await?,
    };
    Ok(CopyAnswer {
        etag: ClientEtag::from_upstream(&outcome.etag),
        last_modified: outcome
            .last_modified
            .unwrap_or_else(|| gateway.clock().now()),
        version: outcome.version,
        expiration: outcome.expiration,
        source_version: object.head.version.clone(),
        checksum,
    })
}

/// Some stores give a copy its source's lock instead of its own or the bucket's. There a multipart upload makes the copy, of which
/// they keep what it was created with.
fn needs_parts_for_lock(scope: &BucketScope, copy: &CopyObject) -> bool {
    let locks = scope.bucket.object_lock || copy.source.bucket.object_lock;
    locks && !scope.region.store.profile().object_lock_copy
}

async fn open_source(gateway: &Gateway, copy: &CopyObject) -> Result<OpenedObject, OpError> {
    let at = copy.source.at(&copy.source_key);
    let head = copy
        .source
        .region
        .store
        .head(copy.source.tenant, &at, copy.source_version.as_ref())
        .await?;
    let customer_key = copy.source_customer_key.as_deref();
    let object =
        opened::open_head(gateway, &copy.source, &copy.source_key, head, customer_key).await?;
    let etag = object.client_etag();
    if !copy.source_conditions.hold(Validators {
        etag: &etag,
        last_modified: object.head.last_modified,
    }) {
        return Err(OpError::precondition_failed());
    }
    Ok(object)
}

/// The copy's head: the same DEK and object id, wrapped for the new place under the current KEK and the copy's own customer key.
async fn new_head(
    gateway: &Gateway,
    scope: &BucketScope,
    copy: &CopyObject,
    object: &OpenedObject,
) -> Result<HeadFields, OpError> {
    let mut metadata = copy
        .metadata
        .clone()
        .unwrap_or_else(|| object.metadata.clone());
    metadata.checksum.clone_from(&object.metadata.checksum);
    let kek = scope.domain.keys.sealing_kek(scope.tenant).await?;
    let header = &object.header;
    let dek = customer_key::unwrap(
        &copy.source,
        &copy.source_key,
        header,
        &object.sealed_metadata,
        copy.source_customer_key.as_deref(),
    )
    .await
    .map_err(UnwrapError::of_object)?;
    let tags = copy.tags.clone().unwrap_or_default();
    seal_head(
        gateway,
        scope,
        &copy.key,
        &kek,
        header.object_id,
        &dek,
        header.single,
        &metadata,
        tags,
        copy.customer_key.as_deref(),
    )
    .await
}

/// Copies a stored body over 5 GiB part by part, raw. Also tells whether the upstream holds no upload of it any more.
async fn copy_raw_parts(
    gateway: &Gateway,
    scope: &BucketScope,
    copy: &CopyObject,
    object: &OpenedObject,
    from: ObjectRef,
    head: &HeadFields,
    condition: &PutCondition,
) -> (Result<WriteOutcome, RegionError>, bool) {
    let (store, tenant, to) = (
        Arc::clone(&scope.region.store),
        scope.tenant,
        scope.at(&copy.key),
    );
    let mut head = head.clone();
    if copy.tags.is_none() {
        let tags = store.tags(tenant, &from, object.head.version.as_ref());
        match tags.await {
            Ok(tags) => head.tags = tags,
            Err(error) => return (Err(error), true),
        }
    }
    let upload = match store.create_upload(tenant, &to, &head).await {
        Ok(upload) => upload,
        Err(error @ (RegionError::Unknown { .. } | RegionError::Lying { .. })) => {
            return (Err(error), false);
        }
        Err(error) => return (Err(error), true),
    };
    let copied = async {
        let mut parts = Vec::new();
        let (mut first, mut number) = (0, 0u16);
        while first < object.head.stored_bytes {
            number += 1;
            let last = (first + gateway.copies.part_bytes).min(object.head.stored_bytes) - 1;
            let request = PartCopyRequest {
                upload: upload.clone(),
                number,
                from: from.clone(),
                from_version: object.head.version.clone(),
                source: SourceCondition {
                    etag: object.head.etag.clone(),
                },
                range: (first, last),
            };
            let etag = store.upload_part_copy(tenant, &to, &request).await?;
            parts.push(CompletedPart { number, etag });
            first = last + 1;
        }
        store
            .complete_upload(tenant, &to, &upload, &parts, condition)
            .await
    };
    let outcome = copied.await;
    if outcome.is_ok() {
        return (outcome, true);
    }
    // The copy's error is what counts. Where Complete's answer was lost this settles it: what was not done will not be.
    let aborted = store.abort_upload(tenant, &to, &upload).await;
    (outcome, aborted.is_ok())
}
