//! What a listing asks for beside its page has an end, however its start was made up.

use super::S3Store;
use super::hostile::{Act, Hostile, answer};
use super::testbed::seaweed_profile;
use super::tests_faults::{TENANT, within};
use crate::region::{ListRequest, RegionError, RegionStore as _, UpstreamBucket};
use std::time::Duration;

#[tokio::test]
async fn start_with_a_thousand_names_is_asked_for_side_by_side_and_within_a_calls_deadline() {
    let versioned = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let missing = answer("404 Not Found", "", "");
    let hostile = Hostile::play(vec![
        Act::Answer(answer("200 OK", "", versioned)),
        Act::AnswerAfter(Duration::from_millis(250), missing),
    ])
    .await;
    let store = S3Store::connect(hostile.config(), seaweed_profile()).await;
    let store = store.unwrap();
    let bucket = UpstreamBucket::from_catalog("lethe-test-bucket".to_owned());
    let request = ListRequest {
        start_after: Some("-".repeat(1_000)),
        keys_max: 10,
        ..ListRequest::default()
    };
    let listed = within(1_500, store.list(TENANT, &bucket, &request)).await;
    let Err(RegionError::Unavailable { reason, .. }) = listed else {
        panic!("{listed:?}");
    };
    assert!(reason.contains("objects of a page"), "{reason}");
    // One by one there would be four in the deadline's second.
    let asked = hostile.seen().len();
    assert!((8..=300).contains(&asked), "{asked} requests");
}
