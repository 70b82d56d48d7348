//! Lifecycle rules: which kinds the store keeps as they were put. Whether anything carries them out takes days to see; the operator says
//! that (`lifecycle = true`).

use super::bench::{Bench, NOBODY};
use super::{Findings, answered};
use crate::clock::UnixMs;
use crate::region::{
    AllOf, Expiration, LifecycleRule, NoncurrentExpiration, RegionError, RegionProfile,
    RegionStore as _, RuleFilter, RuleId, RuleKind, same_meaning,
};
use std::num::NonZeroU32;

/// Nothing of the check's is stored below it.
const PREFIX: &str = "lifecycle-of-nothing/";
/// 1 January 2100.
const FAR: UnixMs = UnixMs(4_102_444_800_000);

/// A rule of the kind, beside what it needs to be a rule at all.
fn example(kind: RuleKind) -> Option<LifecycleRule> {
    let days = NonZeroU32::new(3_650)?;
    let prefix = || RuleFilter::Prefix(PREFIX.to_owned());
    let mut rule = LifecycleRule {
        id: RuleId::new("lethe check")?,
        enabled: true,
        filter: prefix(),
        expiration: None,
        noncurrent: None,
        abort_uploads_days: None,
    };
    let all_of = |all: AllOf| {
        RuleFilter::And(AllOf {
            prefix: Some(PREFIX.to_owned()),
            ..all
        })
    };
    let noncurrent = |kept| Some(NoncurrentExpiration { days, kept });
    match kind {
        RuleKind::ExpirationDays => rule.expiration = Some(Expiration::Days(days)),
        RuleKind::ExpirationDate => rule.expiration = Some(Expiration::Date(FAR)),
        RuleKind::ExpiredDeleteMarkers => rule.expiration = Some(Expiration::DeleteMarkers(true)),
        RuleKind::NoncurrentDays => rule.noncurrent = noncurrent(None),
        RuleKind::NoncurrentKept => rule.noncurrent = noncurrent(NonZeroU32::new(5)),
        RuleKind::AbortedUploads => rule.abort_uploads_days = Some(days),
        RuleKind::Tags => {
            rule.expiration = Some(Expiration::Days(days));
            let tag = |name: &str| (name.to_owned(), "lethe check".to_owned());
            rule.filter = all_of(AllOf {
                tags: vec![tag("a"), tag("b")],
                ..AllOf::default()
            });
        }
        RuleKind::Sizes => {
            rule.expiration = Some(Expiration::Days(days));
            rule.filter = all_of(AllOf {
                larger_than: Some(1),
                smaller_than: Some(1 << 40),
                ..AllOf::default()
            });
        }
    }
    Some(rule)
}

/// Fills in what the profile says of lifecycle rules.
pub(super) async fn probe(
    bench: &Bench,
    profile: &mut RegionProfile,
    findings: &mut Findings,
) -> Result<(), RegionError> {
    for kind in RuleKind::ALL {
        if keeps(bench, kind).await? {
            profile.lifecycle.insert(kind);
        } else {
            findings.notes.push(format!(
                "lifecycle rules of the kind \"{kind}\" are not kept as they are put; they are answered with 501"
            ));
        }
    }
    findings.note(
        profile.lifecycle.is_empty(),
        "whether the store carries out lifecycle rules can't be seen in a check; say `lifecycle = true` in its backend if it does",
    );
    Ok(())
}

async fn keeps(bench: &Bench, kind: RuleKind) -> Result<bool, RegionError> {
    let Some(rule) = example(kind) else {
        return Ok(false);
    };
    let (store, bucket) = (&bench.store, &bench.versioned);
    let rules = [rule];
    let put = answered(store.set_lifecycle(NOBODY, bucket, &rules).await)?.is_some();
    let kept = put
        && answered(store.lifecycle(NOBODY, bucket).await)?
            .is_some_and(|found| same_meaning(&found, &rules));
    let dropped = answered(store.set_lifecycle(NOBODY, bucket, &[]).await)?.is_some();
    let gone = answered(store.lifecycle(NOBODY, bucket).await)?;
    Ok(kept && dropped && gone.is_some_and(|left| left.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_of_every_kind_is_of_it() {
        for kind in RuleKind::ALL {
            let rule = example(kind).unwrap();
            assert!(rule.kinds().contains(&kind), "{kind}");
            assert!(rule.filter.conditions().prefix.is_some());
        }
    }
}
