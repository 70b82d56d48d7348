//! `lethe.toml` as it is written; `check` makes a [`super::Config`] of it.

use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) s3: RawS3,
    pub(super) admin: RawAdmin,
    pub(super) gateway: RawGateway,
    pub(super) directory: RawDirectory,
    #[serde(default)]
    pub(super) domains: BTreeMap<String, RawDomain>,
    #[serde(default)]
    pub(super) regions: BTreeMap<String, RawRegion>,
    #[serde(default)]
    pub(super) limits: RawLimits,
    #[serde(default)]
    pub(super) log: RawLog,
}

// The same file as `lethe dev` reads it: what it makes itself is skipped, but a misspelt section is still an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDevConfig {
    #[serde(default, rename = "s3")]
    _s3: Option<IgnoredAny>,
    #[serde(default, rename = "admin")]
    _admin: Option<IgnoredAny>,
    #[serde(default, rename = "gateway")]
    _gateway: Option<IgnoredAny>,
    #[serde(default, rename = "directory")]
    _directory: Option<IgnoredAny>,
    #[serde(default, rename = "domains")]
    _domains: Option<IgnoredAny>,
    #[serde(default, rename = "log")]
    _log: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) regions: BTreeMap<String, RawRegion>,
    #[serde(default)]
    pub(super) limits: RawLimits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawS3 {
    pub(super) listen: String,
    #[serde(default)]
    pub(super) domains: Vec<String>,
    pub(super) tls: Option<RawTls>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdmin {
    pub(super) listen: String,
    pub(super) tls: Option<RawTls>,
    #[serde(default)]
    pub(super) principals: Vec<RawPrincipal>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPrincipal {
    pub(super) name: String,
    pub(super) role: String,
    pub(super) token_sha256: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGateway {
    pub(super) roles: Option<Vec<String>>,
    pub(super) serves: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDirectory {
    pub(super) url: String,
    pub(super) password_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDomain {
    pub(super) jurisdiction: String,
    pub(super) public_endpoint: String,
    pub(super) catalog: Option<String>,
    pub(super) catalog_password_file: Option<PathBuf>,
    pub(super) key_store: Option<String>,
    pub(super) key_store_password_file: Option<PathBuf>,
    pub(super) key_backup: Option<RawPlace>,
    pub(super) log: Option<RawBackend>,
    pub(super) lease_s: Option<u64>,
    pub(super) root: Option<RawRoot>,
    pub(super) signing: Option<RawPlace>,
    pub(super) shred: Option<RawShred>,
    #[serde(default)]
    pub(super) validators: Vec<RawValidator>,
    pub(super) validator_threshold: Option<u64>,
    #[serde(default)]
    pub(super) witnesses: Vec<RawWitness>,
    pub(super) witness_threshold: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawShred {
    pub(super) grace_days: Option<u64>,
    pub(super) window: Option<String>,
    pub(super) inventory_minutes: Option<u64>,
    pub(super) organization: Option<String>,
    pub(super) root_backup_days: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawValidator {
    pub(super) name: String,
    pub(super) public_key: String,
    pub(super) not_before: String,
    pub(super) not_after: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWitness {
    pub(super) url: String,
    pub(super) key: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPlace {
    pub(super) kind: String,
    pub(super) path: PathBuf,
}

// One flat table, as that of a backend.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRoot {
    pub(super) kind: String,
    pub(super) path: Option<PathBuf>,
    pub(super) address: Option<String>,
    pub(super) allow_plain_http: Option<bool>,
    pub(super) mount: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) control_token_file: Option<PathBuf>,
    pub(super) ca: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRegion {
    pub(super) domain: String,
    pub(super) pair: Option<String>,
    pub(super) backend: Option<RawBackend>,
}

// One flat table and not a tagged enum: serde buffers those and loses every line number.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBackend {
    pub(super) kind: String,
    pub(super) path: Option<PathBuf>,
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) bucket_prefix: Option<String>,
    pub(super) credentials_file: Option<PathBuf>,
    pub(super) ca: Option<PathBuf>,
    pub(super) allow_plain_http: Option<bool>,
    pub(super) lifecycle: Option<bool>,
}

impl RawBackend {
    /// A key that only a store of kind `s3` has.
    pub(super) fn s3_key(&self) -> Option<&'static str> {
        [
            ("endpoint", self.endpoint.is_some()),
            ("region", self.region.is_some()),
            ("bucket_prefix", self.bucket_prefix.is_some()),
            ("credentials_file", self.credentials_file.is_some()),
            ("ca", self.ca.is_some()),
            ("allow_plain_http", self.allow_plain_http.is_some()),
            ("lifecycle", self.lifecycle.is_some()),
        ]
        .into_iter()
        .find_map(|(key, there)| there.then_some(key))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) connections_max: Option<u64>,
    pub(super) peer_connections_max: Option<u64>,
    pub(super) requests_max: Option<u64>,
    pub(super) tenant_requests_max: Option<u64>,
    pub(super) header_bytes_max: Option<u64>,
    pub(super) header_deadline_s: Option<u64>,
    pub(super) body_idle_deadline_s: Option<u64>,
    pub(super) drain_deadline_s: Option<u64>,
    pub(super) store_deadline_s: Option<u64>,
    pub(super) upstream_deadline_s: Option<u64>,
    pub(super) buckets_max: Option<u64>,
    pub(super) upload_idle_days: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) level: Option<String>,
    pub(super) format: Option<String>,
}
