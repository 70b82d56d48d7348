//! Upstream bucket names: `<prefix>-<26 random base32 characters>`, so that the store learns neither tenant nor name.

use crate::region::UpstreamBucket;

/// Longest prefix that leaves a bucket name within S3's 63 characters.
pub const PREFIX_BYTES_MAX: usize = 36;

/// RFC 4648 §6, in lower case as bucket names want it.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The name that 16 random bytes make; the same bytes make the same name.
#[must_use]
pub fn upstream_bucket_name(prefix: &str, random: [u8; 16]) -> UpstreamBucket {
    let mut bits = u128::from_be_bytes(random);
    let mut letters = [0_u8; 26];
    // 26 letters hold 130 bits; the two above the 128 are zero and make the first letter one of eight.
    for letter in letters.iter_mut().rev() {
        *letter = ALPHABET[usize::from((bits & 31) as u8)];
        bits >>= 5;
    }
    let suffix: String = letters.iter().map(|&letter| char::from(letter)).collect();
    UpstreamBucket::from_catalog(format!("{prefix}-{suffix}"))
}
