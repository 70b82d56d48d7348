//! The edge: listener, TLS, guard, s3s, errors. HTTP and S3, no cryptography of its own.
//!
//! A request passes [`guard`] (pure checks of its head, and a body that fails instead of ending when it is not what was
//! declared), then its credential is looked up, then one s3s verifies the signature, and another parses what was verified and calls
//! the front, which calls the operations.

mod answer;
mod auth;
mod browsers;
pub mod conditions;
pub mod context;
mod cors;
mod customer_keys;
mod documents;
mod drain;
pub mod error;
pub mod forms;
pub mod front;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod guard;
pub mod host;
mod limits;
mod listener;
mod long;
mod places;
pub mod range;
mod sentences;
mod service;
pub mod tls;
mod verified;

#[cfg(test)]
mod tests;

pub use browsers::Browsers;
pub use context::{RequestContext, RequestId};
pub use guard::body::{Declared, DeclaredLength};
pub use host::HostRules;
pub use long::LongAnswers;
pub use tls::{CertificateFiles, ReloadingCertificate, TlsError};

use crate::clock::Clock;
use crate::tenants::Authenticator;
use guard::BodyLimits;
use http::uri::Scheme;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Filter directives that every log configuration must end with: s3s logs whole requests, credentials included.
pub const LOG_DIRECTIVES: &str = "s3s=off,s3s_aws=off,hyper=error,rustls=error";

/// How the edge listens.
#[derive(Clone, Debug)]
pub enum Transport {
    /// TLS 1.2 and 1.3.
    Tls(CertificateFiles),
    /// Plain HTTP, on a loopback address only, for development.
    PlainHttpOnLoopback,
}

/// Bounds and deadlines of the edge.
#[derive(Clone, Debug)]
pub struct EdgeLimits {
    /// Connections at once. Past it those give way that have waited longest without a request.
    pub connections_max: usize,
    /// Connections of one peer address at once, in the same way.
    pub connections_per_peer_max: usize,
    /// Requests at once.
    pub requests_max: usize,
    /// Requests of one tenant at once.
    pub requests_per_tenant_max: usize,
    /// Longest TLS handshake.
    pub handshake_max: Duration,
    /// Longest time from a request's first byte to its head's last.
    pub head_max: Duration,
    /// Longest time between two requests of a connection.
    pub idle_max: Duration,
    /// Longest time without a byte of a request's body.
    pub body_quiet_max: Duration,
    /// Longest time that a client takes no byte of an answer.
    pub write_quiet_max: Duration,
    /// Longest credential lookup.
    pub credential_deadline: Duration,
    /// When operations that take long are answered.
    pub long_answers: LongAnswers,
    /// Longest time for connections to finish when the gateway stops.
    pub drain_deadline: Duration,
    /// Most bytes of a request's head. A little more is read, so that its client gets an answer in S3's words.
    pub head_bytes_max: usize,
    /// Most headers of a request.
    pub headers_max: usize,
    /// Most bytes of all documents that are read or worked on at once; a quarter of it for one tenant.
    pub documents_bytes_max: u64,
    /// Most bytes of forms' files that are held in memory at once; a quarter of it for one tenant.
    pub forms_bytes_max: u64,
    /// Bounds on bodies.
    pub body: BodyLimits,
    /// How often certificate files are looked at.
    pub certificate_poll: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            connections_per_peer_max: 1024,
            requests_max: 1024,
            requests_per_tenant_max: 256,
            handshake_max: Duration::from_secs(10),
            head_max: Duration::from_secs(10),
            idle_max: Duration::from_secs(75),
            body_quiet_max: Duration::from_secs(30),
            write_quiet_max: Duration::from_secs(60),
            credential_deadline: Duration::from_secs(5),
            long_answers: LongAnswers {
                status_within: Duration::from_secs(10),
                white_space_every: Duration::from_secs(1),
            },
            drain_deadline: Duration::from_secs(30),
            head_bytes_max: 64 * 1024,
            headers_max: 512,
            documents_bytes_max: 64 << 20,
            forms_bytes_max: 512 << 20,
            body: BodyLimits {
                body_bytes_max: 5 << 30,
                signed_chunk_bytes_max: 1 << 20,
            },
            certificate_poll: Duration::from_secs(5),
        }
    }
}

/// What the edge needs to know.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// How it listens.
    pub transport: Transport,
    /// The domains whose subdomains are buckets (`[s3] domains`).
    pub hosts: HostRules,
    /// Bounds and deadlines.
    pub limits: EdgeLimits,
}

/// Why the edge can't start.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// Plain HTTP was asked for where others can listen in.
    #[error(
        "[s3] listen: {address} is not a loopback address, and plain HTTP is served on loopback only: configure [s3] tls"
    )]
    PlainHttpOffLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The certificate can't be served.
    #[error("[s3] tls: {0}")]
    Tls(#[from] TlsError),
    /// The listener is not one.
    #[error("[s3] listen: {0}")]
    Listener(#[from] std::io::Error),
    /// The system gives no random numbers.
    #[error("[s3]: no random numbers: {0}")]
    Random(getrandom::Error),
}

/// How the edge stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainOutcome {
    /// Connections that did not finish within the drain deadline and were broken off.
    pub connections_aborted: usize,
}

/// Serves S3 on a bound listener until `shutdown`, then lets requests finish.
///
/// # Errors
/// [`EdgeError`], before a connection is accepted.
pub async fn serve(
    config: EdgeConfig,
    listener: TcpListener,
    s3: impl s3s::S3 + Browsers + Clone,
    authenticator: Arc<dyn Authenticator>,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
) -> Result<DrainOutcome, EdgeError> {
    let address = listener.local_addr()?;
    let certificate = match config.transport {
        Transport::Tls(files) => Some(ReloadingCertificate::load(files)?),
        Transport::PlainHttpOnLoopback if address.ip().is_loopback() => None,
        Transport::PlainHttpOnLoopback => {
            return Err(EdgeError::PlainHttpOffLoopback { address });
        }
    };
    let tls = match &certificate {
        Some(certificate) => Some(TlsAcceptor::from(certificate.server_config()?)),
        None => None,
    };
    let scheme = match tls {
        Some(_) => Scheme::HTTPS,
        None => Scheme::HTTP,
    };
    let gateway = listener::gateway_id().map_err(EdgeError::Random)?;
    let service = service::EdgeService::new(
        s3,
        authenticator,
        clock,
        config.hosts,
        config.limits.clone(),
        gateway,
        scheme,
    );
    let poll = config.limits.certificate_poll;
    let connections = listener::Connections {
        service: Arc::new(service),
        tls,
        limits: config.limits,
    };
    let running = listener::run(connections, listener, shutdown);
    let outcome = match certificate {
        None => running.await,
        Some(certificate) => tokio::select! {
            outcome = running => outcome,
            never = certificate.follow(poll) => match never {},
        },
    };
    Ok(outcome)
}
