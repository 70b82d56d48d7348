//! An object whose head has been opened: the wrap verified, so its length, its metadata and its place are authentic.

use crate::ops::customer_key::{self, UnwrapError};
use crate::ops::error::{Code, OpError};
use crate::ops::gateway::Gateway;
use crate::ops::scope::BucketScope;
use crate::ops::stored_head;
use crate::region::{ByteRange, GetRequest, StoredHead, VersionId};
use crate::tenants::ObjectKey;
use futures::TryStreamExt as _;
use lethe_envelope::{
    CustomerKey, Dek, DekContext, Header, Kind, MetadataContext, ObjectMetadata, PartRecord,
    Trailer, layout,
};
use lethe_keys::Leased;
use std::sync::Arc;

/// An object ready to be read.
pub struct OpenedObject {
    /// The head as the store gave it.
    pub head: StoredHead,
    /// Its authenticated header.
    pub header: Header,
    /// Its sealed metadata, as the header binds it.
    pub sealed_metadata: Vec<u8>,
    /// Its authenticated metadata.
    pub metadata: ObjectMetadata,
    /// Its authenticated length (for multipart once its trailer is open, which binds it).
    pub plaintext_bytes: u64,
    /// Its key, within the lease.
    pub dek: Arc<Leased<Dek>>,
}

/// The context that binds an object's DEK to its place.
#[must_use]
pub fn dek_context<'a>(
    scope: &'a BucketScope,
    key: &'a ObjectKey,
    header: &lethe_envelope::HeaderDraft,
    sealed_metadata: &[u8],
) -> DekContext<'a> {
    DekContext {
        suite: header.suite(),
        tenant: scope.tenant,
        domain: scope.domain.name.as_str(),
        bucket: scope.bucket.name.as_str(),
        object_key: key.as_str(),
        object_id: header.object_id,
        kek_id: header.kek_id,
        subject: None,
        kind: header.kind(),
        plaintext_bytes: header.single.map(|single| single.plaintext_bytes),
        bindings_sha256: header.bindings_sha256(sealed_metadata),
    }
}

/// Unwraps an object's DEK under its place, with a customer key where it needs one, and opens its metadata.
///
/// # Errors
/// An error that names no key and no other tenant: not written by Lethe, not authentic here, a customer key that is missing, wrong
/// or of no use, or the keys are away.
pub async fn open_head(
    gateway: &Gateway,
    scope: &BucketScope,
    key: &ObjectKey,
    head: StoredHead,
    customer_key: Option<&CustomerKey>,
) -> Result<OpenedObject, OpError> {
    let (header, sealed_metadata) = stored_head::unpack(&head.fields)?.ok_or_else(not_ours)?;
    let dek = customer_key::unwrap(scope, key, &header, &sealed_metadata, customer_key)
        .await
        .map_err(UnwrapError::of_object)?;
    let metadata_context = MetadataContext {
        tenant: scope.tenant,
        object_id: header.object_id,
    };
    let metadata = ObjectMetadata::open(gateway.engine, &dek, &metadata_context, &sealed_metadata)
        .map_err(OpError::not_authentic)?;
    let plaintext_bytes = plaintext_len(&header, head.stored_bytes)?;
    let dek = Arc::new(scope.domain.keys.hold(scope.tenant, dek));
    Ok(OpenedObject {
        head,
        header,
        sealed_metadata,
        metadata,
        plaintext_bytes,
        dek,
    })
}

/// P from the header (single) or from the stored length (multipart, bound by the trailer's context).
fn plaintext_len(header: &Header, stored_bytes: u64) -> Result<u64, OpError> {
    let from_store = layout::plaintext_len_of_stored(stored_bytes);
    match (header.single, from_store) {
        (Some(single), Some(stored)) if single.plaintext_bytes == stored => Ok(stored),
        (None, Some(stored)) => Ok(stored),
        _ => Err(OpError::not_authentic(
            "the stored length does not belong to the object",
        )),
    }
}

fn not_ours() -> OpError {
    OpError::new(
        Code::InvalidObjectState,
        "This object was not written through Lethe, which does not serve it.",
    )
}

impl OpenedObject {
    /// The object's parts: from its header when it came as one PUT, else from its trailer.
    ///
    /// # Errors
    /// An error when the trailer can't be read or is not authentic.
    pub async fn layout(
        &self,
        gateway: &Gateway,
        scope: &BucketScope,
        key: &ObjectKey,
    ) -> Result<Arc<Trailer>, OpError> {
        match self.header.single {
            None => self.trailer(gateway, scope, key).await,
            Some(single) => {
                let part = PartRecord {
                    number: 1,
                    checksum: None,
                    plaintext_bytes: single.plaintext_bytes,
                    salt: single.salt,
                    commitment: single.commitment,
                };
                let layout = Trailer::new(self.header.object_id, None, vec![part])
                    .map_err(OpError::not_authentic)?;
                Ok(Arc::new(layout))
            }
        }
    }

    /// The sealed trailer behind the parts, opened.
    ///
    /// # Errors
    /// An error when it can't be read or is not authentic.
    pub async fn trailer(
        &self,
        gateway: &Gateway,
        scope: &BucketScope,
        key: &ObjectKey,
    ) -> Result<Arc<Trailer>, OpError> {
        let object = self.header.object_id;
        if let Some(trailer) = gateway.trailers.get(scope.tenant, object, &self.head.etag) {
            // The trailer binds P; the length that came with this head is only the store's word.
            if trailer.plaintext_bytes != self.plaintext_bytes {
                return Err(OpError::not_authentic(
                    "the stored length is not the trailer's",
                ));
            }
            return Ok(trailer);
        }
        let trailer_bytes = layout::trailer_len(self.plaintext_bytes);
        let request = self.read(ByteRange::Inclusive {
            first: self.head.stored_bytes.saturating_sub(trailer_bytes),
            last: self.head.stored_bytes.saturating_sub(1),
        });
        let stored = scope
            .region
            .store
            .get(scope.tenant, &scope.at(key), &request)
            .await
            .map_err(OpError::further_read)?;
        let limit = usize::try_from(trailer_bytes).unwrap_or(usize::MAX);
        let sealed = stored
            .body
            .try_fold(Vec::new(), |mut sealed, chunk| async move {
                if sealed.len() + chunk.len() > limit {
                    return Err(crate::region::BodyError::Incomplete);
                }
                sealed.extend_from_slice(&chunk);
                Ok(sealed)
            })
            .await
            .map_err(OpError::upstream_body)?;
        let opened = self.dek.with(|dek| {
            Trailer::open(
                gateway.engine,
                dek,
                scope.tenant,
                object,
                self.plaintext_bytes,
                &sealed,
            )
        })?;
        let trailer = Arc::new(opened.map_err(OpError::not_authentic)?);
        gateway
            .trailers
            .put(scope.tenant, object, &self.head.etag, &trailer);
        Ok(trailer)
    }

    /// A further upstream request of the same answer: the same bytes or none.
    #[must_use]
    pub fn read(&self, range: ByteRange) -> GetRequest {
        GetRequest {
            range: Some(range),
            version: self.head.version.clone(),
            if_match: Some(self.head.etag.clone()),
        }
    }

    /// Whether it was stored by a multipart upload.
    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.header.kind == Kind::Multipart
    }

    /// The version, where the bucket has versions.
    #[must_use]
    pub fn version(&self) -> Option<&VersionId> {
        self.head.version.as_ref()
    }
}
