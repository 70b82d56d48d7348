//! Bodies of the fuzz targets in `fuzz/`, each panicking when its property is broken. An ordinary test runs them too.

use crate::backup::format::{Decoder, Encoder};
use crate::store::Record;

/// Any bytes read as a key store backup give the same records however they are cut, or none; and a whole backup is the one that its
/// records make.
///
/// # Panics
/// When two readings differ, or one backup has two encodings.
pub fn backup(data: &[u8]) {
    let [piece, file @ ..] = data else { return };
    let whole = read(file, usize::MAX);
    let pieces = read(file, usize::from(*piece));
    assert_eq!(whole, pieces, "two readings of one backup");
    let Some((records, sum)) = whole else { return };
    let mut encoder = Encoder::new();
    assert!(records.iter().all(|record| encoder.push(record)));
    let mut again = encoder.take();
    let (last, sum_again, length) = encoder.finish();
    again.extend(last);
    assert_eq!(again, file, "two encodings of one backup");
    assert_eq!((sum_again, length), (sum, file.len() as u64));
}

fn read(file: &[u8], piece: usize) -> Option<(Vec<Record>, [u8; 32])> {
    let (mut decoder, mut records) = (Decoder::new(), Vec::new());
    for piece in file.chunks(piece.max(1)) {
        records.extend(decoder.push(piece).ok()?);
    }
    Some((records, decoder.finish().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A backup of records without a meaning: what they say is not read here.
    fn seed() -> Vec<u8> {
        let mut encoder = Encoder::new();
        for number in 0..3 {
            let fence = crate::store::FenceRow {
                fence: number,
                scope: crate::types::FenceScope::Nodes,
            };
            assert!(encoder.push(&Record::Fence(fence)));
        }
        let mut file = encoder.take();
        file.extend(encoder.finish().0);
        file
    }

    #[test]
    fn backup_is_read_however_it_is_cut_and_no_byte_may_differ() {
        let file = seed();
        assert!(read(&file, 7).is_some());
        for at in 0..file.len() {
            for change in [1, 0x80] {
                let mut changed = file.clone();
                changed[at] ^= change;
                assert!(read(&changed, 5).is_none(), "byte {at}");
                changed.insert(0, 3);
                backup(&changed);
            }
            assert!(read(&file[..at], 5).is_none(), "cut at {at}");
        }
        backup(&[&[4], file.as_slice()].concat());
    }

    proptest! {
        #[test]
        fn fuzz_bodies_read_any_bytes(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            backup(&data);
            let behind_a_label = [&[data.len() as u8], b"lethe/v1/keys\0\0\0".as_slice(), &data].concat();
            backup(&behind_a_label);
        }
    }
}
