//! The store against SeaweedFS. One server, and so one test, for all that a plain store must do.

use super::testbed::{Testbed, seaweed_profile};
use super::{RegionIdentity, S3Store};
use super::{tests_weed_lists, tests_weed_parts, tests_weed_versions};
use crate::region::{
    Body, ByteRange, DeleteRequest, GetRequest, HeadFields, ListRequest, Missing, ObjectRef,
    PutCondition, PutRequest, RegionError, RegionStore, UpstreamBucket, Versioning, WriteOutcome,
};
use crate::tenants::{ObjectKey, TenantId};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;

pub(super) const TENANT: TenantId = TenantId::from_bytes([7; 16]);

pub(super) struct Bench {
    pub(super) store: S3Store,
    pub(super) bucket: UpstreamBucket,
}

impl Bench {
    async fn new(testbed: &Testbed, name: &str) -> Self {
        let store = testbed.store(seaweed_profile()).await;
        let bucket = UpstreamBucket::from_catalog(format!("lethe-test-{name}"));
        store.create_bucket(TENANT, &bucket).await.unwrap();
        store.create_bucket(TENANT, &bucket).await.unwrap();
        Self { store, bucket }
    }

    pub(super) fn at(&self, key: &str) -> ObjectRef {
        ObjectRef {
            bucket: self.bucket.clone(),
            key: ObjectKey::new(key).unwrap(),
        }
    }

    pub(super) async fn put(&self, key: &str, bytes: &'static [u8]) -> WriteOutcome {
        self.put_if(key, bytes, PutCondition::Always).await.unwrap()
    }

    async fn put_if(
        &self,
        key: &str,
        bytes: &'static [u8],
        condition: PutCondition,
    ) -> Result<WriteOutcome, RegionError> {
        let request = PutRequest {
            head: HeadFields::default(),
            stored_bytes: bytes.len() as u64,
            body: Body::Replayable(Bytes::from_static(bytes)),
            condition,
        };
        self.store.put(TENANT, &self.at(key), request).await
    }

    pub(super) async fn read(
        &self,
        key: &str,
        request: &GetRequest,
    ) -> Result<Vec<u8>, RegionError> {
        let object = self.store.get(TENANT, &self.at(key), request).await?;
        let chunks: Vec<Bytes> = object.body.try_collect().await.unwrap();
        let bytes = chunks.concat();
        assert_eq!(bytes.len() as u64, object.body_bytes);
        Ok(bytes)
    }

    async fn keys(&self, request: ListRequest) -> (Vec<String>, Vec<String>) {
        let mut request = request;
        let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            let page = self
                .store
                .list(TENANT, &self.bucket, &request)
                .await
                .unwrap();
            keys.extend(page.objects.into_iter().map(|object| object.key));
            prefixes.extend(page.common_prefixes);
            match page.next_start_after {
                Some(next) => request.start_after = Some(next),
                None => return (keys, prefixes),
            }
        }
        panic!("a listing without an end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweed_plain_calls_behave() {
    let testbed = Testbed::seaweed().await;
    let bench = Bench::new(&testbed, "plain").await;
    bench.store.ping().await.unwrap();
    objects_round_trip(&bench).await;
    conditions_hold(&bench).await;
    listings_are_complete(&bench).await;
    tests_weed_lists::random_keys_are_listed_as_by_the_embedded_store(&testbed).await;
    tests_weed_parts::uploads_complete(&bench).await;
    tests_weed_parts::copies_have_their_own_head(&bench).await;
    buckets_come_and_go(&testbed, &bench).await;
    let versioned = Bench::new(&testbed, "versioned").await;
    tests_weed_versions::versions_are_told_apart(&versioned).await;
    let mixed = Bench::new(&testbed, "mixed").await;
    tests_weed_versions::versions_are_listed_once_by_pages_of_any_size(&mixed).await;
    identity_is_made_once(&bench.store).await;
}

async fn objects_round_trip(bench: &Bench) {
    let head = HeadFields {
        metadata: [("lethe".to_owned(), "QUJD".repeat(150))].into(),
        content_disposition: Some("x".repeat(2_000)),
        tags: vec![("a b".to_owned(), "c&=é".to_owned())],
        lock: None,
    };
    let key = "dir/a b+c%d&<é😀\u{1}";
    let chunks = (0..3).map(|byte| Ok(Bytes::from(vec![byte; 100_000])));
    let request = PutRequest {
        head: head.clone(),
        stored_bytes: 300_000,
        body: Body::Once(stream::iter(chunks).boxed()),
        condition: PutCondition::Always,
    };
    let written = bench
        .store
        .put(TENANT, &bench.at(key), request)
        .await
        .unwrap();
    let found = bench
        .store
        .head(TENANT, &bench.at(key), None)
        .await
        .unwrap();
    assert_eq!(found.stored_bytes, 300_000);
    assert_eq!(found.etag, written.etag);
    assert_eq!(found.tag_count, 1);
    assert_eq!(found.fields.metadata, head.metadata);
    assert_eq!(found.fields.content_disposition, head.content_disposition);
    assert!(found.last_modified.0 > 1_700_000_000_000);
    let tags = bench
        .store
        .tags(TENANT, &bench.at(key), None)
        .await
        .unwrap();
    assert_eq!(tags, head.tags);

    let whole = bench.read(key, &GetRequest::default()).await.unwrap();
    assert_eq!(whole.len(), 300_000);
    for (range, first, last) in [
        (
            ByteRange::Inclusive {
                first: 99_999,
                last: 100_000,
            },
            99_999,
            100_000,
        ),
        (
            ByteRange::Inclusive {
                first: 299_999,
                last: u64::MAX >> 1,
            },
            299_999,
            299_999,
        ),
        (ByteRange::Suffix { bytes: 7 }, 299_993, 299_999),
        (ByteRange::Suffix { bytes: 900_000 }, 0, 299_999),
    ] {
        let request = GetRequest {
            range: Some(range),
            ..GetRequest::default()
        };
        assert_eq!(
            bench.read(key, &request).await.unwrap(),
            whole[first..=last],
            "{range:?}"
        );
    }
    let beyond = GetRequest {
        range: Some(ByteRange::Inclusive {
            first: 300_000,
            last: 300_001,
        }),
        ..GetRequest::default()
    };
    let outcome = bench.read(key, &beyond).await;
    assert!(
        matches!(
            outcome,
            Err(RegionError::RangeNotSatisfiable {
                stored_bytes: Some(300_000),
                ..
            })
        ),
        "{outcome:?}"
    );

    let new_tags = vec![("k".to_owned(), "v".to_owned())];
    bench
        .store
        .set_tags(TENANT, &bench.at(key), None, &new_tags)
        .await
        .unwrap();
    assert_eq!(
        bench
            .store
            .tags(TENANT, &bench.at(key), None)
            .await
            .unwrap(),
        new_tags
    );
    bench
        .store
        .set_tags(TENANT, &bench.at(key), None, &[])
        .await
        .unwrap();
    assert!(
        bench
            .store
            .tags(TENANT, &bench.at(key), None)
            .await
            .unwrap()
            .is_empty()
    );

    let delete = DeleteRequest::default();
    bench
        .store
        .delete(TENANT, &bench.at(key), &delete)
        .await
        .unwrap();
    bench
        .store
        .delete(TENANT, &bench.at(key), &delete)
        .await
        .unwrap();
    let gone = bench.store.head(TENANT, &bench.at(key), None).await;
    assert!(
        matches!(
            gone,
            Err(RegionError::NotFound {
                missing: Missing::Object,
                ..
            })
        ),
        "{gone:?}"
    );
}

async fn conditions_hold(bench: &Bench) {
    let is_412 = |outcome: Result<WriteOutcome, RegionError>| {
        matches!(outcome, Err(RegionError::PreconditionFailed { .. }))
    };
    let first = bench.put_if("c", b"1", PutCondition::Absent).await.unwrap();
    assert!(is_412(bench.put_if("c", b"2", PutCondition::Absent).await));
    assert!(is_412(
        bench
            .put_if("c", b"2", PutCondition::Matches("no".to_owned()))
            .await
    ));
    assert!(is_412(
        bench.put_if("no", b"2", PutCondition::Present).await
    ));
    let second = bench
        .put_if("c", b"2", PutCondition::Matches(first.etag.clone()))
        .await
        .unwrap();
    let matching = |etag: &str| GetRequest {
        if_match: Some(etag.to_owned()),
        ..GetRequest::default()
    };
    assert_eq!(
        bench.read("c", &matching(&second.etag)).await.unwrap(),
        b"2"
    );
    let outcome = bench.read("c", &matching(&first.etag)).await;
    assert!(
        matches!(outcome, Err(RegionError::PreconditionFailed { .. })),
        "{outcome:?}"
    );
    let delete = |condition| DeleteRequest {
        version: None,
        condition,
        bypass_governance: false,
    };
    let at = bench.at("c");
    let wrong = delete(PutCondition::Matches(first.etag));
    let outcome = bench.store.delete(TENANT, &at, &wrong).await;
    assert!(
        matches!(outcome, Err(RegionError::PreconditionFailed { .. })),
        "{outcome:?}"
    );
    let right = delete(PutCondition::Matches(second.etag));
    bench.store.delete(TENANT, &at, &right).await.unwrap();
}

async fn listings_are_complete(bench: &Bench) {
    let mut keys = [
        "l/a",
        "l/a/x",
        "l/a/y",
        "l/a-b",
        "l/b/q/1",
        "l/b/q",
        "l/c+ %",
        "l/\u{1}",
        "l/\u{fffd}",
        "l/😀",
    ];
    for key in keys {
        bench.put(key, b"x").await;
    }
    keys.sort_unstable();
    for keys_max in [1, 2, 3, 1_000] {
        let request = ListRequest {
            prefix: "l/".to_owned(),
            keys_max,
            ..ListRequest::default()
        };
        let (mut found, _) = bench.keys(request.clone()).await;
        found.sort_unstable();
        assert_eq!(found, keys, "{keys_max} a page");
        let folded = ListRequest {
            delimiter: Some("/".to_owned()),
            ..request
        };
        let (mut found, mut prefixes) = bench.keys(folded).await;
        found.sort_unstable();
        prefixes.sort_unstable();
        assert_eq!(
            found,
            ["l/\u{1}", "l/a", "l/a-b", "l/c+ %", "l/\u{fffd}", "l/😀"]
        );
        assert_eq!(prefixes, ["l/a/", "l/b/"], "{keys_max} a page");
    }
}

async fn buckets_come_and_go(testbed: &Testbed, bench: &Bench) {
    let outcome = bench.store.delete_bucket(TENANT, &bench.bucket).await;
    assert!(
        matches!(outcome, Err(RegionError::BucketNotEmpty { .. })),
        "{outcome:?}"
    );
    let empty = Bench::new(testbed, "empty").await;
    assert!(
        empty
            .store
            .bucket_exists(TENANT, &empty.bucket)
            .await
            .unwrap()
    );
    assert_eq!(
        empty.store.versioning(TENANT, &empty.bucket).await.unwrap(),
        Versioning::Off
    );
    empty
        .store
        .delete_bucket(TENANT, &empty.bucket)
        .await
        .unwrap();
    empty
        .store
        .delete_bucket(TENANT, &empty.bucket)
        .await
        .unwrap();
    assert!(
        !empty
            .store
            .bucket_exists(TENANT, &empty.bucket)
            .await
            .unwrap()
    );
    let outcome = empty.put_if("k", b"x", PutCondition::Always).await;
    assert!(
        matches!(
            outcome,
            Err(RegionError::NotFound {
                missing: Missing::Bucket,
                ..
            })
        ),
        "{outcome:?}"
    );
}

async fn identity_is_made_once(store: &S3Store) {
    assert_eq!(store.read_identity().await.unwrap(), None);
    let made = futures::future::join_all((0..8).map(|_| store.create_identity())).await;
    let made: Vec<RegionIdentity> = made.into_iter().map(Result::unwrap).collect();
    assert!(made.iter().all(|identity| *identity == made[0]), "{made:?}");
    assert_ne!(made[0].as_bytes(), &[0; 16]);
    assert_eq!(store.read_identity().await.unwrap(), Some(made[0]));
}

macro_rules! run_cases {
    ($store:expr, $($module:ident :: $case:ident)*) => {
        $(
            println!(concat!(stringify!($module), "::", stringify!($case)));
            crate::region::suite::$module::$case(Arc::clone($store)).await;
        )*
    };
}

/// All of the suite but two cases that SeaweedFS is right to fail: it repeats the answer to a Complete that came twice, as
/// S3 does, and refuses (with `KeyTooLongError`) long keys that have a segment of more than 255 bytes.
#[tokio::test(flavor = "multi_thread")]
async fn seaweed_suite_passes() {
    let testbed = Testbed::seaweed().await;
    let store: Arc<dyn RegionStore> = Arc::new(testbed.store(seaweed_profile()).await);
    run_cases! { &store,
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
        keys::object_below_an_object_is_its_own
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
}
