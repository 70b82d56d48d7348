//! What the tests do with a gateway, in the words of a client.

use crate::ops::checksum::Declared;
use crate::ops::conditions::{CopySourceConditions, WriteCondition};
use crate::ops::copy_object::{CopyAnswer, CopyObject, copy_object};
use crate::ops::error::{Code, OpError};
use crate::ops::multipart::{
    CompleteAnswer, CompleteUpload, CreateUpload, PartAnswer, RequestedPart, UploadPart,
    abort_upload, complete_upload, create_upload, upload_part,
};
use crate::ops::put_object::{PutAnswer, PutObject, put_object};
use crate::ops::range::RangeSpec;
use crate::ops::read_object::{ObjectAnswer, ReadAnswer, ReadRequest, read_object};
use crate::ops::scope::{Access, BucketScope};
use crate::ops::sealing::PlainStream;
use crate::ops::testing::{Testbed, bucket_scope};
use crate::region::{
    Body, GetRequest, ObjectRef, PutCondition, PutRequest, RegionStore as _, StoredHead,
};
use crate::tenants::{Caller, ObjectKey};
use bytes::Bytes;
use futures::StreamExt as _;
use lethe_envelope::{ChecksumAlgorithm, ChecksumType, CustomerKey, ObjectMetadata};
use std::sync::Arc;
use std::time::Duration;

pub const MIB: usize = 1 << 20;
/// What is streamed, and never buffered.
pub const STREAMED: usize = MIB + 12_345;
/// A part that is not the last.
pub const PART: usize = 5 * MIB;

/// Bytes that differ at every place and between seeds.
pub fn plain(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(bytes);
    out
}

pub fn customer_key(byte: u8) -> Arc<CustomerKey> {
    Arc::new(CustomerKey::from_bytes(&[byte; 32]))
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

pub fn stream(bytes: Vec<u8>) -> PlainStream {
    let bytes = Bytes::from(bytes);
    let mut at = 0;
    let chunks: Vec<_> = std::iter::from_fn(move || {
        let chunk = bytes.slice(at..bytes.len().min(at + 100_000));
        at += chunk.len();
        (!chunk.is_empty()).then_some(Ok(chunk))
    })
    .collect();
    futures::stream::iter(chunks).boxed()
}

/// How a read went wrong.
#[derive(Debug)]
pub enum Broken {
    /// There was no answer but an error.
    Refused(OpError),
    /// The body broke off after these bytes.
    MidBody(Vec<u8>),
}

impl Broken {
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(error) => error.code(),
            Self::MidBody(sent) => panic!("the body broke off after {} bytes", sent.len()),
        }
    }
}

/// One bucket of one tenant, as a client uses it.
pub struct Client<'a> {
    pub bed: &'a Testbed,
    pub scope: BucketScope,
    /// The customer key of every request, the sources of copies included.
    pub customer_key: Option<Arc<CustomerKey>>,
}

impl<'a> Client<'a> {
    pub async fn acme(bed: &'a Testbed) -> Self {
        Self::of(bed, &bed.acme, "docs").await
    }

    pub async fn of(bed: &'a Testbed, caller: &Caller, bucket: &str) -> Self {
        let scope = bucket_scope(&bed.gateway, caller, bucket, Access::Write)
            .await
            .unwrap();
        Self {
            bed,
            scope,
            customer_key: None,
        }
    }

    /// The same client with a customer key.
    pub fn with_key(&self, byte: u8) -> Self {
        Self {
            bed: self.bed,
            scope: self.scope.clone(),
            customer_key: Some(customer_key(byte)),
        }
    }

    pub fn at(&self, name: &str) -> ObjectRef {
        self.scope.at(&key(name))
    }

    pub async fn put(&self, name: &str, body: &[u8]) -> Result<PutAnswer, OpError> {
        self.put_if(name, body, WriteCondition::Always).await
    }

    pub async fn put_if(
        &self,
        name: &str,
        body: &[u8],
        condition: WriteCondition,
    ) -> Result<PutAnswer, OpError> {
        let put = PutObject {
            key: key(name),
            metadata: ObjectMetadata::default(),
            tags: Vec::new(),
            condition,
            body: stream(body.to_vec()),
            plaintext_bytes: body.len() as u64,
            declared: Declared::default(),
            trailers: Box::new(|| None),
            customer_key: self.customer_key.clone(),
            lock: crate::region::ObjectLock::default(),
        };
        put_object(&self.bed.gateway, &self.scope, put).await
    }

    pub async fn read(&self, name: &str, request: &ReadRequest) -> Result<ObjectAnswer, OpError> {
        let request = ReadRequest {
            customer_key: self.customer_key.clone(),
            ..request.clone()
        };
        match read_object(&self.bed.gateway, &self.scope, &key(name), &request).await? {
            ReadAnswer::Object(answer) => Ok(*answer),
            ReadAnswer::NotModified(_) => panic!("nobody asked for that"),
        }
    }

    pub async fn head(&self, name: &str) -> Result<ObjectAnswer, OpError> {
        self.read(name, &ReadRequest::default()).await
    }

    pub async fn get(&self, name: &str) -> Result<Vec<u8>, Broken> {
        self.get_range(name, None).await
    }

    pub async fn get_range(&self, name: &str, range: Option<RangeSpec>) -> Result<Vec<u8>, Broken> {
        let request = ReadRequest {
            range,
            with_body: true,
            ..ReadRequest::default()
        };
        drain(self.read(name, &request).await).await
    }

    /// What is under the key: its bytes, or `None` when nothing is.
    pub async fn found(&self, name: &str) -> Option<Vec<u8>> {
        match self.get(name).await {
            Ok(bytes) => Some(bytes),
            Err(broken) => {
                assert_eq!(broken.code(), Code::NoSuchKey);
                None
            }
        }
    }

    pub async fn create(&self, name: &str) -> String {
        self.create_with(name, None, None).await.unwrap()
    }

    pub async fn create_with(
        &self,
        name: &str,
        algorithm: Option<ChecksumAlgorithm>,
        checksum_type: Option<ChecksumType>,
    ) -> Result<String, OpError> {
        let create = CreateUpload {
            key: key(name),
            metadata: ObjectMetadata::default(),
            tags: Vec::new(),
            algorithm,
            checksum_type,
            customer_key: self.customer_key.clone(),
            lock: crate::region::ObjectLock::default(),
        };
        let upload = create_upload(&self.bed.gateway, &self.scope, create).await?;
        Ok(upload.new.id.to_string())
    }

    pub async fn part_answer(
        &self,
        name: &str,
        upload: &str,
        number: u16,
        body: &[u8],
    ) -> Result<PartAnswer, OpError> {
        let part = UploadPart {
            key: key(name),
            upload: upload.to_owned(),
            number,
            body: stream(body.to_vec()),
            plaintext_bytes: body.len() as u64,
            declared: Declared::default(),
            trailers: Box::new(|| None),
            customer_key: self.customer_key.clone(),
        };
        upload_part(&self.bed.gateway, &self.scope, part).await
    }

    pub async fn part(
        &self,
        name: &str,
        upload: &str,
        number: u16,
        body: &[u8],
    ) -> Result<RequestedPart, OpError> {
        let answer = self.part_answer(name, upload, number, body).await?;
        Ok(RequestedPart {
            number,
            etag: answer.etag,
            checksum: answer.checksum,
        })
    }

    pub fn completion(&self, name: &str, upload: &str, parts: &[RequestedPart]) -> CompleteUpload {
        CompleteUpload {
            key: key(name),
            upload: upload.to_owned(),
            parts: parts.to_vec(),
            checksum: None,
            plaintext_bytes: None,
            condition: WriteCondition::Always,
            customer_key: self.customer_key.clone(),
        }
    }

    pub async fn complete(
        &self,
        name: &str,
        upload: &str,
        parts: &[RequestedPart],
    ) -> Result<CompleteAnswer, OpError> {
        let complete = self.completion(name, upload, parts);
        complete_upload(&self.bed.gateway, &self.scope, &complete).await
    }

    pub async fn abort(&self, name: &str, upload: &str) -> Result<(), OpError> {
        abort_upload(&self.bed.gateway, &self.scope, &key(name), upload).await
    }

    /// Stores an object of these parts.
    pub async fn multipart(&self, name: &str, parts: &[&[u8]]) -> CompleteAnswer {
        let upload = self.create(name).await;
        let mut listed = Vec::new();
        for (number, body) in (1..).zip(parts) {
            listed.push(self.part(name, &upload, number, body).await.unwrap());
        }
        self.complete(name, &upload, &listed).await.unwrap()
    }

    pub fn copying(&self, from: &str, to: &str) -> CopyObject {
        CopyObject {
            source: self.scope.clone(),
            source_key: key(from),
            source_version: None,
            source_conditions: CopySourceConditions::default(),
            key: key(to),
            metadata: None,
            tags: None,
            condition: WriteCondition::Always,
            source_customer_key: self.customer_key.clone(),
            customer_key: self.customer_key.clone(),
            lock: crate::region::ObjectLock::default(),
        }
    }

    pub async fn copy(&self, copy: &CopyObject) -> Result<CopyAnswer, OpError> {
        copy_object(&self.bed.gateway, &self.scope, copy).await
    }

    /// The stored bytes and their head, as the store has them.
    pub async fn stored(&self, name: &str) -> (StoredHead, Vec<u8>) {
        let (store, at) = (&self.bed.store, self.at(name));
        let got = store
            .get(self.scope.tenant, &at, &GetRequest::default())
            .await
            .unwrap();
        let head = got.head.clone();
        let chunks: Vec<Bytes> = got.body.map(Result::unwrap).collect().await;
        (head, chunks.concat())
    }

    /// Puts stored bytes under a key as a store would that lies.
    pub async fn forge(&self, name: &str, head: &StoredHead, body: Vec<u8>) {
        let request = PutRequest {
            head: head.fields.clone(),
            stored_bytes: body.len() as u64,
            body: Body::Replayable(Bytes::from(body)),
            condition: PutCondition::Always,
        };
        let (store, at) = (&self.bed.store, self.at(name));
        store.put(self.scope.tenant, &at, request).await.unwrap();
    }

    /// How many bodies lie in the spool.
    pub async fn spooled(&self) -> usize {
        let list = crate::region::ListRequest {
            keys_max: 1000,
            ..Default::default()
        };
        let (owner, spool) = (crate::tenants::SPOOL_OWNER, &self.scope.region.spool);
        let page = self.bed.store.list(owner, spool, &list).await.unwrap();
        page.objects.len()
    }
}

pub async fn drain(answer: Result<ObjectAnswer, OpError>) -> Result<Vec<u8>, Broken> {
    let answer = answer.map_err(Broken::Refused)?;
    let mut sent = Vec::new();
    let mut body = answer.body.unwrap();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => sent.extend_from_slice(&chunk),
            Err(_) => return Err(Broken::MidBody(sent)),
        }
    }
    assert_eq!(
        sent.len() as u64,
        answer.content_bytes,
        "a clean end is a whole one"
    );
    Ok(sent)
}

/// A request whose client (or whose deadline) ends it when the store hangs.
pub async fn given_up<T>(request: impl Future<Output = Result<T, OpError>>) -> Result<T, OpError> {
    match tokio::time::timeout(Duration::from_millis(400), request).await {
        Ok(outcome) => outcome,
        Err(_) => Err(OpError::slow_down()),
    }
}
