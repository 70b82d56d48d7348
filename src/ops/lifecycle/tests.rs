use super::*;
use crate::clock::UnixMs;
use crate::ops::scope::Access;
use crate::ops::testing::{Testbed, bucket_scope};
use crate::region::faulty::{Fault, Op};
use crate::region::{AllOf, NoncurrentExpiration};
use proptest::prelude::*;
use std::num::NonZeroU32;

fn days(days: u32) -> NonZeroU32 {
    NonZeroU32::new(days).unwrap()
}

fn rule(id: &str, filter: RuleFilter) -> LifecycleRule {
    LifecycleRule {
        id: RuleId::new(id).unwrap(),
        enabled: true,
        filter,
        expiration: Some(Expiration::Days(days(1))),
        noncurrent: None,
        abort_uploads_days: None,
    }
}

fn code(rules: &[LifecycleRule]) -> Result<(), Code> {
    check(rules).map_err(|error| error.code())
}

fn sizes(above: Option<u64>, below: Option<u64>) -> RuleFilter {
    RuleFilter::And(AllOf {
        larger_than: above,
        smaller_than: below,
        ..AllOf::default()
    })
}

#[test]
fn rules_within_s3s_limits_are_taken() {
    let many: Vec<_> = (0..1_000)
        .map(|n| rule(&n.to_string(), RuleFilter::All))
        .collect();
    assert_eq!(code(&many), Ok(()));
    let mut all = rule("a", sizes(Some(0), Some(1)));
    all.noncurrent = Some(NoncurrentExpiration {
        days: days(1),
        kept: Some(days(100)),
    });
    let mut abort = rule("b", RuleFilter::Prefix("p".repeat(1_024)));
    abort.abort_uploads_days = Some(days(7));
    let mut markers = rule("c", RuleFilter::RulePrefix(String::new()));
    markers.expiration = Some(Expiration::DeleteMarkers(true));
    let mut date = rule("d", RuleFilter::LargerThan(PLAINTEXT_BYTES_MAX));
    date.expiration = Some(Expiration::Date(UnixMs(-86_400_000)));
    assert_eq!(code(&[all, abort, markers, date]), Ok(()));
}

#[test]
fn rules_that_s3_refuses_are_refused_with_its_codes() {
    let tag = |name: &str| (name.to_owned(), String::new());
    let tagged = || RuleFilter::Tag("a".to_owned(), "b".to_owned());
    let with = |filter, change: fn(&mut LifecycleRule)| {
        let mut rule = rule("r", filter);
        change(&mut rule);
        vec![rule]
    };
    let same = |_: &mut LifecycleRule| {};
    let abort = |rule: &mut LifecycleRule| rule.abort_uploads_days = NonZeroU32::new(1);
    let twice = AllOf {
        tags: vec![tag("a"), tag("a")],
        ..AllOf::default()
    };
    let many = (0..1_001).map(|n| rule(&n.to_string(), RuleFilter::All));
    for (rules, refused) in [
        (vec![], Code::MalformedXML),
        (many.collect(), Code::MalformedXML),
        (
            vec![rule("r", RuleFilter::All), rule("r", tagged())],
            Code::InvalidArgument,
        ),
        (
            with(RuleFilter::All, |rule| rule.expiration = None),
            Code::InvalidRequest,
        ),
        (
            with(RuleFilter::All, |rule| {
                rule.expiration = Some(Expiration::Date(UnixMs(1)));
            }),
            Code::InvalidArgument,
        ),
        (
            with(tagged(), |rule| {
                rule.expiration = Some(Expiration::DeleteMarkers(true));
            }),
            Code::InvalidRequest,
        ),
        (with(tagged(), abort), Code::InvalidRequest),
        (with(RuleFilter::LargerThan(1), abort), Code::InvalidRequest),
        (
            with(RuleFilter::Prefix("p".repeat(1_025)), same),
            Code::InvalidRequest,
        ),
        (with(sizes(None, Some(0)), same), Code::InvalidRequest),
        (with(sizes(Some(5), Some(5)), same), Code::InvalidRequest),
        (
            with(RuleFilter::LargerThan(PLAINTEXT_BYTES_MAX + 1), same),
            Code::InvalidRequest,
        ),
        (with(RuleFilter::And(twice), same), Code::InvalidTag),
        (
            with(RuleFilter::Tag(String::new(), String::new()), same),
            Code::InvalidTag,
        ),
    ] {
        assert_eq!(code(&rules), Err(refused), "{:?}", rules.first());
    }
}

proptest! {
    /// What is stored of an object has one length, whatever its parts and its suite are; so one bound stands for the other.
    #[test]
    fn sizes_select_the_same_objects_stored_as_in_plaintext(
        bound in 0..=PLAINTEXT_BYTES_MAX,
        near in -70_000_i64..70_000,
        far in 0..=PLAINTEXT_BYTES_MAX,
    ) {
        let beside = bound.saturating_add_signed(near).min(PLAINTEXT_BYTES_MAX);
        for bytes in [bound, beside, far, 0, PLAINTEXT_BYTES_MAX] {
            for filter in [RuleFilter::LargerThan(bound), RuleFilter::SmallerThan(bound), sizes(Some(bound / 2), Some(bound))] {
                let [stored] = &stored_rules(&[rule("r", filter.clone())])[..] else { unreachable!() };
                let plain = filter.conditions().selects("k", bytes, &[]);
                prop_assert_eq!(stored.filter.conditions().selects("k", stored_len(bytes), &[]), plain);
            }
        }
    }

    #[test]
    fn rules_are_kept_as_they_were_put(
        prefix in proptest::option::of(".{0,20}"),
        above in proptest::option::of(0..=PLAINTEXT_BYTES_MAX),
        ms in any::<i64>(),
    ) {
        let mut put = rule("a \"<&", RuleFilter::And(AllOf { prefix, larger_than: above, ..AllOf::default() }));
        put.expiration = Some(Expiration::Date(UnixMs(ms)));
        let text = serde_json::to_string(&put).unwrap();
        prop_assert_eq!(serde_json::from_str::<LifecycleRule>(&text).unwrap(), put);
    }
}

async fn scope(bed: &Testbed, access: Access) -> BucketScope {
    let scope = bucket_scope(&bed.gateway, &bed.acme, "docs", access).await;
    scope.unwrap()
}

fn two() -> Vec<LifecycleRule> {
    vec![
        rule("first", RuleFilter::RulePrefix("logs/".to_owned())),
        rule("second", RuleFilter::SmallerThan(1_000)),
    ]
}

#[tokio::test]
async fn rules_are_told_as_put_and_given_to_the_store_in_stored_sizes() {
    let bed = Testbed::new().await;
    let docs = scope(&bed, Access::Write).await;
    assert_eq!(rules(&docs).await.unwrap(), []);
    set_rules(&docs, &two()).await.unwrap();
    assert_eq!(rules(&docs).await.unwrap(), two());
    let store = &docs.region.store;
    let stored = store.lifecycle(docs.tenant, &docs.bucket.upstream).await;
    let stored = stored.unwrap();
    assert_eq!(stored[1].filter, RuleFilter::SmallerThan(stored_len(1_000)));
    delete_rules(&docs).await.unwrap();
    delete_rules(&docs).await.unwrap();
    assert_eq!(rules(&docs).await.unwrap(), []);
    let left = store.lifecycle(docs.tenant, &docs.bucket.upstream).await;
    assert_eq!(left.unwrap(), []);
}

#[tokio::test]
async fn rules_that_somebody_else_changed_in_the_store_are_not_told_as_ones_own() {
    let bed = Testbed::new().await;
    let docs = scope(&bed, Access::Write).await;
    let (store, tenant, bucket) = (&docs.region.store, docs.tenant, &docs.bucket.upstream);
    let foreign = [rule("foreign", RuleFilter::All)];
    let differs = async || {
        let refused = rules(&docs).await.unwrap_err();
        assert_eq!(refused.code(), Code::OperationAborted);
    };
    store.set_lifecycle(tenant, bucket, &foreign).await.unwrap();
    differs().await;
    set_rules(&docs, &two()).await.unwrap();
    let mut changed = stored_rules(&two());
    changed[0].expiration = Some(Expiration::Days(days(2)));
    store.set_lifecycle(tenant, bucket, &changed).await.unwrap();
    differs().await;
    store.set_lifecycle(tenant, bucket, &[]).await.unwrap();
    differs().await;
    set_rules(&docs, &two()).await.unwrap();
    assert_eq!(rules(&docs).await.unwrap(), two());
}

#[tokio::test]
async fn change_that_the_store_fails_or_forgets_is_not_told_as_made() {
    let bed = Testbed::new().await;
    let docs = scope(&bed, Access::Write).await;
    set_rules(&docs, &two()).await.unwrap();
    let other = [rule("other", RuleFilter::All)];
    for fault in [Fault::Failed, Fault::Refused] {
        bed.store.fail_next(Op::SetLifecycle, fault);
        assert!(set_rules(&docs, &other).await.is_err());
        assert_eq!(rules(&docs).await.unwrap(), two());
    }
    bed.store
        .fail_next(Op::SetLifecycle, Fault::FailedButPersisted);
    set_rules(&docs, &other).await.unwrap();
    assert_eq!(rules(&docs).await.unwrap(), other);
    bed.store.fail_next(Op::Lifecycle, Fault::Failed);
    let away = rules(&docs).await.unwrap_err();
    assert_eq!(away.code(), Code::ServiceUnavailable);
}

#[test]
fn rule_of_a_kind_that_the_region_does_not_carry_out_is_refused_by_name() {
    let mut profile = crate::ops::testing::profile();
    let refused = |profile: &RegionProfile, rules: &[LifecycleRule]| {
        let error = check_region(profile, rules).unwrap_err();
        assert_eq!(error.code(), Code::NotImplemented);
        error.to_string()
    };
    assert!(refused(&profile, &two()).contains("does not support lifecycle rules."));
    profile.lifecycle = [RuleKind::ExpirationDays].into();
    assert!(refused(&profile, &two()).contains("filters by object sizes"));
    assert!(check_region(&profile, &two()[..1]).is_ok());
    let mut dated = two();
    dated[0].expiration = Some(Expiration::Date(UnixMs(0)));
    assert!(refused(&profile, &dated[..1]).contains("Expiration with a Date"));
    // Where `a/` is stored as `a/ `.
    let folder = [rule("r", RuleFilter::Prefix("a/ ".to_owned()))];
    profile.keys.trailing_slash = false;
    assert!(refused(&profile, &folder).contains("a slash and a space"));
    profile.keys.trailing_slash = true;
    assert!(check_region(&profile, &folder).is_ok());
}
