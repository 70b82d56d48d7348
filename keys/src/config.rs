//! What a domain's keys are opened with.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::{KeysError, Refusal};
use crate::tree::Epoch;

/// The shortest lease that is accepted.
pub const LEASE_MIN: Duration = Duration::from_secs(30);
/// The longest lease that is accepted.
pub const LEASE_MAX: Duration = Duration::from_secs(900);

/// A jurisdiction's name: 1 to 63 of `a-z`, `0-9` and `-`, not starting or ending with `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// The name as it enters contexts.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a domain name is 1 to 63 of a-z, 0-9 and -, and starts and ends with a letter or digit")]
pub struct DomainNameError;

impl FromStr for DomainName {
    type Err = DomainNameError;

    fn from_str(text: &str) -> Result<Self, DomainNameError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=63).contains(&text.len())
            && text.bytes().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(DomainNameError)
        }
    }
}

/// Where a store's database is; a PostgreSQL URL may hold a password, so it is never shown.
#[derive(Clone)]
pub enum StoreUrl {
    /// `sqlite:PATH`.
    Sqlite {
        /// The database file.
        path: PathBuf,
    },
    /// `postgres://…`.
    Postgres {
        /// The whole URL.
        url: Zeroizing<String>,
    },
}

/// A text that is no store URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a store url is sqlite:PATH (a file, without parameters) or postgres://…")]
pub struct StoreUrlError;

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres {
                url: Zeroizing::new(text.to_owned()),
            });
        }
        let path = text.strip_prefix("sqlite:").ok_or(StoreUrlError)?;
        let path = path.strip_prefix("//").unwrap_or(path);
        // SQLite gives these characters a meaning of its own in a URL; a store is a plain file.
        if path.is_empty() || path.ends_with('/') || path.contains(['?', '#', ':', '\0']) {
            return Err(StoreUrlError);
        }
        Ok(Self::Sqlite {
            path: PathBuf::from(path),
        })
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite:{}", path.display()),
            Self::Postgres { .. } => f.write_str("postgres://[redacted]"),
        }
    }
}

/// Which root provider wraps the nodes.
#[derive(Debug, Clone)]
pub enum RootConfig {
    /// Root keys in files, one an epoch; `assurance: software`.
    File {
        /// Their directory.
        dir: PathBuf,
    },
    /// Keys of an OpenBao transit engine, one an epoch; `assurance: service`.
    OpenBao(OpenBaoConfig),
}

/// Where an OpenBao transit engine is, and with what it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBaoConfig {
    /// `https://host[:port]`.
    pub address: String,
    /// Whether an `http://` address is permitted.
    pub allow_plain_http: bool,
    /// Where the transit engine is mounted, without slashes at its ends.
    pub mount: String,
    /// The namespace that the mount is in.
    pub namespace: Option<String>,
    /// A file with the token that opens wraps; read at every call.
    pub token_file: PathBuf,
    /// A file with the token that creates keys, wraps and destroys; without it, the first does all.
    pub control_token_file: Option<PathBuf>,
    /// Certificates to trust instead of the system's.
    pub ca: Option<PathBuf>,
}

/// Whether KEKs wait for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequencing {
    /// A KEK wraps nothing before the log has its entry; somebody must run the log's sequencer.
    Required,
    /// There is no log: KEKs seal at once, their entries stay pending. For tests only: no receipt comes of it.
    None,
}

/// What [`crate::KeyService::init`] and [`crate::KeyService::open`] need to know of a domain.
#[derive(Debug, Clone)]
pub struct KeyServiceConfig {
    /// The domain.
    pub domain: DomainName,
    /// Its key store.
    pub key_store: StoreUrl,
    /// Its root provider.
    pub root: RootConfig,
    /// How long keys may be used after a renewal was sent; [`LEASE_MIN`] to [`LEASE_MAX`].
    pub lease: Duration,
    /// Longest wait for one call of the key store or the root provider.
    pub deadline: Duration,
    /// Longest wait for a move of the root, a backup or a restore.
    pub bulk_deadline: Duration,
    /// Whether KEKs wait for the log.
    pub log: Sequencing,
    /// The newest epoch that the caller has recorded (0 for none); a store behind it is refused.
    pub epoch_min: Epoch,
    /// Development: a file root may lie on the key store's volume.
    pub dev: bool,
}

impl KeyServiceConfig {
    /// Production's values for everything but the three that name the domain's places.
    #[must_use]
    pub fn new(domain: DomainName, key_store: StoreUrl, root: RootConfig) -> Self {
        Self {
            domain,
            key_store,
            root,
            lease: Duration::from_secs(300),
            deadline: Duration::from_secs(5),
            bulk_deadline: Duration::from_secs(3_600),
            log: Sequencing::Required,
            epoch_min: Epoch(0),
            dev: false,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), KeysError> {
        if !(LEASE_MIN..=LEASE_MAX).contains(&self.lease) {
            return Err(Refusal::LeaseOutOfRange {
                lease_s: self.lease.as_secs(),
            }
            .into());
        }
        if self.deadline.is_zero() || self.deadline >= self.lease {
            return Err(Refusal::DeadlineOutOfRange.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_name_outside_the_alphabet_is_refused() {
        for good in ["eu", "e", "eu-2", "9"] {
            assert_eq!(
                good.parse::<DomainName>().map(|name| name.to_string()),
                Ok(good.to_owned())
            );
        }
        let long = "a".repeat(64);
        for bad in ["", "-eu", "eu-", "EU", "e u", "eu\0", "é", long.as_str()] {
            assert_eq!(bad.parse::<DomainName>(), Err(DomainNameError), "{bad:?}");
        }
    }

    #[test]
    fn store_url_with_parameters_or_without_a_file_is_refused() {
        for (text, path) in [
            ("sqlite:a/b.db", "a/b.db"),
            ("sqlite:///a/b.db", "/a/b.db"),
            ("sqlite:/x", "/x"),
        ] {
            let StoreUrl::Sqlite { path: parsed } = text.parse().unwrap() else {
                panic!("{text}")
            };
            assert_eq!(parsed, PathBuf::from(path));
        }
        for bad in [
            "",
            "sqlite:",
            "sqlite:dir/",
            "sqlite::memory:",
            "sqlite:a?mode=memory",
            "mysql://x",
            "a.db",
        ] {
            assert!(bad.parse::<StoreUrl>().is_err(), "{bad:?}");
        }
    }
}
