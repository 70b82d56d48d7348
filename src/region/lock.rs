//! Object lock as stores have it: what keeps a version from being deleted.

use crate::clock::UnixMs;

/// Who may shorten or lift a retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Whoever asks to bypass it and may.
    Governance,
    /// Nobody.
    Compliance,
}

impl LockMode {
    /// S3's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    /// The mode of S3's word, which is in capitals.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Governance, Self::Compliance]
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }
}

/// How long a version is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Who may shorten it.
    pub mode: LockMode,
    /// The version can't be deleted before.
    pub until: UnixMs,
}

/// What one version in a bucket with object lock has or is to have; what is absent is left to the bucket's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectLock {
    /// Until when it is kept.
    pub retention: Option<Retention>,
    /// Whether it is kept whatever the time.
    pub legal_hold: Option<bool>,
}

impl ObjectLock {
    /// Whether a version with this lock can't be deleted at `now`.
    #[must_use]
    pub fn holds_at(&self, now: UnixMs) -> bool {
        self.legal_hold == Some(true)
            || self
                .retention
                .is_some_and(|retention| retention.until > now)
    }
}

/// How long a bucket's new versions are kept, counted from their creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionPeriod {
    /// Days.
    Days(u32),
    /// Years.
    Years(u32),
}

/// What new versions get that ask for nothing themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRetention {
    /// Who may shorten it.
    pub mode: LockMode,
    /// For how long.
    pub period: RetentionPeriod,
}

/// The configuration of a bucket that has object lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockConfiguration {
    /// The default retention; none when absent.
    pub default: Option<DefaultRetention>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_held_by_a_legal_hold_or_until_its_date() {
        let retained = |until| ObjectLock {
            retention: Some(Retention {
                mode: LockMode::Governance,
                until: UnixMs(until),
            }),
            legal_hold: Some(false),
        };
        let now = UnixMs(1_000);
        assert!(retained(1_001).holds_at(now));
        assert!(!retained(1_000).holds_at(now));
        assert!(!ObjectLock::default().holds_at(now));
        let hold = ObjectLock {
            legal_hold: Some(true),
            ..retained(0)
        };
        assert!(hold.holds_at(now));
    }

    #[test]
    fn mode_in_small_letters_is_none() {
        assert_eq!(LockMode::parse("COMPLIANCE"), Some(LockMode::Compliance));
        assert_eq!(LockMode::parse("governance"), None);
    }
}
