//! The admin API's client.

use super::args::ApiArguments;
use super::dev_file::DevFile;
use super::error::CommandError;
use crate::admin::{ErrorBody, SHRED_OPEN};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Longest wait for an answer; `region check` may take minutes, and a gateway's lease, which suspend and revoke wait for, up to 15.
const ANSWER_DEADLINE: Duration = Duration::from_secs(960);
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 16 << 20;
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Talks to one admin API as one principal.
pub(super) struct Client {
    http: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    endpoint: String,
    token: Zeroizing<String>,
}

/// Where the admin API is, and with what to ask it.
pub(super) struct Access {
    pub(super) endpoint: String,
    pub(super) token: Zeroizing<String>,
    pub(super) ca: Option<PathBuf>,
}

/// A path segment or query value, encoded.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

impl Client {
    /// The admin API by flags and environment, or by `dev.json`.
    pub(super) fn access(arguments: &ApiArguments) -> Result<Access, CommandError> {
        let dev_file = match (&arguments.admin_endpoint, &arguments.admin_token_file) {
            (Some(_), Some(_)) => None,
            _ => Some(dev_file(&arguments.dev_dir)?),
        };
        let endpoint = match (&arguments.admin_endpoint, &dev_file) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(dev)) => dev.admin_endpoint.clone(),
            (None, None) => return Err(CommandError::Usage("give --admin-endpoint".to_owned())),
        };
        let token = match (&arguments.admin_token_file, &dev_file) {
            (Some(file), _) => secret(file)?,
            (None, Some(dev)) => dev.admin_token.clone(),
            (None, None) => return Err(CommandError::Usage("give --admin-token-file".to_owned())),
        };
        let ca = match (&arguments.admin_ca, &dev_file) {
            (Some(file), _) => Some(file.clone()),
            (None, Some(dev)) => Some(dev.ca_cert.clone().into()),
            (None, None) => None,
        };
        plain_only_on_loopback(&endpoint)?;
        Ok(Access {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
            ca,
        })
    }

    /// A client of the API that [`Client::access`] tells of.
    pub(super) fn new(arguments: &ApiArguments) -> Result<Self, CommandError> {
        let Access {
            endpoint,
            token,
            ca,
        } = Self::access(arguments)?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_DEADLINE));
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(ca.as_deref())?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self {
            http: HyperClient::builder(TokioExecutor::new()).build(connector),
            endpoint,
            token,
        })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CommandError> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CommandError> {
        let body = serde_json::to_vec(body).map_err(|error| {
            CommandError::Failed(format!("the request can't be written: {error}"))
        })?;
        self.call(Method::POST, path, body.into()).await
    }

    /// An answer as it is, byte for byte.
    pub(super) async fn raw(&self, path: &str) -> Result<Bytes, CommandError> {
        self.exchange(Method::GET, path, Bytes::new()).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, CommandError> {
        let answer = self.exchange(method, path, body).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            CommandError::failed(
                format!(
                    "{}: the answer is not this version's: {error}",
                    self.endpoint
                ),
                "use the command line of the gateway's version",
            )
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, CommandError> {
        let away = |error: &dyn std::fmt::Display| {
            CommandError::failed(
                format!("{}: {error}", self.endpoint),
                "is the gateway running, and are --admin-endpoint and --admin-ca right?",
            )
        };
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", self.token.as_str()))
            .map_err(|_| {
            CommandError::Usage("the token file holds more than a token".to_owned())
        })?;
        authorization.set_sensitive(true);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint))
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| {
                CommandError::Usage(format!("--admin-endpoint {}: {error}", self.endpoint))
            })?;
        let exchange = async {
            let response = self
                .http
                .request(request)
                .await
                .map_err(|error| away(&causes(&error)))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await;
            let body = body.map_err(|error| away(&error))?.to_bytes();
            Ok::<_, CommandError>((status, body))
        };
        let (status, answer) = tokio::time::timeout(ANSWER_DEADLINE, exchange)
            .await
            .map_err(|_| away(&"no answer in time"))??;
        if status.is_success() {
            return Ok(answer);
        }
        Err(match serde_json::from_slice::<ErrorBody>(&answer) {
            Ok(body) if body.error.code == SHRED_OPEN => {
                CommandError::Busy(format!("{}; {}", body.error.message, body.error.hint))
            }
            Ok(body) => CommandError::failed(body.error.message, body.error.hint),
            Err(_) => away(&format!("HTTP status {status}")),
        })
    }
}

fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn dev_file(dir: &Path) -> Result<DevFile, CommandError> {
    DevFile::read(&dir.join("dev.json"))?.ok_or_else(|| {
        CommandError::Usage(format!(
            "give --admin-endpoint and --admin-token-file, or start `lethe dev` (there is no {})",
            dir.join("dev.json").display()
        ))
    })
}

/// A file's secret without its last line break.
pub(super) fn secret(file: &Path) -> Result<Zeroizing<String>, CommandError> {
    let text = std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .map_err(|error| CommandError::file(file, "reading", &error))?;
    Ok(Zeroizing::new(
        text.trim_end_matches(['\n', '\r']).to_owned(),
    ))
}

/// A token must not travel in the clear.
fn plain_only_on_loopback(endpoint: &str) -> Result<(), CommandError> {
    let wrong =
        |problem: &str| CommandError::Usage(format!("--admin-endpoint {endpoint}: {problem}"));
    let url: http::Uri = endpoint.parse().map_err(|_| wrong("is not a URL"))?;
    let host = url
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let loopback = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    match url.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if loopback => Ok(()),
        Some("http") => Err(wrong("is plain HTTP off loopback; use https://")),
        _ => Err(wrong("must begin with https:// or http://")),
    }
}

fn tls(ca: Option<&Path>) -> Result<rustls::ClientConfig, CommandError> {
    let refused = |error: &dyn std::fmt::Display| CommandError::Failed(format!("TLS: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&error))?;
    let config = match ca {
        Some(file) => config.with_root_certificates(trusted(file)?),
        None => config
            .with_native_roots()
            .map_err(|error| refused(&error))?,
    };
    Ok(config.with_no_client_auth())
}

fn trusted(file: &Path) -> Result<RootCertStore, CommandError> {
    let bad = |error: &dyn std::fmt::Display| {
        CommandError::Usage(format!("{}: no certificates: {error}", file.display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| bad(&error))? {
        let certificate = certificate.map_err(|error| bad(&error))?;
        roots.add(certificate).map_err(|error| bad(&error))?;
    }
    Ok(roots)
}
