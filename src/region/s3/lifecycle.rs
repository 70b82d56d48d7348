//! A bucket's lifecycle rules, as the SDK has them.

use super::S3Store;
use super::errors::{Call, from_sdk};
use super::headers::unix_ms;
use super::locks::sdk_time;
use super::retry::until_done;
use crate::region::{
    AllOf, Expiration, LifecycleRule, Missing, NoncurrentExpiration, RegionError, RuleFilter,
    RuleId, UpstreamBucket,
};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus,
    LifecycleExpiration, LifecycleRule as SdkRule, LifecycleRuleAndOperator, LifecycleRuleFilter,
    NoncurrentVersionExpiration, Tag,
};
use aws_smithy_types::error::operation::BuildError;
use std::num::NonZeroU32;

fn number(count: NonZeroU32) -> i32 {
    i32::try_from(count.get()).unwrap_or(i32::MAX)
}

fn sdk_size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Of whatever form it was put in, the one that S3 has for as many conditions.
fn sdk_filter(filter: &RuleFilter) -> Result<LifecycleRuleFilter, BuildError> {
    let all = filter.conditions();
    let tags = all.tags.iter().map(|(name, value)| {
        let tag = Tag::builder().key(name).value(value);
        tag.build()
    });
    let tags: Vec<Tag> = tags.collect::<Result<_, _>>()?;
    let (above, below) = (
        all.larger_than.map(sdk_size),
        all.smaller_than.map(sdk_size),
    );
    let conditions = usize::from(all.prefix.is_some())
        + tags.len()
        + usize::from(above.is_some())
        + usize::from(below.is_some());
    let said = LifecycleRuleFilter::builder();
    if conditions > 1 {
        let and = LifecycleRuleAndOperator::builder()
            .set_prefix(all.prefix)
            .set_tags((!tags.is_empty()).then_some(tags))
            .set_object_size_greater_than(above)
            .set_object_size_less_than(below);
        return Ok(said.and(and.build()).build());
    }
    // Without any condition an empty prefix: not every store takes an empty filter.
    let prefix = (conditions == 0).then(String::new).or(all.prefix);
    Ok(said
        .set_prefix(prefix)
        .set_tag(tags.into_iter().next())
        .set_object_size_greater_than(above)
        .set_object_size_less_than(below)
        .build())
}

fn sdk_rule(rule: &LifecycleRule) -> Result<SdkRule, BuildError> {
    let expiration = rule.expiration.map(|expiration| {
        let said = LifecycleExpiration::builder();
        match expiration {
            Expiration::Days(days) => said.days(number(days)),
            Expiration::Date(date) => said.date(sdk_time(date)),
            Expiration::DeleteMarkers(markers) => said.expired_object_delete_marker(markers),
        }
        .build()
    });
    let noncurrent = rule.noncurrent.map(|noncurrent| {
        NoncurrentVersionExpiration::builder()
            .noncurrent_days(number(noncurrent.days))
            .set_newer_noncurrent_versions(noncurrent.kept.map(number))
            .build()
    });
    let abort = rule.abort_uploads_days.map(|days| {
        AbortIncompleteMultipartUpload::builder()
            .days_after_initiation(number(days))
            .build()
    });
    SdkRule::builder()
        .id(rule.id.as_str())
        .status(match rule.enabled {
            true => ExpirationStatus::Enabled,
            false => ExpirationStatus::Disabled,
        })
        .filter(sdk_filter(&rule.filter)?)
        .set_expiration(expiration)
        .set_noncurrent_version_expiration(noncurrent)
        .set_abort_incomplete_multipart_upload(abort)
        .build()
}

fn count(count: i32) -> Option<NonZeroU32> {
    u32::try_from(count).ok().and_then(NonZeroU32::new)
}

/// What was put here under the given conditions; `None` for what never is.
fn filter(prefix: Option<&str>, said: Option<&LifecycleRuleFilter>) -> Option<RuleFilter> {
    let size = |bytes: Option<i64>| bytes.map(u64::try_from).transpose().ok();
    let tag = |tag: &Tag| (tag.key.clone(), tag.value.clone());
    let Some(said) = said else {
        return prefix.map(|prefix| RuleFilter::RulePrefix(prefix.to_owned()));
    };
    let mut all = AllOf {
        prefix: said.prefix.clone(),
        tags: said.tag.iter().map(tag).collect(),
        larger_than: size(said.object_size_greater_than)?,
        smaller_than: size(said.object_size_less_than)?,
    };
    if let Some(and) = &said.and {
        if all != AllOf::default() {
            return None;
        }
        all = AllOf {
            prefix: and.prefix.clone(),
            tags: and.tags().iter().map(tag).collect(),
            larger_than: size(and.object_size_greater_than)?,
            smaller_than: size(and.object_size_less_than)?,
        };
    }
    // Some stores answer with an empty prefix of the rule's own beside the filter.
    prefix
        .is_none_or(str::is_empty)
        .then_some(RuleFilter::And(all))
}

fn expiration(said: &LifecycleExpiration) -> Option<Expiration> {
    match (said.days, &said.date, said.expired_object_delete_marker) {
        (Some(days), None, None | Some(false)) => count(days).map(Expiration::Days),
        (None, Some(date), None | Some(false)) => Some(Expiration::Date(unix_ms(date))),
        (None, None, Some(markers)) => Some(Expiration::DeleteMarkers(markers)),
        _ => None,
    }
}

/// `None` for a rule that is not of a kind that is put here.
fn rule(said: &SdkRule) -> Option<LifecycleRule> {
    if !said.transitions().is_empty() || !said.noncurrent_version_transitions().is_empty() {
        return None;
    }
    #[allow(deprecated, reason = "stores still answer with it")]
    let prefix = said.prefix.as_deref();
    let noncurrent = said.noncurrent_version_expiration.as_ref().map(|said| {
        let kept = said.newer_noncurrent_versions;
        Some(NoncurrentExpiration {
            days: count(said.noncurrent_days?)?,
            kept: match kept {
                Some(kept) => Some(count(kept)?),
                None => None,
            },
        })
    });
    let abort = said.abort_incomplete_multipart_upload.as_ref();
    let abort = abort.map(|said| said.days_after_initiation.and_then(count));
    Some(LifecycleRule {
        id: RuleId::new(said.id.as_deref()?)?,
        enabled: match said.status {
            ExpirationStatus::Enabled => true,
            ExpirationStatus::Disabled => false,
            _ => return None,
        },
        filter: filter(prefix, said.filter.as_ref())?,
        expiration: match &said.expiration {
            Some(said) => Some(expiration(said)?),
            None => None,
        },
        noncurrent: match noncurrent {
            Some(found) => Some(found?),
            None => None,
        },
        abort_uploads_days: match abort {
            Some(found) => Some(found?),
            None => None,
        },
    })
}

impl S3Store {
    pub(super) async fn bucket_lifecycle(
        &self,
        bucket: &UpstreamBucket,
    ) -> Result<Vec<LifecycleRule>, RegionError> {
        let call = Call::read("lifecycle", Missing::Bucket);
        let found = until_done(&self.retries, || async {
            self.sdk
                .get_bucket_lifecycle_configuration()
                .bucket(bucket.as_str())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await;
        let found = match found {
            Err(RegionError::NotFound {
                missing: Missing::Lifecycle,
                ..
            }) => return Ok(Vec::new()),
            other => other?,
        };
        let rules: Option<Vec<_>> = found.rules().iter().map(rule).collect();
        rules.ok_or_else(|| call.lying("lifecycle rules that were not put here"))
    }

    pub(super) async fn set_bucket_lifecycle(
        &self,
        bucket: &UpstreamBucket,
        rules: &[LifecycleRule],
    ) -> Result<(), RegionError> {
        let call = Call::write("set_lifecycle", Missing::Bucket);
        if rules.is_empty() {
            return self.drop_bucket_lifecycle(call, bucket).await;
        }
        let rules: Result<Vec<SdkRule>, BuildError> = rules.iter().map(sdk_rule).collect();
        let wanted = rules
            .and_then(|rules| {
                let wanted = BucketLifecycleConfiguration::builder();
                wanted.set_rules(Some(rules)).build()
            })
            .map_err(|_| call.refused(400, "InvalidArgument"))?;
        until_done(&self.retries, || async {
            self.sdk
                .put_bucket_lifecycle_configuration()
                .bucket(bucket.as_str())
                .lifecycle_configuration(wanted.clone())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await?;
        Ok(())
    }

    async fn drop_bucket_lifecycle(
        &self,
        call: Call,
        bucket: &UpstreamBucket,
    ) -> Result<(), RegionError> {
        let dropped = until_done(&self.retries, || async {
            self.sdk
                .delete_bucket_lifecycle()
                .bucket(bucket.as_str())
                .send()
                .await
                .map_err(|error| from_sdk(call, error))
        })
        .await;
        match dropped {
            Err(RegionError::NotFound {
                missing: Missing::Lifecycle,
                ..
            }) => Ok(()),
            other => other.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::region::same_meaning;

    fn days(days: u32) -> NonZeroU32 {
        NonZeroU32::new(days).unwrap()
    }

    pub(super) fn of(id: &str, filter: RuleFilter) -> LifecycleRule {
        LifecycleRule {
            id: RuleId::new(id).unwrap(),
            enabled: true,
            filter,
            expiration: Some(Expiration::Days(days(3))),
            noncurrent: None,
            abort_uploads_days: None,
        }
    }

    #[test]
    fn rule_of_every_kind_comes_back_from_the_sdk_as_it_went() {
        let tag = |name: &str| (name.to_owned(), "v".to_owned());
        let all = AllOf {
            prefix: Some("p".to_owned()),
            tags: vec![tag("b"), tag("a")],
            larger_than: Some(1),
            smaller_than: Some(u64::from(u32::MAX) * 1_000),
        };
        let mut rules = vec![
            of("1", RuleFilter::RulePrefix("p".to_owned())),
            of("2", RuleFilter::All),
            of("3", RuleFilter::Prefix(String::new())),
            of("4", RuleFilter::Tag("a".to_owned(), String::new())),
            of("5", RuleFilter::LargerThan(0)),
            of("6", RuleFilter::SmallerThan(9)),
            of("7", RuleFilter::And(all)),
        ];
        rules[0].expiration = Some(Expiration::Date(UnixMs(86_400_000)));
        rules[1].expiration = Some(Expiration::DeleteMarkers(false));
        rules[2].enabled = false;
        rules[3].noncurrent = Some(NoncurrentExpiration {
            days: days(1),
            kept: Some(days(2)),
        });
        rules[4].expiration = None;
        rules[4].abort_uploads_days = Some(days(7));
        let back: Vec<_> = rules
            .iter()
            .map(|put| rule(&sdk_rule(put).unwrap()).unwrap())
            .collect();
        assert!(same_meaning(&rules, &back), "{back:#?}");
    }

    #[test]
    fn rule_with_a_transition_or_without_a_name_is_none_of_ours() {
        let sdk = sdk_rule(&of("1", RuleFilter::All)).unwrap();
        let mut moved = sdk.clone();
        moved.transitions = Some(vec![aws_sdk_s3::types::Transition::builder().build()]);
        let mut nameless = sdk;
        nameless.id = None;
        assert_eq!(rule(&moved), None);
        assert_eq!(rule(&nameless), None);
    }
}
