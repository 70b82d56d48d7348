//! PostObject: an object whose length nobody says before its end. What fits into one piece is put as one; of anything longer
//! an upload of the gateway's own is made, piece by piece, and taken back when the body does not end well.

use crate::ops::checksum::Declared;
use crate::ops::conditions::WriteCondition;
use crate::ops::error::OpError;
use crate::ops::gateway::Gateway;
use crate::ops::multipart::{self, CompleteUpload, CreateUpload, RequestedPart, UploadPart};
use crate::ops::put_object::{self, PutAnswer, PutObject};
use crate::ops::scope::BucketScope;
use crate::ops::sealing::PlainStream;
use crate::region::{BodyError, ObjectLock};
use crate::tenants::ObjectKey;
use bytes::Bytes;
use futures::StreamExt as _;
use lethe_envelope::{Checksum, ChecksumAlgorithm, ChecksumType, CustomerKey, ObjectMetadata};
use std::sync::Arc;

/// Plaintext bytes of one piece: as much as is held in memory at once.
pub const PART_BYTES: u64 = 8 << 20;

/// One object of unknown length.
pub struct PostObject {
    /// The object's key.
    pub key: ObjectKey,
    /// What to seal beside it.
    pub metadata: ObjectMetadata,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// The lock that it is to have.
    pub lock: ObjectLock,
    /// The key without which nobody is to read it.
    pub customer_key: Option<Arc<CustomerKey>>,
    /// What the client declared of it.
    pub declared: Declared,
    /// The plaintext; it ends only when all of it is what was meant.
    pub body: PlainStream,
}

/// Stores an object whose length shows at its end.
///
/// # Errors
/// `BadDigest` and its like, what the body fails with, what PutObject and the calls of an upload answer. Nothing is stored then.
pub async fn post_object(
    gateway: &Gateway,
    scope: &BucketScope,
    post: PostObject,
) -> Result<PutAnswer, OpError> {
    let mut pieces = Pieces::of(post.body);
    let first = pieces.next().await?;
    if pieces.is_over() {
        let put = PutObject {
            key: post.key,
            metadata: post.metadata,
            tags: post.tags,
            lock: post.lock,
            condition: WriteCondition::Always,
            customer_key: post.customer_key,
            plaintext_bytes: first.len() as u64,
            body: once(first),
            declared: post.declared,
            trailers: Box::new(|| None),
        };
        return put_object::put_object(gateway, scope, put).await;
    }
    let kept = kept_checksum(&post.declared);
    let create = CreateUpload {
        key: post.key.clone(),
        metadata: post.metadata,
        tags: post.tags,
        lock: post.lock,
        customer_key: post.customer_key.clone(),
        algorithm: kept.as_ref().map(|checksum| checksum.algorithm),
        checksum_type: kept.as_ref().map(|_| ChecksumType::FullObject),
    };
    let upload = multipart::create_upload(gateway, scope, create).await?;
    let upload = OwnUpload {
        gateway,
        scope,
        key: post.key,
        id: upload.new.id.to_string(),
        customer_key: post.customer_key,
    };
    let stored = upload.store(first, pieces, post.declared, kept).await;
    if stored.is_err() {
        upload.take_back().await;
    }
    stored
}

/// The checksum that the object keeps: one that parts can make together. Any other is verified all the same.
fn kept_checksum(declared: &Declared) -> Option<Checksum> {
    use ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme};
    let known = declared.known()?;
    [Crc32, Crc32c, Crc64Nvme]
        .contains(&known.algorithm)
        .then(|| known.clone())
}

fn once(bytes: Bytes) -> PlainStream {
    futures::stream::iter([Ok(bytes)]).boxed()
}

/// An upload that its client does not know of.
struct OwnUpload<'a> {
    gateway: &'a Gateway,
    scope: &'a BucketScope,
    key: ObjectKey,
    id: String,
    customer_key: Option<Arc<CustomerKey>>,
}

impl OwnUpload<'_> {
    async fn store(
        &self,
        first: Bytes,
        mut pieces: Pieces,
        declared: Declared,
        kept: Option<Checksum>,
    ) -> Result<PutAnswer, OpError> {
        let mut verifier = declared.verifier();
        let mut parts = Vec::new();
        let mut piece = first;
        loop {
            verifier.update(&piece);
            parts.push(self.part(parts.len(), piece).await?);
            if pieces.is_over() {
                break;
            }
            piece = pieces.next().await?;
        }
        let verified = verifier.finish(None)?;
        let complete = CompleteUpload {
            key: self.key.clone(),
            upload: self.id.clone(),
            parts,
            checksum: kept,
            plaintext_bytes: None,
            condition: WriteCondition::Always,
            customer_key: self.customer_key.clone(),
        };
        let made = multipart::complete_upload(self.gateway, self.scope, &complete).await?;
        Ok(PutAnswer {
            etag: made.etag,
            version: made.version,
            checksum: verified,
            expiration: made.expiration,
        })
    }

    async fn part(&self, stored: usize, piece: Bytes) -> Result<RequestedPart, OpError> {
        // Bodies end long before the 10,000th piece; if one did not, that part would be refused.
        let number = u16::try_from(stored + 1).unwrap_or(u16::MAX);
        let part = UploadPart {
            key: self.key.clone(),
            upload: self.id.clone(),
            number,
            plaintext_bytes: piece.len() as u64,
            body: once(piece),
            customer_key: self.customer_key.clone(),
            declared: Declared::default(),
            trailers: Box::new(|| None),
        };
        let stored = multipart::upload_part(self.gateway, self.scope, part).await?;
        Ok(RequestedPart {
            number,
            etag: stored.etag,
            checksum: None,
        })
    }

    async fn take_back(&self) {
        let (gateway, scope) = (self.gateway, self.scope);
        let aborted = multipart::abort_upload(gateway, scope, &self.key, &self.id).await;
        if let Err(error) = aborted {
            let tenant = scope.tenant;
            tracing::debug!(%tenant, %error, "a form's upload is left to the sweeping job");
        }
    }
}

/// A body in pieces of [`PART_BYTES`], the last one shorter.
struct Pieces {
    body: PlainStream,
    /// What came beyond the last piece; after the first call it is empty only when nothing more comes.
    carried: Bytes,
}

impl Pieces {
    fn of(body: PlainStream) -> Self {
        Self {
            body,
            carried: Bytes::new(),
        }
    }

    /// Whether the last piece was the last.
    fn is_over(&self) -> bool {
        self.carried.is_empty()
    }

    async fn next(&mut self) -> Result<Bytes, BodyError> {
        let whole = usize::try_from(PART_BYTES).unwrap_or(usize::MAX);
        let mut piece = Vec::new();
        loop {
            let wanted = whole - piece.len();
            let taken = self.carried.split_to(self.carried.len().min(wanted));
            piece.extend_from_slice(&taken);
            if !self.carried.is_empty() {
                return Ok(piece.into());
            }
            match self.body.next().await.transpose()? {
                Some(chunk) => self.carried = chunk,
                None => return Ok(piece.into()),
            }
        }
    }
}
