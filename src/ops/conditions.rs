//! Conditional requests: what a client asked for, and whether it holds (RFC 9110 §13, evaluated in the order of §13.2.2).
//!
//! Tags are compared in the client's form. Reads evaluate them on the very answer that they serve; writes carry one
//! [`WriteCondition`] upstream, which enforces it atomically.

use super::etag::ClientEtag;
use crate::clock::UnixMs;
use crate::region::PutCondition;

/// One entity tag of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    /// Marked `W/`: equal only by weak comparison.
    pub weak: bool,
    /// The tag itself.
    pub tag: ClientEtag,
}

/// The tags of one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: any object that is there.
    Any,
    /// Any of these; an empty list matches nothing.
    List(Vec<EntityTag>),
}

impl EntityTags {
    /// Strong comparison (RFC 9110 §8.8.3.2): our tags are strong, so weak ones never match.
    #[must_use]
    pub fn matches_strongly(&self, current: &ClientEtag) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|t| !t.weak && t.tag == *current),
        }
    }

    /// Weak comparison (RFC 9110 §8.8.3.2).
    #[must_use]
    pub fn matches_weakly(&self, current: &ClientEtag) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|t| t.tag == *current),
        }
    }
}

/// `If-Range`: the range counts only if this still holds (RFC 9110 §13.1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfRange {
    /// The object's tag, compared strongly.
    Tag(EntityTag),
    /// Exactly this modification time, in seconds of the Unix epoch.
    Date(i64),
    /// Not readable: never holds, so the whole object is sent.
    Unreadable,
}

/// What a condition is evaluated against.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The object's tag as clients see it.
    pub etag: &'a ClientEtag,
    /// When the object was written.
    pub last_modified: UnixMs,
}

impl Validators<'_> {
    /// HTTP dates have seconds, so times are compared in them.
    fn last_modified_s(&self) -> i64 {
        self.last_modified.0.div_euclid(1000)
    }
}

/// What a read does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer as if there were no condition.
    Proceed,
    /// 304, without a body.
    NotModified,
    /// 412.
    PreconditionFailed,
}

/// The conditions of a GET or HEAD. Times are in seconds of the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// `If-Match`.
    pub if_match: Option<EntityTags>,
    /// `If-None-Match`.
    pub if_none_match: Option<EntityTags>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<i64>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<i64>,
    /// `If-Range`.
    pub if_range: Option<IfRange>,
}

impl ReadConditions {
    /// Whether the object that is being answered with satisfies the conditions (RFC 9110 §13.2.2; `If-Range` apart).
    #[must_use]
    pub fn evaluate(&self, current: Validators<'_>) -> Verdict {
        if let Some(tags) = &self.if_match {
            if !tags.matches_strongly(current.etag) {
                return Verdict::PreconditionFailed;
            }
        } else if let Some(since) = self.if_unmodified_since
            && current.last_modified_s() > since
        {
            return Verdict::PreconditionFailed;
        }
        if let Some(tags) = &self.if_none_match {
            if tags.matches_weakly(current.etag) {
                return Verdict::NotModified;
            }
        } else if let Some(since) = self.if_modified_since
            && current.last_modified_s() <= since
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Whether a `Range` counts, or the whole object is sent instead (RFC 9110 §13.1.5).
    #[must_use]
    pub fn range_applies(&self, current: Validators<'_>) -> bool {
        match &self.if_range {
            None => true,
            Some(IfRange::Tag(tag)) => !tag.weak && tag.tag == *current.etag,
            Some(IfRange::Date(date)) => current.last_modified_s() == *date,
            Some(IfRange::Unreadable) => false,
        }
    }
}

/// The conditions on a copy's source (`x-amz-copy-source-if-*`): a source that fails any of them is 412.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopySourceConditions(pub ReadConditions);

impl CopySourceConditions {
    /// Whether the source may be copied.
    #[must_use]
    pub fn hold(&self, source: Validators<'_>) -> bool {
        self.0.evaluate(source) == Verdict::Proceed
    }
}

/// What must hold when a write takes effect: what one upstream request can enforce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WriteCondition {
    /// Nothing.
    #[default]
    Always,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match: *`.
    Present,
    /// `If-Match` with one tag.
    Matches(ClientEtag),
}

impl WriteCondition {
    /// The condition as the region enforces it; `None` when no stored object can have the tag, so that the write fails with
    /// 412 (or 404) without asking.
    #[must_use]
    pub fn upstream(&self) -> Option<PutCondition> {
        Some(match self {
            Self::Always => PutCondition::Always,
            Self::Absent => PutCondition::Absent,
            Self::Present => PutCondition::Present,
            Self::Matches(tag) => PutCondition::Matches(tag.to_upstream()?.to_owned()),
        })
    }

    /// Whether the client asked for anything: such writes need an upstream where they are atomic.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        *self != Self::Always
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(list: &[&str]) -> Option<EntityTags> {
        Some(EntityTags::List(
            list.iter()
                .map(|t| EntityTag {
                    weak: t.starts_with("W/"),
                    tag: ClientEtag::from_client(t.trim_start_matches("W/")),
                })
                .collect(),
        ))
    }

    fn verdict(conditions: &ReadConditions) -> Verdict {
        let etag = ClientEtag::from_client("a-1");
        conditions.evaluate(Validators {
            etag: &etag,
            last_modified: UnixMs(100_999),
        })
    }

    #[test]
    fn if_match_compares_strongly_and_over_lists() {
        let with = |if_match| ReadConditions {
            if_match,
            ..ReadConditions::default()
        };
        assert_eq!(verdict(&with(tags(&["b-1", "a-1"]))), Verdict::Proceed);
        assert_eq!(verdict(&with(Some(EntityTags::Any))), Verdict::Proceed);
        for failing in [tags(&["b-1"]), tags(&["W/a-1"]), tags(&[])] {
            assert_eq!(verdict(&with(failing)), Verdict::PreconditionFailed);
        }
    }

    #[test]
    fn if_none_match_compares_weakly_and_over_lists() {
        let with = |if_none_match| ReadConditions {
            if_none_match,
            ..ReadConditions::default()
        };
        for same in [
            tags(&["b-1", "a-1"]),
            tags(&["W/a-1"]),
            Some(EntityTags::Any),
        ] {
            assert_eq!(verdict(&with(same)), Verdict::NotModified);
        }
        assert_eq!(verdict(&with(tags(&["b-1"]))), Verdict::Proceed);
    }

    #[test]
    fn dates_are_compared_in_seconds() {
        let with = |modified, unmodified| ReadConditions {
            if_modified_since: modified,
            if_unmodified_since: unmodified,
            ..ReadConditions::default()
        };
        assert_eq!(verdict(&with(Some(100), None)), Verdict::NotModified);
        assert_eq!(verdict(&with(Some(99), None)), Verdict::Proceed);
        assert_eq!(verdict(&with(None, Some(100))), Verdict::Proceed);
        assert_eq!(verdict(&with(None, Some(99))), Verdict::PreconditionFailed);
    }

    #[test]
    fn tags_take_precedence_over_dates() {
        let both = ReadConditions {
            if_match: tags(&["a-1"]),
            if_unmodified_since: Some(1),
            ..ReadConditions::default()
        };
        assert_eq!(verdict(&both), Verdict::Proceed);
        let both = ReadConditions {
            if_none_match: tags(&["b-1"]),
            if_modified_since: Some(100),
            ..ReadConditions::default()
        };
        assert_eq!(verdict(&both), Verdict::Proceed);
    }

    #[test]
    fn a_failed_if_match_wins_over_not_modified() {
        let both = ReadConditions {
            if_match: tags(&["b-1"]),
            if_none_match: tags(&["a-1"]),
            ..ReadConditions::default()
        };
        assert_eq!(verdict(&both), Verdict::PreconditionFailed);
    }

    #[test]
    fn if_range_holds_for_the_same_object_only() {
        let etag = ClientEtag::from_client("a-1");
        let current = Validators {
            etag: &etag,
            last_modified: UnixMs(100_999),
        };
        let tag = |weak, text: &str| {
            Some(IfRange::Tag(EntityTag {
                weak,
                tag: ClientEtag::from_client(text),
            }))
        };
        for (if_range, applies) in [
            (None, true),
            (tag(false, "a-1"), true),
            (tag(true, "a-1"), false),
            (tag(false, "b-1"), false),
            (Some(IfRange::Date(100)), true),
            (Some(IfRange::Date(101)), false),
            (Some(IfRange::Unreadable), false),
        ] {
            let conditions = ReadConditions {
                if_range,
                ..ReadConditions::default()
            };
            assert_eq!(conditions.range_applies(current), applies, "{conditions:?}");
        }
    }

    #[test]
    fn copy_source_that_is_not_modified_is_refused() {
        let etag = ClientEtag::from_client("a-1");
        let source = Validators {
            etag: &etag,
            last_modified: UnixMs(0),
        };
        let conditions = CopySourceConditions(ReadConditions {
            if_none_match: tags(&["a-1"]),
            ..ReadConditions::default()
        });
        assert!(!conditions.hold(source));
        assert!(CopySourceConditions::default().hold(source));
    }

    #[test]
    fn write_condition_maps_its_tag_upstream() {
        let given_out = WriteCondition::Matches(ClientEtag::from_client("abc-1"));
        assert_eq!(
            given_out.upstream(),
            Some(PutCondition::Matches("abc".into()))
        );
        let foreign = WriteCondition::Matches(ClientEtag::from_client("abc"));
        assert_eq!(foreign.upstream(), None);
    }
}
