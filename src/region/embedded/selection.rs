//! Lifecycle rules arranged so that one pass over a bucket does for all of them: by the prefixes of keys, at one moment.

use super::super::{AllOf, LifecycleRule};
use super::rows::TxError;
use crate::clock::UnixMs;

/// Tags as a head has them.
type Tags = Vec<(String, String)>;

/// What the rules of a bucket let go at one moment, of its objects or of its uploads.
pub(super) struct Selection {
    /// In the order of their prefixes.
    groups: Vec<Group>,
    age: fn(&LifecycleRule, UnixMs, UnixMs) -> bool,
    now: UnixMs,
}

/// The rules of one prefix.
struct Group {
    prefix: String,
    /// The group of the longest prefix that this prefix begins with.
    within: Option<usize>,
    rules: Vec<(LifecycleRule, AllOf)>,
}

impl Selection {
    /// Of objects.
    pub(super) fn of_objects(rules: &[LifecycleRule], now: UnixMs) -> Self {
        let expiring = rules.iter().filter(|rule| rule.expiration.is_some());
        Self::new(expiring, LifecycleRule::expires, now)
    }

    /// Of uploads: none has a size or tags that a rule could go by.
    pub(super) fn of_uploads(rules: &[LifecycleRule], now: UnixMs) -> Self {
        let aborting = rules
            .iter()
            .filter(|rule| rule.abort_uploads_days.is_some());
        Self::new(aborting, LifecycleRule::aborts, now)
    }

    fn new<'a>(
        rules: impl Iterator<Item = &'a LifecycleRule>,
        age: fn(&LifecycleRule, UnixMs, UnixMs) -> bool,
        now: UnixMs,
    ) -> Self {
        let mut rules: Vec<(LifecycleRule, AllOf)> = rules
            .filter(|rule| rule.enabled)
            .map(|rule| (rule.clone(), rule.filter.conditions()))
            .collect();
        rules.sort_by(|(_, a), (_, b)| a.prefix.cmp(&b.prefix));
        let mut groups: Vec<Group> = Vec::new();
        for (rule, conditions) in rules {
            let prefix = conditions.prefix.clone().unwrap_or_default();
            match groups.last_mut() {
                Some(last) if last.prefix == prefix => last.rules.push((rule, conditions)),
                _ => {
                    let mut within = groups.len().checked_sub(1);
                    while let Some(outer) = within.and_then(|index| groups.get(index)) {
                        if prefix.starts_with(&outer.prefix) {
                            break;
                        }
                        within = outer.within;
                    }
                    groups.push(Group {
                        prefix,
                        within,
                        rules: vec![(rule, conditions)],
                    });
                }
            }
        }
        Self { groups, age, now }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The prefixes in order, without those that lie within another: whatever is selected lies below exactly one of them.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &str> {
        let outermost = self.groups.iter().filter(|group| group.within.is_none());
        outermost.map(|group| group.prefix.as_str())
    }

    /// Whether a rule lets go of what has this key and size, and was written or begun `since`. `tags` is asked at most once, and only
    /// where a rule goes by tags.
    pub(super) fn lets_go(
        &self,
        key: &str,
        stored_bytes: u64,
        since: UnixMs,
        tags: impl FnOnce() -> Result<Tags, TxError>,
    ) -> Result<bool, TxError> {
        let (mut unread, mut read) = (Some(tags), Tags::new());
        for (rule, conditions) in self.below(key) {
            if !(self.age)(rule, since, self.now) {
                continue;
            }
            if !conditions.tags.is_empty()
                && let Some(tags) = unread.take()
            {
                read = tags()?;
            }
            if conditions.selects(key, stored_bytes, &read) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The rules whose prefix the key begins with. Whatever lies between such a prefix and the key begins with that prefix too, so
    /// all of them are found outwards from the last prefix that is not above the key.
    fn below(&self, key: &str) -> impl Iterator<Item = &(LifecycleRule, AllOf)> {
        let last = self
            .groups
            .partition_point(|group| group.prefix.as_str() <= key)
            .checked_sub(1)
            .and_then(|index| self.groups.get(index));
        std::iter::successors(last, |group| group.within.and_then(|i| self.groups.get(i)))
            .filter(move |group| key.starts_with(&group.prefix))
            .flat_map(|group| &group.rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::{Expiration, RuleFilter, RuleId};
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    const DAY_MS: i64 = 24 * 60 * 60 * 1000;

    fn text() -> impl Strategy<Value = String> {
        // Few characters, so that prefixes lie within each other; one of them of more bytes than one.
        prop::collection::vec(prop::sample::select(vec!['a', 'b', 'ü']), 0..5)
            .prop_map(String::from_iter)
    }

    fn tags() -> impl Strategy<Value = Tags> {
        let tag = (
            prop::sample::select(vec!["s", "t"]),
            prop::sample::select(vec!["1", "2"]),
        );
        prop::collection::vec(tag.prop_map(|(n, v)| (n.to_owned(), v.to_owned())), 0..2)
    }

    fn rule() -> impl Strategy<Value = LifecycleRule> {
        let conditions = (
            prop::option::of(text()),
            tags(),
            prop::option::of(0_u64..4),
            prop::option::of(0_u64..4),
        );
        let ends = (any::<bool>(), prop::option::of(1_u32..4), 0_u32..4);
        (conditions, ends).prop_map(|((prefix, tags, larger_than, smaller_than), ends)| {
            let (enabled, days, abort_days) = ends;
            let days = days.and_then(NonZeroU32::new);
            LifecycleRule {
                id: RuleId::new("r").unwrap(),
                enabled,
                filter: RuleFilter::And(AllOf {
                    prefix,
                    tags,
                    larger_than,
                    smaller_than,
                }),
                expiration: days.map(Expiration::Days),
                noncurrent: None,
                abort_uploads_days: NonZeroU32::new(abort_days),
            }
        })
    }

    proptest! {
        #[test]
        fn selection_lets_go_what_any_rule_by_itself_does(
            rules in prop::collection::vec(rule(), 0..12),
            key in text(),
            bytes in 0_u64..4,
            tags in tags(),
            days in 0_i64..5,
        ) {
            let (since, now) = (UnixMs(0), UnixMs(days * DAY_MS));
            let any = |bytes, tags: &Tags, ends: fn(&LifecycleRule, UnixMs, UnixMs) -> bool| {
                rules.iter().any(|rule| {
                    ends(rule, since, now) && rule.filter.conditions().selects(&key, bytes, tags)
                })
            };
            let objects = Selection::of_objects(&rules, now);
            let found = objects.lets_go(&key, bytes, since, || Ok(tags.clone())).unwrap();
            prop_assert_eq!(found, any(bytes, &tags, LifecycleRule::expires));
            let below = objects.prefixes().filter(|prefix| key.starts_with(prefix)).count();
            prop_assert!(below <= 1 && (below == 1 || !found));
            let uploads = Selection::of_uploads(&rules, now);
            let found = uploads.lets_go(&key, 0, since, || Ok(Tags::new())).unwrap();
            prop_assert_eq!(found, any(0, &Tags::new(), LifecycleRule::aborts));
        }
    }
}
