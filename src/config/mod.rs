//! Static process configuration: `lethe.toml`, `LETHE_*` overrides, secrets by file. The environment is read here only.

mod check;
mod document;
mod environment;
mod error;
mod limits;
mod log_place;
mod model;
mod raw;
mod regions;
mod store_url;

pub use environment::Environment;
pub use error::{ConfigError, Place};
pub use model::{
    Backend, Config, DomainConfig, DomainStores, Limits, Listener, LogConfig, LogFormat,
    RegionConfig, Roles, S3Backend, TlsFiles,
};

use crate::tenants::{DomainName, RegionName};
use document::Document;
use std::collections::BTreeMap;
use std::path::Path;

/// Longest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads and checks a configuration file, with the environment's overrides.
///
/// # Errors
/// [`ConfigError`] names the file, the line and the key, and says how to mend it.
pub fn load(file: &Path, environment: &Environment) -> Result<Config, ConfigError> {
    let text = read(file)?;
    parse(file, &text, environment)
}

/// Checks a configuration's text as if it were in `file`; secret files that it names are read.
///
/// # Errors
/// [`ConfigError`] names the file, the line and the key, and says how to mend it.
pub fn parse(file: &Path, text: &str, environment: &Environment) -> Result<Config, ConfigError> {
    let mut document = Document::parse(file, text)?;
    document.override_from(environment.variables())?;
    let raw: raw::RawConfig = document.read()?;
    check::check(file, raw).map_err(|problem| document.locate(problem))
}

/// What `lethe dev --config FILE` takes from a file: regions of its own domains, and limits.
#[derive(Debug)]
pub struct DevOverrides {
    /// The regions, all with a backend.
    pub regions: BTreeMap<RegionName, RegionConfig>,
    /// Bounds.
    pub limits: Limits,
}

/// Reads the sections `[regions.*]` and `[limits]` of a file for `lethe dev`; its other sections are left alone.
///
/// # Errors
/// [`ConfigError`] as [`load`]; also a region without a backend, or of a domain that is not in `domains`.
pub fn load_for_dev(
    file: &Path,
    environment: &Environment,
    domains: &[DomainName],
) -> Result<DevOverrides, ConfigError> {
    let text = read(file)?;
    let mut document = Document::parse(file, &text)?;
    document.override_from(environment.variables())?;
    let raw: raw::RawDevConfig = document.read()?;
    let base = file.parent().unwrap_or(Path::new(""));
    let checked = regions::check_regions(base, &raw.regions, &|domain| domains.contains(domain))
        .and_then(|regions| {
            let bare = regions.iter().find(|(_, region)| region.backend.is_none());
            if let Some((name, _)) = bare {
                return Err(error::Problem::at(
                    &["regions", name.as_str()],
                    "the key `backend` is missing",
                    "add backend = { kind = … }",
                ));
            }
            Ok(DevOverrides {
                regions,
                limits: limits::limits(&raw.limits)?,
            })
        });
    checked.map_err(|problem| document.locate(problem))
}

fn read(file: &Path) -> Result<String, ConfigError> {
    let fail = |problem: String, hint: &str| ConfigError {
        file: file.to_owned(),
        place: Place::File,
        key: String::new(),
        problem,
        hint: hint.to_owned(),
    };
    let io = |error: std::io::Error| {
        fail(
            format!("can't be read: {error}"),
            "name an existing file with --config (lethe.example.toml is one to begin with)",
        )
    };
    let bytes_len = std::fs::metadata(file).map_err(io)?.len();
    if bytes_len > FILE_BYTES_MAX {
        return Err(fail(
            format!("has {bytes_len} bytes"),
            "a configuration has at most 1 MiB; is this the right file?",
        ));
    }
    std::fs::read_to_string(file).map_err(io)
}

#[cfg(test)]
mod tests;
