//! The length arithmetic, over layouts of up to 10,000 parts.

use lethe_envelope::layout::*;
use lethe_envelope::{Dek, Engine, ObjectId, PartRecord, TenantId, Trailer};
use proptest::prelude::*;

/// Lengths near every place where the arithmetic has a step, and lengths anywhere.
fn plaintext_bytes() -> impl Strategy<Value = u64> {
    let near = |step: u64, times: u64| {
        (0..=times, -2..=2_i64)
            .prop_map(move |(n, offset)| (n * step).saturating_add_signed(offset))
    };
    prop_oneof![
        0..200_u64,
        near(SEGMENT_BYTES, 1 << 20),
        near(PART_BYTES_MIN, 10_050),
        0..=PLAINTEXT_BYTES_MAX,
    ]
    .prop_map(|bytes| bytes.min(PLAINTEXT_BYTES_MAX))
}

/// Plaintext lengths of an object's parts: all but the last at least 5 MiB.
fn part_lengths() -> impl Strategy<Value = Vec<u64>> {
    let not_last = prop_oneof![
        4 => Just(PART_BYTES_MIN),
        2 => PART_BYTES_MIN..PART_BYTES_MIN + 3 * SEGMENT_BYTES,
        1 => PART_BYTES_MIN..64 << 20,
    ];
    let count = prop_oneof![0..20_usize, 9_990..=9_999_usize];
    let last = prop_oneof![
        Just(0),
        1..100_u64,
        0..PART_BYTES_MIN,
        PART_BYTES_MIN..64 << 20
    ];
    (
        count.prop_flat_map(move |count| prop::collection::vec(not_last.clone(), count)),
        last,
    )
        .prop_map(|(mut lengths, last)| {
            lengths.push(last);
            lengths
        })
}

fn trailer_of(lengths: &[u64], stride: u16) -> Trailer {
    let parts = lengths
        .iter()
        .zip(1_u16..)
        .map(|(&plaintext_bytes, index)| PartRecord {
            // Gaps in the numbering as far as 10,000 leaves room.
            number: index + stride.min(10_000 - lengths.len() as u16),
            checksum: None,
            plaintext_bytes,
            salt: [index as u8; 24],
            commitment: [(index >> 8) as u8; 32],
        })
        .collect();
    Trailer::new(ObjectId::from_bytes([1; 16]), None, parts).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn stored_len_any_plaintext_length_inverts(p in plaintext_bytes()) {
        prop_assert_eq!(plaintext_len_of_stored(stored_len(p)), Some(p));
        prop_assert_eq!(plaintext_len_of_sealed(sealed_len(p)), Some(p));
        prop_assert!(stored_len(p) < stored_len(p + 1));
        prop_assert_eq!(stored_len(p), parts_area_len(p) + trailer_len(p));
    }

    #[test]
    fn stored_len_no_other_length_is_taken_for_one(c in plaintext_bytes()) {
        if let Some(p) = plaintext_len_of_stored(c) {
            prop_assert_eq!(stored_len(p), c);
        }
        if let Some(p) = plaintext_len_of_sealed(c) {
            prop_assert_eq!(sealed_len(p), c);
        }
    }

    #[test]
    fn range_any_two_positions_span_holds_exactly_them(
        first in 0..1_u64 << 41,
        length in 1..1_u64 << 30,
        p in plaintext_bytes(),
    ) {
        let last = first + length - 1;
        let span = segments_for_range(first, last);
        prop_assert_eq!(span.segment_first * SEGMENT_BYTES + span.skip_bytes, first);
        prop_assert!(span.skip_bytes < SEGMENT_BYTES);
        prop_assert_eq!(span.segment_last, last / SEGMENT_BYTES);
        prop_assert_eq!(span.stored_first, 56 + span.segment_first * 16_400);
        prop_assert_eq!(span.stored_last, 55 + (span.segment_last + 1) * 16_400);
        prop_assert_eq!(span.plaintext_bytes, length);

        let clamped = span.clamped(p);
        prop_assert!(clamped.stored_last < sealed_len(p));
        prop_assert_eq!(clamped.plaintext_bytes, (last + 1).min(p).saturating_sub(first));
        prop_assert_eq!(clamped.stored_first, span.stored_first);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn layout_any_parts_up_to_10000_length_depends_on_plaintext_alone(
        lengths in part_lengths(),
        stride in 0..5_u16,
    ) {
        let p: u64 = lengths.iter().sum();
        let parts: u64 = lengths.iter().map(|&length| sealed_len(length)).sum();
        prop_assert!(lengths.len() as u64 <= parts_max(p));
        prop_assert!(parts <= parts_area_len(p), "parts do not fit before the trailer");

        let trailer = trailer_of(&lengths, stride);
        prop_assert_eq!(trailer.plaintext_bytes, p);
        prop_assert_eq!(parts + trailer.pad_len(), parts_area_len(p));
        prop_assert_eq!(parts + trailer.pad_len() + trailer_len(p), stored_len(p));
    }

    #[test]
    fn trailer_any_parts_seals_and_opens_alike(lengths in part_lengths(), stride in 0..5_u16) {
        let trailer = trailer_of(&lengths, stride);
        let p = trailer.plaintext_bytes;
        let (dek, tenant) = (Dek::generate().unwrap(), TenantId::from_bytes([9; 16]));
        let tail = trailer.seal_with_pad(Engine::Ring, &dek, tenant).unwrap();
        let parts: u64 = lengths.iter().map(|&length| sealed_len(length)).sum();
        prop_assert_eq!(tail.len() as u64, stored_len(p) - parts);
        let (pad, sealed) = tail.split_at(trailer.pad_len() as usize);
        prop_assert!(pad.iter().all(|&byte| byte == 0));
        let opened =
            Trailer::open(Engine::AwsLc, &dek, tenant, trailer.object_id, p, sealed).unwrap();
        prop_assert_eq!(opened, trailer);
    }

    #[test]
    fn parts_for_range_any_layout_covers_the_range_once_in_order(
        lengths in part_lengths(),
        at in any::<prop::sample::Index>(),
        length in 0..200_u64 << 20,
    ) {
        let trailer = trailer_of(&lengths, 0);
        let p = trailer.plaintext_bytes;
        let first = at.index(p as usize + 1) as u64;
        let last = first + length;
        let mut next = first;
        for slice in trailer.parts_for_range(first, last) {
            let index = usize::from(slice.part.number) - 1;
            let start: u64 = lengths[..index].iter().sum();
            let stored: u64 = lengths[..index].iter().map(|&length| sealed_len(length)).sum();
            prop_assert_eq!(start + slice.first, next);
            prop_assert!(slice.first <= slice.last && slice.last < slice.part.plaintext_bytes);
            prop_assert_eq!(slice.stored_offset, stored);
            next = start + slice.last + 1;
        }
        prop_assert_eq!(next, if first < p { (last + 1).min(p) } else { first });
    }
}

#[test]
fn stored_len_every_small_length_and_every_step_inverts() {
    let steps = [
        SEGMENT_BYTES,
        PART_BYTES_MIN,
        9_999 * PART_BYTES_MIN,
        PLAINTEXT_BYTES_MAX,
    ];
    let near = steps
        .into_iter()
        .flat_map(|step| step - 3..=(step + 3).min(PLAINTEXT_BYTES_MAX));
    for p in (0..40_000).chain(near) {
        assert_eq!(plaintext_len_of_stored(stored_len(p)), Some(p), "P = {p}");
        assert_eq!(plaintext_len_of_sealed(sealed_len(p)), Some(p), "P = {p}");
    }
    assert_eq!(
        plaintext_len_of_stored(stored_len(PLAINTEXT_BYTES_MAX) + 1),
        None
    );
    assert_eq!(plaintext_len_of_stored(u64::MAX), None);
    assert_eq!(plaintext_len_of_stored(0), None);
}

#[test]
fn stored_len_numbers_of_the_design_hold() {
    // One part: 72 of overhead, and a trailer of 160 + 128 in a message of its own.
    assert_eq!(stored_len(0), 72 + 288 + 72);
    assert_eq!(parts_max(PART_BYTES_MIN - 1), 1);
    assert_eq!(parts_max(PART_BYTES_MIN), 2);
    assert_eq!(parts_max(PLAINTEXT_BYTES_MAX), 10_000);
    // 78 full segments in the largest trailer.
    assert_eq!(trailer_len(PLAINTEXT_BYTES_MAX), 1_280_160 + 72 + 16 * 78);
}

#[test]
fn lengths_beyond_any_object_saturate_instead_of_wrapping() {
    for p in [u64::MAX, u64::MAX - 1, u64::MAX / 2] {
        assert!(sealed_len(p) >= p);
        assert!(stored_len(p) >= p);
        let _ = plaintext_len_of_sealed(p);
        let _ = plaintext_len_of_stored(p);
        let span = segments_for_range(p, u64::MAX);
        assert!(span.stored_first <= span.stored_last || span.stored_last == u64::MAX - 1);
        let _ = span.clamped(0);
        let _ = span.clamped(u64::MAX);
    }
}
