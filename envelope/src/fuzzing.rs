//! Bodies of the fuzz targets in `fuzz/`, each panicking when its property is broken.
//!
//! They live here because two of them look at plaintext encodings that nothing outside the crate may see, and
//! because an ordinary test runs them too.

use crate::engine::Engine;
use crate::header::Header;
use crate::layout;
use crate::message::{Opener, Sealer};
use crate::metadata::ObjectMetadata;
use crate::trailer::Trailer;

/// Any text decodes to a header that encodes back to that very text, or to an error.
pub fn header(data: &[u8]) {
    use base64::Engine as _;
    let as_text = std::str::from_utf8(data).map(str::to_owned);
    let as_bytes = base64::engine::general_purpose::STANDARD.encode(data);
    for text in as_text.into_iter().chain([as_bytes]) {
        if let Ok(header) = Header::decode(&text) {
            assert_eq!(header.encode(), text, "two texts for one header");
            assert_eq!(header.kind, header.draft().kind());
            assert_eq!(header.suite(), header.draft().suite());
        }
    }
}

/// Any trailer plaintext decodes to a trailer that encodes back to those very bytes, or to nothing.
pub fn trailer(data: &[u8]) {
    // Zeros behind the data bring it to a length that some P has; without them nearly all input ends there.
    let wanted = data.first_chunk().map_or(0, |length| {
        let plaintext_bytes = u64::from_be_bytes(*length).min(64 << 20);
        layout::trailer_plaintext_len(plaintext_bytes) as usize
    });
    let mut filled = data.to_vec();
    filled.resize(wanted, 0);
    for bytes in [data, &filled] {
        let Some(trailer) = Trailer::decode(bytes) else {
            continue;
        };
        let encoded = trailer.encode().expect("what decodes is possible");
        assert_eq!(encoded.as_slice(), bytes, "two encodings of one trailer");
        let everything: u64 = trailer
            .parts_for_range(0, u64::MAX)
            .map(|slice| slice.last - slice.first + 1)
            .sum();
        assert_eq!(everything, trailer.plaintext_bytes);
    }
}

/// Any metadata plaintext decodes to metadata that encodes back to those very bytes, or to nothing.
pub fn metadata(data: &[u8]) {
    if let Some(metadata) = ObjectMetadata::decode(data) {
        let encoded = metadata.encode().expect("what decodes fits");
        assert_eq!(encoded.as_slice(), data, "two encodings of one metadata");
    }
}

/// A message, tampered with and cut into chunks as the input says, opens to a true prefix and ends cleanly only
/// when it was not tampered with.
pub fn opener(data: &[u8]) {
    let [length_high, length_low, known, chunk, edits @ ..] = data else {
        return;
    };
    let plaintext_len = usize::from(u16::from_be_bytes([*length_high, *length_low]));
    let plaintext: Vec<u8> = (0..plaintext_len)
        .map(|index| (index % 251) as u8)
        .collect();
    let mut sealer = Sealer::new_with_salt(Engine::Ring, &[7; 32], b"fuzz", [9; 24]);
    let mut sealed = Vec::new();
    sealer.seal(&plaintext, &mut sealed);
    let pins = sealer.finish(&mut sealed);
    let original = sealed.split_off(layout::SALT_AND_COMMITMENT_BYTES as usize);
    let tampered = tamper(original.clone(), edits);

    let mut opener = Opener::new(
        Engine::Ring,
        &[7; 32],
        b"fuzz",
        &pins.salt,
        &pins.commitment,
    )
    .expect("its own pins");
    if known % 2 == 1 {
        opener = opener
            .at(0, plaintext_len as u64)
            .expect("segment 0 is always there");
    }
    let mut released = Vec::new();
    let mut outcome = Ok(());
    for piece in tampered.chunks(usize::from(*chunk) * 97 + 1) {
        outcome = opener.open(piece, &mut released);
        assert!(
            plaintext.starts_with(&released),
            "released what was not sealed"
        );
        if outcome.is_err() {
            break;
        }
    }
    outcome = outcome.and_then(|()| opener.finish(&mut released));
    assert!(
        plaintext.starts_with(&released),
        "released what was not sealed"
    );
    assert_eq!(
        outcome.is_ok(),
        tampered == original,
        "clean end and tampering disagree"
    );
    assert!(
        outcome.is_err() || released == plaintext,
        "clean end, yet not all plaintext"
    );
}

/// Applies edits of four bytes each: what to do, where (two bytes), with what.
fn tamper(mut bytes: Vec<u8>, edits: &[u8]) -> Vec<u8> {
    for edit in edits.chunks_exact(4).take(16) {
        let &[what, high, low, with] = edit else {
            continue;
        };
        if bytes.is_empty() {
            break;
        }
        let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
        match what % 4 {
            0 => bytes[at] ^= with,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, with),
            _ => {
                let length = usize::from(with).min(bytes.len() - at);
                let moved: Vec<u8> = bytes.drain(at..at + length).collect();
                bytes.extend(moved);
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Body = fn(&[u8]);

    const BODIES: [Body; 4] = [header, trailer, metadata, opener];

    /// Real encodings to start from; `fuzz/README.md` says how the fuzzer's own corpus comes to be.
    fn corpus() -> Vec<Vec<u8>> {
        let trailer = Trailer::new(
            crate::ObjectId::from_bytes([3; 16]),
            None,
            vec![crate::PartRecord {
                number: 1,
                checksum: None,
                plaintext_bytes: 5,
                salt: [1; 24],
                commitment: [2; 32],
            }],
        )
        .unwrap();
        let metadata = ObjectMetadata {
            content_type: Some("text/plain".to_owned()),
            user: [("a".to_owned(), "b".to_owned())].into(),
            ..ObjectMetadata::default()
        };
        let header = crate::HeaderDraft {
            kek_id: crate::KekId::from_bytes([4; 16]),
            kek_commitment: [5; 32],
            object_id: crate::ObjectId::from_bytes([3; 16]),
            single: None,
            customer_check: None,
        };
        let single = crate::SinglePart {
            salt: [1; 24],
            commitment: [2; 32],
            plaintext_bytes: 5,
        };
        let with_customer_key = crate::HeaderDraft {
            single: Some(single),
            customer_check: Some(crate::CustomerCheck::from_bytes([7; 16])),
            ..header
        };
        vec![
            Vec::new(),
            vec![0; 64],
            trailer.encode().unwrap().to_vec(),
            metadata.encode().unwrap().to_vec(),
            header.with_wrapped_dek([6; 104]).encode().into_bytes(),
            with_customer_key
                .with_wrapped_dek([6; 104])
                .encode()
                .into_bytes(),
            // A message of 16,384 + 5 bytes whose byte 3 is flipped.
            vec![0x40, 5, 1, 50, 0, 0, 3, 1],
            // The same, its last byte cut off.
            vec![0x40, 5, 0, 50, 1, 0x40, 0x24, 0],
        ]
    }

    #[test]
    fn fuzz_bodies_real_encodings_and_every_byte_changed_hold() {
        for seed in corpus() {
            for body in BODIES {
                body(&seed);
                for at in 0..seed.len() {
                    for change in [1, 0x80, 0xff] {
                        let mut changed = seed.clone();
                        changed[at] ^= change;
                        body(&changed);
                    }
                    body(&seed[..at]);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn fuzz_bodies_random_bytes_hold(data in prop::collection::vec(any::<u8>(), 0..400)) {
            for body in BODIES {
                body(&data);
            }
        }
    }
}
