//! PutObject.

use crate::ops::checksum::Declared;
use crate::ops::conditions::WriteCondition;
use crate::ops::customer_key;
use crate::ops::error::{Code, OpError};
use crate::ops::etag::ClientEtag;
use crate::ops::gateway::Gateway;
use crate::ops::object_lock;
use crate::ops::read_object::BUFFERED_BYTES_MAX;
use crate::ops::scope::BucketScope;
use crate::ops::sealing::{self, Incoming, PlainStream, Trailers};
use crate::ops::stored_head;
use crate::region::{
    Body, HeadFields, ObjectLock, PutCondition, PutRequest, RegionError, VersionId, WriteOutcome,
};
use crate::tenants::ObjectKey;
use bytes::Bytes;
use lethe_envelope::{
    Checksum, CustomerKey, Dek, HeaderDraft, MetadataContext, ObjectId, ObjectMetadata, SinglePart,
    SingleSealer, layout,
};
use std::sync::Arc;

/// The largest stored body that upstreams take in one PUT or part.
pub(crate) const STORED_BYTES_MAX: u64 = 5 << 30;

/// One whole-object write.
pub struct PutObject {
    /// The object's key.
    pub key: ObjectKey,
    /// What to seal beside it.
    pub metadata: ObjectMetadata,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// The retention and legal hold that it asks for.
    pub lock: ObjectLock,
    /// What must hold.
    pub condition: WriteCondition,
    /// The plaintext.
    pub body: PlainStream,
    /// Its declared length.
    pub plaintext_bytes: u64,
    /// What else the client declared of it.
    pub declared: Declared,
    /// Its trailer.
    pub trailers: Trailers,
    /// The key without which nobody is to read it.
    pub customer_key: Option<Arc<CustomerKey>>,
}

/// The answer of a write.
pub struct PutAnswer {
    /// The new ETag.
    pub etag: ClientEtag,
    /// The new version.
    pub version: Option<VersionId>,
    /// The verified checksum.
    pub checksum: Option<Checksum>,
    /// When lifecycle rules let it go, in the region's words (`x-amz-expiration`).
    pub expiration: Option<String>,
}

/// Stores an object.
///
/// # Errors
/// `EntityTooLarge`, `BadDigest` and its like, `PreconditionFailed`; 503 when the outcome can't be known.
pub async fn put_object(
    gateway: &Gateway,
    scope: &BucketScope,
    put: PutObject,
) -> Result<PutAnswer, OpError> {
    if layout::stored_len(put.plaintext_bytes.min(layout::PLAINTEXT_BYTES_MAX)) > STORED_BYTES_MAX {
        return Err(OpError::new(
            Code::EntityTooLarge,
            "Your proposed upload exceeds the maximum allowed object size: use a multipart upload.",
        ));
    }
    let lock = object_lock::of_new_object(gateway, scope, put.lock)?;
    let condition = put_condition(scope, &put.key, &put.condition).await?;
    let draft = Draft::new(gateway, scope, put.plaintext_bytes).await?;
    let key = put.key.clone();
    let (mut request, checksum) = match put.plaintext_bytes <= BUFFERED_BYTES_MAX {
        true => buffered(gateway, scope, put, draft, condition).await?,
        false => streamed(gateway, scope, put, draft, condition).await?,
    };
    request.head.lock = lock;
    let head = request.head.clone();
    let outcome = scope
        .region
        .store
        .put(scope.tenant, &scope.at(&key), request)
        .await;
    let outcome = settle(scope, &key, &head, outcome).await?;
    Ok(PutAnswer {
        etag: ClientEtag::from_upstream(&outcome.etag),
        version: outcome.version,
        checksum: checksum.take(),
        expiration: outcome.expiration,
    })
}

/// What the upstream is to enforce. A tag that no stored state can have fails here.
///
/// # Errors
/// `NotImplemented` where the upstream would not enforce it, `PreconditionFailed` or `NoSuchKey` where it can't hold.
pub(crate) async fn put_condition(
    scope: &BucketScope,
    key: &ObjectKey,
    condition: &WriteCondition,
) -> Result<PutCondition, OpError> {
    if condition.is_conditional() && !scope.region.store.profile().conditional_put {
        return Err(OpError::not_implemented(
            "This region does not support conditional writes.",
        ));
    }
    upstream_condition(scope, key, condition).await
}

/// The condition in the upstream's terms; one that can't hold is answered as S3 does.
pub(crate) async fn upstream_condition(
    scope: &BucketScope,
    key: &ObjectKey,
    condition: &WriteCondition,
) -> Result<PutCondition, OpError> {
    match condition.upstream() {
        Some(condition) => Ok(condition),
        None => {
            scope
                .region
                .store
                .head(scope.tenant, &scope.at(key), None)
                .await?;
            Err(OpError::precondition_failed())
        }
    }
}

struct Draft {
    object_id: ObjectId,
    dek: Dek,
    sealer: SingleSealer,
    kek: lethe_keys::KekInfo,
}

impl Draft {
    async fn new(
        gateway: &Gateway,
        scope: &BucketScope,
        plaintext_bytes: u64,
    ) -> Result<Self, OpError> {
        let kek = scope.domain.keys.sealing_kek(scope.tenant).await?;
        let dek = Dek::generate()
            .map_err(|error| OpError::internal(format!("cannot draw a data key: {error}")))?;
        let object_id = ObjectId::random()
            .map_err(|error| OpError::internal(format!("cannot draw an object id: {error}")))?;
        let sealer = SingleSealer::new(
            gateway.engine,
            &dek,
            scope.tenant,
            object_id,
            plaintext_bytes,
        )
        .map_err(|error| OpError::internal(format!("cannot seal a body: {error}")))?;
        Ok(Self {
            object_id,
            dek,
            sealer,
            kek,
        })
    }
}

/// Checksums that a stream computes are known only at its end.
enum Verified {
    Now(Option<Checksum>),
    AtEnd(sealing::SharedOutcome<Option<Checksum>>),
}

impl Verified {
    fn take(self) -> Option<Checksum> {
        match self {
            Self::Now(checksum) => checksum,
            Self::AtEnd(outcome) => outcome.take().flatten(),
        }
    }
}

/// Up to 1 MiB: everything is verified before the first upstream byte, and a retry can send the same bytes again.
async fn buffered(
    gateway: &Gateway,
    scope: &BucketScope,
    put: PutObject,
    draft: Draft,
    condition: PutCondition,
) -> Result<(PutRequest, Verified), OpError> {
    let PutObject {
        key,
        mut metadata,
        tags,
        body,
        plaintext_bytes,
        declared,
        trailers,
        customer_key,
        ..
    } = put;
    let incoming = Incoming {
        body,
        plaintext_bytes,
        verifier: declared.verifier(),
        trailers,
    };
    let (plaintext, checksum) = incoming.collect().await?;
    metadata.checksum.clone_from(&checksum);
    let Draft {
        object_id,
        dek,
        mut sealer,
        kek,
    } = draft;
    let pins = sealer.single_part();
    let stored_bytes = layout::stored_len(plaintext_bytes);
    let mut stored = Vec::with_capacity(usize::try_from(stored_bytes).unwrap_or(0));
    let sealed = sealer
        .seal(&plaintext, &mut stored)
        .and_then(|()| sealer.finish(None, &mut stored));
    sealed.map_err(|error| OpError::internal(format!("cannot seal a body: {error}")))?;
    let head = seal_head(
        gateway,
        scope,
        &key,
        &kek,
        object_id,
        &dek,
        Some(pins),
        &metadata,
        tags,
        customer_key.as_deref(),
    )
    .await?;
    let body = Body::Replayable(Bytes::from(stored));
    Ok((
        PutRequest {
            head,
            stored_bytes,
            body,
            condition,
        },
        Verified::Now(checksum),
    ))
}

async fn streamed(
    gateway: &Gateway,
    scope: &BucketScope,
    put: PutObject,
    draft: Draft,
    condition: PutCondition,
) -> Result<(PutRequest, Verified), OpError> {
    let PutObject {
        key,
        mut metadata,
        tags,
        body,
        plaintext_bytes,
        declared,
        trailers,
        customer_key,
        ..
    } = put;
    metadata.checksum = declared.known().cloned();
    let keep_in_trailer = metadata.checksum.is_none();
    let Draft {
        object_id,
        dek,
        sealer,
        kek,
    } = draft;
    let pins = sealer.single_part();
    let head = seal_head(
        gateway,
        scope,
        &key,
        &kek,
        object_id,
        &dek,
        Some(pins),
        &metadata,
        tags,
        customer_key.as_deref(),
    )
    .await?;
    let incoming = Incoming {
        body,
        plaintext_bytes,
        verifier: declared.verifier(),
        trailers,
    };
    let sealer = scope.domain.keys.hold(scope.tenant, sealer);
    let (stream, outcome) = sealing::seal_single(incoming, sealer, keep_in_trailer);
    let stored_bytes = layout::stored_len(plaintext_bytes);
    Ok((
        PutRequest {
            head,
            stored_bytes,
            body: Body::Once(stream),
            condition,
        },
        Verified::AtEnd(outcome),
    ))
}

/// Seals an object's metadata and wraps its DEK under its place.
///
/// # Errors
/// `MetadataTooLarge`, or the keys are away.
#[allow(
    clippy::too_many_arguments,
    reason = "these are the fields of one header; a struct for one call would only rename them"
)]
pub(crate) async fn seal_head(
    gateway: &Gateway,
    scope: &BucketScope,
    key: &ObjectKey,
    kek: &lethe_keys::KekInfo,
    object_id: ObjectId,
    dek: &Dek,
    single: Option<SinglePart>,
    metadata: &ObjectMetadata,
    tags: Vec<(String, String)>,
    customer_key: Option<&CustomerKey>,
) -> Result<HeadFields, OpError> {
    let context = MetadataContext {
        tenant: scope.tenant,
        object_id,
    };
    let sealed = metadata.seal(gateway.engine, dek, &context)?;
    let draft = HeaderDraft {
        kek_id: kek.kek_id,
        kek_commitment: kek.commitment,
        object_id,
        single,
        customer_check: None,
    };
    let header = customer_key::wrap(scope, key, kek, dek, draft, &sealed, customer_key).await?;
    stored_head::pack(&header, &sealed, tags, scope.region.store.profile())
}

/// Looks when the answer of a write was lost: the object being ours is success.
///
/// # Errors
/// The write's own error, or 503 when the outcome stays unknown.
pub(crate) async fn settle(
    scope: &BucketScope,
    key: &ObjectKey,
    written: &HeadFields,
    outcome: Result<WriteOutcome, RegionError>,
) -> Result<WriteOutcome, OpError> {
    let error = match outcome {
        Err(error @ RegionError::Unknown { .. }) => error,
        settled => return Ok(settled?),
    };
    let Ok(head) = scope
        .region
        .store
        .head(scope.tenant, &scope.at(key), None)
        .await
    else {
        return Err(error.into());
    };
    if stored_head::same_header(&head.fields, written) {
        return Ok(WriteOutcome {
            etag: head.etag,
            version: head.version,
            last_modified: Some(head.last_modified),
            expiration: head.expiration,
        });
    }
    Err(error.into())
}
