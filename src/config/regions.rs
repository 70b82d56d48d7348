//! The sections `[regions.*]`.

use super::error::Problem;
use super::model::{Backend, RegionConfig, S3Backend};
use super::raw::{RawBackend, RawRegion};
use crate::tenants::{DomainName, RegionName};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn check_regions(
    base: &Path,
    raw: &BTreeMap<String, RawRegion>,
    known: &dyn Fn(&DomainName) -> bool,
) -> Result<BTreeMap<RegionName, RegionConfig>, Problem> {
    let mut regions = BTreeMap::new();
    for (name, region) in raw {
        let parsed = name.parse::<RegionName>().map_err(|error| {
            Problem::at(&["regions", name], error.to_string(), "rename the region")
        })?;
        regions.insert(parsed, check_region(base, name, region, known)?);
    }
    pairs(&regions)?;
    Ok(regions)
}

/// Checks an endpoint URL; plain HTTP only where allowed, or on loopback.
pub(super) fn endpoint(path: &[&str], text: &str, allow_plain_http: bool) -> Result<(), Problem> {
    let form = "write https://host or https://host:port, without a path";
    let url: http::Uri = text
        .parse()
        .map_err(|_| Problem::at(path, "is not a URL", form))?;
    let bare = url.path().trim_end_matches('/').is_empty() && url.query().is_none();
    let authority = url
        .authority()
        .filter(|authority| !authority.as_str().contains('@'));
    let (Some(scheme), Some(authority), true) = (url.scheme_str(), authority, bare) else {
        return Err(Problem::at(path, "is not a URL of a host", form));
    };
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let loopback = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    match scheme {
        "https" => Ok(()),
        "http" if allow_plain_http || (loopback && path.last() == Some(&"public_endpoint")) => {
            Ok(())
        }
        "http" => Err(Problem::at(
            path,
            "is plain HTTP",
            "use https://; where a server has no TLS, permit it with allow_plain_http = true beside it",
        )),
        _ => Err(Problem::at(path, "is neither https nor http", form)),
    }
}

fn check_region(
    base: &Path,
    name: &str,
    raw: &RawRegion,
    known: &dyn Fn(&DomainName) -> bool,
) -> Result<RegionConfig, Problem> {
    let domain = raw.domain.parse::<DomainName>().ok();
    let domain = domain.filter(known).ok_or_else(|| {
        Problem::at(
            &["regions", name, "domain"],
            format!("there is no domain {:?}", raw.domain),
            format!(
                "add a section [domains.{}], or name one that is there",
                raw.domain
            ),
        )
    })?;
    let pair = raw.pair.as_ref().map(|pair| pair.parse::<RegionName>());
    let pair = pair.transpose().map_err(|error| {
        Problem::at(
            &["regions", name, "pair"],
            error.to_string(),
            "name another region of the same domain",
        )
    })?;
    Ok(RegionConfig {
        domain,
        pair,
        backend: raw
            .backend
            .as_ref()
            .map(|raw| backend(base, name, raw))
            .transpose()?,
    })
}

fn backend(base: &Path, region: &str, raw: &RawBackend) -> Result<Backend, Problem> {
    let at = |key: &str, problem: String, hint: &str| {
        Problem::at(&["regions", region, "backend", key], problem, hint)
    };
    let section = ["regions", region, "backend"];
    let foreign = match raw.kind.as_str() {
        "embedded" => raw.s3_key(),
        "s3" => raw.path.is_some().then_some("path"),
        other => {
            return Err(at(
                "kind",
                format!("{other:?} is not a kind of backend"),
                "write s3 or embedded",
            ));
        }
    };
    if let Some(key) = foreign {
        return Err(at(
            key,
            format!("a backend of kind {:?} has no such key", raw.kind),
            "remove it, or change the kind",
        ));
    }
    if raw.kind == "embedded" {
        let path = raw
            .path
            .as_ref()
            .ok_or_else(|| missing(&section, raw, "path"))?;
        return Ok(Backend::Embedded {
            path: base.join(path),
        });
    }
    s3_backend(base, &section, raw).map(Backend::S3)
}

fn missing(section: &[&str], raw: &RawBackend, key: &str) -> Problem {
    Problem::at(
        section,
        format!("the key `{key}` is missing"),
        format!("a backend of kind {:?} needs it", raw.kind),
    )
}

/// Checks how an S3 store is reached; `section` is where it is written.
pub(super) fn s3_backend(
    base: &Path,
    section: &[&str],
    raw: &RawBackend,
) -> Result<S3Backend, Problem> {
    let under = |key| section.iter().copied().chain([key]).collect::<Vec<&str>>();
    let allow_plain_http = raw.allow_plain_http.unwrap_or(false);
    let url = raw.endpoint.as_ref();
    let url = url.ok_or_else(|| missing(section, raw, "endpoint"))?;
    endpoint(&under("endpoint"), url, allow_plain_http)?;
    let bucket_prefix = raw
        .bucket_prefix
        .clone()
        .unwrap_or_else(|| "lethe".to_owned());
    if bucket_prefix.len() < 3
        || bucket_prefix.len() > crate::placement::PREFIX_BYTES_MAX
        || bucket_prefix.parse::<RegionName>().is_err()
    {
        return Err(Problem::at(
            &under("bucket_prefix"),
            "can't begin a bucket name".to_owned(),
            "write 3 to 36 lower-case letters, digits and dashes",
        ));
    }
    let credentials_file = raw.credentials_file.as_ref();
    let credentials_file =
        credentials_file.ok_or_else(|| missing(section, raw, "credentials_file"))?;
    Ok(S3Backend {
        endpoint: url.trim_end_matches('/').to_owned(),
        region: raw.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
        bucket_prefix,
        credentials_file: base.join(credentials_file),
        ca: raw.ca.as_ref().map(|ca| base.join(ca)),
        allow_plain_http,
        lifecycle: raw.lifecycle.unwrap_or(false),
    })
}

fn pairs(regions: &BTreeMap<RegionName, RegionConfig>) -> Result<(), Problem> {
    for (name, region) in regions {
        let Some(pair) = &region.pair else { continue };
        let at = |problem: String, hint: String| {
            Problem::at(&["regions", name.as_str(), "pair"], problem, hint)
        };
        if pair == name {
            return Err(at(
                "a region can't be its own pair".to_owned(),
                "name another region of the same domain, or remove the key".to_owned(),
            ));
        }
        match regions.get(pair) {
            None => {
                return Err(at(
                    format!("there is no region {pair}"),
                    format!("add a section [regions.{pair}], or remove the key"),
                ));
            }
            Some(other) if other.domain != region.domain => {
                return Err(at(
                    format!(
                        "{pair} is of domain {} and {name} of {}",
                        other.domain, region.domain
                    ),
                    format!(
                        "name a region of domain {}: no object leaves its domain",
                        region.domain
                    ),
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
