//! The check against a store that is good enough and one that is not.

use super::{CheckStep, check_region};
use crate::region::RuleKind;
use crate::region::s3::testbed::{Testbed, full_profile};
use std::sync::Mutex;

/// The check's buckets that are still there.
async fn left_over(testbed: &Testbed) -> Vec<String> {
    let store = testbed.store(full_profile()).await;
    store.own_buckets("lethe-test-check").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_region_seaweed_accepted_with_its_limits() {
    let testbed = Testbed::seaweed().await;
    let steps = Mutex::new(Vec::new());
    let progress = |step| steps.lock().unwrap().push(step);
    let report = check_region(testbed.config(), &progress).await.unwrap();
    assert_eq!(report.missing, Vec::<String>::new(), "{report:?}");
    let profile = &report.profile;
    assert!(profile.conditional_put, "{report:?}");
    assert!(profile.conditional_delete, "{report:?}");
    assert!(
        profile.versioning && profile.tagging && !profile.equal_parts,
        "{report:?}"
    );
    assert_eq!(
        profile.version_paging,
        Some(crate::region::VersionPaging::ByPrefix),
        "{report:?}"
    );
    assert!(profile.content_disposition_bytes_max >= 2_000, "{report:?}");
    assert!(profile.user_metadata_bytes_max >= 2_000, "{report:?}");
    let keys = &profile.keys;
    assert!(
        !keys.empty_segments && !keys.dot_segments && !keys.byte_order,
        "{report:?}"
    );
    assert!(
        keys.object_below_object && keys.bytes_max >= 900,
        "{report:?}"
    );
    assert!(
        profile.object_lock && profile.put_checksum && profile.put_checksum_trailer,
        "{report:?}"
    );
    // It keeps every document as it is.
    assert_eq!(profile.lifecycle, RuleKind::all(), "{report:?}");
    // SeaweedFS copies its source's lock along, whatever is asked for.
    assert!(!profile.object_lock_copy, "{report:?}");
    assert!(
        !report.notes.iter().any(|note| note.contains("deleted")),
        "{report:?}"
    );
    let steps = steps.into_inner().unwrap();
    assert_eq!(steps.first(), Some(&CheckStep::Basics));
    assert_eq!(steps.last(), Some(&CheckStep::Cleanup));
    assert_eq!(left_over(&testbed).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_region_rclone_refused_with_reasons() {
    let testbed = Testbed::rclone().await;
    let report = check_region(testbed.config(), &|_| {}).await.unwrap();
    assert!(!report.profile.conditional_put);
    assert!(!report.profile.object_lock, "{report:?}");
    assert!(report.profile.lifecycle.is_empty(), "{report:?}");
    assert!(
        report
            .missing
            .iter()
            .any(|sentence| sentence.contains("If-None-Match")),
        "{report:?}"
    );
    // rclone keeps listing a key that it refused for its length, so that the bucket may stay; then the report says so.
    let told = report.notes.iter().any(|note| note.contains("by hand"));
    assert_eq!(told, !left_over(&testbed).await.is_empty(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_region_that_deletes_full_buckets_is_refused() {
    let testbed = Testbed::seaweed_as_it_comes().await;
    let report = check_region(testbed.config(), &|_| {}).await.unwrap();
    let said = |sentence: &String| sentence.contains("buckets that hold objects");
    assert_eq!(
        report.missing.iter().filter(|s| said(s)).count(),
        1,
        "{report:?}"
    );
    assert_eq!(report.missing.len(), 1, "{report:?}");
    assert_eq!(left_over(&testbed).await, Vec::<String>::new());
}
