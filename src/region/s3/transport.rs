//! The one HTTP client to an upstream: connections, TLS, deadlines. Both ways of calling a store go through it.

use super::body::{Phase, Progress, SendBody};
use super::config::{ConnectError, Deadlines, UpstreamConfig};
use crate::region::BodyError;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower::Service;

const IDLE_CONNECTIONS_MAX: usize = 64;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The store never saw a whole request, so it did nothing.
    #[error("{0}")]
    NotSent(String),
    /// The store may have acted.
    #[error("{0}")]
    Lost(String),
    /// What came back is no HTTP answer.
    #[error("{0}")]
    Garbled(String),
    /// The request's own body failed before its last byte.
    #[error("the request body failed")]
    Body(#[source] BodyError),
}

pub(super) struct Transport {
    client: Client<DeadlineConnector, SendBody>,
    pub(super) deadlines: Deadlines,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("deadlines", &self.deadlines)
            .finish_non_exhaustive()
    }
}

impl Transport {
    pub(super) async fn new(config: &UpstreamConfig) -> Result<Self, ConnectError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls_config(config).await?);
        let schemes = if config.allow_plain_http {
            tls.https_or_http()
        } else {
            tls.https_only()
        };
        let connector = DeadlineConnector {
            inner: schemes.enable_http1().wrap_connector(tcp),
            deadline: config.deadlines.connect(),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.deadlines.pool_idle())
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector);
        Ok(Self {
            client,
            deadlines: config.deadlines.clone(),
        })
    }

    /// Sends a request and waits for the head of its answer, `first_byte` after the body is out.
    pub(super) async fn send(
        &self,
        request: Request<SendBody>,
        progress: &Arc<Progress>,
        first_byte: Duration,
    ) -> Result<Response<Incoming>, SendError> {
        let started = Instant::now();
        let mut answer = self.client.request(request);
        loop {
            let deadline = self.deadline(progress, started, first_byte);
            match tokio::time::timeout_at(deadline, &mut answer).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => return Err(classify(&error, progress)),
                // The body may have moved on while this waited.
                Err(_) if self.deadline(progress, started, first_byte) > Instant::now() => {}
                Err(_) => return Err(late(progress)),
            }
        }
    }

    fn deadline(&self, progress: &Progress, started: Instant, first_byte: Duration) -> Instant {
        match progress.phase() {
            (Phase::Opening, _) => started + self.deadlines.connect() + self.deadlines.idle(),
            (Phase::Source | Phase::Upstream, since) => since + self.deadlines.idle(),
            // A request without a body is "sent" from the start, but still has to connect.
            (Phase::Sent, since) if since <= started => {
                started + self.deadlines.connect() + first_byte
            }
            (Phase::Sent, since) => since + first_byte,
        }
    }
}

fn late(progress: &Progress) -> SendError {
    match progress.phase().0 {
        Phase::Opening => SendError::NotSent("the store did not take the request".to_owned()),
        Phase::Source => SendError::Body(BodyError::TimedOut),
        Phase::Upstream => SendError::NotSent("the store stopped taking the body".to_owned()),
        Phase::Sent => SendError::Lost("no answer in time".to_owned()),
    }
}

fn classify(error: &hyper_util::client::legacy::Error, progress: &Progress) -> SendError {
    if let Some(failure) = progress.take_failure() {
        return SendError::Body(failure);
    }
    let reason = reason_of(error);
    let http = error
        .source()
        .and_then(|source| source.downcast_ref::<hyper::Error>());
    if error.is_connect() || http.is_some_and(hyper::Error::is_canceled) {
        return SendError::NotSent(reason);
    }
    if http.is_some_and(hyper::Error::is_parse) {
        return SendError::Garbled(reason);
    }
    if progress.all_sent() {
        SendError::Lost(reason)
    } else {
        SendError::NotSent(reason)
    }
}

/// The innermost cause: the outer ones only say that a client failed.
fn reason_of(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

async fn tls_config(config: &UpstreamConfig) -> Result<rustls::ClientConfig, ConnectError> {
    let untrusted = |reason: String| ConnectError::Trust { reason };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| untrusted(error.to_string()))?;
    let Some(path) = &config.ca else {
        if config.endpoint.starts_with("http://") {
            let nobody = rustls::RootCertStore::empty();
            return Ok(builder.with_root_certificates(nobody).with_no_client_auth());
        }
        let trusting = builder
            .with_native_roots()
            .map_err(|error| untrusted(format!("the machine's own: {error}")))?;
        return Ok(trusting.with_no_client_auth());
    };
    let named = |reason: String| untrusted(format!("{}: {reason}", path.display()));
    let pem = tokio::fs::read(path)
        .await
        .map_err(|error| named(error.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| named(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| named(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(named("holds no certificate".to_owned()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A connector whose name resolution, TCP and TLS handshakes share one deadline.
#[derive(Clone)]
struct DeadlineConnector {
    inner: HttpsConnector<HttpConnector>,
    deadline: Duration,
}

type Connected = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
type ConnectFailure = Box<dyn StdError + Send + Sync>;

impl Service<Uri> for DeadlineConnector {
    type Response = Connected;
    type Error = ConnectFailure;
    type Future = BoxFuture<'static, Result<Connected, ConnectFailure>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Uri>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let deadline = self.deadline;
        Box::pin(async move {
            match tokio::time::timeout(deadline, connecting).await {
                Ok(connected) => connected,
                Err(_) => {
                    let late = io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
                    Err(ConnectFailure::from(late))
                }
            }
        })
    }
}
