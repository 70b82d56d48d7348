//! A checked configuration.

use super::receipts::ReceiptConfig;
use crate::admin::Principal;
use crate::catalog;
use crate::tenants::{DomainName, RegionName};
use lethe_keys::RootConfig;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a process is started with (design §6); every path is absolute or relative to the working directory.
#[derive(Debug)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The S3 listener.
    pub s3: Listener,
    /// Host names whose sub-domains address buckets.
    pub s3_domains: Vec<String>,
    /// The admin listener; its TLS is the S3 listener's unless it has its own.
    pub admin: Listener,
    /// Who may use the admin API.
    pub principals: Vec<Principal>,
    /// What this process does.
    pub roles: Roles,
    /// The regions that this gateway serves, in the order of the file.
    pub serves: Vec<RegionName>,
    /// The directory's database.
    pub directory: catalog::StoreUrl,
    /// Domains by name.
    pub domains: BTreeMap<DomainName, DomainConfig>,
    /// Regions by name.
    pub regions: BTreeMap<RegionName, RegionConfig>,
    /// Bounds.
    pub limits: Limits,
    /// Logging.
    pub log: LogConfig,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address.
    pub listen: SocketAddr,
    /// Certificate and key; absent only on loopback.
    pub tls: Option<TlsFiles>,
}

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Serves S3.
    pub data: bool,
    /// Serves the admin API and runs jobs.
    pub control: bool,
}

/// One jurisdiction.
#[derive(Debug)]
pub struct DomainConfig {
    /// The jurisdiction's name.
    pub jurisdiction: String,
    /// Where clients reach this domain's gateways.
    pub public_endpoint: String,
    /// Its stores; absent when this gateway serves none of its regions and only sends strangers there.
    pub stores: Option<DomainStores>,
    /// Terminations, receipts, and who else signs them.
    pub receipts: ReceiptConfig,
}

/// Where a domain's stores are.
#[derive(Debug)]
pub struct DomainStores {
    /// The catalog.
    pub catalog: catalog::StoreUrl,
    /// The key store.
    pub key_store: lethe_keys::StoreUrl,
    /// The root provider.
    pub root: RootConfig,
    /// The key backup's directory.
    pub key_backup_dir: Option<PathBuf>,
    /// The log's directory.
    pub log_dir: Option<PathBuf>,
    /// The directory of the issuer's and the log's keys.
    pub signing_dir: Option<PathBuf>,
    /// The store of the log's bucket, `<bucket_prefix>-log`, where the log is in one.
    pub log_bucket: Option<S3Backend>,
    /// How long a gateway may use keys after it asked for the lease.
    pub lease: Duration,
}

/// One region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionConfig {
    /// The domain that it belongs to.
    pub domain: DomainName,
    /// The region of the same domain for its replicas, where the stores make them: Lethe makes none.
    pub pair: Option<RegionName>,
    /// Its store; absent when this gateway does not serve it.
    pub backend: Option<Backend>,
}

/// A region's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// On this machine.
    Embedded {
        /// Its directory.
        path: PathBuf,
    },
    /// An S3 upstream.
    S3(S3Backend),
}

/// How to reach an S3 upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Backend {
    /// `https://host[:port]`.
    pub endpoint: String,
    /// The region that requests to it are signed for.
    pub region: String,
    /// What upstream bucket names begin with.
    pub bucket_prefix: String,
    /// A file with its access key.
    pub credentials_file: PathBuf,
    /// Certificates to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// Whether an `http://` endpoint is permitted.
    pub allow_plain_http: bool,
    /// Whether the operator says that the store carries out lifecycle rules.
    pub lifecycle: bool,
}

/// Bounds on what one process takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// S3 connections open at once.
    pub connections_max: u32,
    /// S3 connections of one address open at once; behind a load balancer everybody has the same.
    pub peer_connections_max: u32,
    /// S3 requests served at once.
    pub requests_max: u32,
    /// S3 requests of one tenant served at once; past it `SlowDown`.
    pub tenant_requests_max: u32,
    /// Bytes of a request's headers.
    pub header_bytes_max: u32,
    /// How long a request's headers may take.
    pub header_deadline: Duration,
    /// How long a client may send or take nothing.
    pub body_idle_deadline: Duration,
    /// How long requests may finish after SIGTERM.
    pub drain_deadline: Duration,
    /// How long one call of the catalog, directory or key store may take.
    pub store_deadline: Duration,
    /// How long one call of a region store may take, without bodies.
    pub upstream_deadline: Duration,
    /// Buckets of one tenant.
    pub buckets_max: u32,
    /// Days without activity after which an open upload is aborted.
    pub upload_idle_days: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            peer_connections_max: 1024,
            requests_max: 1024,
            tenant_requests_max: 256,
            header_bytes_max: 64 << 10,
            header_deadline: Duration::from_secs(15),
            body_idle_deadline: Duration::from_secs(60),
            drain_deadline: Duration::from_secs(30),
            store_deadline: Duration::from_secs(5),
            upstream_deadline: Duration::from_secs(30),
            buckets_max: 100,
            upload_idle_days: 7,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A tracing filter such as `info` or `info,lethe=debug`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}
