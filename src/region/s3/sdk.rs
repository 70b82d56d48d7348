//! The AWS SDK over the same transport: for the calls whose CPU cost does not matter.

use super::body::{CancelOnDrop, CollectError, SendBody, collect};
use super::config::{Endpoint, UpstreamConfig};
use super::credentials::FileCredentials;
use super::transport::{SendError, Transport};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, IdentityCache, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// A listing of 1,000 versions with 1,024-byte keys, percent-encoded, fits several times.
pub(super) const ANSWER_BYTES_MAX: usize = 16 << 20;

/// The SDK's way to the wire: whole requests, whole answers, one deadline.
#[derive(Clone, Debug)]
struct Bridge {
    transport: Arc<Transport>,
    deadline: Duration,
}

impl HttpConnector for Bridge {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let bridge = self.clone();
        HttpConnectorFuture::new(async move {
            let sent = tokio::time::timeout(bridge.deadline, bridge.exchange(request)).await;
            let late = |_| Err(SendError::Lost("no answer in time".to_owned()));
            sent.unwrap_or_else(late)
                .map_err(|error| ConnectorError::other(Box::new(error), None))
        })
    }
}

impl Bridge {
    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, SendError> {
        let unsendable = |what: &str| SendError::NotSent(what.to_owned());
        let (head, body) = request
            .try_into_http1x()
            .map_err(|_| unsendable("the request is no HTTP request"))?
            .into_parts();
        let bytes = body
            .bytes()
            .map(Bytes::copy_from_slice)
            .ok_or_else(|| unsendable("the request's body is not in memory"))?;
        let (body, progress) = SendBody::whole(bytes);
        let _cancel = CancelOnDrop(Arc::clone(&progress));
        let request = http::Request::from_parts(head, body);
        let answer = self
            .transport
            .send(request, &progress, self.deadline)
            .await?;
        let (head, body) = answer.into_parts();
        let idle = self.transport.deadlines.idle();
        let body = match collect(body, ANSWER_BYTES_MAX, idle).await {
            Ok(body) => body,
            Err(CollectError::TooLong) => {
                return Err(SendError::Garbled("an endless answer".to_owned()));
            }
            Err(CollectError::Broken(reason)) => return Err(SendError::Lost(reason)),
        };
        HttpResponse::try_from(http::Response::from_parts(head, SdkBody::from(body)))
            .map_err(|_| SendError::Garbled("unreadable headers".to_owned()))
    }
}

/// A client whose every call ends within `deadline`. It never retries: only this store knows what may be repeated.
pub(super) fn client(
    config: &UpstreamConfig,
    endpoint: &Endpoint,
    transport: Arc<Transport>,
    credentials: Arc<FileCredentials>,
    deadline: Duration,
) -> aws_sdk_s3::Client {
    let connector = SharedHttpConnector::new(Bridge {
        transport,
        deadline,
    });
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(format!("{}://{}", endpoint.scheme, endpoint.authority))
        .region(Region::new(config.region.clone()))
        .force_path_style(true)
        .credentials_provider(SharedCredentialsProvider::new(Shared(credentials)))
        // The file's provider is the cache: the SDK's would keep old credentials.
        .identity_cache(IdentityCache::no_cache())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

#[derive(Debug)]
struct Shared(Arc<FileCredentials>);

impl aws_credential_types::provider::ProvideCredentials for Shared {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.0.provide_credentials()
    }
}
