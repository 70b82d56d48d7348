//! HKDF-SHA-512 (RFC 5869): mostly Expand alone, from a 32-byte key.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use zeroize::{Zeroize, Zeroizing};

/// Fills `out` (at most 255 blocks of 64 bytes) from `key` and the concatenation of `info`.
///
/// Written out here because the `hkdf` crate refuses a pseudorandom key shorter than the hash, while Cobblestone
/// expands straight from its 32-byte input key.
pub(crate) fn expand<const K: usize, const N: usize>(
    key: &[u8; K],
    info: &[&[u8]],
    out: &mut [u8; N],
) {
    const { assert!(N <= 255 * 64) };
    let keyed = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes a key of any length");
    let mut previous = [0_u8; 64];
    for (index, chunk) in (1..=u8::MAX).zip(out.chunks_mut(64)) {
        let mut mac = keyed.clone();
        if index > 1 {
            mac.update(&previous);
        }
        for piece in info {
            mac.update(piece);
        }
        mac.update(&[index]);
        let mut block = mac.finalize().into_bytes();
        previous.copy_from_slice(&block);
        chunk.copy_from_slice(&block[..chunk.len()]);
        block.as_mut_slice().zeroize();
    }
    previous.zeroize();
}

/// HKDF-Extract-SHA-512 (RFC 5869 §2.2) of the concatenation of `input`.
pub(crate) fn extract(salt: &[u8; 32], input: &[&[u8]]) -> Box<Zeroizing<[u8; 64]>> {
    let mut mac = Hmac::<Sha512>::new_from_slice(salt).expect("HMAC takes a key of any length");
    for piece in input {
        mac.update(piece);
    }
    let mut block = mac.finalize().into_bytes();
    let mut extracted = Box::new(Zeroizing::new([0; 64]));
    extracted.copy_from_slice(&block);
    block.as_mut_slice().zeroize();
    extracted
}
