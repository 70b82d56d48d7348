//! A ciphertext that AES-GCM accepts under two keys, which the commitment must tell apart.

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{BlockCipherEncrypt, KeyInit};

use super::*;

/// GF(2^128) as GHASH has it: bit 0 of the polynomial is the block's most significant bit.
fn multiply(x: u128, mut y: u128) -> u128 {
    let mut product = 0;
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= y;
        }
        let carry = y & 1;
        y >>= 1;
        if carry == 1 {
            y ^= 0xe1 << 120;
        }
    }
    product
}

/// The field's inverse: x to the power of 2^128 - 2.
fn invert(x: u128) -> u128 {
    let one = 1 << 127;
    let mut result = one;
    let mut square = x;
    for _ in 1..128 {
        square = multiply(square, square);
        result = multiply(result, square);
    }
    assert_eq!(multiply(result, x), one);
    result
}

fn encrypt_block(key: &[u8; 32], block: [u8; 16]) -> u128 {
    let mut block = block.into();
    Aes256::new(key.into()).encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

/// GCM's hash key and the mask of the tag under `nonce`.
fn gcm_parts(key: &[u8; 32], nonce: &[u8; 12]) -> (u128, u128) {
    let mut counter = [0; 16];
    counter[..12].copy_from_slice(nonce);
    counter[15] = 1;
    (encrypt_block(key, [0; 16]), encrypt_block(key, counter))
}

/// Key and base nonce that a message under `input_key` uses.
fn derived(input_key: &[u8; 32], salt: &[u8; 24]) -> ([u8; 32], [u8; 12]) {
    let mut out = [0; 76];
    let info: [&[u8]; 3] = [
        b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0",
        salt,
        b"context",
    ];
    kdf::expand(input_key, &info, &mut out);
    (
        out[..32].try_into().unwrap(),
        out[32..44].try_into().unwrap(),
    )
}

#[test]
fn two_key_ciphertext_that_gcm_accepts_twice_opens_under_its_own_key_alone() {
    let (one, other, salt) = ([0x11; 32], [0x22; 32], [0x33; 24]);
    let [(key_a, nonce_a), (key_b, nonce_b)] = [derived(&one, &salt), derived(&other, &salt)];
    let [(h_a, mask_a), (h_b, mask_b)] = [gcm_parts(&key_a, &nonce_a), gcm_parts(&key_b, &nonce_b)];

    // Two blocks, the first free, the second solved so that both keys give one tag:
    // c1·H³ + c2·H² + length·H + mask is to be the same for both.
    let (first, lengths) = (u128::from_be_bytes(*b"sixteen bytes of"), 256_u128);
    let square = |h| multiply(h, h);
    let known = |h, mask| multiply(multiply(first, h), square(h)) ^ multiply(lengths, h) ^ mask;
    let second = multiply(
        known(h_a, mask_a) ^ known(h_b, mask_b),
        invert(square(h_a) ^ square(h_b)),
    );
    let tag = known(h_a, mask_a) ^ multiply(second, square(h_a));
    let ciphertext = [first.to_be_bytes(), second.to_be_bytes()].concat();
    let tag = tag.to_be_bytes();

    for engine in Engine::ALL {
        for (key, nonce) in [(key_a, nonce_a), (key_b, nonce_b)] {
            let opened = engine
                .aead(&key)
                .open_in_place(&nonce, &mut ciphertext.clone(), &tag);
            assert_eq!(opened, Ok(()), "not a two-key ciphertext");
        }
        let commitment = |key| Sealer::new_with_salt(engine, key, b"context", salt).commitment();
        let message = |key| [&prologue(&salt, &commitment(key))[..], &ciphertext, &tag].concat();
        let open = |key, sealed: &[u8]| open_message(engine, key, b"context", sealed).map(|_| ());
        assert_eq!(open(&one, &message(&one)), Ok(()));
        assert_eq!(open(&other, &message(&other)), Ok(()));
        assert_eq!(open(&other, &message(&one)), Err(OpenError::Commitment));
        assert_eq!(open(&one, &message(&other)), Err(OpenError::Commitment));
    }
}
