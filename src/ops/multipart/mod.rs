//! Multipart uploads (`docs/format.md` §9): one DEK an upload, a record of its own for every attempt at a part, and one trailer.

mod checksums;
mod complete;
mod create;
mod list;
mod part;
mod plan;
mod tail;

pub use checksums::Part;
pub use complete::{CompleteAnswer, CompleteUpload, RequestedPart, complete_upload};
pub use create::{CreateUpload, abort_upload, create_upload};
pub(in crate::ops) use create::{release, reserve};
pub use list::{PartPage, list_parts, list_uploads};
pub use part::{PartAnswer, UploadPart, UploadPartCopy, upload_part, upload_part_copy};

use crate::catalog::{Upload, UploadState};
use crate::ops::customer_key::{self, UnwrapError};
use crate::ops::error::OpError;
use crate::ops::gateway::Region;
use crate::ops::scope::BucketScope;
use crate::region::{ObjectRef, UpstreamUploadId};
use crate::tenants::{ObjectKey, UploadId};
use lethe_envelope::{CustomerKey, Dek, Header};

/// An upload of this bucket and key, in any state but `Creating` and `Aborting`.
async fn find(scope: &BucketScope, key: &ObjectKey, id: &str) -> Result<Upload, OpError> {
    let upload = find_to_abort(scope, key, id).await?;
    match upload.state {
        UploadState::Aborting => Err(OpError::no_such_upload()),
        _ => Ok(upload),
    }
}

/// As [`find`], with those whose abort was cut off: repeating it goes on with it.
async fn find_to_abort(scope: &BucketScope, key: &ObjectKey, id: &str) -> Result<Upload, OpError> {
    let id = UploadId::new(id).map_err(|_| OpError::no_such_upload())?;
    let upload = scope.domain.catalog.upload(scope.tenant, &id).await?;
    let is_here = upload.new.bucket == scope.bucket.name && upload.new.key == *key;
    match upload.state {
        UploadState::Creating => Err(OpError::no_such_upload()),
        _ if !is_here => Err(OpError::no_such_upload()),
        _ => Ok(upload),
    }
}

/// The upload's DEK, unwrapped under its place, with the customer key that the upload was begun with where it was.
async fn unwrap(
    scope: &BucketScope,
    upload: &Upload,
    customer_key: Option<&CustomerKey>,
) -> Result<Dek, OpError> {
    let header = Header::decode(&upload.new.header).map_err(OpError::not_authentic)?;
    let (key, sealed_metadata) = (&upload.new.key, &upload.new.sealed_metadata);
    customer_key::unwrap(scope, key, &header, sealed_metadata, customer_key)
        .await
        .map_err(UnwrapError::of_upload)
}

/// Whether the upload was begun with a customer key.
fn has_customer_key(upload: &Upload) -> Result<bool, OpError> {
    let header = Header::decode(&upload.new.header).map_err(OpError::not_authentic)?;
    Ok(header.customer_check.is_some())
}

/// Refuses any customer key but the one that the upload was begun with, and none where it was begun with one.
async fn check_customer_key(
    scope: &BucketScope,
    upload: &Upload,
    customer_key: Option<&CustomerKey>,
) -> Result<(), OpError> {
    match customer_key.is_some() || has_customer_key(upload)? {
        true => unwrap(scope, upload, customer_key).await.map(drop),
        false => Ok(()),
    }
}

fn upstream(upload: &Upload) -> Result<&UpstreamUploadId, OpError> {
    upload.upstream.as_ref().ok_or_else(OpError::no_such_upload)
}

/// A spooled attempt's place: the region's spool bucket, under a name that tells nothing.
fn spool_at(scope: &BucketScope, key: &ObjectKey) -> ObjectRef {
    ObjectRef {
        bucket: scope.region.spool.clone(),
        key: key.clone(),
    }
}

/// Deletes what an upload has spooled, with what attempts left there that never finished; what can't be deleted now is the
/// sweeping job's.
pub(super) async fn drop_spooled(region: &Region, id: &UploadId) -> Result<(), OpError> {
    crate::region::drop_spooled(region.store.as_ref(), &region.spool, id).await?;
    Ok(())
}

async fn delete_spooled(region: &Region, key: ObjectKey) -> Result<(), OpError> {
    Ok(crate::region::delete_spooled(region.store.as_ref(), &region.spool, key).await?)
}

/// The upload's header and sealed metadata as the finished object has them.
fn finished_head(
    scope: &BucketScope,
    upload: &Upload,
) -> Result<crate::region::HeadFields, OpError> {
    let header = Header::decode(&upload.new.header).map_err(OpError::not_authentic)?;
    crate::ops::stored_head::pack(
        &header,
        &upload.new.sealed_metadata,
        Vec::new(),
        scope.region.store.profile(),
    )
}
