//! What the log holds: 32 bytes an entry, never anything that names a person (`docs/receipts.md` §3).

use sha2::{Digest, Sha256};

/// One entry of the log; its Merkle leaf is `SHA-256(0x00 ‖ entry)` (RFC 6962 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry(pub [u8; 32]);

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The entry of a KEK's creation; `previous` is the entry of the tenant's version before, zeros for the first.
#[must_use]
pub fn kek_entry(
    nonce: &[u8; 32],
    kek_id: &[u8; 16],
    commitment: &[u8; 32],
    previous: &[u8; 32],
) -> Entry {
    let mut hash = Sha256::new();
    hash.update(b"lethe/v1/kek-leaf");
    hash.update(nonce);
    hash.update(kek_id);
    hash.update(commitment);
    hash.update(previous);
    Entry(hash.finalize().into())
}

/// The entry of a statement, from its pre-authentication encoding (DSSE `PAE`).
#[must_use]
pub fn statement_entry(pae: &[u8]) -> Entry {
    let mut hash = Sha256::new();
    hash.update(b"lethe/v1/statement-leaf");
    hash.update(pae);
    Entry(hash.finalize().into())
}

/// The entry of an operator's override; `time` is RFC 3339 UTC of exactly 20 bytes, so the end of `reason` is certain.
#[must_use]
pub fn override_entry(reason: &str, time: &str) -> Entry {
    let mut hash = Sha256::new();
    hash.update(b"lethe/v1/override-leaf");
    hash.update(reason.as_bytes());
    hash.update(time.as_bytes());
    Entry(hash.finalize().into())
}

/// The entry of a termination's cancellation, from the termination's id, which is random and names nobody.
#[must_use]
pub fn cancellation_entry(termination: &[u8; 16]) -> Entry {
    let mut hash = Sha256::new();
    hash.update(b"lethe/v1/cancel-leaf");
    hash.update(termination);
    Entry(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Computed with Python's hashlib, apart from this code.
    #[test]
    fn entries_of_known_input_are_the_frozen_ones() {
        let kek = kek_entry(&[1; 32], &[2; 16], &[3; 32], &[0; 32]);
        assert_eq!(kek.to_string(), KEK);
        let statement = statement_entry(b"DSSEv1 1 a 1 b");
        assert_eq!(statement.to_string(), STATEMENT);
        let over = override_entry("restored by hand", "2026-01-02T03:04:05Z");
        assert_eq!(over.to_string(), OVERRIDE);
        let cancelled = cancellation_entry(&[4; 16]);
        assert_eq!(cancelled.to_string(), CANCELLATION);
    }

    const KEK: &str = "90000a9ba3fbd760c72d69fa2c8c61a35ba6a755629975540e36ecf0b52cfe2b";
    const STATEMENT: &str = "eca5cf31aa9bacdaec91a49c55554503eeb44907d9039d82cf6bcdb4f2c78dbb";
    const CANCELLATION: &str = "c106b44cf91f9669cdf635e7ba6c01119c12269c877092b14ff806440c2ca4f9";
    const OVERRIDE: &str = "71e7a781ab49bbdc0a1a35ce44d1b78161b57bd1b61b30c3da5a1d24c41ed46b";
}
