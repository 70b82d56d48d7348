//! The spool: sealed part bodies in an upstream bucket of their own, each under its upload's id.

use super::{DeleteRequest, ListRequest, ObjectRef, RegionError, RegionStore, UpstreamBucket};
use crate::tenants::{ObjectKey, SPOOL_OWNER, UploadId};

const PAGE_KEYS: usize = 1000;

/// Deletes everything that lies in a spool bucket under an upload's id: what attempts left there that never finished too.
///
/// # Errors
/// The store's; what was deleted by then stays deleted.
pub async fn drop_spooled(
    store: &dyn RegionStore,
    spool: &UpstreamBucket,
    upload: &UploadId,
) -> Result<(), RegionError> {
    let mut page = ListRequest {
        prefix: format!("{upload}/"),
        keys_max: PAGE_KEYS,
        ..ListRequest::default()
    };
    loop {
        let listed = store.list(SPOOL_OWNER, spool, &page).await?;
        for object in listed.objects {
            let key = ObjectKey::new(object.key).map_err(|error| RegionError::Lying {
                operation: "list",
                reason: error.to_string(),
            })?;
            delete_spooled(store, spool, key).await?;
        }
        match listed.next_start_after {
            Some(after) => page.start_after = Some(after),
            None => return Ok(()),
        }
    }
}

/// Deletes one spooled body; a missing one succeeds.
///
/// # Errors
/// The store's.
pub async fn delete_spooled(
    store: &dyn RegionStore,
    spool: &UpstreamBucket,
    key: ObjectKey,
) -> Result<(), RegionError> {
    let at = ObjectRef {
        bucket: spool.clone(),
        key,
    };
    let request = DeleteRequest::default();
    store.delete(SPOOL_OWNER, &at, &request).await.map(drop)
}
