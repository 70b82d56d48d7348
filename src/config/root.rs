//! A domain's root provider.

use super::error::Problem;
use super::raw::RawRoot;
use super::regions::endpoint;
use lethe_keys::{OpenBaoConfig, RootConfig};
use std::path::Path;

/// The transit engine's own default.
const MOUNT: &str = "transit";
/// Longest mount or namespace, in bytes.
const PATH_BYTES_MAX: usize = 255;

pub(super) fn check_root(base: &Path, domain: &str, raw: &RawRoot) -> Result<RootConfig, Problem> {
    let at = |key: &str, problem: String, hint: &str| {
        Problem::at(&["domains", domain, "root", key], problem, hint)
    };
    let missing = |key: &str| {
        Problem::at(
            &["domains", domain, "root"],
            format!("the key `{key}` is missing"),
            format!("a root of kind {:?} needs it", raw.kind),
        )
    };
    let of_openbao = [
        ("address", raw.address.is_some()),
        ("allow_plain_http", raw.allow_plain_http.is_some()),
        ("mount", raw.mount.is_some()),
        ("namespace", raw.namespace.is_some()),
        ("token_file", raw.token_file.is_some()),
        ("control_token_file", raw.control_token_file.is_some()),
        ("ca", raw.ca.is_some()),
    ];
    let foreign = match raw.kind.as_str() {
        "file" => of_openbao
            .iter()
            .find_map(|(key, there)| there.then_some(*key)),
        "openbao" => raw.path.is_some().then_some("path"),
        other => {
            return Err(at(
                "kind",
                format!("{other:?} is not a kind of root provider"),
                "write file or openbao",
            ));
        }
    };
    if let Some(key) = foreign {
        return Err(at(
            key,
            format!("a root of kind {:?} has no such key", raw.kind),
            "remove it, or change the kind",
        ));
    }
    if raw.kind == "file" {
        let path = raw.path.as_ref().ok_or_else(|| missing("path"))?;
        return Ok(RootConfig::File {
            dir: base.join(path),
        });
    }
    let address = raw.address.as_ref().ok_or_else(|| missing("address"))?;
    let allow_plain_http = raw.allow_plain_http.unwrap_or(false);
    endpoint(
        &["domains", domain, "root", "address"],
        address,
        allow_plain_http,
    )?;
    for (key, path) in [("mount", &raw.mount), ("namespace", &raw.namespace)] {
        if path.as_ref().is_some_and(|path| !is_path(path)) {
            return Err(at(
                key,
                "is not a path".to_owned(),
                "write names of letters, digits, - . and _ with / between them, such as \"lethe\"",
            ));
        }
    }
    let token_file = raw
        .token_file
        .as_ref()
        .ok_or_else(|| missing("token_file"))?;
    if raw.control_token_file.as_ref() == Some(token_file) {
        return Err(at(
            "control_token_file",
            "is the token_file".to_owned(),
            "name a file with a token of its own, or remove the key",
        ));
    }
    Ok(RootConfig::OpenBao(OpenBaoConfig {
        address: address.trim_end_matches('/').to_owned(),
        allow_plain_http,
        mount: raw.mount.clone().unwrap_or_else(|| MOUNT.to_owned()),
        namespace: raw.namespace.clone(),
        token_file: base.join(token_file),
        control_token_file: raw.control_token_file.as_ref().map(|file| base.join(file)),
        ca: raw.ca.as_ref().map(|ca| base.join(ca)),
    }))
}

fn is_path(text: &str) -> bool {
    let segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    text.len() <= PATH_BYTES_MAX && text.split('/').all(segment)
}
