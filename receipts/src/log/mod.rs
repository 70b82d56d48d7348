//! The log: one append-only Merkle tree a domain (`docs/receipts.md` §3).
