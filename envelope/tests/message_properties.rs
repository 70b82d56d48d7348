//! Streaming: any chunking seals and opens the same message, any range opens from its span alone, and the engines
//! agree byte by byte.

use lethe_envelope::layout::{self, SEGMENT_BYTES};
use lethe_envelope::{Engine, OpenError, Opener, SealedPart, Sealer, open_message};
use proptest::prelude::*;

const KEY: [u8; 32] = [0x42; 32];
const SALT: [u8; 24] = [0x17; 24];

fn plaintext(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 / 7) as u8).collect()
}

fn engine() -> impl Strategy<Value = Engine> {
    prop::sample::select(&Engine::ALL[..])
}

/// Lengths on and beside segment boundaries, and lengths anywhere.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        0..40_usize,
        (0..4_usize, -1..=1_isize).prop_map(
            |(segments, off)| (segments * SEGMENT_BYTES as usize).saturating_add_signed(off)
        ),
        0..70_000_usize,
    ]
}

/// Cuts `bytes` into pieces of the given lengths, over and over.
fn pieces<'a>(mut bytes: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    lengths.iter().cycle().map_while(move |&length| {
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        let done = bytes.is_empty();
        bytes = rest;
        (!done).then_some(piece)
    })
}

/// At least one length that makes progress.
fn piece_lengths() -> impl Strategy<Value = Vec<usize>> {
    let length = prop_oneof![Just(0), 1..40_usize, 16_380..16_404_usize, 0..60_000_usize];
    (prop::collection::vec(length, 0..6), 1..40_000_usize).prop_map(|(mut lengths, last)| {
        lengths.push(last);
        lengths
    })
}

fn seal(engine: Engine, plaintext: &[u8], lengths: &[usize]) -> (SealedPart, Vec<u8>) {
    let mut sealer = Sealer::new_with_salt(engine, &KEY, b"context", SALT);
    let mut out = Vec::new();
    for piece in pieces(plaintext, lengths) {
        sealer.seal(piece, &mut out);
    }
    let pins = sealer.finish(&mut out);
    (pins, out)
}

fn opener(engine: Engine, pins: &SealedPart) -> Opener {
    Opener::new(engine, &KEY, b"context", &pins.salt, &pins.commitment).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn message_any_chunking_and_engine_gives_the_same_bytes_and_opens(
        length in length(),
        sealing in piece_lengths(),
        opening in piece_lengths(),
        (sealed_by, opened_by) in (engine(), engine()),
        known in any::<bool>(),
    ) {
        let plaintext = plaintext(length);
        let (pins, sealed) = seal(sealed_by, &plaintext, &sealing);
        let (_, reference) = seal(Engine::AesGcm, &plaintext, &[usize::MAX]);
        prop_assert!(sealed == reference, "chunking or engine changed the message");
        prop_assert_eq!(sealed.len() as u64, layout::sealed_len(length as u64));
        prop_assert_eq!(pins.plaintext_bytes, length as u64);

        let mut opener = opener(opened_by, &pins);
        if known {
            opener = opener.at(0, length as u64).unwrap();
        }
        let mut opened = vec![0xee; 3];
        for piece in pieces(&sealed[56..], &opening) {
            opener.open(piece, &mut opened).unwrap();
        }
        opener.finish(&mut opened).unwrap();
        prop_assert!(opened[3..] == plaintext);
        prop_assert_eq!(&opened[..3], &[0xee; 3]);
    }

    #[test]
    fn range_any_span_opens_to_exactly_the_range(
        length in 1..70_000_usize,
        first in any::<prop::sample::Index>(),
        wanted in prop_oneof![1..40_u64, 1..70_000_u64],
        opening in piece_lengths(),
        engine in engine(),
    ) {
        let plaintext = plaintext(length);
        let (pins, sealed) = seal(engine, &plaintext, &[usize::MAX]);
        let first = first.index(length) as u64;
        let span = layout::segments_for_range(first, first + wanted - 1).clamped(length as u64);
        let stored = &sealed[span.stored_first as usize..=span.stored_last as usize];

        let mut opened = Vec::new();
        let mut span_opener = opener(engine, &pins).at_span(&span, length as u64).unwrap();
        for piece in pieces(stored, &opening) {
            span_opener.open(piece, &mut opened).unwrap();
        }
        span_opener.finish(&mut opened).unwrap();
        let range = first as usize..(first + wanted).min(length as u64) as usize;
        let skipped = &opened[span.skip_bytes as usize..][..span.plaintext_bytes as usize];
        prop_assert!(skipped == &plaintext[range]);

        // A byte less or more than the span is noticed.
        let mut short = opener(engine, &pins).at_span(&span, length as u64).unwrap();
        let cut = short.open(&stored[..stored.len() - 1], &mut Vec::new());
        prop_assert!(cut.and_then(|()| short.finish(&mut Vec::new())).is_err());
        let mut long = opener(engine, &pins).at_span(&span, length as u64).unwrap();
        long.open(stored, &mut Vec::new()).unwrap();
        prop_assert_eq!(long.open(&[0], &mut Vec::new()), Err(OpenError::Excess));
    }
}

#[test]
fn engines_every_segment_length_up_to_300_and_full_agree() {
    for length in (0..300).chain([16_383, 16_384]) {
        let plaintext = plaintext(length);
        let results = Engine::ALL.map(|engine| {
            let mut buffer = plaintext.clone();
            let tag = engine.aead(&KEY).seal_in_place(&[5; 12], &mut buffer);
            (buffer, tag)
        });
        assert!(
            results.iter().all(|result| *result == results[0]),
            "length {length}"
        );
        for engine in Engine::ALL {
            let (mut buffer, mut tag) = results[0].clone();
            engine
                .aead(&KEY)
                .open_in_place(&[5; 12], &mut buffer, &tag)
                .unwrap();
            assert_eq!(buffer, plaintext);
            tag[length % 16] ^= 1 << (length % 8);
            let (mut buffer, _) = results[0].clone();
            assert!(
                engine
                    .aead(&KEY)
                    .open_in_place(&[5; 12], &mut buffer, &tag)
                    .is_err()
            );
        }
    }
}

#[test]
fn fastest_engine_asked_twice_is_the_same() {
    assert_eq!(Engine::fastest(), Engine::fastest());
    assert!(Engine::ALL.contains(&Engine::fastest()));
}

#[test]
fn sealer_salts_of_two_messages_differ() {
    let new = || Sealer::new(Engine::Ring, &KEY, b"context").unwrap();
    let (one, other) = (new(), new());
    assert_ne!(one.salt(), other.salt());
    assert_ne!(one.commitment(), other.commitment());
}

#[test]
fn opener_segment_behind_the_end_is_refused() {
    let (pins, _) = seal(Engine::Ring, &plaintext(16_384), &[usize::MAX]);
    assert!(opener(Engine::Ring, &pins).at(1, 16_384).is_ok());
    let refused = opener(Engine::Ring, &pins).at(2, 16_384);
    assert_eq!(refused.err(), Some(OpenError::OutOfSpan));
}

#[test]
fn opener_after_an_error_keeps_failing_and_releases_nothing_more() {
    let plaintext = plaintext(50_000);
    let (pins, mut sealed) = seal(Engine::Ring, &plaintext, &[usize::MAX]);
    sealed[56 + 16_400] ^= 1;
    let mut opener = opener(Engine::Ring, &pins);
    let mut opened = Vec::new();
    let error = OpenError::Segment { segment: 1 };
    assert_eq!(opener.open(&sealed[56..], &mut opened), Err(error));
    assert_eq!(opened, plaintext[..16_384]);
    assert_eq!(
        opener.open(&sealed[56 + 2 * 16_400..], &mut opened),
        Err(error)
    );
    assert_eq!(opener.finish(&mut opened), Err(error));
    assert_eq!(opened, plaintext[..16_384]);
}

#[test]
fn open_message_of_an_impossible_length_is_truncated() {
    let (_, sealed) = seal(Engine::Ring, b"", &[usize::MAX]);
    for length in 0..sealed.len() {
        let outcome = open_message(Engine::Ring, &KEY, b"context", &sealed[..length]);
        assert_eq!(outcome.err(), Some(OpenError::Truncated), "length {length}");
    }
}
