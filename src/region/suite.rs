//! What every region store must do: one suite that each implementation runs.
//!
//! [`run_all`] runs it on one store; [`region_suite!`](crate::region_suite) makes a test of every case. A case draws
//! buckets of its own, so one store serves all cases, also at once. What a store can't do by its profile is left out.

pub mod buckets;
pub mod conditions;
pub mod keys;
pub mod lifecycle;
pub mod listing;
pub mod multipart;
pub mod objects;
pub mod versions;

use super::{
    Body, BodyError, ByteRange, ByteStream, DeleteRequest, GetRequest, HeadFields, ObjectRef,
    PutCondition, PutRequest, RegionError, RegionStore, StoredHead, StoredObject, UpstreamBucket,
    WriteOutcome,
};
use crate::tenants::{ObjectKey, TenantId};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;

/// Makes a `#[tokio::test]` of every case in the suite.
///
/// The argument is an expression, evaluated in every test, that gives a future of `(Arc<dyn RegionStore>, keep)`;
/// `keep` is dropped when the test ends.
#[macro_export]
macro_rules! region_suite {
    (@list $($then:tt)*) => {
        $crate::region_suite! { $($then)*
            buckets::created_twice_exists_once
            buckets::deleted_only_when_empty
            buckets::missing_bucket_is_not_found
            conditions::put_if_absent_raced_has_one_winner
            conditions::put_if_matches_raced_has_one_winner
            conditions::put_if_condition_fails_changes_nothing
            conditions::complete_if_absent_raced_has_one_winner
            conditions::copy_if_absent_raced_has_one_winner
            conditions::delete_if_matches_deletes_only_that
            conditions::delete_and_put_raced_has_one_winner
            keys::every_kept_key_is_its_own
            keys::object_below_an_object_is_its_own
            lifecycle::rules_are_kept_replaced_and_deleted
            lifecycle::rules_of_a_missing_bucket_are_not_found
            listing::pages_hold_every_key_once
            listing::prefix_and_delimiter_fold
            listing::common_prefixes_page_one_by_one
            listing::folder_of_an_objects_name_pages_one_by_one
            listing::start_after_begins_behind_it
            listing::folder_markers_page_one_by_one
            listing::tells_stored_bytes_and_etag
            multipart::uploads_at_a_key_are_those_that_are_open
            multipart::parts_join_in_order_of_number
            multipart::part_sent_again_replaces_the_first
            multipart::part_with_another_etag_is_invalid
            multipart::aborted_upload_is_gone
            multipart::completed_twice_is_not_found
            multipart::part_copied_from_a_range_has_its_bytes
            multipart::part_of_wrong_length_is_not_stored
            objects::put_then_get_returns_the_bytes
            objects::empty_object_is_kept
            objects::ranges_return_their_bytes
            objects::ranges_past_the_end_are_refused
            objects::get_if_match_checks_the_etag
            objects::overwrite_is_seen_whole
            objects::overwritten_while_read_gives_old_bytes_or_an_error
            objects::missing_object_is_not_found
            objects::delete_is_idempotent
            objects::copy_has_its_own_head
            objects::copy_of_a_changed_source_is_refused
            objects::copy_onto_itself_replaces_the_head
            objects::copy_outlives_its_source
            objects::body_of_wrong_length_stores_nothing
            objects::body_that_breaks_stores_nothing
            objects::tags_are_replaced_and_deleted
            objects::metadata_up_to_the_profile_survives
            versions::unversioned_bucket_lists_null_versions
            versions::versions_are_kept_and_read
            versions::versioning_is_kept_or_unsupported
        }
    };
    (@run ($store:expr) $($module:ident :: $case:ident)*) => {
        $(
            $crate::region::suite::named(
                concat!(stringify!($module), "::", stringify!($case)),
                $crate::region::suite::$module::$case(::std::sync::Arc::clone($store)),
            )
            .await;
        )*
    };
    (@tests ($make:expr) $($module:ident :: $case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (store, _keep) = $make.await;
                $crate::region::suite::$module::$case(store).await;
            }
        )*
    };
    ($make:expr) => {
        $crate::region_suite! { @list @tests ($make) }
    };
}

/// Runs every case on one store, one after the other.
///
/// # Panics
/// When a case fails; its name is printed before.
pub async fn run_all(store: &Arc<dyn RegionStore>) {
    region_suite! { @list @run (store) }
}

async fn named(case: &'static str, run: impl Future<Output = ()>) {
    println!("region suite: {case}");
    run.await;
}

/// A new bucket in the store under test.
pub struct Ground {
    /// The store.
    pub store: Arc<dyn RegionStore>,
    /// The bucket's tenant.
    pub tenant: TenantId,
    /// The bucket.
    pub bucket: UpstreamBucket,
}

impl Ground {
    /// Creates a bucket of a new tenant.
    pub async fn new(store: Arc<dyn RegionStore>) -> Self {
        let tenant = TenantId::random().expect("randomness");
        let bucket = bucket_name();
        store
            .create_bucket(tenant, &bucket)
            .await
            .expect("creating the bucket");
        Self {
            store,
            tenant,
            bucket,
        }
    }

    /// An object's place in the bucket.
    #[must_use]
    pub fn at(&self, key: &str) -> ObjectRef {
        ObjectRef {
            bucket: self.bucket.clone(),
            key: ObjectKey::new(key).expect("a key of 1 to 1,024 bytes"),
        }
    }

    /// Stores bytes without anything beside them.
    pub async fn put(&self, key: &str, bytes: &Bytes) -> WriteOutcome {
        self.put_if(key, bytes, PutCondition::Always)
            .await
            .expect("put")
    }

    /// Stores bytes if the condition holds.
    ///
    /// # Errors
    /// The store's.
    pub async fn put_if(
        &self,
        key: &str,
        bytes: &Bytes,
        condition: PutCondition,
    ) -> Result<WriteOutcome, RegionError> {
        let request = PutRequest {
            condition,
            ..put_request(bytes, HeadFields::default())
        };
        self.store.put(self.tenant, &self.at(key), request).await
    }

    /// Stores bytes with a head.
    pub async fn put_with(&self, key: &str, bytes: &Bytes, head: HeadFields) -> WriteOutcome {
        self.store
            .put(self.tenant, &self.at(key), put_request(bytes, head))
            .await
            .expect("put")
    }

    /// Opens an object.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(&self, key: &str, request: &GetRequest) -> Result<StoredObject, RegionError> {
        self.store.get(self.tenant, &self.at(key), request).await
    }

    /// Reads an object whole.
    pub async fn get(&self, key: &str) -> (StoredHead, Bytes) {
        let object = self.open(key, &GetRequest::default()).await.expect("get");
        let announced = object.body_bytes;
        let bytes = drain(object.body).await.expect("body");
        assert_eq!(
            bytes.len() as u64,
            announced,
            "the body has the length announced"
        );
        (object.head, bytes)
    }

    /// Reads a range; the first byte's place and the bytes.
    ///
    /// # Errors
    /// The store's.
    pub async fn range(&self, key: &str, range: ByteRange) -> Result<(u64, Bytes), RegionError> {
        let request = GetRequest {
            range: Some(range),
            ..GetRequest::default()
        };
        let object = self.open(key, &request).await?;
        let announced = object.body_bytes;
        let bytes = drain(object.body).await.expect("body");
        assert_eq!(
            bytes.len() as u64,
            announced,
            "the body has the length announced"
        );
        Ok((object.first, bytes))
    }

    /// An object's head.
    ///
    /// # Errors
    /// The store's.
    pub async fn head(&self, key: &str) -> Result<StoredHead, RegionError> {
        self.store.head(self.tenant, &self.at(key), None).await
    }

    /// Deletes an object.
    pub async fn delete(&self, key: &str) {
        self.store
            .delete(self.tenant, &self.at(key), &DeleteRequest::default())
            .await
            .expect("delete");
    }

    /// Asserts that no object is under the key.
    pub async fn assert_absent(&self, key: &str) {
        let head = self.head(key).await;
        assert!(is_missing(&head), "{head:?}");
    }
}

/// A bucket name that no other case has.
#[must_use]
pub fn bucket_name() -> UpstreamBucket {
    let id = TenantId::random().expect("randomness").to_string();
    UpstreamBucket::from_catalog(format!("suite-{}", &id[..26]))
}

/// A replayable put of the bytes.
#[must_use]
pub fn put_request(bytes: &Bytes, head: HeadFields) -> PutRequest {
    PutRequest {
        head,
        stored_bytes: bytes.len() as u64,
        body: Body::Replayable(bytes.clone()),
        condition: PutCondition::Always,
    }
}

/// A body that is streamed once in chunks of `chunk_bytes`, and then perhaps breaks.
#[must_use]
pub fn streamed(bytes: &Bytes, chunk_bytes: usize, end: Option<BodyError>) -> Body {
    let mut chunks: Vec<Result<Bytes, BodyError>> = Vec::new();
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        chunks.push(Ok(rest.split_to(chunk_bytes.min(rest.len()))));
    }
    chunks.extend(end.map(Err));
    Body::Once(futures::stream::iter(chunks).boxed())
}

/// Reads a stream to its end.
///
/// # Errors
/// The stream's.
pub async fn drain(stream: ByteStream) -> Result<Bytes, BodyError> {
    let chunks: Vec<Bytes> = stream.try_collect().await?;
    Ok(chunks.concat().into())
}

/// Bytes that differ by seed and place.
#[must_use]
pub fn pattern(seed: u64, bytes: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(bytes);
    out.into()
}

/// Whether an answer says that the object is not there.
#[must_use]
pub fn is_missing<T>(result: &Result<T, RegionError>) -> bool {
    matches!(
        result,
        Err(RegionError::NotFound {
            missing: super::Missing::Object,
            ..
        })
    )
}

/// Whether the write lost: its condition did not hold, or another write of the key was in progress, or (as at S3 for
/// `If-Match`) there is no object.
fn is_lost<T>(result: &Result<T, RegionError>) -> bool {
    is_missing(result)
        || matches!(
            result,
            Err(RegionError::PreconditionFailed { .. } | RegionError::Conflict { .. })
        )
}
