//! Which bucket a Host names. Only the configured domains have buckets as subdomains; any other Host is path-style. The Host
//! counts as received: `X-Forwarded-Host` is somebody else's word.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// Why a domain can't be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[s3] domains: {domain:?} is not a domain name")]
pub struct DomainInvalid {
    domain: String,
}

/// How a Host addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// The bucket is the path's first segment.
    Path,
    /// The bucket is the Host's first part.
    Bucket(String),
}

/// The domains whose subdomains are buckets.
#[derive(Clone, Debug, Default)]
pub struct HostRules {
    domains: Vec<String>,
}

impl HostRules {
    /// Checks and keeps the domains (without ports).
    ///
    /// # Errors
    /// [`DomainInvalid`] for what is not a domain name.
    pub fn new<S: AsRef<str>>(domains: &[S]) -> Result<Self, DomainInvalid> {
        let mut kept = Vec::with_capacity(domains.len());
        for domain in domains {
            let name = domain.as_ref().to_ascii_lowercase();
            let is_label = |label: &str| {
                !label.is_empty()
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            };
            if !name.split('.').all(is_label) || name.parse::<std::net::IpAddr>().is_ok() {
                return Err(DomainInvalid {
                    domain: domain.as_ref().to_owned(),
                });
            }
            kept.push(name);
        }
        // The longest first: `s3.eu.example.com` before `eu.example.com`.
        kept.sort_by_key(|d| std::cmp::Reverse(d.len()));
        Ok(Self { domains: kept })
    }

    /// How a Host header addresses.
    #[must_use]
    pub fn addressing(&self, host: &str) -> Addressing {
        let name = name_of(host).to_ascii_lowercase();
        for domain in &self.domains {
            match name.strip_suffix(domain.as_str()) {
                Some("") => return Addressing::Path,
                Some(prefix) => {
                    if let Some(bucket) = prefix.strip_suffix('.') {
                        return Addressing::Bucket(bucket.to_owned());
                    }
                }
                None => {}
            }
        }
        Addressing::Path
    }
}

/// A Host without its port and without the root's dot.
fn name_of(host: &str) -> &str {
    let name = if host.starts_with('[') {
        host.split_inclusive(']').next().unwrap_or(host)
    } else {
        match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        }
    };
    name.strip_suffix('.').unwrap_or(name)
}

impl S3Host for HostRules {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        Ok(match self.addressing(host) {
            Addressing::Path => VirtualHost::new(host),
            Addressing::Bucket(bucket) => VirtualHost::new(host).with_bucket(bucket),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> HostRules {
        HostRules::new(&["s3.eu.example.com", "EU.example.com"]).unwrap()
    }

    fn bucket(host: &str) -> Option<String> {
        match rules().addressing(host) {
            Addressing::Path => None,
            Addressing::Bucket(bucket) => Some(bucket),
        }
    }

    #[test]
    fn subdomains_of_configured_domains_are_buckets() {
        for (host, expected) in [
            ("docs.s3.eu.example.com", "docs"),
            ("Docs.S3.EU.Example.COM:9443", "docs"),
            ("docs.s3.eu.example.com.", "docs"),
            ("docs.s3.eu.example.com.:443", "docs"),
            ("my.docs.s3.eu.example.com", "my.docs"),
            ("docs.eu.example.com", "docs"),
        ] {
            assert_eq!(bucket(host).as_deref(), Some(expected), "{host}");
        }
    }

    #[test]
    fn any_other_host_is_path_style() {
        for host in [
            "s3.eu.example.com",
            "S3.eu.example.com.:9443",
            "localhost:9000",
            "127.0.0.1:9000",
            "[::1]:9000",
            "[::ffff:1.2.3.4]",
            "docs.s3.eu.example.com.evil.test",
            "evils3.us.example.com",
            "xs3-eu.example.org",
            "",
            ":",
            "[",
        ] {
            assert_eq!(bucket(host), None, "{host}");
        }
    }

    #[test]
    fn domain_suffix_without_a_dot_is_no_bucket() {
        let rules = HostRules::new(&["s3.example.com"]).unwrap();
        assert_eq!(rules.addressing("evils3.example.com"), Addressing::Path);
    }

    #[test]
    fn bad_domains_are_refused_by_name() {
        for domain in ["", "a..b", "example.com:9000", ".example.com", "1.2.3.4"] {
            let refused = HostRules::new(&[domain]).unwrap_err();
            assert!(refused.to_string().contains(&format!("{domain:?}")));
        }
    }

    proptest! {
        #[test]
        fn host_parser_never_panics(host in "[\\[\\]:.a-z0-9é]{0,40}") {
            let _ = rules().addressing(&host);
        }
    }
}
