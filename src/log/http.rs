//! The HTTP client towards witnesses and logs elsewhere. What it fetches is signed; TLS only keeps it private.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// A whole exchange.
const DEADLINE: Duration = Duration::from_secs(15);

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL or the certificates to trust can't be used.
    #[error("{0}")]
    Unusable(String),
    /// No whole answer came in time.
    #[error("no answer: {0}")]
    Away(String),
}

/// One client for all peers.
#[derive(Clone, Debug)]
pub(super) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl HttpClient {
    /// Trusts the certificates of the machine, or of `ca` instead.
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, HttpError> {
        let unusable = |error: &dyn std::fmt::Display| HttpError::Unusable(format!("TLS: {error}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        let tls = match ca {
            Some(file) => tls.with_root_certificates(trusted(file)?),
            None => tls.with_native_roots().map_err(|error| unusable(&error))?,
        };
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_DEADLINE));
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client })
    }

    /// One exchange with an answer of at most `max` bytes.
    pub(super) async fn exchange(
        &self,
        method: Method,
        url: &str,
        token: Option<&str>,
        body: Bytes,
        max: usize,
    ) -> Result<(StatusCode, Bytes), HttpError> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .body(Full::new(body))
            .map_err(|error| HttpError::Unusable(format!("{url}: {error}")))?;
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| HttpError::Unusable("the token is more than a token".to_owned()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let exchange = async {
            let response = self.client.request(request).await;
            let response = response.map_err(|error| HttpError::Away(causes(&error)))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), max).collect().await;
            let body = body.map_err(|error| HttpError::Away(error.to_string()))?;
            Ok((status, body.to_bytes()))
        };
        match tokio::time::timeout(DEADLINE, exchange).await {
            Ok(answered) => answered,
            Err(_) => Err(HttpError::Away("it took too long".to_owned())),
        }
    }
}

fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn trusted(file: &Path) -> Result<RootCertStore, HttpError> {
    let unusable = |error: &dyn std::fmt::Display| {
        HttpError::Unusable(format!("{}: no certificates: {error}", file.display()))
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    Ok(roots)
}
