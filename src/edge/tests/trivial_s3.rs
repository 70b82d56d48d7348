//! The S3 behind the edge of the tests: it keeps what it was asked for.

use crate::edge::forms::VerifiedForm;
use crate::edge::guard::body::Declared;
use crate::edge::verified::Verification;
use crate::edge::{Browsers, RequestContext, RequestId, error};
use crate::ops::cors::{CorsRule, Rules, StoredRules};
use crate::ops::put_object::PutAnswer;
use crate::ops::sealing::PlainStream;
use crate::ops::{ClientEtag, OpError};
use crate::tenants::Caller;
use bytes::Bytes;
use futures::TryStreamExt;
use s3s::dto;
use s3s::{S3, S3Request, S3Response, S3Result};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What the S3 behind the edge was asked for.
#[derive(Debug, Default)]
pub struct Seen {
    pub calls: Vec<String>,
    pub bodies: Vec<Bytes>,
    pub rules_asked: Vec<String>,
}

#[derive(Clone, Default)]
pub struct TrivialS3 {
    pub seen: Arc<Mutex<Seen>>,
    pub gate: Arc<Notify>,
}

impl TrivialS3 {
    fn saw(&self, call: String) {
        self.seen.lock().unwrap().calls.push(call);
    }

    /// Waits when the request says so, and fails then when it says that.
    async fn take_long<I>(&self, request: &S3Request<I>) -> S3Result<()> {
        let context = request.extensions.get::<Arc<RequestContext>>();
        context.unwrap().operation_begins();
        let verification = request.extensions.get::<Verification>().unwrap();
        match verification.header("x-amz-meta-outcome") {
            None => Ok(()),
            Some(outcome) => {
                self.gate.notified().await;
                self.saw("done".into());
                match outcome.as_bytes() {
                    b"fails" => {
                        let id = RequestId::NONE;
                        Err(error::to_s3(OpError::precondition_failed(), id))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    pub fn calls(&self) -> Vec<String> {
        self.seen.lock().unwrap().calls.clone()
    }

    pub fn rules_asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().rules_asked.clone()
    }

    pub fn bodies(&self) -> Vec<Bytes> {
        self.seen.lock().unwrap().bodies.clone()
    }
}

#[async_trait::async_trait]
impl S3 for TrivialS3 {
    async fn get_object(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let caller = request.extensions.get::<Caller>().cloned();
        let caller = caller.map(|c| c.access_key_id.to_string());
        self.saw(format!(
            "get {}/{} by {}",
            request.input.bucket,
            request.input.key,
            caller.unwrap_or_default()
        ));
        if request.input.key == "slow" {
            self.gate.notified().await;
        }
        let body = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"hello"))]);
        Ok(S3Response::new(dto::GetObjectOutput {
            body: Some(dto::StreamingBlob::wrap(body)),
            content_length: Some(5),
            ..Default::default()
        }))
    }

    async fn put_object(
        &self,
        mut request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let mut call = format!("put {}/{}", request.input.bucket, request.input.key);
        for (name, value) in request.input.metadata.iter().flatten() {
            call += &format!(" {name}={value}");
        }
        self.saw(call);
        let verification = request.extensions.get::<Verification>().cloned();
        verification.unwrap().restore(&mut request);
        if let Some(key) = &request.input.sse_customer_key {
            self.saw(format!("customer key: {key}"));
        }
        for name in [
            "content-disposition",
            "expires",
            "x-amz-server-side-encryption-customer-key",
        ] {
            if let Some(value) = request.headers.get(name) {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                self.saw(format!("{name}: {text}"));
            }
        }
        let id = RequestId::NONE;
        let declared = request.extensions.get::<Declared>().cloned().unwrap();
        let body = request.input.body.unwrap_or_else(|| {
            dto::StreamingBlob::wrap(futures::stream::empty::<Result<Bytes, std::io::Error>>())
        });
        let read: Vec<Bytes> = declared
            .stream(body)
            .try_collect()
            .await
            .map_err(|e| error::to_s3(OpError::from(e), id))?;
        let body = Bytes::from(read.concat());
        self.seen.lock().unwrap().bodies.push(body);
        Ok(S3Response::new(dto::PutObjectOutput::default()))
    }

    async fn copy_object(
        &self,
        request: S3Request<dto::CopyObjectInput>,
    ) -> S3Result<S3Response<dto::CopyObjectOutput>> {
        self.saw(format!("copy to {}", request.input.key));
        self.take_long(&request).await?;
        Ok(S3Response::new(dto::CopyObjectOutput {
            copy_object_result: Some(dto::CopyObjectResult::default()),
            ..Default::default()
        }))
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<dto::UploadPartCopyInput>,
    ) -> S3Result<S3Response<dto::UploadPartCopyOutput>> {
        self.saw(format!("copy to part {}", request.input.part_number));
        self.take_long(&request).await?;
        Ok(S3Response::new(dto::UploadPartCopyOutput {
            copy_part_result: Some(dto::CopyPartResult::default()),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        self.saw(format!("complete {}", request.input.key));
        self.take_long(&request).await?;
        Ok(S3Response::new(
            dto::CompleteMultipartUploadOutput::default(),
        ))
    }

    async fn delete_bucket(
        &self,
        _: S3Request<dto::DeleteBucketInput>,
    ) -> S3Result<S3Response<dto::DeleteBucketOutput>> {
        self.saw("delete bucket".into());
        Ok(S3Response::new(dto::DeleteBucketOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        self.saw(format!(
            "delete {} objects",
            request.input.delete.objects.len()
        ));
        Ok(S3Response::new(dto::DeleteObjectsOutput::default()))
    }

    async fn head_object(
        &self,
        _: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        self.saw("head".into());
        let id = RequestId::NONE;
        Err(error::to_s3(OpError::no_such_key(), id))
    }
}

/// The bucket that has CORS rules.
pub const RULED: &str = "ruled";

#[async_trait::async_trait]
impl Browsers for TrivialS3 {
    async fn cors_rules(
        &self,
        caller: &Caller,
        bucket: &str,
    ) -> Result<Option<Arc<Rules>>, OpError> {
        let asked = format!("{bucket} of {}", caller.access_key_id);
        self.seen.lock().unwrap().rules_asked.push(asked);
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let own = CorsRule {
            allowed_origins: texts(&["https://*.app.test"]),
            allowed_methods: texts(&["GET", "PUT"]),
            allowed_headers: texts(&["x-amz-*"]),
            expose_headers: texts(&["ETag", "x-amz-request-id"]),
            max_age_s: Some(77),
            ..CorsRule::default()
        };
        let any = CorsRule {
            allowed_origins: texts(&["*"]),
            allowed_methods: texts(&["HEAD"]),
            ..CorsRule::default()
        };
        match bucket {
            RULED => Ok(Some(Arc::new(Rules::of(StoredRules::of(&[own, any])?)?))),
            "away" => Err(OpError::unavailable("away", "away")),
            _ => Ok(None),
        }
    }

    async fn post_object(
        &self,
        caller: &Caller,
        form: &VerifiedForm,
        file: PlainStream,
    ) -> Result<PutAnswer, OpError> {
        let (bucket, key, signer) = (form.bucket(), form.key(), &caller.access_key_id);
        self.saw(format!("post {bucket}/{key} by {signer}"));
        let read: Result<Vec<Bytes>, _> = file.try_collect().await;
        let read = read.inspect_err(|_| self.saw("post failed".into()))?;
        let body = Bytes::from(read.concat());
        self.seen.lock().unwrap().bodies.push(body);
        Ok(PutAnswer {
            etag: ClientEtag::from_upstream("abc"),
            version: None,
            checksum: None,
            expiration: None,
        })
    }
}
