//! Lifecycle rules, where the store has them.

use super::{Ground, bucket_name};
use crate::clock::UnixMs;
use crate::region::{
    AllOf, Expiration, LifecycleRule, Missing, NoncurrentExpiration, RegionError, RegionStore,
    RuleFilter, RuleId, RuleKind, same_meaning,
};
use crate::tenants::TenantId;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Rules of every kind and form, none of which lets anything go soon.
fn all_kinds() -> Vec<LifecycleRule> {
    let days = NonZeroU32::new(3_650).expect("not zero");
    let tag = |name: &str| (name.to_owned(), "a value".to_owned());
    let rule = |id: &str, filter| LifecycleRule {
        id: RuleId::new(id).expect("short"),
        enabled: true,
        filter,
        expiration: Some(Expiration::Days(days)),
        noncurrent: None,
        abort_uploads_days: None,
    };
    let and = AllOf {
        prefix: Some("a/ü & <b>".to_owned()),
        tags: vec![tag("z"), tag("a")],
        larger_than: Some(1_000),
        smaller_than: Some(1 << 40),
    };
    let mut rules = vec![
        rule("prefix", RuleFilter::Prefix("b/".to_owned())),
        rule("old form", RuleFilter::RulePrefix("c/".to_owned())),
        rule("tag", RuleFilter::Tag("a".to_owned(), "b".to_owned())),
        rule("larger", RuleFilter::LargerThan(5)),
        rule("smaller", RuleFilter::SmallerThan(1 << 35)),
        rule("and", RuleFilter::And(and)),
        rule("all", RuleFilter::All),
        rule("date", RuleFilter::Prefix("d/".to_owned())),
    ];
    rules[0].noncurrent = Some(NoncurrentExpiration {
        days,
        kept: NonZeroU32::new(3),
    });
    rules[1].enabled = false;
    rules[6].expiration = Some(Expiration::DeleteMarkers(true));
    rules[6].abort_uploads_days = Some(days);
    rules[7].expiration = Some(Expiration::Date(UnixMs(4_102_444_800_000)));
    rules
}

/// What was set is told until something else is set, for that bucket alone, and goes with the bucket.
pub async fn rules_are_kept_replaced_and_deleted(store: Arc<dyn RegionStore>) {
    let ground = Ground::new(store).await;
    let (store, tenant, bucket) = (&ground.store, ground.tenant, &ground.bucket);
    if store.profile().lifecycle != RuleKind::all() {
        return;
    }
    let told = async || store.lifecycle(tenant, bucket).await.expect("lifecycle");
    let set = async |rules: &[LifecycleRule]| {
        let set = store.set_lifecycle(tenant, bucket, rules).await;
        set.expect("set_lifecycle");
    };
    assert_eq!(told().await, []);
    let all = all_kinds();
    set(&all).await;
    let found = told().await;
    assert!(same_meaning(&found, &all), "{found:#?}");
    set(&all[..1]).await;
    assert!(same_meaning(&told().await, &all[..1]));
    let other = Ground::new(Arc::clone(store)).await;
    let others = store.lifecycle(other.tenant, &other.bucket).await;
    assert_eq!(others.expect("lifecycle"), []);
    set(&[]).await;
    set(&[]).await;
    assert_eq!(told().await, []);
    set(&all[..1]).await;
    store.delete_bucket(tenant, bucket).await.expect("empty");
    store.create_bucket(tenant, bucket).await.expect("anew");
    assert_eq!(told().await, []);
}

/// A bucket that is not there has no rules to tell or to set.
pub async fn rules_of_a_missing_bucket_are_not_found(store: Arc<dyn RegionStore>) {
    if store.profile().lifecycle.is_empty() {
        return;
    }
    let (tenant, bucket) = (TenantId::random().expect("randomness"), bucket_name());
    let told = store.lifecycle(tenant, &bucket).await.map(drop);
    let set = store.set_lifecycle(tenant, &bucket, &all_kinds()).await;
    for outcome in [told, set] {
        let missing = Missing::Bucket;
        assert!(
            matches!(&outcome, Err(RegionError::NotFound { missing: found, .. }) if *found == missing),
            "{outcome:?}"
        );
    }
}
