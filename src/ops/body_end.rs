//! What lies behind the parts of a stored body: the zero pad and the trailer. Whoever reads an object whole looks at them too, so that
//! no stored byte can be another one unnoticed.

use bytes::Bytes;
use lethe_envelope::{Dek, Engine, ObjectId, TenantId, Trailer};

/// Gathers the end of a stored body.
pub(super) struct BodyEnd {
    gathered: Vec<u8>,
    bytes: usize,
}

impl BodyEnd {
    /// The end of the body of an object of these parts.
    pub(super) fn of(parts: &Trailer) -> Self {
        let trailer_bytes = lethe_envelope::layout::trailer_len(parts.plaintext_bytes);
        let bytes = parts.pad_len().saturating_add(trailer_bytes);
        Self {
            gathered: Vec::new(),
            // Some 2 MB for the largest objects.
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        }
    }

    /// How long it is.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// Takes the next of its bytes; what a store sends past the end that it announced is nobody's.
    pub(super) fn take(&mut self, bytes: &Bytes) {
        let left = self.bytes - self.gathered.len();
        let taken = bytes.len().min(left);
        self.gathered.extend_from_slice(&bytes[..taken]);
    }

    /// Whether all of it is there.
    pub(super) fn is_whole(&self) -> bool {
        self.gathered.len() == self.bytes
    }

    /// Forgets what is there, to be read again.
    pub(super) fn begin_again(&mut self) {
        self.gathered.clear();
    }

    /// What is wrong with it, if anything is: the pad is zero, and the trailer opens and tells the same parts.
    pub(super) fn problem(
        &self,
        engine: Engine,
        dek: &Dek,
        tenant: TenantId,
        object: ObjectId,
        parts: &Trailer,
    ) -> Option<&'static str> {
        let pad_bytes = usize::try_from(parts.pad_len()).unwrap_or(usize::MAX);
        let Some((pad, sealed)) = self.gathered.split_at_checked(pad_bytes) else {
            return Some("the body is shorter than its pad");
        };
        if pad.iter().any(|byte| *byte != 0) {
            return Some("the pad is not zero");
        }
        match Trailer::open(engine, dek, tenant, object, parts.plaintext_bytes, sealed) {
            Ok(trailer) if trailer.parts == parts.parts => None,
            Ok(_) => Some("the trailer is of other parts"),
            Err(_) => Some("the trailer does not open"),
        }
    }
}
