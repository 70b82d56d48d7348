//! The spool: sealed part bodies in an upstream bucket of their own, each under its upload's id.

use super::{
    DeleteRequest, ListRequest, Listing, Missing, ObjectRef, RegionError, RegionStore,
    UpstreamBucket,
};
use crate::clock::UnixMs;
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
        let listed = list(self.store, self.spool, &self.request).await?;
        self.is_over = listed.next_start_after.is_none();
        self.request.start_after = listed.next_start_after;
        let keys = listed.objects.into_iter().map(|object| key_of(object.key));
        keys.collect::<Result<_, _>>().map(Some)
    }
}

async fn list(
    store: &dyn RegionStore,
    spool: &UpstreamBucket,
    request: &ListRequest,
) -> Result<Listing, RegionError> {
    match store.list(SPOOL_OWNER, spool, request).await {
        // Nothing was ever spooled there.
        Err(RegionError::NotFound {
            missing: Missing::Bucket,
            ..
        }) => Ok(Listing::default()),
        listed => listed,
    }
}

fn key_of(text: String) -> Result<ObjectKey, RegionError> {
    ObjectKey::new(text).map_err(|error| RegionError::Lying {
        operation: "list",
        reason: error.to_string(),
    })
}

/// A body that lies in a spool bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpooledBody {
    /// Whose it is.
    pub upload: UploadId,
    /// Its key in the spool bucket.
    pub key: ObjectKey,
    /// When the store took it, by the store's clock.
    pub written: UnixMs,
}

/// A page of the bodies in a spool bucket, of all uploads, behind a key; and where the next page begins. What lies there under another
/// name than a spooled body's is left out.
///
/// # Errors
/// The store's.
pub async fn spooled_after(
    store: &dyn RegionStore,
    spool: &UpstreamBucket,
    after: Option<String>,
) -> Result<(Vec<SpooledBody>, Option<String>), RegionError> {
    let request = ListRequest {
        start_after: after,
        keys_max: PAGE_KEYS,
        ..ListRequest::default()
    };
    let listed = list(store, spool, &request).await?;
    let mut bodies = Vec::with_capacity(listed.objects.len());
    for object in listed.objects {
        let upload = object
            .key
            .split_once('/')
            .and_then(|(id, _)| id.parse().ok());
        if let Some(upload) = upload {
            bodies.push(SpooledBody {
                upload,
                key: key_of(object.key)?,
                written: object.last_modified,
            });
        }
    }
    Ok((bodies, listed.next_start_after))
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
