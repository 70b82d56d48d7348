//! Byte ranges of a plaintext, as clients ask for them (RFC 9110 §14).

/// One range as asked for, before the length is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// From `first` to `last` (inclusive), or to the end.
    From {
        /// The first byte.
        first: u64,
        /// The last byte; never below `first`.
        last: Option<u64>,
    },
    /// The last so many bytes.
    Suffix {
        /// How many.
        bytes: u64,
    },
}

/// A range within a length: both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedRange {
    /// The first byte.
    pub first: u64,
    /// The last byte; below the length and never below `first`.
    pub last: u64,
}

impl ResolvedRange {
    /// How many bytes the range has; never 0.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.last - self.first + 1
    }
}

/// No byte of the object is in the range (416).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the range has no byte of the object's {plaintext_bytes}")]
pub struct Unsatisfiable {
    /// The object's length.
    pub plaintext_bytes: u64,
}

impl RangeSpec {
    /// The range within an object of `plaintext_bytes`.
    ///
    /// # Errors
    /// [`Unsatisfiable`] when it begins past the end, when it is a suffix of 0 bytes, and always for an empty object.
    pub fn resolve(self, plaintext_bytes: u64) -> Result<ResolvedRange, Unsatisfiable> {
        let unsatisfiable = Unsatisfiable { plaintext_bytes };
        let end = plaintext_bytes.checked_sub(1).ok_or(unsatisfiable)?;
        match self {
            Self::From { first, .. } if first > end => Err(unsatisfiable),
            Self::From { first, last } => Ok(ResolvedRange {
                first,
                last: last.unwrap_or(end).min(end).max(first),
            }),
            Self::Suffix { bytes: 0 } => Err(unsatisfiable),
            Self::Suffix { bytes } => Ok(ResolvedRange {
                first: plaintext_bytes.saturating_sub(bytes),
                last: end,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn from(first: u64, last: Option<u64>) -> RangeSpec {
        RangeSpec::From { first, last }
    }

    #[test]
    fn range_past_the_end_is_clamped_or_unsatisfiable() {
        let all = ResolvedRange { first: 0, last: 9 };
        assert_eq!(from(0, None).resolve(10), Ok(all));
        assert_eq!(from(0, Some(99)).resolve(10), Ok(all));
        assert_eq!(RangeSpec::Suffix { bytes: 99 }.resolve(10), Ok(all));
        assert_eq!(from(9, None).resolve(10).map(ResolvedRange::bytes), Ok(1));
        let no = Err(Unsatisfiable {
            plaintext_bytes: 10,
        });
        assert_eq!(from(10, None).resolve(10), no);
        assert_eq!(RangeSpec::Suffix { bytes: 0 }.resolve(10), no);
    }

    #[test]
    fn empty_object_has_no_range() {
        let no = Err(Unsatisfiable { plaintext_bytes: 0 });
        assert_eq!(from(0, None).resolve(0), no);
        assert_eq!(RangeSpec::Suffix { bytes: 5 }.resolve(0), no);
    }

    proptest! {
        #[test]
        fn resolved_range_lies_in_the_object(first: u64, extra in proptest::option::of(any::<u64>()), length: u64) {
            let spec = from(first, extra.map(|e| first.saturating_add(e)));
            if let Ok(range) = spec.resolve(length) {
                prop_assert!(range.first == first && range.first <= range.last && range.last < length);
            } else {
                prop_assert!(first >= length);
            }
        }

        #[test]
        fn suffix_has_as_many_bytes_as_asked_or_all(bytes in 1u64.., length in 1u64..) {
            let range = RangeSpec::Suffix { bytes }.resolve(length).unwrap();
            prop_assert_eq!(range.bytes(), bytes.min(length));
            prop_assert_eq!(range.last, length - 1);
        }
    }
}
