//! Lifecycle rules: between S3's messages and [`LifecycleRule`].

use super::Call;
use crate::ops::error::OpError;
use crate::ops::lifecycle::{self, malformed};
use crate::ops::scope::Access;
use crate::region::{AllOf, Expiration, LifecycleRule, NoncurrentExpiration, RuleFilter, RuleId};
use http::StatusCode;
use s3s::dto;
use s3s::{S3Request, S3Response};
use std::num::NonZeroU32;

type Answer<O> = Result<S3Response<O>, OpError>;

/// S3 keeps as many versions at most.
const KEPT_MAX: u32 = 100;

pub(super) async fn get(
    call: Call,
    request: S3Request<dto::GetBucketLifecycleConfigurationInput>,
) -> Answer<dto::GetBucketLifecycleConfigurationOutput> {
    let scope = call.bucket(&request.input.bucket, Access::Read).await?;
    let rules = lifecycle::rules(&scope).await?;
    if rules.is_empty() {
        return Err(lifecycle::no_rules());
    }
    Ok(S3Response::new(
        dto::GetBucketLifecycleConfigurationOutput {
            rules: Some(rules.into_iter().map(to_dto).collect()),
            transition_default_minimum_object_size: Some(only_minimum()),
        },
    ))
}

pub(super) async fn put(
    call: Call,
    request: S3Request<dto::PutBucketLifecycleConfigurationInput>,
) -> Answer<dto::PutBucketLifecycleConfigurationOutput> {
    let input = request.input;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let minimum = input.transition_default_minimum_object_size;
    if minimum.is_some_and(|asked| asked != only_minimum()) {
        return Err(no_transitions());
    }
    let rules = input
        .lifecycle_configuration
        .map(|document| document.rules)
        .unwrap_or_default();
    let rules: Vec<LifecycleRule> = rules.into_iter().map(of_dto).collect::<Result<_, _>>()?;
    lifecycle::set_rules(&scope, &rules).await?;
    Ok(S3Response::new(
        dto::PutBucketLifecycleConfigurationOutput {
            transition_default_minimum_object_size: Some(only_minimum()),
        },
    ))
}

pub(super) async fn delete(
    call: Call,
    request: S3Request<dto::DeleteBucketLifecycleInput>,
) -> Answer<dto::DeleteBucketLifecycleOutput> {
    let scope = call.bucket(&request.input.bucket, Access::Write).await?;
    lifecycle::delete_rules(&scope).await?;
    Ok(S3Response::with_status(
        dto::DeleteBucketLifecycleOutput::default(),
        StatusCode::NO_CONTENT,
    ))
}

/// S3's default, and with no transitions at all the only one; clients wait to read what they asked for.
fn only_minimum() -> dto::TransitionDefaultMinimumObjectSize {
    dto::TransitionDefaultMinimumObjectSize::from_static(
        dto::TransitionDefaultMinimumObjectSize::ALL_STORAGE_CLASSES_128K,
    )
}

fn no_transitions() -> OpError {
    OpError::not_implemented(
        "Transitions are not supported: the only storage class is STANDARD, and objects of others can't be read until they are restored.",
    )
}

fn positive(number: i32, what: &str) -> Result<NonZeroU32, OpError> {
    let number = u32::try_from(number).ok().and_then(NonZeroU32::new);
    number.ok_or_else(|| {
        OpError::invalid_argument(format!("{what} action must be a positive integer"))
    })
}

/// A rule of a document.
///
/// # Errors
/// `MalformedXML` where it has no place in S3's schema, `InvalidArgument` for numbers that are none, `NotImplemented` for transitions.
pub(in crate::edge) fn of_dto(rule: dto::LifecycleRule) -> Result<LifecycleRule, OpError> {
    let has = |list: Option<usize>| list.is_some_and(|entries| entries > 0);
    if has(rule.transitions.map(|list| list.len()))
        || has(rule.noncurrent_version_transitions.map(|list| list.len()))
    {
        return Err(no_transitions());
    }
    let enabled = match rule.status.as_str() {
        dto::ExpirationStatus::ENABLED => true,
        dto::ExpirationStatus::DISABLED => false,
        _ => return Err(malformed("the Status is Enabled or Disabled.")),
    };
    let filter = match (rule.prefix, rule.filter) {
        (Some(prefix), None) => RuleFilter::RulePrefix(prefix),
        (None, Some(filter)) => of_filter(filter)?,
        _ => return Err(malformed("a rule has a Filter, or a Prefix of its own.")),
    };
    let id = match rule.id.as_deref() {
        None | Some("") => lifecycle::draw_id()?,
        Some(text) => RuleId::new(text).ok_or_else(|| {
            OpError::invalid_argument("ID length should not exceed allowed limit of 255")
        })?,
    };
    let abort = rule.abort_incomplete_multipart_upload;
    Ok(LifecycleRule {
        id,
        enabled,
        filter,
        expiration: rule.expiration.map(of_expiration).transpose()?,
        noncurrent: rule
            .noncurrent_version_expiration
            .map(of_noncurrent)
            .transpose()?,
        abort_uploads_days: abort.map(of_abort).transpose()?,
    })
}

fn of_abort(abort: dto::AbortIncompleteMultipartUpload) -> Result<NonZeroU32, OpError> {
    let days = abort.days_after_initiation;
    let days = days.ok_or_else(|| malformed("DaysAfterInitiation is missing."))?;
    positive(
        days,
        "'DaysAfterInitiation' for AbortIncompleteMultipartUpload",
    )
}

fn of_expiration(asked: dto::LifecycleExpiration) -> Result<Expiration, OpError> {
    match (asked.days, asked.date, asked.expired_object_delete_marker) {
        (Some(days), None, None) => Ok(Expiration::Days(positive(days, "'Days' for Expiration")?)),
        (None, Some(date), None) => {
            let date = super::locks::unix_ms(&date);
            date.map(Expiration::Date)
                .ok_or_else(|| malformed("the Date is none."))
        }
        (None, None, Some(markers)) => Ok(Expiration::DeleteMarkers(markers)),
        _ => Err(malformed(
            "an Expiration has Days, a Date or ExpiredObjectDeleteMarker, and one of them.",
        )),
    }
}

fn of_noncurrent(asked: dto::NoncurrentVersionExpiration) -> Result<NoncurrentExpiration, OpError> {
    let days = asked.noncurrent_days;
    let days = days.ok_or_else(|| malformed("NoncurrentDays is missing."))?;
    let what = "'NewerNoncurrentVersions' for NoncurrentVersionExpiration";
    let kept = asked.newer_noncurrent_versions;
    let kept = kept.map(|kept| positive(kept, what)).transpose()?;
    if kept.is_some_and(|kept| kept.get() > KEPT_MAX) {
        return Err(OpError::invalid_argument(
            "'NewerNoncurrentVersions' must be at most 100.",
        ));
    }
    Ok(NoncurrentExpiration {
        days: positive(days, "'NoncurrentDays' for NoncurrentVersionExpiration")?,
        kept,
    })
}

fn of_filter(filter: dto::LifecycleRuleFilter) -> Result<RuleFilter, OpError> {
    let mut forms = Vec::new();
    forms.extend(filter.prefix.map(RuleFilter::Prefix));
    if let Some(tag) = filter.tag {
        let (name, value) = of_tag(tag)?;
        forms.push(RuleFilter::Tag(name, value));
    }
    if let Some(bytes) = filter.object_size_greater_than {
        forms.push(RuleFilter::LargerThan(of_size(bytes)?));
    }
    if let Some(bytes) = filter.object_size_less_than {
        forms.push(RuleFilter::SmallerThan(of_size(bytes)?));
    }
    if let Some(all) = filter.and {
        forms.push(RuleFilter::And(of_and(all)?));
    }
    let first = forms.pop();
    match forms.is_empty() {
        true => Ok(first.unwrap_or(RuleFilter::All)),
        false => Err(malformed(
            "a Filter has one condition; more than one are within And.",
        )),
    }
}

fn of_and(all: dto::LifecycleRuleAndOperator) -> Result<AllOf, OpError> {
    let tags = all.tags.unwrap_or_default();
    let all = AllOf {
        prefix: all.prefix,
        tags: tags.into_iter().map(of_tag).collect::<Result<_, _>>()?,
        larger_than: all.object_size_greater_than.map(of_size).transpose()?,
        smaller_than: all.object_size_less_than.map(of_size).transpose()?,
    };
    match all == AllOf::default() {
        true => Err(malformed("And has no condition.")),
        false => Ok(all),
    }
}

fn of_tag(tag: dto::Tag) -> Result<(String, String), OpError> {
    let pair = tag.key.zip(tag.value);
    pair.ok_or_else(|| malformed("a Tag has a Key and a Value."))
}

fn of_size(bytes: i64) -> Result<u64, OpError> {
    u64::try_from(bytes).map_err(|_| OpError::invalid_request("An object size is not negative."))
}

/// A rule as documents have it, in the form in which it was put.
pub(in crate::edge) fn to_dto(rule: LifecycleRule) -> dto::LifecycleRule {
    let (prefix, filter) = match rule.filter {
        RuleFilter::RulePrefix(prefix) => (Some(prefix), None),
        filter => (None, Some(to_filter(filter))),
    };
    let days = |days: NonZeroU32| i32::try_from(days.get()).ok();
    let status = match rule.enabled {
        true => dto::ExpirationStatus::ENABLED,
        false => dto::ExpirationStatus::DISABLED,
    };
    dto::LifecycleRule {
        abort_incomplete_multipart_upload: rule.abort_uploads_days.map(|after| {
            dto::AbortIncompleteMultipartUpload {
                days_after_initiation: days(after),
            }
        }),
        expiration: rule.expiration.map(to_expiration),
        filter,
        id: Some(rule.id.as_str().to_owned()),
        noncurrent_version_expiration: rule.noncurrent.map(|noncurrent| {
            dto::NoncurrentVersionExpiration {
                newer_noncurrent_versions: noncurrent.kept.and_then(days),
                noncurrent_days: days(noncurrent.days),
            }
        }),
        noncurrent_version_transitions: None,
        prefix,
        status: dto::ExpirationStatus::from_static(status),
        transitions: None,
    }
}

fn to_expiration(expiration: Expiration) -> dto::LifecycleExpiration {
    let none = dto::LifecycleExpiration::default();
    match expiration {
        Expiration::Days(days) => dto::LifecycleExpiration {
            days: i32::try_from(days.get()).ok(),
            ..none
        },
        Expiration::Date(date) => dto::LifecycleExpiration {
            date: Some(super::convert::timestamp(date)),
            ..none
        },
        Expiration::DeleteMarkers(markers) => dto::LifecycleExpiration {
            expired_object_delete_marker: Some(markers),
            ..none
        },
    }
}

fn to_filter(filter: RuleFilter) -> dto::LifecycleRuleFilter {
    // No more than 5 TiB, which was an i64 on its way in.
    let size = |bytes: u64| i64::try_from(bytes).ok();
    let tag = |(name, value): (String, String)| dto::Tag {
        key: Some(name),
        value: Some(value),
    };
    let mut said = dto::LifecycleRuleFilter::default();
    match filter {
        RuleFilter::All | RuleFilter::RulePrefix(_) => {}
        RuleFilter::Prefix(prefix) => said.prefix = Some(prefix),
        RuleFilter::Tag(name, value) => said.tag = Some(tag((name, value))),
        RuleFilter::LargerThan(bytes) => said.object_size_greater_than = size(bytes),
        RuleFilter::SmallerThan(bytes) => said.object_size_less_than = size(bytes),
        RuleFilter::And(all) => {
            let tags: Vec<dto::Tag> = all.tags.into_iter().map(tag).collect();
            said.and = Some(dto::LifecycleRuleAndOperator {
                object_size_greater_than: all.larger_than.and_then(size),
                object_size_less_than: all.smaller_than.and_then(size),
                prefix: all.prefix,
                tags: (!tags.is_empty()).then_some(tags),
            });
        }
    }
    said
}

#[cfg(test)]
#[path = "lifecycle/tests.rs"]
mod tests;
