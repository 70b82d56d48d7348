//! UploadPart and UploadPartCopy: every attempt has a fresh salt and a record of its own; the last to finish is current.

use super::checksums;
use crate::catalog::{CatalogError, NewAttempt, Upload, UploadState};
use crate::clock::UnixMs;
use crate::ops::checksum::Declared;
use crate::ops::conditions::{CopySourceConditions, Validators};
use crate::ops::error::{Code, OpError};
use crate::ops::etag::ClientEtag;
use crate::ops::gateway::Gateway;
use crate::ops::opened;
use crate::ops::put_object::STORED_BYTES_MAX;
use crate::ops::read_object::BUFFERED_BYTES_MAX;
use crate::ops::reading::{Extent, Reader};
use crate::ops::scope::BucketScope;
use crate::ops::sealing::{self, Incoming, PlainStream, Trailers};
use crate::region::{
    Body, BodyError, HeadFields, PutCondition, PutRequest, RegionError, UploadPartRequest,
    VersionId,
};
use crate::tenants::{ObjectKey, SPOOL_OWNER};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use lethe_envelope::{
    Checksum, ChecksumAlgorithm, CustomerKey, PartContext, SealedPart, Sealer, layout,
};
use std::sync::Arc;

const PART_NUMBER_MAX: u16 = 10_000;

/// One attempt at a part.
pub struct UploadPart {
    /// The upload's key.
    pub key: ObjectKey,
    /// The upload.
    pub upload: String,
    /// 1 to 10,000.
    pub number: u16,
    /// The plaintext.
    pub body: PlainStream,
    /// Its declared length.
    pub plaintext_bytes: u64,
    /// What else the client declared of it.
    pub declared: Declared,
    /// Its trailer.
    pub trailers: Trailers,
    /// The key that the upload was begun with.
    pub customer_key: Option<Arc<CustomerKey>>,
}

/// The answer to an attempt at a part.
pub struct PartAnswer {
    /// The part's ETag.
    pub etag: ClientEtag,
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// When it was stored.
    pub last_modified: UnixMs,
}

/// One part from another object of the tenant.
pub struct UploadPartCopy {
    /// The upload's key.
    pub key: ObjectKey,
    /// The upload.
    pub upload: String,
    /// 1 to 10,000.
    pub number: u16,
    /// The source's bucket.
    pub source: BucketScope,
    /// The source's key.
    pub source_key: ObjectKey,
    /// The source's version.
    pub source_version: Option<VersionId>,
    /// What must hold of the source.
    pub source_conditions: CopySourceConditions,
    /// First and last plaintext byte of the source; everything when absent.
    pub range: Option<(u64, u64)>,
    /// The key that the source was stored with.
    pub source_customer_key: Option<Arc<CustomerKey>>,
    /// The key that the upload was begun with.
    pub customer_key: Option<Arc<CustomerKey>>,
}

/// Stores one attempt at a part.
///
/// # Errors
/// `NoSuchUpload`, `InvalidArgument` for the number, `EntityTooLarge`, `BadDigest` and its like; `InvalidRequest` for another customer
/// key than the upload was begun with.
pub async fn upload_part(
    gateway: &Gateway,
    scope: &BucketScope,
    part: UploadPart,
) -> Result<PartAnswer, OpError> {
    let upload = super::find(scope, &part.key, &part.upload).await?;
    match upload.state {
        UploadState::Open => {}
        UploadState::Completing => {
            return Err(OpError::new(
                Code::OperationAborted,
                "This upload is being completed, or its completion was begun: complete it with the same list of parts, or abort it.",
            ));
        }
        _ => return Err(OpError::no_such_upload()),
    }
    if !(1..=PART_NUMBER_MAX).contains(&part.number) {
        return Err(OpError::invalid_argument(
            "Part number must be an integer between 1 and 10000, inclusive",
        ));
    }
    if layout::sealed_len(part.plaintext_bytes.min(layout::PLAINTEXT_BYTES_MAX)) > STORED_BYTES_MAX
    {
        return Err(OpError::new(
            Code::EntityTooLarge,
            "Your proposed upload exceeds the maximum allowed part size.",
        ));
    }
    let expected = upload.new.checksum.map(|(algorithm, _)| algorithm);
    if let (Some(expected), Some(declared)) = (expected, part.declared.algorithm())
        && expected != declared
    {
        return Err(OpError::invalid_request(
            "Checksum Type mismatch occurred: the part's checksum algorithm is not the one that the upload was created with.",
        ));
    }
    store_attempt(gateway, scope, &upload, part).await
}

async fn store_attempt(
    gateway: &Gateway,
    scope: &BucketScope,
    upload: &Upload,
    part: UploadPart,
) -> Result<PartAnswer, OpError> {
    let (catalog, tenant, number) = (&scope.domain.catalog, scope.tenant, part.number);
    let dek = super::unwrap(scope, upload, part.customer_key.as_deref()).await?;
    let context = PartContext {
        tenant,
        object_id: upload.new.object_id,
        part_number: u64::from(number),
    };
    let sealer = Sealer::new(gateway.engine, dek.expose(), &context.to_bytes())
        .map_err(OpError::internal)?;
    let dek = scope.domain.keys.hold(tenant, dek);
    let attempt = catalog
        .begin_attempt(tenant, &upload.new.id, number, gateway.clock().now())
        .await
        .map_err(not_taken)?;
    let spool_key = is_spooled(scope, upload, number, part.plaintext_bytes)
        .await?
        .then(|| ObjectKey::new(format!("{}/{number}/{}", upload.new.id, attempt.0)))
        .transpose()
        .map_err(OpError::internal)?;
    // A checksum that nobody asked for lets Complete tell equal attempts from different ones.
    let algorithm = upload
        .new
        .checksum
        .map_or(ChecksumAlgorithm::Crc64Nvme, |(algorithm, _)| algorithm);
    let asked = upload.new.checksum.is_some() || part.declared.algorithm().is_some();
    let (etag, sealed, checksum) =
        send(scope, upload, part, sealer, algorithm, spool_key.as_ref()).await?;
    let sealed_checksum = checksum.as_ref().map(|checksum| {
        let of = (number, &sealed);
        checksums::seal(gateway, scope, upload, &dek, of, checksum)
    });
    let sealed_checksum = match sealed_checksum.transpose() {
        Ok(sealed) => sealed,
        Err(error) => {
            // It is recorded nowhere; what can't be deleted now is the sweeping job's.
            if let Some(key) = spool_key {
                let _ = super::delete_spooled(&scope.region, key).await;
            }
            return Err(error);
        }
    };
    let finished = NewAttempt {
        upstream_etag: etag.clone(),
        salt: sealed.salt,
        commitment: sealed.commitment,
        plaintext_bytes: sealed.plaintext_bytes,
        sealed_checksum,
        spool_key,
    };
    let now = gateway.clock().now();
    let recorded = catalog
        .finish_attempt(tenant, &upload.new.id, attempt, &finished, now)
        .await;
    if let Err(error) = recorded {
        // Refused for good, so nobody will ask for it; after any other failure it may be recorded all the same.
        if matches!(
            error,
            CatalogError::Conflict { .. } | CatalogError::NotFound { .. }
        ) && let Some(key) = finished.spool_key
        {
            let _ = super::delete_spooled(&scope.region, key).await;
        }
        return Err(not_taken(error));
    }
    Ok(PartAnswer {
        etag: ClientEtag::from_upstream(&etag),
        checksum: checksum.filter(|_| asked),
        last_modified: now,
    })
}

/// The upload left `Open` while the part was on its way, or has too many attempts.
fn not_taken(error: CatalogError) -> OpError {
    match error {
        CatalogError::Conflict { .. } | CatalogError::NotFound { .. } => {
            OpError::no_such_upload().caused_by(error)
        }
        CatalogError::Quota { .. } => OpError::new(
            Code::SlowDown,
            "This part has been uploaded too often. Complete or abort the upload.",
        )
        .caused_by(error),
        other => other.into(),
    }
}

/// Whether this part can only be the last one upstream: it waits, sealed, until Complete sends it with pad and trailer.
async fn is_spooled(
    scope: &BucketScope,
    upload: &Upload,
    number: u16,
    plaintext_bytes: u64,
) -> Result<bool, OpError> {
    if plaintext_bytes < layout::PART_BYTES_MIN || number == PART_NUMBER_MAX {
        return Ok(true);
    }
    if !scope.region.store.profile().equal_parts || number == 1 {
        return Ok(false);
    }
    let first = scope
        .domain
        .catalog
        .parts(scope.tenant, &upload.new.id, 0, 1)
        .await?;
    Ok(first
        .first()
        .is_some_and(|first| first.number == 1 && plaintext_bytes < first.stored.plaintext_bytes))
}

async fn send(
    scope: &BucketScope,
    upload: &Upload,
    part: UploadPart,
    sealer: Sealer,
    algorithm: ChecksumAlgorithm,
    spool_key: Option<&ObjectKey>,
) -> Result<(String, SealedPart, Option<Checksum>), OpError> {
    let UploadPart {
        key,
        number,
        body,
        plaintext_bytes,
        declared,
        trailers,
        ..
    } = part;
    let stored_bytes = layout::sealed_len(plaintext_bytes);
    let incoming = Incoming {
        body,
        plaintext_bytes,
        verifier: declared.computing(Some(algorithm)).verifier(),
        trailers,
    };
    if plaintext_bytes <= BUFFERED_BYTES_MAX {
        let (plaintext, checksum) = incoming.collect().await?;
        let (mut sealer, mut stored) = (sealer, Vec::new());
        sealer.seal(&plaintext, &mut stored);
        let sealed = sealer.finish(&mut stored);
        let body = Body::Replayable(Bytes::from(stored));
        let etag = send_body(scope, upload, &key, number, stored_bytes, body, spool_key).await?;
        return Ok((etag, sealed, checksum));
    }
    let sealer = scope.domain.keys.hold(scope.tenant, sealer);
    let (stream, outcome) = sealing::seal_part(incoming, sealer);
    let etag = send_body(
        scope,
        upload,
        &key,
        number,
        stored_bytes,
        Body::Once(stream),
        spool_key,
    )
    .await?;
    let (sealed, checksum) = outcome
        .take()
        .ok_or_else(|| OpError::internal("the region took a part before its end"))?;
    Ok((etag, sealed, checksum))
}

async fn send_body(
    scope: &BucketScope,
    upload: &Upload,
    key: &ObjectKey,
    number: u16,
    stored_bytes: u64,
    body: Body,
    spool_key: Option<&ObjectKey>,
) -> Result<String, OpError> {
    let (store, tenant) = (&scope.region.store, scope.tenant);
    match spool_key {
        Some(spool_key) => {
            let request = PutRequest {
                head: HeadFields::default(),
                stored_bytes,
                body,
                condition: PutCondition::Always,
            };
            Ok(store
                .put(SPOOL_OWNER, &super::spool_at(scope, spool_key), request)
                .await?
                .etag)
        }
        None => {
            let request = UploadPartRequest {
                upload: super::upstream(upload)?.clone(),
                number,
                stored_bytes,
                body,
                in_lock_bucket: scope.bucket.object_lock,
            };
            match store.upload_part(tenant, &scope.at(key), request).await {
                Err(RegionError::NotFound { .. }) => Err(OpError::no_such_upload()),
                outcome => Ok(outcome?),
            }
        }
    }
}

/// Stores one part from another object: its plaintext is opened and sealed again under the upload's key.
///
/// # Errors
/// Those of a read and of [`upload_part`].
pub async fn upload_part_copy(
    gateway: &Gateway,
    scope: &BucketScope,
    copy: UploadPartCopy,
) -> Result<(PartAnswer, Option<VersionId>), OpError> {
    let UploadPartCopy {
        key,
        upload,
        number,
        source,
        source_key,
        source_version,
        source_conditions,
        range,
        source_customer_key,
        customer_key,
    } = copy;
    let head = source
        .region
        .store
        .head(
            source.tenant,
            &source.at(&source_key),
            source_version.as_ref(),
        )
        .await?;
    let source_customer_key = source_customer_key.as_deref();
    let object =
        opened::open_head(gateway, &source, &source_key, head, source_customer_key).await?;
    let etag = object.client_etag();
    if !source_conditions.hold(Validators {
        etag: &etag,
        last_modified: object.head.last_modified,
    }) {
        return Err(OpError::precondition_failed());
    }
    let bytes = object.plaintext_bytes;
    let range = match range {
        Some((first, last)) if first <= last && last < bytes => Some((first, last)),
        Some(_) => {
            return Err(OpError::invalid_argument(format!(
                "Range specified is not valid for source object of size: {bytes}"
            )));
        }
        None => bytes.checked_sub(1).map(|last| (0, last)),
    };
    let version = object.head.version.clone();
    let object = Arc::new(object);
    let parts = object.layout(gateway, &source, &source_key).await?;
    let at = source.at(&source_key);
    let extent = range.map_or(Extent::Nothing, |(first, last)| Extent::Range(first, last));
    let reader = Reader::open(gateway.engine, &source, at, object, parts, extent, None).await?;
    let part = UploadPart {
        key,
        upload,
        number,
        // What breaks here is the region, not the client's request.
        body: reader
            .into_stream()
            .map_err(|error| match error {
                BodyError::Incomplete => BodyError::Source(Arc::new(error)),
                other => other,
            })
            .boxed(),
        plaintext_bytes: range.map_or(0, |(first, last)| last - first + 1),
        declared: Declared::default(),
        trailers: Box::new(|| None),
        customer_key,
    };
    Ok((upload_part(gateway, scope, part).await?, version))
}
