//! Length arithmetic of the stored body (`docs/format.md` §5): everything follows from the plaintext length.
//!
//! All functions are total: beyond [`PLAINTEXT_BYTES_MAX`] the forward ones saturate at `u64::MAX`.

/// Plaintext bytes of a full segment.
pub const SEGMENT_BYTES: u64 = 16_384;
/// Bytes of one AES-GCM tag.
pub const TAG_BYTES: u64 = 16;
/// Stored bytes of a full segment with its tag.
pub const SEALED_SEGMENT_BYTES: u64 = SEGMENT_BYTES + TAG_BYTES;
/// Bytes before a message's first segment: salt (24) and commitment (32).
pub const SALT_AND_COMMITMENT_BYTES: u64 = 56;
/// What a message adds to an empty plaintext: salt, commitment and the last segment's tag.
pub const MESSAGE_OVERHEAD_BYTES: u64 = SALT_AND_COMMITMENT_BYTES + TAG_BYTES;
/// Plaintext bytes below which a part can only be the last.
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// Highest part number, and the most parts of any object.
pub const PARTS_MAX: u64 = 10_000;
/// S3's largest object, 5 TiB of plaintext.
pub const PLAINTEXT_BYTES_MAX: u64 = 5 << 40;
/// Bytes before the part records in a trailer's plaintext.
pub const TRAILER_FIXED_BYTES: u64 = 160;
/// Bytes of one part record in a trailer's plaintext.
pub const PART_RECORD_BYTES: u64 = 128;

/// `enc(p)`: stored bytes of a message of `plaintext_bytes`.
#[must_use]
pub fn sealed_len(plaintext_bytes: u64) -> u64 {
    let tags = plaintext_bytes / SEGMENT_BYTES * TAG_BYTES;
    plaintext_bytes
        .saturating_add(tags)
        .saturating_add(MESSAGE_OVERHEAD_BYTES)
}

/// Inverse of [`sealed_len`]; `None` when no message has this length.
#[must_use]
pub fn plaintext_len_of_sealed(sealed: u64) -> Option<u64> {
    let segments = sealed.checked_sub(SALT_AND_COMMITMENT_BYTES)?;
    let full = segments / SEALED_SEGMENT_BYTES;
    let last = (segments % SEALED_SEGMENT_BYTES).checked_sub(TAG_BYTES)?;
    Some(full * SEGMENT_BYTES + last)
}

/// `n(P)`: the most parts that an object of `p` plaintext bytes can have.
#[must_use]
pub fn parts_max(p: u64) -> u64 {
    (p / PART_BYTES_MIN).min(PARTS_MAX - 1) + 1
}

/// `A(P)`: stored bytes before the trailer, parts and zero pad together.
#[must_use]
pub fn parts_area_len(p: u64) -> u64 {
    let tags = p / SEGMENT_BYTES * TAG_BYTES;
    p.saturating_add(tags)
        .saturating_add(MESSAGE_OVERHEAD_BYTES * parts_max(p))
}

/// `m(P)`: plaintext bytes of the trailer.
#[must_use]
pub fn trailer_plaintext_len(p: u64) -> u64 {
    TRAILER_FIXED_BYTES + PART_RECORD_BYTES * parts_max(p)
}

/// `enc(m(P))`: stored bytes of the trailer, the last of the body.
#[must_use]
pub fn trailer_len(p: u64) -> u64 {
    sealed_len(trailer_plaintext_len(p))
}

/// `C(P)`: stored bytes of the whole body; strictly increasing in `p`.
#[must_use]
pub fn stored_len(p: u64) -> u64 {
    parts_area_len(p).saturating_add(trailer_len(p))
}

/// Inverse of [`stored_len`]; `None` when no `p` up to [`PLAINTEXT_BYTES_MAX`] has this stored length.
#[must_use]
pub fn plaintext_len_of_stored(c: u64) -> Option<u64> {
    let (mut low, mut high) = (0, PLAINTEXT_BYTES_MAX.min(c));
    while low < high {
        let middle = low + (high - low) / 2;
        if stored_len(middle) < c {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    (stored_len(low) == c).then_some(low)
}

/// The stored bytes of one message that hold a plaintext range; positions count from the message's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSpan {
    /// First stored byte to read.
    pub stored_first: u64,
    /// Last stored byte to read, inclusive; may lie past the message's end until [`SegmentSpan::clamped`].
    pub stored_last: u64,
    /// First segment, as [`crate::Opener::at_span`] wants it.
    pub segment_first: u64,
    /// Last segment, inclusive.
    pub segment_last: u64,
    /// Opened bytes to drop before the range's first byte.
    pub skip_bytes: u64,
    /// Plaintext bytes of the range itself.
    pub plaintext_bytes: u64,
}

impl SegmentSpan {
    /// The same span, ending with the message when that has `message_plaintext_bytes`.
    ///
    /// A span that lies wholly behind the message comes back with `plaintext_bytes == 0`.
    #[must_use]
    pub fn clamped(self, message_plaintext_bytes: u64) -> Self {
        let first = self
            .segment_first
            .saturating_mul(SEGMENT_BYTES)
            .saturating_add(self.skip_bytes);
        let segment_last = self
            .segment_last
            .min(message_plaintext_bytes / SEGMENT_BYTES);
        Self {
            stored_last: self
                .stored_last
                .min(sealed_len(message_plaintext_bytes) - 1),
            segment_last,
            plaintext_bytes: self
                .plaintext_bytes
                .min(message_plaintext_bytes.saturating_sub(first)),
            ..self
        }
    }
}

/// The stored bytes that hold plaintext bytes `first..=last`, whatever the message's length; the caller clamps.
///
/// When `last < first` the span is that of the single byte `first` with `plaintext_bytes == 0`.
#[must_use]
pub fn segments_for_range(first: u64, last: u64) -> SegmentSpan {
    let segment_first = first / SEGMENT_BYTES;
    let segment_last = last.max(first) / SEGMENT_BYTES;
    let start_of = |segment: u64| {
        segment
            .saturating_mul(SEALED_SEGMENT_BYTES)
            .saturating_add(SALT_AND_COMMITMENT_BYTES)
    };
    SegmentSpan {
        stored_first: start_of(segment_first),
        stored_last: start_of(segment_last + 1).saturating_sub(1),
        segment_first,
        segment_last,
        skip_bytes: first % SEGMENT_BYTES,
        plaintext_bytes: if last < first {
            0
        } else {
            (last - first).saturating_add(1)
        },
    }
}
