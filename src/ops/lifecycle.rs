//! Lifecycle rules of a bucket. The region's store carries them out, on stored sizes; what their tenant put is kept in the catalog, and
//! told only while the store has the same rules (docs/adr/lifecycle-is-the-stores.md).

use crate::catalog::BucketSetting;
use crate::ops::error::{Code, OpError};
use crate::ops::headers::check_each_tag;
use crate::ops::scope::BucketScope;
use crate::region::{
    Expiration, LifecycleRule, RegionError, RegionProfile, RuleFilter, RuleId, RuleKind,
    is_midnight, same_meaning,
};
use lethe_envelope::layout::{PLAINTEXT_BYTES_MAX, stored_len};
use std::collections::{BTreeSet, HashSet};

/// Rules of one bucket, as at S3.
const RULES_MAX: usize = 1_000;
/// As the rules are kept: a thousand rules with every field at its longest would be more than a catalog's row is for.
const RULES_BYTES_MAX: usize = 512 << 10;
const PREFIX_BYTES_MAX: usize = 1_024;

/// S3's sentence for a document that its schema has no place for.
#[must_use]
pub fn malformed(what: &str) -> OpError {
    OpError::new(
        Code::MalformedXML,
        format!(
            "The XML you provided was not well-formed or did not validate against our published schema: {what}"
        ),
    )
}

/// S3's answer for a bucket without rules.
#[must_use]
pub fn no_rules() -> OpError {
    OpError::new(
        Code::NoSuchLifecycleConfiguration,
        "The lifecycle configuration does not exist",
    )
}

/// A name for a rule that was put without one.
///
/// # Errors
/// No randomness.
pub fn draw_id() -> Result<RuleId, OpError> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(OpError::internal)?;
    RuleId::new(&hex::encode(random)).ok_or_else(|| OpError::internal("a drawn name is too long"))
}

/// Refuses rules that S3 refuses.
///
/// # Errors
/// `MalformedXML` for no rule and for more than 1,000, `InvalidArgument` and `InvalidRequest` for what a rule may not say.
pub fn check(rules: &[LifecycleRule]) -> Result<(), OpError> {
    if rules.is_empty() || rules.len() > RULES_MAX {
        return Err(malformed(
            "a lifecycle configuration has one to 1,000 rules.",
        ));
    }
    let mut ids = HashSet::new();
    if !rules.iter().all(|rule| ids.insert(&rule.id)) {
        return Err(OpError::invalid_argument(
            "Rule ID must be unique. Found same ID for more than one rule",
        ));
    }
    rules.iter().try_for_each(check_rule)
}

fn check_rule(rule: &LifecycleRule) -> Result<(), OpError> {
    let invalid = |message: &'static str| Err(OpError::invalid_request(message));
    let kinds = rule.kinds();
    let has = |kind| kinds.contains(&kind);
    if rule.expiration.is_none() && rule.noncurrent.is_none() && rule.abort_uploads_days.is_none() {
        return invalid("At least one action needs to be specified in a rule.");
    }
    if has(RuleKind::Tags) && has(RuleKind::ExpiredDeleteMarkers) {
        return invalid("ExpiredObjectDeleteMarker cannot be specified with Tags.");
    }
    if has(RuleKind::Tags) && has(RuleKind::AbortedUploads) {
        return invalid("AbortIncompleteMultipartUpload cannot be specified with Tags.");
    }
    if has(RuleKind::Sizes) && has(RuleKind::AbortedUploads) {
        return invalid("AbortIncompleteMultipartUpload cannot be specified with Object Size.");
    }
    if let Some(Expiration::Date(date)) = rule.expiration
        && !is_midnight(date)
    {
        return Err(OpError::invalid_argument("'Date' must be at midnight GMT"));
    }
    check_filter(&rule.filter)
}

fn check_filter(filter: &RuleFilter) -> Result<(), OpError> {
    let invalid = |message: &'static str| Err(OpError::invalid_request(message));
    let conditions = filter.conditions();
    if conditions
        .prefix
        .as_ref()
        .is_some_and(|prefix| prefix.len() > PREFIX_BYTES_MAX)
    {
        return invalid("The maximum size of a prefix is 1024.");
    }
    let sizes = [conditions.larger_than, conditions.smaller_than];
    if sizes.iter().flatten().any(|b| *b > PLAINTEXT_BYTES_MAX) {
        return invalid("No object has more than 5 TiB.");
    }
    match (conditions.larger_than, conditions.smaller_than) {
        // A delete marker has no bytes, stored or not: nothing is below a size of none, in either count.
        (_, Some(0)) => return invalid("'ObjectSizeLessThan' must be greater than 0."),
        (Some(above), Some(below)) if below <= above => {
            return invalid(
                "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
            );
        }
        _ => {}
    }
    check_each_tag(&conditions.tags)
}

/// Refuses what the region's store does not carry out.
fn check_region(profile: &RegionProfile, rules: &[LifecycleRule]) -> Result<(), OpError> {
    if profile.lifecycle.is_empty() {
        return Err(OpError::not_implemented(
            "This region does not support lifecycle rules.",
        ));
    }
    let asked: BTreeSet<RuleKind> = rules.iter().flat_map(LifecycleRule::kinds).collect();
    if let Some(kind) = asked.difference(&profile.lifecycle).next() {
        return Err(OpError::not_implemented(format!(
            "This region does not support lifecycle rules of this kind: {kind}."
        )));
    }
    // There the marker of folder `a/` is stored as `a/ `, which such a prefix would select and `a/` would not be selected by.
    let renames = profile.keys.folder_markers && !profile.keys.trailing_slash;
    let selects_markers = |rule: &LifecycleRule| {
        let prefix = rule.filter.conditions().prefix;
        prefix.is_some_and(|prefix| prefix.ends_with("/ "))
    };
    match renames && rules.iter().any(selects_markers) {
        true => Err(OpError::not_implemented(
            "This region does not support lifecycle rules whose prefix ends in a slash and a space.",
        )),
        false => Ok(()),
    }
}

/// Rules as the store is to have them. Stored lengths grow strictly with plaintext ones and depend on nothing else
/// (`docs/format.md §5`), so a bound selects the same objects in both.
fn stored_rules(rules: &[LifecycleRule]) -> Vec<LifecycleRule> {
    rules
        .iter()
        .map(|rule| rule.with_sizes(stored_len))
        .collect()
}

/// A bucket's rules, as they were put; empty when it has none.
///
/// # Errors
/// `OperationAborted` when the store has others: a change was cut off, or somebody else made one.
pub async fn rules(scope: &BucketScope) -> Result<Vec<LifecycleRule>, OpError> {
    let kept = kept(scope).await?;
    let store = &scope.region.store;
    if kept.is_empty() && store.profile().lifecycle.is_empty() {
        return Ok(kept);
    }
    match store.lifecycle(scope.tenant, &scope.bucket.upstream).await {
        Ok(found) if same_meaning(&found, &stored_rules(&kept)) => Ok(kept),
        Ok(_) => Err(differs()),
        Err(error @ RegionError::Lying { .. }) => Err(differs().caused_by(error)),
        Err(error) => Err(error.into()),
    }
}

fn differs() -> OpError {
    OpError::new(
        Code::OperationAborted,
        "The lifecycle rules that the region holds are not those that were put here: put them again, or delete them.",
    )
}

async fn kept(scope: &BucketScope) -> Result<Vec<LifecycleRule>, OpError> {
    let (catalog, bucket) = (&scope.domain.catalog, &scope.bucket.name);
    let stored = catalog.bucket_setting(scope.tenant, bucket, BucketSetting::Lifecycle);
    match stored.await? {
        None => Ok(Vec::new()),
        Some(text) => serde_json::from_str(&text).map_err(|error| {
            OpError::internal(format!("a bucket's lifecycle rules do not parse: {error}"))
        }),
    }
}

/// Replaces a bucket's rules.
///
/// # Errors
/// As [`check`]; `NotImplemented` for what the region's store does not carry out.
pub async fn set_rules(scope: &BucketScope, rules: &[LifecycleRule]) -> Result<(), OpError> {
    check(rules)?;
    check_region(scope.region.store.profile(), rules)?;
    let text = serde_json::to_string(rules).map_err(OpError::internal)?;
    if text.len() > RULES_BYTES_MAX {
        return Err(OpError::new(
            Code::MaxMessageLengthExceeded,
            "The lifecycle configuration is too big: 512 KB are allowed.",
        ));
    }
    store(scope, &stored_rules(rules), Some(&text)).await
}

/// Deletes a bucket's rules, if it has any.
///
/// # Errors
/// The region or the catalog is away.
pub async fn delete_rules(scope: &BucketScope) -> Result<(), OpError> {
    if scope.region.store.profile().lifecycle.is_empty() && kept(scope).await?.is_empty() {
        return Ok(());
    }
    store(scope, &[], None).await
}

/// Upstream first: were it cut off in between, what the catalog has would not be what the store has, and [`rules`] would say so.
async fn store(
    scope: &BucketScope,
    rules: &[LifecycleRule],
    text: Option<&str>,
) -> Result<(), OpError> {
    let (store, tenant, bucket) = (&scope.region.store, scope.tenant, &scope.bucket.upstream);
    match store.set_lifecycle(tenant, bucket, rules).await {
        // Setting the same twice is the same as once.
        Err(RegionError::Unknown { .. }) => store.set_lifecycle(tenant, bucket, rules).await?,
        outcome => outcome?,
    }
    let (catalog, setting) = (&scope.domain.catalog, BucketSetting::Lifecycle);
    catalog
        .set_bucket_setting(tenant, &scope.bucket.name, setting, text)
        .await?;
    Ok(())
}

#[cfg(test)]
#[path = "lifecycle/tests.rs"]
mod tests;
