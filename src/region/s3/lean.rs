//! The lean client: one signed request at a time, without the SDK's cost.

use super::S3Store;
use super::body::{CancelOnDrop, CollectError, OnceSource, Progress, SendBody, collect};
use super::errors::{Call, Refusal};
use super::headers::{ENCODED, ENCODED_IN_PATH};
use super::retry;
use super::trailing::with_trailer;
use crate::clock::Clock;
use crate::region::{Body, BodyError, ByteStream, RegionError};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use futures::{StreamExt, future, stream};
use http::header::{HOST, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use percent_encoding::utf8_percent_encode;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

const ERROR_BYTES_MAX: usize = 64 << 10;

/// A request before it is signed; it can be made again for a retry.
#[derive(Clone)]
pub(super) struct Template {
    pub(super) method: Method,
    path_and_query: String,
    pub(super) headers: HeaderMap,
    /// The body is in chunks with a trailer (see `trailing.rs`).
    pub(super) has_trailer: bool,
}

impl Template {
    pub(super) fn new(method: Method, bucket: &str, key: Option<&str>) -> Self {
        let mut path_and_query = format!("/{}", utf8_percent_encode(bucket, ENCODED));
        if let Some(key) = key {
            path_and_query.push('/');
            path_and_query.extend(utf8_percent_encode(key, ENCODED_IN_PATH));
        }
        Self {
            method,
            path_and_query,
            headers: HeaderMap::new(),
            has_trailer: false,
        }
    }

    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        let separator = if self.path_and_query.contains('?') {
            '&'
        } else {
            '?'
        };
        let name = utf8_percent_encode(name, ENCODED);
        let value = utf8_percent_encode(value, ENCODED);
        // Writing to a String cannot fail.
        let _ = write!(self.path_and_query, "{separator}{name}={value}");
        self
    }

    pub(super) fn maybe_query(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    pub(super) fn header(
        mut self,
        call: Call,
        name: &'static str,
        value: &str,
    ) -> Result<Self, RegionError> {
        let value =
            HeaderValue::from_str(value).map_err(|_| call.refused(400, "InvalidArgument"))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    pub(super) fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }
}

/// An answer whose body is not read yet.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    /// Fails the request's body if it is still on its way when the caller has enough.
    _cancel: CancelOnDrop,
    pub(super) body_sent: bool,
}

impl S3Store {
    async fn signed(
        &self,
        call: Call,
        template: &Template,
        body: SendBody,
    ) -> Result<Request<SendBody>, RegionError> {
        let unbuildable = |_| call.unavailable("the request can't be built");
        let endpoint = &self.endpoint;
        let uri = format!(
            "{}://{}{}",
            endpoint.scheme, endpoint.authority, template.path_and_query
        );
        let mut request = Request::builder()
            .method(template.method.clone())
            .uri(&uri)
            .body(body)
            .map_err(|_| call.refused(400, "InvalidURI"))?;
        *request.headers_mut() = template.headers.clone();
        let host = HeaderValue::from_str(&endpoint.authority)
            .map_err(|_| call.unavailable("the endpoint is no host"))?;
        request.headers_mut().insert(HOST, host);

        let identity = self.credentials.identity().await;
        let now_ms = u64::try_from(self.clock.now().0).unwrap_or_default();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(UNIX_EPOCH + Duration::from_millis(now_ms))
            .settings(settings)
            .build()
            .map_err(|_| call.unavailable("the request can't be signed"))?
            .into();
        let headers = request
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(
            template.method.as_str(),
            uri.as_str(),
            headers,
            match template.has_trailer {
                true => SignableBody::StreamingUnsignedPayloadTrailer,
                false => SignableBody::UnsignedPayload,
            },
        )
        .map_err(unbuildable)?;
        let (instructions, _signature) = sign(signable, &params).map_err(unbuildable)?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }

    /// Signs and sends once.
    async fn exchange(
        &self,
        call: Call,
        template: &Template,
        (body, progress): (SendBody, Arc<Progress>),
    ) -> Result<Answer, RegionError> {
        let cancel = CancelOnDrop(Arc::clone(&progress));
        let request = self.signed(call, template, body).await?;
        let response = self
            .transport
            .send(request, &progress, self.transport.deadlines.first_byte())
            .await
            .map_err(|error| call.unsent(error))?;
        Ok(Answer {
            response,
            body_sent: progress.all_sent(),
            _cancel: cancel,
        })
    }

    /// Sends a request without a body; anything but one of `good` is an error.
    pub(super) async fn ask(
        &self,
        call: Call,
        template: &Template,
        good: &[StatusCode],
    ) -> Result<Response<Incoming>, RegionError> {
        retry::until_done(&self.retries, || async {
            let answer = self
                .exchange(call, template, SendBody::whole(Bytes::new()))
                .await?;
            self.check_status(call, answer.response, good).await
        })
        .await
    }

    /// As [`Self::ask`], with the answer's whole body, which has at most `bytes_max`.
    pub(super) async fn ask_for_text(
        &self,
        call: Call,
        template: &Template,
        bytes_max: usize,
    ) -> Result<Bytes, RegionError> {
        let small_call = self.transport.deadlines.small_call();
        let asked = tokio::time::timeout(small_call, async {
            let response = self.ask(call, template, &[StatusCode::OK]).await?;
            let idle = self.transport.deadlines.idle();
            collect(response.into_body(), bytes_max, idle)
                .await
                .map_err(|error| match error {
                    CollectError::Broken(reason) => call.lost(reason),
                    CollectError::TooLong => call.lying("an endless answer"),
                })
        });
        asked
            .await
            .unwrap_or_else(|_| Err(call.lost("no answer in time")))
    }

    /// As [`Self::upload`], with a checksum where the store takes one.
    pub(super) async fn upload_checked(
        &self,
        call: Call,
        mut template: Template,
        body: Body,
        stored_bytes: u64,
    ) -> Result<HeaderMap, RegionError> {
        match body {
            Body::Once(stream) if self.profile.put_checksum_trailer && stored_bytes > 0 => {
                let (template, stream, encoded_bytes) =
                    with_trailer(call, template, stream, stored_bytes)?;
                let body = Body::Once(stream);
                self.upload(call, &template, body, encoded_bytes).await
            }
            body => {
                if let Some((name, value)) = self.checksum_header(&body) {
                    template.headers.insert(name, value);
                }
                self.upload(call, &template, body, stored_bytes).await
            }
        }
    }

    /// Sends a body of exactly `stored_bytes` and returns the headers of the 200.
    pub(super) async fn upload(
        &self,
        call: Call,
        template: &Template,
        body: Body,
        stored_bytes: u64,
    ) -> Result<HeaderMap, RegionError> {
        let source = UploadSource::new(body, stored_bytes, self.transport.deadlines.idle())
            .await
            .map_err(|source| RegionError::BodyFailed {
                operation: call.operation,
                source,
            })?;
        let again = || source.can_be_sent();
        retry::until_done_while(&self.retries, again, || async {
            let answer = self
                .exchange(call, template, source.body(stored_bytes))
                .await?;
            let body_sent = answer.body_sent;
            let response = self
                .check_status(call, answer.response, &[StatusCode::OK])
                .await?;
            if !body_sent {
                return Err(call.lying("success before the end of the body"));
            }
            let (head, body) = response.into_parts();
            // A success's body is empty; reading it out lets the connection be used again.
            let _ = collect(body, ERROR_BYTES_MAX, self.transport.deadlines.idle()).await;
            Ok(head.headers)
        })
        .await
    }

    async fn check_status(
        &self,
        call: Call,
        response: Response<Incoming>,
        good: &[StatusCode],
    ) -> Result<Response<Incoming>, RegionError> {
        if good.contains(&response.status()) {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let idle = self.transport.deadlines.idle();
        // The status alone will do if the text does not come.
        let said = tokio::time::timeout(idle, collect(body, ERROR_BYTES_MAX, idle)).await;
        let text = said.ok().and_then(Result::ok).unwrap_or_default();
        Err(call.refusal(&Refusal::read(head.status, &head.headers, &text)))
    }
}

/// The next chunk that is not empty; `None` where the source ended well.
async fn next_chunk(stream: &mut ByteStream, idle: Duration) -> Result<Option<Bytes>, BodyError> {
    loop {
        match tokio::time::timeout(idle, stream.next()).await {
            Err(_) => return Err(BodyError::TimedOut),
            Ok(None) => return Ok(None),
            Ok(Some(chunk)) => {
                let chunk = chunk?;
                if !chunk.is_empty() {
                    return Ok(Some(chunk));
                }
            }
        }
    }
}

enum UploadSource {
    Replayable(Bytes),
    Once(OnceSource),
}

impl UploadSource {
    async fn new(body: Body, stored_bytes: u64, idle: Duration) -> Result<Self, BodyError> {
        match body {
            Body::Replayable(bytes) if bytes.len() as u64 == stored_bytes => {
                Ok(Self::Replayable(bytes))
            }
            Body::Replayable(_) => Err(BodyError::Incomplete),
            Body::Once(mut stream) if stored_bytes == 0 => {
                // With nothing to hold back, the source has to end well before the request begins.
                match next_chunk(&mut stream, idle).await? {
                    None => Ok(Self::Replayable(Bytes::new())),
                    Some(_) => Err(BodyError::Incomplete),
                }
            }
            // SeaweedFS 4.48 takes a head whose connection ends before the first byte of the body for an empty object, and puts
            // that in the place of the one that was there. So a head only leaves together with bytes.
            Body::Once(mut stream) => {
                let first = next_chunk(&mut stream, idle)
                    .await?
                    .ok_or(BodyError::Incomplete)?;
                if first.len() as u64 != stored_bytes {
                    let whole = stream::once(future::ready(Ok(first))).chain(stream);
                    return Ok(Self::Once(OnceSource::new(whole.boxed())));
                }
                match next_chunk(&mut stream, idle).await? {
                    None => Ok(Self::Replayable(first)),
                    Some(_) => Err(BodyError::Incomplete),
                }
            }
        }
    }

    fn can_be_sent(&self) -> bool {
        match self {
            Self::Replayable(_) => true,
            Self::Once(source) => source.untouched(),
        }
    }

    fn body(&self, stored_bytes: u64) -> (SendBody, Arc<Progress>) {
        match self {
            Self::Replayable(bytes) => SendBody::whole(bytes.clone()),
            Self::Once(source) => SendBody::once(source.clone(), stored_bytes),
        }
    }
}
