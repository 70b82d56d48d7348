//! The spool: sealed part bodies in an upstream bucket of their own, each under its upload's id.

use super::{
    DeleteRequest, ListRequest, Listing, Missing, ObjectRef, RegionError, RegionStore,
    UpstreamBucket,
};
use crate::tenants::{ObjectKey, SPOOL_OWNER, UploadId};

const PAGE_KEYS: usize = 1000;

/// Bodies of one upload, recorded or not, by pages.
struct Bodies<'a> {
    store: &'a dyn RegionStore,
    spool: &'a UpstreamBucket,
    request: ListRequest,
    is_over: bool,
}

impl<'a> Bodies<'a> {
    fn of(store: &'a dyn RegionStore, spool: &'a UpstreamBucket, upload: &UploadId) -> Self {
        Self {
            store,
            spool,
            request: ListRequest {
                prefix: format!("{upload}/"),
                keys_max: PAGE_KEYS,
                ..ListRequest::default()
            },
            is_over: false,
        }
    }

    async fn next_page(&mut self) -> Result<Option<Vec<ObjectKey>>, RegionError> {
        if self.is_over {
            return Ok(None);
        }
        let listed = self.store.list(SPOOL_OWNER, self.spool, &self.request);
        let listed = match listed.await {
            // Nothing was ever spooled there.
            Err(RegionError::NotFound {
                missing: Missing::Bucket,
                ..
            }) => Listing::default(),
            listed => listed?,
        };
        self.is_over = listed.next_start_after.is_none();
        self.request.start_after = listed.next_start_after;
        let keys = listed.objects.into_iter().map(|object| {
            ObjectKey::new(object.key).map_err(|error| RegionError::Lying {
                operation: "list",
                reason: error.to_string(),
            })
        });
        keys.collect::<Result<_, _>>().map(Some)
    }
}

/// How many bodies lie in a spool bucket under an upload's id, those of attempts that never finished too.
///
/// # Errors
/// The store's.
pub async fn count_spooled(
    store: &dyn RegionStore,
    spool: &UpstreamBucket,
    upload: &UploadId,
) -> Result<u64, RegionError> {
    let mut bodies = Bodies::of(store, spool, upload);
    let mut counted = 0;
    while let Some(page) = bodies.next_page().await? {
        counted += page.len() as u64;
    }
    Ok(counted)
}

/// Deletes everything that lies in a spool bucket under an upload's id, what attempts left there that never finished too, and
/// answers how many bodies that were.
///
/// # Errors
/// The store's; what was deleted by then stays deleted.
pub async fn drop_spooled(
    store: &dyn RegionStore,
    spool: &UpstreamBucket,
    upload: &UploadId,
) -> Result<u64, RegionError> {
    let mut bodies = Bodies::of(store, spool, upload);
    let mut deleted = 0;
    while let Some(page) = bodies.next_page().await? {
        for key in page {
            delete_spooled(store, spool, key).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
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
