//! Listings of random keys: what SeaweedFS gives page by page is what the embedded store gives, but for the order.

use super::S3Store;
use super::testbed::{Testbed, seaweed_profile};
use super::tests_weed::TENANT;
use crate::region::embedded::EmbeddedStore;
use crate::region::{
    Body, HeadFields, ListRequest, ObjectRef, PutCondition, PutRequest, RegionStore,
    UpstreamBucket, Versioning,
};
use crate::tenants::ObjectKey;
use bytes::Bytes;
use futures::StreamExt;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::BTreeSet;

const ROUNDS: usize = 8;

/// Names that a store of directories sorts otherwise than by their bytes, and objects in each other's folders.
fn key() -> impl Strategy<Value = String> {
    let segment = select(vec!["a", "a!", "a-", "a0", "b", "é", " a", "  "]);
    (vec(segment, 1..4), prop::bool::weighted(0.15))
        .prop_map(|(segments, marker)| segments.join("/") + if marker { "/" } else { "" })
}

async fn fill(store: &dyn RegionStore, bucket: &UpstreamBucket, keys: &BTreeSet<String>) {
    store.create_bucket(TENANT, bucket).await.unwrap();
    futures::stream::iter(keys)
        .for_each_concurrent(8, |key| async move {
            let at = ObjectRef {
                bucket: bucket.clone(),
                key: ObjectKey::new(key.as_str()).unwrap(),
            };
            let request = PutRequest {
                head: HeadFields::default(),
                stored_bytes: 1,
                body: Body::Replayable(Bytes::from_static(b"x")),
                condition: PutCondition::Always,
            };
            store.put(TENANT, &at, request).await.unwrap();
        })
        .await;
}

/// Keys and common prefixes of all pages, sorted: one that comes twice is there twice.
async fn listed(
    store: &dyn RegionStore,
    bucket: &UpstreamBucket,
    request: &ListRequest,
) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut prefixes, mut request) = (Vec::new(), Vec::new(), request.clone());
    for _ in 0..200 {
        let page = store.list(TENANT, bucket, &request).await.unwrap();
        assert!(page.objects.len() + page.common_prefixes.len() <= request.keys_max);
        keys.extend(page.objects.into_iter().map(|object| object.key));
        prefixes.extend(page.common_prefixes);
        match page.next_start_after {
            Some(next) => request.start_after = Some(next),
            None => {
                keys.sort();
                prefixes.sort();
                return (keys, prefixes);
            }
        }
    }
    panic!("a listing without an end: {request:?}");
}

pub(super) async fn random_keys_are_listed_as_by_the_embedded_store(testbed: &Testbed) {
    let weed: S3Store = testbed.store(seaweed_profile()).await;
    let dir = tempfile::tempdir().unwrap();
    let embedded = EmbeddedStore::create(&dir.path().join("region")).unwrap();
    let mut runner = TestRunner::deterministic();
    let cases = (btree_set(key(), 1..14), any::<Index>(), any::<Index>());
    for round in 0..ROUNDS {
        let (keys, whose, cut) = cases.new_tree(&mut runner).unwrap().current();
        let bucket = UpstreamBucket::from_catalog(format!("lethe-test-random-{round}"));
        weed.create_bucket(TENANT, &bucket).await.unwrap();
        if round % 2 == 1 {
            let versioned = weed.set_versioning(TENANT, &bucket, Versioning::Enabled);
            versioned.await.unwrap();
        }
        fill(&weed, &bucket, &keys).await;
        fill(&embedded, &bucket, &keys).await;
        let one = keys.iter().nth(whose.index(keys.len())).unwrap();
        let ends: Vec<usize> = one.char_indices().map(|(at, _)| at).collect();
        for prefix in ["", &one[..ends[cut.index(ends.len())]]] {
            for (delimiter, keys_max) in [None, Some("/")]
                .into_iter()
                .flat_map(|delimiter| [1, 2, 7, 1000].map(|keys_max| (delimiter, keys_max)))
            {
                let request = ListRequest {
                    prefix: prefix.to_owned(),
                    delimiter: delimiter.map(str::to_owned),
                    start_after: None,
                    keys_max,
                };
                assert_eq!(
                    listed(&weed, &bucket, &request).await,
                    listed(&embedded, &bucket, &request).await,
                    "{keys:?} by {request:?}"
                );
            }
        }
    }
}
