//! GetObject and HeadObject.

use crate::ops::conditions::{ReadConditions, Validators, Verdict};
use crate::ops::error::{Code, OpError};
use crate::ops::etag::ClientEtag;
use crate::ops::gateway::Gateway;
use crate::ops::opened::{self, OpenedObject};
use crate::ops::range::{RangeSpec, ResolvedRange};
use crate::ops::reading::{self, Extent, Reader};
use crate::ops::scope::BucketScope;
use crate::region::{ByteStream, GetRequest, RegionError, StoredHead, StoredObject, VersionId};
use crate::tenants::ObjectKey;
use lethe_envelope::{Checksum, CustomerKey, Trailer};
use std::sync::Arc;

/// How often an answer starts over because the object was replaced between two upstream requests.
const STARTS_MAX: u32 = 4;
/// Bodies up to this were buffered when they were written, so their checksum is in the metadata and never only in the trailer.
pub(crate) const BUFFERED_BYTES_MAX: u64 = 1 << 20;

/// One read.
#[derive(Clone, Debug, Default)]
pub struct ReadRequest {
    /// One version instead of the newest.
    pub version: Option<VersionId>,
    /// One range instead of everything.
    pub range: Option<RangeSpec>,
    /// One part instead of everything.
    pub part_number: Option<u16>,
    /// What must hold.
    pub conditions: ReadConditions,
    /// Whether the answer carries the object's checksum.
    pub with_checksum: bool,
    /// Whether the answer has a body (GET) or not (HEAD).
    pub with_body: bool,
    /// The key that the client stored the object with.
    pub customer_key: Option<Arc<CustomerKey>>,
}

/// The answer of a read.
pub enum ReadAnswer {
    /// 304.
    NotModified(Box<OpenedObject>),
    /// 200 or, with a range, 206.
    Object(Box<ObjectAnswer>),
}

/// An object, or a range of it.
pub struct ObjectAnswer {
    /// The object.
    pub object: Arc<OpenedObject>,
    /// The range that is answered; absent for everything.
    pub range: Option<ResolvedRange>,
    /// How many bytes the body has.
    pub content_bytes: u64,
    /// How many parts the object has, when one was asked for.
    pub parts_count: Option<usize>,
    /// The checksum of what is answered, with the number of parts behind a composite one.
    pub checksum: Option<(Checksum, usize)>,
    /// The plaintext.
    pub body: Option<ByteStream>,
}

impl OpenedObject {
    /// The ETag as clients see it.
    #[must_use]
    pub fn client_etag(&self) -> ClientEtag {
        ClientEtag::from_upstream(&self.head.etag)
    }
}

/// Reads an object.
///
/// # Errors
/// `NoSuchKey` and its like, `PreconditionFailed`, `InvalidRange`, `InvalidPart`; `InvalidRequest` or `AccessDenied` for a customer key
/// that is missing, of no use or wrong; an internal error when what is stored is not authentic.
pub async fn read_object(
    gateway: &Gateway,
    scope: &BucketScope,
    key: &ObjectKey,
    request: &ReadRequest,
) -> Result<ReadAnswer, OpError> {
    let mut starts = 0;
    loop {
        starts += 1;
        match read_once(gateway, scope, key, request).await {
            Err(error) if error.is_object_changed() && starts < STARTS_MAX => {}
            outcome => return outcome,
        }
    }
}

async fn read_once(
    gateway: &Gateway,
    scope: &BucketScope,
    key: &ObjectKey,
    request: &ReadRequest,
) -> Result<ReadAnswer, OpError> {
    let (head, stored) = first_answer(scope, key, request).await?;
    let customer_key = request.customer_key.as_deref();
    let object = opened::open_head(gateway, scope, key, head, customer_key).await?;
    let etag = object.client_etag();
    let validators = Validators {
        etag: &etag,
        last_modified: object.head.last_modified,
    };
    match request.conditions.evaluate(validators) {
        Verdict::Proceed => {}
        Verdict::NotModified => return Ok(ReadAnswer::NotModified(Box::new(object))),
        Verdict::PreconditionFailed => return Err(OpError::precondition_failed()),
    }
    let asked = request
        .range
        .filter(|_| request.conditions.range_applies(validators));
    let object = Arc::new(object);
    let answer = answer(gateway, scope, key, request, object, asked, stored).await?;
    Ok(ReadAnswer::Object(Box::new(answer)))
}

/// The first upstream request: the whole body, a guess at the range, or the head where nothing can be guessed.
async fn first_answer(
    scope: &BucketScope,
    key: &ObjectKey,
    request: &ReadRequest,
) -> Result<(StoredHead, Option<StoredObject>), OpError> {
    let (store, at) = (&scope.region.store, scope.at(key));
    let range = match (request.with_body, request.part_number, request.range) {
        (true, None, None) => Some(None),
        (true, None, Some(RangeSpec::From { first, last })) => Some(Some(reading::guess_single(
            first,
            last.unwrap_or(u64::MAX / 4),
        ))),
        _ => None,
    };
    if let Some(range) = range {
        let get = GetRequest {
            range,
            version: request.version.clone(),
            if_match: None,
        };
        match store.get(scope.tenant, &at, &get).await {
            Ok(stored) => return Ok((stored.head.clone(), Some(stored))),
            // The range lies past the stored end: the head tells the length that the client is to be told.
            Err(RegionError::RangeNotSatisfiable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let head = store
        .head(scope.tenant, &at, request.version.as_ref())
        .await?;
    Ok((head, None))
}

async fn answer(
    gateway: &Gateway,
    scope: &BucketScope,
    key: &ObjectKey,
    request: &ReadRequest,
    object: Arc<OpenedObject>,
    asked: Option<RangeSpec>,
    stored: Option<StoredObject>,
) -> Result<ObjectAnswer, OpError> {
    let parts = match request.with_body || request.part_number.is_some() || object.is_multipart() {
        true => Some(object.layout(gateway, scope, key).await?),
        false => None,
    };
    let plaintext_bytes = object.plaintext_bytes;
    let (range, part) = match (request.part_number, &parts) {
        (Some(number), Some(parts)) => {
            let (range, index) = part_range(parts, number)?;
            (range, Some(index))
        }
        _ => {
            let resolved = asked.map(|asked| asked.resolve(plaintext_bytes));
            (
                resolved
                    .transpose()
                    .map_err(|_| OpError::invalid_range(plaintext_bytes))?,
                None,
            )
        }
    };
    let checksum = match (request.with_checksum, range, part) {
        (true, None, None) => object_checksum(gateway, scope, key, &object).await?,
        (true, _, Some(index)) => part_checksum(&object, parts.as_deref(), index),
        _ => None,
    };
    let content_bytes = match (range, part) {
        (Some(range), _) => range.bytes(),
        (None, Some(_)) => 0,
        (None, None) => plaintext_bytes,
    };
    let parts_count = part
        .and(parts.as_ref())
        .map(|parts| parts.parts.len())
        .filter(|_| object.is_multipart());
    let body = match (request.with_body, parts) {
        (true, Some(parts)) => {
            let wanted = match (range, part) {
                (Some(range), _) => Extent::Range(range.first, range.last),
                (None, Some(_)) => Extent::Nothing,
                (None, None) => Extent::Whole,
            };
            let at = scope.at(key);
            let reader = Reader::open(
                gateway.engine,
                scope,
                at,
                Arc::clone(&object),
                parts,
                wanted,
                stored,
            )
            .await?;
            Some(reader.into_stream())
        }
        _ => None,
    };
    Ok(ObjectAnswer {
        object,
        range,
        content_bytes,
        parts_count,
        checksum,
        body,
    })
}

/// The plaintext range of one part, absent when it is empty, and its index.
fn part_range(parts: &Trailer, number: u16) -> Result<(Option<ResolvedRange>, usize), OpError> {
    let index = usize::from(number).checked_sub(1);
    let Some((index, part)) = index.and_then(|index| Some((index, parts.parts.get(index)?))) else {
        return Err(OpError::new(
            Code::InvalidPartNumber,
            "The requested partnumber is not satisfiable.",
        ));
    };
    let first: u64 = parts.parts[..index]
        .iter()
        .map(|part| part.plaintext_bytes)
        .sum();
    let range = part
        .plaintext_bytes
        .checked_sub(1)
        .map(|last| ResolvedRange {
            first,
            last: first + last,
        });
    Ok((range, index))
}

/// The whole object's checksum: known before its body, or in its trailer.
///
/// # Errors
/// An error when the trailer can't be read or is not authentic.
pub async fn object_checksum(
    gateway: &Gateway,
    scope: &BucketScope,
    key: &ObjectKey,
    object: &OpenedObject,
) -> Result<Option<(Checksum, usize)>, OpError> {
    if let Some(checksum) = &object.metadata.checksum {
        return Ok(Some((checksum.clone(), 1)));
    }
    if !object.is_multipart() && object.plaintext_bytes <= BUFFERED_BYTES_MAX {
        return Ok(None);
    }
    let trailer = object.trailer(gateway, scope, key).await?;
    Ok(trailer
        .checksum
        .clone()
        .map(|checksum| (checksum, trailer.parts.len())))
}

fn part_checksum(
    object: &OpenedObject,
    parts: Option<&Trailer>,
    index: usize,
) -> Option<(Checksum, usize)> {
    let part = parts.and_then(|parts| parts.parts.get(index))?;
    let whole = object
        .metadata
        .checksum
        .as_ref()
        .filter(|_| !object.is_multipart());
    part.checksum
        .as_ref()
        .or(whole)
        .map(|checksum| (checksum.clone(), 1))
}
