//! Typed contexts (`docs/format.md` §3): a label, then every field as u32-BE length and raw bytes.
//!
//! A context names what a message is and where it belongs; a message opened under any other context fails its
//! commitment check before a byte is decrypted.

use crate::header::{Kind, Suite};
use crate::id::{KekId, ObjectId, TenantId};
use crate::kdf;

/// Label and length-prefixed fields; the prefix makes the encoding injective.
struct Fields(Vec<u8>);

impl Fields {
    fn new(label: &str) -> Self {
        Self(label.as_bytes().to_vec())
    }

    fn bytes(mut self, field: &[u8]) -> Self {
        let length = u32::try_from(field.len())
            .expect("context fields are ids, hashes and names that S3 caps at 1,024 bytes");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    fn integer(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Context of one part of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartContext {
    /// The owner.
    pub tenant: TenantId,
    /// The object version.
    pub object_id: ObjectId,
    /// 1 to 10,000; 1 for a single PUT.
    pub part_number: u64,
}

impl PartContext {
    /// The context's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Fields::new("lethe/v1/part")
            .bytes(self.tenant.as_bytes())
            .bytes(self.object_id.as_bytes())
            .integer(self.part_number)
            .finish()
    }
}

/// Context of the trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrailerContext {
    /// The owner.
    pub tenant: TenantId,
    /// The object version.
    pub object_id: ObjectId,
    /// P, plaintext bytes of the whole object.
    pub plaintext_bytes: u64,
}

impl TrailerContext {
    /// The context's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Fields::new("lethe/v1/trailer")
            .bytes(self.tenant.as_bytes())
            .bytes(self.object_id.as_bytes())
            .integer(self.plaintext_bytes)
            .finish()
    }
}

/// Context of the sealed metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataContext {
    /// The owner.
    pub tenant: TenantId,
    /// The object version.
    pub object_id: ObjectId,
}

impl MetadataContext {
    /// The context's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Fields::new("lethe/v1/meta")
            .bytes(self.tenant.as_bytes())
            .bytes(self.object_id.as_bytes())
            .finish()
    }
}

/// Context of the checksum in the record of one attempt at a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptContext {
    /// The owner.
    pub tenant: TenantId,
    /// The object version that is being uploaded.
    pub object_id: ObjectId,
    /// 1 to 10,000.
    pub part_number: u64,
    /// The commitment of the attempt's message.
    pub commitment: [u8; 32],
}

impl AttemptContext {
    /// The context's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Fields::new("lethe/v1/attempt")
            .bytes(self.tenant.as_bytes())
            .bytes(self.object_id.as_bytes())
            .integer(self.part_number)
            .bytes(&self.commitment)
            .finish()
    }
}

/// What the digest of a part list is expanded with, before the list's length and the list (`docs/format.md` §8.1).
pub(crate) fn part_list_info(tenant: TenantId, object_id: ObjectId) -> Vec<u8> {
    Fields::new("lethe/v1/part-list")
        .bytes(tenant.as_bytes())
        .bytes(object_id.as_bytes())
        .finish()
}

/// Context of a DEK's wrap under a KEK; the only place where an object's path is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DekContext<'a> {
    /// The object format's suite.
    pub suite: Suite,
    /// The owner.
    pub tenant: TenantId,
    /// The jurisdiction.
    pub domain: &'a str,
    /// The tenant's bucket, by the tenant's name for it.
    pub bucket: &'a str,
    /// The object's key.
    pub object_key: &'a str,
    /// The object version.
    pub object_id: ObjectId,
    /// The wrapping key.
    pub kek_id: KekId,
    /// The data subject whose own KEK wraps this DEK; `None` today.
    pub subject: Option<&'a str>,
    /// Whether the body came as one PUT or as parts.
    pub kind: Kind,
    /// P, for [`Kind::Single`] only.
    pub plaintext_bytes: Option<u64>,
    /// [`crate::Header::bindings_sha256`].
    pub bindings_sha256: [u8; 32],
}

impl DekContext<'_> {
    /// The context's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let fields = Fields::new("lethe/v1/dek")
            .integer(u64::from(self.suite.code()))
            .bytes(self.tenant.as_bytes())
            .bytes(self.domain.as_bytes())
            .bytes(self.bucket.as_bytes())
            .bytes(self.object_key.as_bytes())
            .bytes(self.object_id.as_bytes())
            .bytes(self.kek_id.as_bytes())
            .bytes(self.subject.unwrap_or_default().as_bytes())
            .integer(u64::from(self.kind.code()));
        match self.plaintext_bytes {
            Some(plaintext_bytes) => fields.integer(plaintext_bytes),
            None => fields.bytes(&[]),
        }
        .bytes(&self.bindings_sha256)
        .finish()
    }
}

/// Context of a tenant KEK's wrap under its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KekContext<'a> {
    /// The jurisdiction.
    pub domain: &'a str,
    /// The node that wraps: 0 to 1,023 for tenants, 1,024 for the service node.
    pub node: u16,
    /// The owner.
    pub tenant: TenantId,
    /// The KEK that is wrapped.
    pub kek_id: KekId,
    /// Generation of the wrapping node.
    pub generation: u64,
}

impl KekContext<'_> {
    /// The context's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Fields::new("lethe/v1/kek")
            .bytes(self.domain.as_bytes())
            .integer(u64::from(self.node))
            .bytes(self.tenant.as_bytes())
            .bytes(self.kek_id.as_bytes())
            .integer(self.generation)
            .finish()
    }
}

/// Context of a node's wrap under the root epoch key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeContext<'a> {
    /// The jurisdiction.
    pub domain: &'a str,
    /// The node that is wrapped: 0 to 1,023 for tenants, 1,024 for the service node.
    pub node: u16,
    /// Generation of the wrapped node.
    pub generation: u64,
}

impl NodeContext<'_> {
    /// The context's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Fields::new("lethe/v1/node")
            .bytes(self.domain.as_bytes())
            .integer(u64::from(self.node))
            .integer(self.generation)
            .finish()
    }
}

/// The 32-byte commitment to a KEK that headers and receipts repeat (`docs/format.md` §3).
#[must_use]
pub fn kek_commitment(kek: &[u8; 32], tenant: TenantId, kek_id: KekId) -> [u8; 32] {
    let info = Fields::new("lethe/v1/kek-commit")
        .bytes(tenant.as_bytes())
        .bytes(kek_id.as_bytes())
        .finish();
    let mut commitment = [0; 32];
    kdf::expand(kek, &[&info], &mut commitment);
    commitment
}

/// What a customer key is extracted with (`docs/format.md` §6.1): all of the input but the customer key itself, which goes behind it
/// and into no buffer.
pub(crate) fn customer_key_prefix(tenant: TenantId, kek_id: KekId) -> Vec<u8> {
    let mut prefix = Fields::new("lethe/v1/customer-key")
        .bytes(tenant.as_bytes())
        .bytes(kek_id.as_bytes())
        .finish();
    prefix.extend_from_slice(&32_u32.to_be_bytes());
    prefix
}

/// What the check of a customer key is expanded with (`docs/format.md` §6.1).
pub(crate) fn customer_check_info(object_id: ObjectId) -> Vec<u8> {
    Fields::new("lethe/v1/customer-check")
        .bytes(object_id.as_bytes())
        .finish()
}

/// SHA-256 over every byte of the header but the wrapped DEK, and over the sealed metadata.
pub(crate) fn bindings_sha256(bound_header: &[u8], sealed_metadata: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    let fields = Fields::new("lethe/v1/bindings")
        .bytes(bound_header)
        .bytes(sealed_metadata)
        .finish();
    sha2::Sha256::digest(&fields).into()
}
