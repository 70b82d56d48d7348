//! What the store does by itself under lifecycle rules.

use super::super::EmbeddedOptions;
use super::super::steps::{Step, Steps};
use super::{files_in, ground_with, reopen};
use crate::clock::{ManualClock, UnixMs};
use crate::region::suite::{Ground, is_missing, pattern};
use crate::region::{
    AllOf, Body, Expiration, HeadFields, LifecycleRule, PartCopyRequest, RuleFilter, RuleId,
    SourceCondition, UploadPartRequest, UpstreamUploadId,
};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn rule(id: &str, filter: RuleFilter) -> LifecycleRule {
    LifecycleRule {
        id: RuleId::new(id).unwrap(),
        enabled: true,
        filter,
        expiration: Some(Expiration::Days(NonZeroU32::new(1).unwrap())),
        noncurrent: None,
        abort_uploads_days: None,
    }
}

async fn set(ground: &Ground, rules: &[LifecycleRule]) {
    let set = ground
        .store
        .set_lifecycle(ground.tenant, &ground.bucket, rules);
    set.await.unwrap();
}

async fn there(ground: &Ground, keys: &[&str]) -> Vec<bool> {
    let mut found = Vec::new();
    for key in keys {
        let head = ground.head(key).await;
        found.push(!is_missing(&head));
    }
    found
}

fn clock() -> (Arc<ManualClock>, EmbeddedOptions) {
    let clock = Arc::new(ManualClock::at(UnixMs(20_000 * DAY_MS + 1)));
    let options = EmbeddedOptions {
        clock: Arc::clone(&clock) as Arc<dyn crate::clock::Clock>,
        ..EmbeddedOptions::default()
    };
    (clock, options)
}

#[tokio::test]
async fn objects_that_a_rule_selects_go_when_they_are_due_and_no_others() {
    let (clock, options) = clock();
    let (ground, store, dir) = ground_with(options).await;
    for (key, bytes) in [("a/1", 10), ("a/2", 100), ("b", 10)] {
        ground.put(key, &pattern(1, bytes)).await;
    }
    let tags = HeadFields {
        tags: vec![("t".to_owned(), "x".to_owned())],
        ..HeadFields::default()
    };
    ground.put_with("tagged", &pattern(2, 10), tags).await;
    let small = AllOf {
        prefix: Some("a/".to_owned()),
        smaller_than: Some(100),
        ..AllOf::default()
    };
    let mut disabled = rule("off", RuleFilter::All);
    disabled.enabled = false;
    let rules = [
        rule("small", RuleFilter::And(small)),
        rule("tag", RuleFilter::Tag("t".to_owned(), "x".to_owned())),
        disabled,
    ];
    set(&ground, &rules).await;
    let keys = ["a/1", "a/2", "b", "tagged"];
    clock.advance_ms(2 * DAY_MS - 2);
    assert_eq!(store.expire().await.unwrap(), 0);
    assert_eq!(there(&ground, &keys).await, [true; 4]);
    clock.advance_ms(1);
    assert_eq!(store.expire().await.unwrap(), 2);
    assert_eq!(there(&ground, &keys).await, [false, true, true, false]);
    assert_eq!(store.expire().await.unwrap(), 0);
    store.sweep().await.unwrap();
    assert_eq!(files_in(dir.path()), 2);
}

#[tokio::test]
async fn objects_of_many_pages_go_and_what_is_written_anew_begins_anew() {
    let (clock, options) = clock();
    let (ground, store, _dir) = ground_with(options).await;
    for n in 0..600 {
        ground.put(&format!("k{n:03}"), &pattern(n, 1)).await;
    }
    set(&ground, &[rule("all", RuleFilter::All)]).await;
    clock.advance_ms(2 * DAY_MS);
    ground.put("k300", &pattern(7, 2)).await;
    assert_eq!(store.expire().await.unwrap(), 599);
    assert_eq!(
        there(&ground, &["k000", "k300", "k599"]).await,
        [false, true, false]
    );
}

#[tokio::test]
async fn rules_outlive_the_store_and_are_carried_out_when_it_is_opened() {
    let (ground, store, dir) = ground_with(EmbeddedOptions::default()).await;
    ground.put("old", &pattern(1, 10)).await;
    let mut dated = rule("date", RuleFilter::All);
    dated.expiration = Some(Expiration::Date(UnixMs(DAY_MS)));
    set(&ground, &[dated.clone()]).await;
    let (ground, _store) = reopen(ground, store, dir.path());
    let told = ground.store.lifecycle(ground.tenant, &ground.bucket).await;
    assert_eq!(told.unwrap(), [dated]);
    for _ in 0..1_000 {
        if there(&ground, &["old"]).await == [false] {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the object is still there");
}

async fn upload(ground: &Ground, key: &str) -> UpstreamUploadId {
    let (store, tenant, at) = (&ground.store, ground.tenant, ground.at(key));
    let head = HeadFields::default();
    let upload = store.create_upload(tenant, &at, &head).await.unwrap();
    let part = UploadPartRequest {
        upload: upload.clone(),
        number: 1,
        stored_bytes: 10,
        body: Body::Replayable(pattern(3, 10)),
        in_lock_bucket: false,
    };
    store.upload_part(tenant, &at, part).await.unwrap();
    upload
}

#[tokio::test]
async fn uploads_that_nobody_completes_go_with_their_parts_when_they_are_due() {
    let (clock, options) = clock();
    let (ground, store, dir) = ground_with(options).await;
    let (old, other) = (upload(&ground, "a/1").await, upload(&ground, "b").await);
    let mut abort = rule("abort", RuleFilter::Prefix("a/".to_owned()));
    abort.expiration = None;
    abort.abort_uploads_days = NonZeroU32::new(3);
    set(&ground, &[abort]).await;
    clock.advance_ms(2 * DAY_MS);
    let young = upload(&ground, "a/1").await;
    assert_eq!(store.expire().await.unwrap(), 0);
    clock.advance_ms(2 * DAY_MS);
    assert_eq!(store.expire().await.unwrap(), 1);
    let open = async |key| {
        let at = ground.at(key);
        ground.store.uploads_at(ground.tenant, &at).await.unwrap()
    };
    assert_eq!(open("a/1").await, [young]);
    assert_eq!(open("b").await, [other]);
    let at = ground.at("a/1");
    let parts = ground.store.list_parts(ground.tenant, &at, &old);
    assert!(parts.await.is_err());
    store.sweep().await.unwrap();
    assert_eq!(files_in(dir.path()), 2);
}

/// A tenant may put a thousand rules; the thread's work must not grow with them.
#[tokio::test]
async fn bucket_is_gone_over_once_however_many_rules_it_has() {
    let (clock, options) = clock();
    let (ground, store, _dir) = ground_with(options).await;
    for n in 0..600 {
        ground.put(&format!("k{n:03}"), &pattern(n, 1)).await;
    }
    upload(&ground, "k").await;
    let of_all = (0..500).map(|n| {
        let tag = RuleFilter::Tag(format!("t{n}"), "x".to_owned());
        rule(&format!("all {n}"), tag)
    });
    let prefixed = (0..500).map(|n| {
        let prefix = RuleFilter::Prefix(format!("k{n:03}"));
        let mut rule = rule(&format!("below {n}"), prefix);
        rule.abort_uploads_days = NonZeroU32::new(1);
        rule
    });
    let prefixed: Vec<_> = prefixed.collect();
    let rules: Vec<_> = of_all.chain(prefixed.iter().cloned()).collect();
    set(&ground, &rules).await;
    let nothing = store.sweep_due().await.unwrap();
    assert_eq!((nothing.gone, nothing.rows), (0, 601));
    clock.advance_ms(2 * DAY_MS);
    let swept = store.sweep_due().await.unwrap();
    assert_eq!((swept.gone, swept.rows), (500, 601));
    assert_eq!(
        there(&ground, &["k000", "k499", "k500"]).await,
        [false, false, true]
    );
    // What no prefix reaches is not looked at.
    set(&ground, &prefixed).await;
    let swept = store.sweep_due().await.unwrap();
    assert_eq!((swept.gone, swept.rows), (0, 1));
}

#[tokio::test]
async fn uploads_of_many_parts_go_in_several_commits() {
    let (clock, options) = clock();
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    let steps = Steps::checked(move |step| {
        counted.fetch_add(usize::from(step == Step::IndexSync), Ordering::SeqCst);
        Ok(())
    });
    let (ground, store, dir) = ground_with(EmbeddedOptions { steps, ..options }).await;
    let etag = ground.put("source", &pattern(1, 10)).await.etag;
    syncs.store(0, Ordering::SeqCst);
    let uploads = [upload(&ground, "a").await, upload(&ground, "b").await];
    let later = upload(&ground, "c").await;
    let of_one_change = syncs.load(Ordering::SeqCst) / 6;
    assert!(of_one_change >= 1);
    // Copied parts make no files.
    for number in 2..=600 {
        let copy = async |key: &str, upload: &UpstreamUploadId| {
            let request = PartCopyRequest {
                upload: upload.clone(),
                number,
                from: ground.at("source"),
                from_version: None,
                source: SourceCondition { etag: etag.clone() },
                range: (0, 9),
            };
            let at = ground.at(key);
            let copied = ground.store.upload_part_copy(ground.tenant, &at, &request);
            copied.await.unwrap();
        };
        let [a, b] = &uploads;
        futures::join!(copy("a", a), copy("b", b), copy("c", &later));
    }
    let mut abort = rule("abort", RuleFilter::All);
    abort.expiration = None;
    abort.abort_uploads_days = NonZeroU32::new(1);
    set(&ground, &[abort]).await;
    clock.advance_ms(2 * DAY_MS);
    syncs.store(0, Ordering::SeqCst);
    assert_eq!(store.expire().await.unwrap(), 3);
    // Now and then a commit takes one more, for the file's growth.
    let taken = syncs.load(Ordering::SeqCst);
    assert!(
        (2 * of_one_change..3 * of_one_change).contains(&taken),
        "{taken} syncs, one commit takes {of_one_change}"
    );
    store.sweep().await.unwrap();
    assert_eq!(files_in(dir.path()), 1);
}
