//! A store that flips, cuts, extends or reorders what it was given.

mod support;

use lethe_envelope::{Engine, Opener, Sealer, layout, open_message, seal_message};
use support::*;

/// Reads what was written, so that a test of tampering cannot pass because reading never works.
fn small() -> Written {
    let written = put(
        &Place::acme(),
        b"a small object's plaintext",
        &metadata("budget"),
    );
    let read = read(&written.place, &written.stored).expect("untampered");
    assert_eq!(read.plaintext, b"a small object's plaintext");
    assert_eq!(read.metadata, metadata("budget"));
    assert_eq!(read.checksum, Some(checksum()));
    written
}

#[test]
fn header_any_bit_flipped_is_refused() {
    let Written { place, stored, .. } = small();
    for bit in 0..stored.header.len() * 8 {
        let mut header = stored.header.clone().into_bytes();
        header[bit / 8] ^= 1 << (bit % 8);
        let Ok(header) = String::from_utf8(header) else {
            continue;
        };
        let tampered = Stored {
            header,
            ..stored.clone()
        };
        assert_eq!(read(&place, &tampered), None, "bit {bit}");
    }
}

#[test]
fn metadata_any_bit_flipped_is_refused() {
    let Written { place, stored, .. } = small();
    for bit in 0..stored.metadata.len() * 8 {
        let mut tampered = stored.clone();
        tampered.metadata[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read(&place, &tampered), None, "bit {bit}");
    }
}

#[test]
fn body_any_bit_flipped_is_refused() {
    let Written { place, stored, .. } = small();
    // One part leaves no pad: every byte is the part's or the trailer's.
    assert_eq!(layout::sealed_len(26), layout::parts_area_len(26));
    for bit in 0..stored.body.len() * 8 {
        let mut tampered = stored.clone();
        tampered.body[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read(&place, &tampered), None, "bit {bit}");
    }
}

#[test]
fn pad_any_byte_changed_changes_nothing_that_is_read() {
    let plaintext = vec![7; 5 << 20];
    let Written { place, stored, .. } = put(&Place::acme(), &plaintext, &metadata(""));
    let pad = layout::sealed_len(5 << 20) as usize..layout::parts_area_len(5 << 20) as usize;
    assert_eq!(pad.len(), 72);
    for at in [pad.start, pad.start + 30, pad.end - 1] {
        let mut tampered = stored.clone();
        assert_eq!(tampered.body[at], 0);
        tampered.body[at] = 0xff;
        assert!(read(&place, &tampered).unwrap().plaintext == plaintext);
    }
    for at in [pad.start - 1, pad.end] {
        let mut tampered = stored.clone();
        tampered.body[at] ^= 1;
        assert!(read(&place, &tampered).is_none());
    }
}

#[test]
fn every_value_cut_at_every_byte_is_refused() {
    let Written { place, stored, .. } = small();
    for length in 0..stored.header.len() {
        let tampered = Stored {
            header: stored.header[..length].to_owned(),
            ..stored.clone()
        };
        assert_eq!(read(&place, &tampered), None, "header cut to {length}");
    }
    for length in 0..stored.metadata.len() {
        let tampered = Stored {
            metadata: stored.metadata[..length].to_vec(),
            ..stored.clone()
        };
        assert_eq!(read(&place, &tampered), None, "metadata cut to {length}");
    }
    for length in 0..stored.body.len() {
        let front = Stored {
            body: stored.body[..length].to_vec(),
            ..stored.clone()
        };
        assert_eq!(read(&place, &front), None, "body cut to {length}");
        let back = Stored {
            body: stored.body[stored.body.len() - length..].to_vec(),
            ..stored.clone()
        };
        assert_eq!(read(&place, &back), None, "body cut to its last {length}");
    }
}

#[test]
fn every_value_extended_at_every_byte_is_refused() {
    let Written { place, stored, .. } = small();
    for at in 0..=stored.header.len() {
        for insert in ['A', '=', '\n', ' '] {
            let mut tampered = stored.clone();
            tampered.header.insert(at, insert);
            assert_eq!(read(&place, &tampered), None, "header extended at {at}");
        }
    }
    for at in 0..=stored.metadata.len() {
        let mut tampered = stored.clone();
        tampered.metadata.insert(at, 0);
        assert_eq!(read(&place, &tampered), None, "metadata extended at {at}");
    }
    for at in 0..=stored.body.len() {
        for length in [1, 16, 64] {
            let mut tampered = stored.clone();
            tampered.body.splice(at..at, std::iter::repeat_n(0, length));
            assert_eq!(
                read(&place, &tampered),
                None,
                "body extended by {length} at {at}"
            );
        }
    }
}

/// Three full segments and a short one, as the message's segments without prologue.
fn segments() -> (Vec<u8>, Vec<Vec<u8>>, [u8; 24], [u8; 32]) {
    let plaintext: Vec<u8> = (0..3 * 16_384 + 5)
        .map(|index: u32| (index / 16_384) as u8)
        .collect();
    let mut sealer = Sealer::new(ENGINE, &[1; 32], b"segments").unwrap();
    let mut sealed = Vec::new();
    sealer.seal(&plaintext, &mut sealed);
    let pins = sealer.finish(&mut sealed);
    let segments = sealed[56..].chunks(16_400).map(<[u8]>::to_vec).collect();
    (plaintext, segments, pins.salt, pins.commitment)
}

/// Whether the segments in this order open, and what was released before they did not.
fn open_order(order: &[usize], known: bool) -> (bool, Vec<u8>) {
    let (plaintext, segments, salt, commitment) = segments();
    let mut opener = Opener::new(ENGINE, &[1; 32], b"segments", &salt, &commitment).unwrap();
    if known {
        opener = opener.at(0, plaintext.len() as u64).unwrap();
    }
    let mut released = Vec::new();
    let fed = order
        .iter()
        .try_for_each(|&index| opener.open(&segments[index], &mut released));
    let ended = fed.and_then(|()| opener.finish(&mut released));
    assert!(
        plaintext.starts_with(&released),
        "order {order:?} released what is not a prefix"
    );
    (ended.is_ok(), released)
}

#[test]
fn segments_in_any_other_order_or_number_are_refused() {
    let orders: [&[usize]; 12] = [
        &[1, 0, 2, 3],
        &[0, 2, 1, 3],
        &[3, 0, 1, 2],
        &[0, 0, 1, 2, 3],
        &[0, 1, 2, 2, 3],
        &[0, 1, 2, 3, 3],
        &[1, 2, 3],
        &[0, 2, 3],
        &[0, 1, 3],
        &[0, 1, 2],
        &[3],
        &[],
    ];
    for known in [false, true] {
        let (ended, released) = open_order(&[0, 1, 2, 3], known);
        assert!(ended && released.len() == 3 * 16_384 + 5);
        for order in orders {
            assert!(
                !open_order(order, known).0,
                "order {order:?}, length known: {known}"
            );
        }
    }
}

#[test]
fn message_cut_or_extended_near_every_segment_boundary_is_refused() {
    let (plaintext, segments, ..) = segments();
    let sealed = seal_message(ENGINE, &[1; 32], b"cut", &plaintext).unwrap();
    let boundaries = (0..=segments.len()).map(|index| (56 + index * 16_400).min(sealed.len()));
    for boundary in boundaries.chain([0, 24, 56]) {
        for at in boundary.saturating_sub(18)..=(boundary + 18).min(sealed.len()) {
            if at < sealed.len() {
                assert!(
                    open_message(ENGINE, &[1; 32], b"cut", &sealed[..at]).is_err(),
                    "cut to {at}"
                );
            }
            for length in [1, 16, 16_400] {
                let mut extended = sealed.clone();
                extended.splice(at..at, std::iter::repeat_n(0x55, length));
                let outcome = open_message(ENGINE, &[1; 32], b"cut", &extended);
                assert!(outcome.is_err(), "{length} bytes inserted at {at}");
            }
        }
    }
}

#[test]
fn opener_released_bytes_are_never_unauthenticated_on_any_engine() {
    let (plaintext, segments, salt, commitment) = segments();
    for engine in Engine::ALL {
        for broken in 0..segments.len() {
            for at in [0, segments[broken].len() / 2, segments[broken].len() - 1] {
                let mut opener =
                    Opener::new(engine, &[1; 32], b"segments", &salt, &commitment).unwrap();
                let mut stored = segments.clone();
                stored[broken][at] ^= 0x10;
                let mut released = Vec::new();
                let outcome = opener
                    .open(&stored.concat(), &mut released)
                    .and_then(|()| opener.finish(&mut released));
                assert!(outcome.is_err());
                assert!(released == plaintext[..broken * 16_384]);
            }
        }
    }
}
