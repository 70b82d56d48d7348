//! What an operator writes about one upstream, and what is wrong with it.

use http::Uri;
use std::path::PathBuf;
use std::time::Duration;

/// One upstream S3 store, as configured.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Where it listens, such as `https://s3.eu-central-1.example.com`; no path.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// What the names of all upstream buckets begin with: 3 to 36 lower-case letters, digits and dashes.
    pub bucket_prefix: String,
    /// An AWS shared-credentials file; its `[default]` profile is used and re-read when the file changes.
    pub credentials_file: PathBuf,
    /// A PEM file of certificates to trust instead of the machine's own.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Allows an `http://` endpoint.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// How often one call may be tried when nothing was done before, the first time included.
    #[serde(default = "attempts_max_default")]
    pub attempts_max: u32,
    /// How long each step may take.
    #[serde(default)]
    pub deadlines: Deadlines,
}

fn attempts_max_default() -> u32 {
    3
}

/// How long each step of an upstream call may take, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deadlines {
    /// Name resolution, TCP and TLS handshake together.
    pub connect_ms: u64,
    /// From the last byte of the request to the first byte of the answer.
    pub first_byte_ms: u64,
    /// Between two chunks of a body, in either direction.
    pub idle_ms: u64,
    /// A whole call whose request and answer are small.
    pub small_call_ms: u64,
    /// A whole call that makes the store copy bytes (Complete, copies).
    pub long_call_ms: u64,
    /// How long an unused connection is kept.
    pub pool_idle_ms: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect_ms: 5_000,
            first_byte_ms: 30_000,
            idle_ms: 30_000,
            small_call_ms: 30_000,
            long_call_ms: 600_000,
            pool_idle_ms: 10_000,
        }
    }
}

impl Deadlines {
    pub(super) fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_ms)
    }

    pub(super) fn first_byte(&self) -> Duration {
        Duration::from_millis(self.first_byte_ms)
    }

    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    pub(super) fn small_call(&self) -> Duration {
        Duration::from_millis(self.small_call_ms)
    }

    pub(super) fn long_call(&self) -> Duration {
        Duration::from_millis(self.long_call_ms)
    }

    pub(super) fn pool_idle(&self) -> Duration {
        Duration::from_millis(self.pool_idle_ms)
    }
}

/// Why an upstream can't be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint is not one.
    #[error("upstream endpoint {endpoint}: {problem}")]
    Endpoint {
        /// As configured.
        endpoint: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The bucket prefix makes no bucket names.
    #[error("bucket_prefix must be 3 to 36 lower-case letters, digits and dashes, not at the ends")]
    BucketPrefix,
    /// A limit that would make every call fail.
    #[error("{name} must be greater than zero")]
    Zero {
        /// The setting.
        name: &'static str,
    },
    /// The certificates to trust can't be read.
    #[error("certificates to trust: {reason}")]
    Trust {
        /// What happened.
        reason: String,
    },
    /// The credentials can't be read.
    #[error(transparent)]
    Credentials(#[from] super::credentials::CredentialsError),
}

/// An endpoint taken apart.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) scheme: &'static str,
    /// Host and port, without the scheme's own port.
    pub(super) authority: String,
}

impl UpstreamConfig {
    pub(super) fn check(&self) -> Result<Endpoint, ConnectError> {
        let prefix = self.bucket_prefix.as_bytes();
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        let at_ends = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
        if !(3..=36).contains(&prefix.len())
            || !prefix.iter().all(inner)
            || !at_ends(prefix.first())
            || !at_ends(prefix.last())
        {
            return Err(ConnectError::BucketPrefix);
        }
        for (name, value) in [
            ("attempts_max", u64::from(self.attempts_max)),
            ("connect_ms", self.deadlines.connect_ms),
            ("first_byte_ms", self.deadlines.first_byte_ms),
            ("idle_ms", self.deadlines.idle_ms),
            ("small_call_ms", self.deadlines.small_call_ms),
            ("long_call_ms", self.deadlines.long_call_ms),
        ] {
            if value == 0 {
                return Err(ConnectError::Zero { name });
            }
        }
        self.endpoint()
    }

    fn endpoint(&self) -> Result<Endpoint, ConnectError> {
        let wrong = |problem| ConnectError::Endpoint {
            endpoint: self.endpoint.clone(),
            problem,
        };
        let uri: Uri = self.endpoint.parse().map_err(|_| wrong("is not a URL"))?;
        let (scheme, own_port) = match uri.scheme_str() {
            Some("https") => ("https", 443),
            Some("http") if self.allow_plain_http => ("http", 80),
            Some("http") => {
                return Err(wrong(
                    "is plain HTTP, which allow_plain_http does not allow",
                ));
            }
            _ => return Err(wrong("must begin with https://")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("must have no path and no query"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("must not hold a user name"));
        }
        let authority = match authority.port_u16() {
            Some(port) if port != own_port => format!("{}:{port}", authority.host()),
            _ => authority.host().to_owned(),
        };
        Ok(Endpoint { scheme, authority })
    }
}
