//! Lifecycle rules as stores have them: what goes by itself, and when. Sizes are in the terms of whoever holds the rules: plaintext
//! where a tenant put them, stored bytes where a store carries them out.

use crate::clock::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const ID_CHARS_MAX: usize = 255;

/// A rule's name: 1 to 255 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(String);

impl RuleId {
    /// The name of this text; `None` when it is empty or too long.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.chars().count() <= ID_CHARS_MAX;
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What objects a rule is for, in the form in which it was put: each has a form of its own in S3's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum RuleFilter {
    /// `<Prefix>` in the rule itself, as before there were filters.
    RulePrefix(String),
    /// `<Filter/>`: all objects.
    All,
    /// `<Filter><Prefix>`.
    Prefix(String),
    /// `<Filter><Tag>`: name and value.
    Tag(String, String),
    /// `<Filter><ObjectSizeGreaterThan>`.
    LargerThan(u64),
    /// `<Filter><ObjectSizeLessThan>`.
    SmallerThan(u64),
    /// `<Filter><And>`.
    And(AllOf),
}

/// Conditions of which all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllOf {
    /// What the key begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Tags that the object has, beside others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
    /// Bytes that the object has more than.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub larger_than: Option<u64>,
    /// Bytes that the object has less than.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smaller_than: Option<u64>,
}

impl RuleFilter {
    /// What it says, whatever its form.
    #[must_use]
    pub fn conditions(&self) -> AllOf {
        let all = AllOf::default();
        match self.clone() {
            Self::All => all,
            Self::RulePrefix(prefix) | Self::Prefix(prefix) => AllOf {
                prefix: Some(prefix).filter(|prefix| !prefix.is_empty()),
                ..all
            },
            Self::Tag(name, value) => AllOf {
                tags: vec![(name, value)],
                ..all
            },
            Self::LargerThan(bytes) => AllOf {
                larger_than: Some(bytes),
                ..all
            },
            Self::SmallerThan(bytes) => AllOf {
                smaller_than: Some(bytes),
                ..all
            },
            Self::And(mut all) => {
                all.prefix = all.prefix.filter(|prefix| !prefix.is_empty());
                all.tags.sort();
                all
            }
        }
    }

    /// The filter with its sizes mapped.
    #[must_use]
    pub fn with_sizes(&self, map: impl Fn(u64) -> u64) -> Self {
        match self {
            Self::LargerThan(bytes) => Self::LargerThan(map(*bytes)),
            Self::SmallerThan(bytes) => Self::SmallerThan(map(*bytes)),
            Self::And(all) => Self::And(AllOf {
                larger_than: all.larger_than.map(&map),
                smaller_than: all.smaller_than.map(&map),
                ..all.clone()
            }),
            other => other.clone(),
        }
    }
}

impl AllOf {
    /// Whether an object is one of those that it selects.
    #[must_use]
    pub fn selects(&self, key: &str, bytes: u64, tags: &[(String, String)]) -> bool {
        self.prefix.as_deref().is_none_or(|p| key.starts_with(p))
            && self.larger_than.is_none_or(|bound| bytes > bound)
            && self.smaller_than.is_none_or(|bound| bytes < bound)
            && self.tags.iter().all(|tag| tags.contains(tag))
    }
}

/// When current objects go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiration {
    /// At the midnight (UTC) after so many days.
    Days(NonZeroU32),
    /// All of them, from this midnight (UTC) on.
    Date(UnixMs),
    /// Whether delete markers go that have no versions below them; objects stay.
    DeleteMarkers(bool),
}

/// When versions go that are not current any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoncurrentExpiration {
    /// Days since they are not current.
    pub days: NonZeroU32,
    /// So many of the newest of them stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<NonZeroU32>,
}

/// One rule
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifecycleRule {
    /// Its name.
    pub id: RuleId,
    /// Whether it is carried out.
    pub enabled: bool,
    /// On what.
    pub filter: RuleFilter,
    /// When current objects go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Expiration>,
    /// When other versions go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noncurrent: Option<NoncurrentExpiration>,
    /// After how many days uploads that nobody completed go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_uploads_days: Option<NonZeroU32>,
}

/// What a rule may ask of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each is said by its `Display`")]
pub enum RuleKind {
    ExpirationDays,
    ExpirationDate,
    ExpiredDeleteMarkers,
    NoncurrentDays,
    NoncurrentKept,
    AbortedUploads,
    Tags,
    Sizes,
}

impl RuleKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::ExpirationDays,
        Self::ExpirationDate,
        Self::ExpiredDeleteMarkers,
        Self::NoncurrentDays,
        Self::NoncurrentKept,
        Self::AbortedUploads,
        Self::Tags,
        Self::Sizes,
    ];

    /// All of them.
    #[must_use]
    pub fn all() -> BTreeSet<Self> {
        Self::ALL.into()
    }
}

impl fmt::Display for RuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExpirationDays => "Expiration with Days",
            Self::ExpirationDate => "Expiration with a Date",
            Self::ExpiredDeleteMarkers => "Expiration with ExpiredObjectDeleteMarker",
            Self::NoncurrentDays => "NoncurrentVersionExpiration",
            Self::NoncurrentKept => "NoncurrentVersionExpiration with NewerNoncurrentVersions",
            Self::AbortedUploads => "AbortIncompleteMultipartUpload",
            Self::Tags => "filters by tags",
            Self::Sizes => "filters by object sizes",
        })
    }
}

impl LifecycleRule {
    /// What it asks of a store.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<RuleKind> {
        let conditions = self.filter.conditions();
        let sizes = conditions.larger_than.is_some() || conditions.smaller_than.is_some();
        let noncurrent = self.noncurrent.as_ref();
        let expiration = |is: fn(&Expiration) -> bool| self.expiration.as_ref().is_some_and(is);
        RuleKind::ALL
            .into_iter()
            .filter(|kind| match kind {
                RuleKind::ExpirationDays => expiration(|e| matches!(e, Expiration::Days(_))),
                RuleKind::ExpirationDate => expiration(|e| matches!(e, Expiration::Date(_))),
                RuleKind::ExpiredDeleteMarkers => {
                    expiration(|e| matches!(e, Expiration::DeleteMarkers(_)))
                }
                RuleKind::NoncurrentDays => noncurrent.is_some(),
                RuleKind::NoncurrentKept => noncurrent.is_some_and(|n| n.kept.is_some()),
                RuleKind::AbortedUploads => self.abort_uploads_days.is_some(),
                RuleKind::Tags => !conditions.tags.is_empty(),
                RuleKind::Sizes => sizes,
            })
            .collect()
    }

    /// The rule with the sizes of its filter mapped.
    #[must_use]
    pub fn with_sizes(&self, map: impl Fn(u64) -> u64) -> Self {
        Self {
            filter: self.filter.with_sizes(map),
            ..self.clone()
        }
    }

    /// Whether a current object goes at `now` that was written at `modified`; what the rule selects is another question.
    #[must_use]
    pub fn expires(&self, modified: UnixMs, now: UnixMs) -> bool {
        self.enabled
            && match self.expiration {
                Some(Expiration::Days(days)) => now >= due(modified, days),
                Some(Expiration::Date(date)) => now >= date,
                Some(Expiration::DeleteMarkers(_)) | None => false,
            }
    }

    /// Whether an upload goes at `now` that was begun at `begun`.
    #[must_use]
    pub fn aborts(&self, begun: UnixMs, now: UnixMs) -> bool {
        self.enabled
            && self
                .abort_uploads_days
                .is_some_and(|days| now >= due(begun, days))
    }
}

/// The midnight (UTC) at or after so many days, as S3 rounds.
fn due(since: UnixMs, days: NonZeroU32) -> UnixMs {
    let exact = since.0.saturating_add(i64::from(days.get()) * DAY_MS);
    let midnight = exact.div_euclid(DAY_MS) * DAY_MS;
    match midnight == exact {
        true => UnixMs(exact),
        false => UnixMs(midnight.saturating_add(DAY_MS)),
    }
}

/// Whether a time is a midnight (UTC).
#[must_use]
pub fn is_midnight(time: UnixMs) -> bool {
    time.0.rem_euclid(DAY_MS) == 0
}

/// Whether two lists of rules ask for the same, in whatever order and form.
#[must_use]
pub fn same_meaning(some: &[LifecycleRule], others: &[LifecycleRule]) -> bool {
    let meaning = |rules: &[LifecycleRule]| {
        let mut rules: Vec<LifecycleRule> = rules
            .iter()
            .map(|rule| LifecycleRule {
                filter: RuleFilter::And(rule.filter.conditions()),
                ..rule.clone()
            })
            .collect();
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        rules
    };
    some.len() == others.len() && meaning(some) == meaning(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(filter: RuleFilter) -> LifecycleRule {
        LifecycleRule {
            id: RuleId::new("r").unwrap(),
            enabled: true,
            filter,
            expiration: Some(Expiration::Days(NonZeroU32::new(2).unwrap())),
            noncurrent: None,
            abort_uploads_days: NonZeroU32::new(1),
        }
    }

    #[test]
    fn days_end_at_the_next_midnight() {
        let rule = rule(RuleFilter::All);
        let written = UnixMs(10 * DAY_MS + 1);
        let expires_at = |now| rule.expires(written, UnixMs(now));
        assert!(!expires_at(13 * DAY_MS - 1));
        assert!(expires_at(13 * DAY_MS));
        assert!(rule.expires(UnixMs(10 * DAY_MS), UnixMs(12 * DAY_MS)));
        assert!(!rule.aborts(written, UnixMs(12 * DAY_MS - 1)));
        assert!(rule.aborts(written, UnixMs(12 * DAY_MS)));
        let disabled = LifecycleRule {
            enabled: false,
            ..rule
        };
        assert!(!disabled.expires(written, UnixMs(i64::MAX)));
        assert!(!disabled.aborts(written, UnixMs(i64::MAX)));
        assert_eq!(due(UnixMs(i64::MAX), NonZeroU32::MAX).0, i64::MAX);
    }

    #[test]
    fn filter_selects_what_all_its_conditions_hold_for() {
        let tag = |name: &str| (name.to_owned(), "x".to_owned());
        let all = AllOf {
            prefix: Some("a/".to_owned()),
            tags: vec![tag("t")],
            larger_than: Some(10),
            smaller_than: Some(20),
        };
        let tags = [tag("t"), tag("u")];
        assert!(all.selects("a/b", 11, &tags));
        assert!(all.selects("a/b", 19, &tags));
        for (key, bytes, tags) in [
            ("b/a/", 11, &tags[..]),
            ("a/b", 10, &tags),
            ("a/b", 20, &tags),
            ("a/b", 11, &tags[1..]),
        ] {
            assert!(!all.selects(key, bytes, tags), "{key} {bytes} {tags:?}");
        }
    }

    #[test]
    fn meaning_is_the_same_in_every_form_and_order() {
        let forms = [
            rule(RuleFilter::RulePrefix("a".to_owned())),
            rule(RuleFilter::Prefix("a".to_owned())),
            rule(RuleFilter::And(AllOf {
                prefix: Some("a".to_owned()),
                ..AllOf::default()
            })),
        ];
        for form in &forms {
            assert!(same_meaning(&forms[..1], std::slice::from_ref(form)));
        }
        let mut second = rule(RuleFilter::All);
        second.id = RuleId::new("s").unwrap();
        let pair = [forms[0].clone(), second.clone()];
        assert!(same_meaning(&pair, &[second, forms[1].clone()]));
        let bare = rule(RuleFilter::All);
        assert!(!same_meaning(&forms[..1], std::slice::from_ref(&bare)));
        assert!(!same_meaning(&forms[..1], &[]));
        let disabled = LifecycleRule {
            enabled: false,
            ..bare.clone()
        };
        assert!(!same_meaning(&[bare], &[disabled]));
    }
}
