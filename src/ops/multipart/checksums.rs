//! Checksums of parts and the digest of a part list. The catalog keeps both under the upload's DEK (`docs/format.md` §8.1), which is
//! unwrapped when it is needed and not kept: a Complete may wait for long between two uses.

use crate::catalog::{Attempt, Upload};
use crate::ops::error::OpError;
use crate::ops::gateway::Gateway;
use crate::ops::scope::BucketScope;
use crate::tenants::TenantId;
use lethe_envelope::{
    AttemptContext, Checksum, CustomerKey, Dek, PartRecord, SealedPart, part_list_digest,
};
use lethe_keys::Leased;

/// A finished attempt at a part, with its plaintext's checksum.
#[derive(Clone, Debug)]
pub struct Part {
    /// What the catalog keeps of it.
    pub attempt: Attempt,
    /// Its plaintext's checksum.
    pub checksum: Option<Checksum>,
}

impl Part {
    /// The part as a trailer records it.
    pub(super) fn record(&self) -> PartRecord {
        let stored = &self.attempt.stored;
        PartRecord {
            number: self.attempt.number,
            checksum: self.checksum.clone(),
            plaintext_bytes: stored.plaintext_bytes,
            salt: stored.salt,
            commitment: stored.commitment,
        }
    }
}

fn context(tenant: TenantId, upload: &Upload, number: u16, commitment: [u8; 32]) -> AttemptContext {
    AttemptContext {
        tenant,
        object_id: upload.new.object_id,
        part_number: u64::from(number),
        commitment,
    }
}

/// Seals the checksum of one attempt. It does not wait: what is stored next at the part's number must not be recorded before it.
pub(super) fn seal(
    gateway: &Gateway,
    scope: &BucketScope,
    upload: &Upload,
    dek: &Leased<Dek>,
    (number, sealed): (u16, &SealedPart),
    checksum: &Checksum,
) -> Result<Vec<u8>, OpError> {
    let context = context(scope.tenant, upload, number, sealed.commitment);
    dek.with(|dek| checksum.seal(gateway.engine, dek, &context))?
        .map_err(OpError::internal)
}

/// Opens the checksums of attempts.
pub(super) async fn open(
    gateway: &Gateway,
    scope: &BucketScope,
    upload: &Upload,
    customer_key: Option<&CustomerKey>,
    attempts: Vec<Attempt>,
) -> Result<Vec<Part>, OpError> {
    let dek = super::unwrap(scope, upload, customer_key).await?;
    let opened = attempts.into_iter().map(|attempt| {
        let context = context(
            scope.tenant,
            upload,
            attempt.number,
            attempt.stored.commitment,
        );
        let sealed = attempt.stored.sealed_checksum.as_deref();
        let checksum = sealed.map(|sealed| Checksum::open(gateway.engine, &dek, &context, sealed));
        Ok(Part {
            checksum: checksum.transpose().map_err(OpError::not_authentic)?,
            attempt,
        })
    });
    opened.collect()
}

/// The digest by which the catalog knows a part list again.
pub(super) async fn list_digest(
    scope: &BucketScope,
    upload: &Upload,
    customer_key: Option<&CustomerKey>,
    parts: &[Part],
) -> Result<[u8; 32], OpError> {
    let records: Vec<PartRecord> = parts.iter().map(Part::record).collect();
    let dek = super::unwrap(scope, upload, customer_key).await?;
    let object_id = upload.new.object_id;
    Ok(part_list_digest(&dek, scope.tenant, object_id, &records))
}
