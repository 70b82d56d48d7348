//! HTTP to one transit engine: TLS, tokens, deadlines, repetitions. Every request that goes through here may be repeated.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::token::TokenFile;
use super::wire::{self, Capabilities};
use crate::config::OpenBaoConfig;
use crate::root::RootError;

/// How often a request is sent.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(50);
/// Longest answer, in bytes; a batch's has about 20,000.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Longest piece of an answer that is repeated in an error.
const TOLD_CHARS_MAX: usize = 160;
const IDLE: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS_MAX: usize = 4;

/// Whose token a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credential {
    /// Opens wraps.
    Opening,
    /// Creates keys, wraps, destroys.
    Control,
}

/// An answer that the caller must judge: 2xx or a 4xx about the request itself.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// One transit engine.
pub(crate) struct Transit {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    address: String,
    mount: String,
    namespace: Option<HeaderValue>,
    opening: TokenFile,
    control: Option<TokenFile>,
    /// For one attempt; the whole call has the key service's.
    deadline: Duration,
}

enum Failure {
    Retryable(String),
    Final(RootError),
}

impl Transit {
    pub(crate) fn new(config: &OpenBaoConfig, deadline: Duration) -> Result<Self, String> {
        // A hanging attempt leaves time for another one.
        let deadline = deadline / 2;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(deadline));
        let tls = HttpsConnectorBuilder::new().with_tls_config(trust(config)?);
        let schemes = if config.allow_plain_http {
            tls.https_or_http()
        } else {
            tls.https_only()
        };
        let namespace = config.namespace.as_deref().map(HeaderValue::from_str);
        Ok(Self {
            http: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
                .build(schemes.enable_http1().wrap_connector(tcp)),
            address: config.address.trim_end_matches('/').to_owned(),
            mount: config.mount.clone(),
            namespace: namespace
                .transpose()
                .map_err(|_| "the namespace is no header's value".to_owned())?,
            opening: TokenFile::new(&config.token_file),
            control: config.control_token_file.as_deref().map(TokenFile::new),
            deadline,
        })
    }

    pub(super) fn mount(&self) -> &str {
        &self.mount
    }

    /// A path within the API's version, as policies name it.
    pub(super) fn mounted(&self, what: &str, key: &str) -> String {
        format!("{}/{what}/{key}", self.mount)
    }

    /// The same as a request's path.
    pub(super) fn path(&self, what: &str, key: &str) -> String {
        format!("/v1/{}", self.mounted(what, key))
    }

    pub(super) fn has_control_token(&self) -> bool {
        self.control.is_some()
    }

    fn token(&self, credential: Credential) -> &TokenFile {
        match (credential, &self.control) {
            (Credential::Control, Some(control)) => control,
            _ => &self.opening,
        }
    }

    pub(super) fn token_path(&self, credential: Credential) -> &Path {
        self.token(credential).path()
    }

    /// What a token may do with each path.
    pub(super) async fn capabilities(
        &self,
        credential: Credential,
        paths: &[&str],
    ) -> Result<Capabilities, RootError> {
        let path = "/v1/sys/capabilities-self";
        let body = wire::paths(paths);
        let answer = self
            .send(credential, Method::POST, path, Some(body))
            .await?;
        wire::capabilities(&answer.body)
            .filter(|_| answer.status == StatusCode::OK)
            .ok_or_else(|| RootError::Unavailable(format!("{path}: {}", told(&answer))))
    }

    /// Sends a request that may be repeated, and repeats it where that may help.
    pub(super) async fn send(
        &self,
        credential: Credential,
        method: Method,
        path: &str,
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Answer, RootError> {
        let body = body.map_or_else(Bytes::new, Bytes::from_owner);
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            tokio::time::sleep(PAUSE * attempt).await;
            let sending = self.attempt(credential, &method, path, body.clone());
            match tokio::time::timeout(self.deadline, sending).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Failure::Final(error))) => return Err(error),
                Ok(Err(Failure::Retryable(reason))) => last = reason,
                Err(_) => last = "no answer in time".to_owned(),
            }
        }
        Err(RootError::Unavailable(format!(
            "{}{path}: {last}",
            self.address
        )))
    }

    async fn attempt(
        &self,
        credential: Credential,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let unavailable = |text| Failure::Final(RootError::Unavailable(text));
        let file = self.token(credential);
        let token = file.read().await.map_err(unavailable)?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header("x-vault-token", token.clone())
            .header("x-vault-request", "true")
            .header(CONTENT_TYPE, "application/json");
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|_| unavailable(format!("{} is no address", self.address)))?;
        let response = self
            .http
            .request(request)
            .await
            .map_err(|error| Failure::Retryable(innermost(&error)))?;
        let answer = read(response).await.map_err(Failure::Retryable)?;
        match answer.status.as_u16() {
            200 | 204 | 400 | 404 | 405 => Ok(answer),
            // The file may just have been replaced.
            403 if file.read().await.is_ok_and(|now| now != token) => {
                Err(Failure::Retryable(told(&answer)))
            }
            403 => Err(Failure::Final(RootError::Denied(format!(
                "{}{path}: the token in {} is not permitted: {}",
                self.address,
                file.path().display(),
                told(&answer)
            )))),
            // The token goes nowhere but to the address that is configured.
            300..=399 => Err(unavailable(format!(
                "{}{path}: answered with a redirect ({}); redirects are not followed",
                self.address, answer.status
            ))),
            412 | 429 | 500..=599 => Err(Failure::Retryable(told(&answer))),
            _ => Err(unavailable(format!(
                "{}{path}: {}",
                self.address,
                told(&answer)
            ))),
        }
    }
}

/// An answer's status and first error, fit for a log line whatever the server sent.
pub(super) fn told(answer: &Answer) -> String {
    let mut text = format!("answered {}", answer.status.as_u16());
    if let Some(error) = wire::first_error(&answer.body) {
        let printable = error.chars().map(|c| if c.is_control() { ' ' } else { c });
        text.push_str(": ");
        text.extend(printable.take(TOLD_CHARS_MAX));
    }
    text.trim_end().to_owned()
}

async fn read(response: Response<Incoming>) -> Result<Answer, String> {
    let status = response.status();
    let mut incoming = response.into_body();
    // Room for all of it at once: a growing buffer would leave copies of secrets behind.
    let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| innermost(&error))?;
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        if body.len() + data.remaining() > ANSWER_BYTES_MAX {
            return Err("the answer is too long".to_owned());
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            body.extend_from_slice(chunk);
            let taken = chunk.len();
            data.advance(taken);
        }
    }
    Ok(Answer { status, body })
}

/// The innermost cause: the outer ones only say that a client failed.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn trust(config: &OpenBaoConfig) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let Some(path) = &config.ca else {
        if config.address.starts_with("http://") {
            let nobody = rustls::RootCertStore::empty();
            return Ok(builder.with_root_certificates(nobody).with_no_client_auth());
        }
        let trusting = builder
            .with_native_roots()
            .map_err(|error| format!("the machine's own: {error}"))?;
        return Ok(trusting.with_no_client_auth());
    };
    let named = |reason: String| format!("{}: {reason}", path.display());
    let pem = std::fs::read(path).map_err(|error| named(error.kind().to_string()))?;
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
