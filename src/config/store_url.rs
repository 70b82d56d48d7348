//! Store URLs: relative SQLite paths resolved, PostgreSQL passwords taken from a file.

use super::error::Problem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// Longest secret file that is read, in bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Everything that a URL's password can't hold as it is.
const PASSWORD: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A store's URL, as the catalog's or the key store's own type.
pub(super) fn store_url<U: FromStr>(
    base: &Path,
    path: &[&str],
    text: &str,
    password_file: Option<&PathBuf>,
) -> Result<U, Problem> {
    let form = "write sqlite:PATH or postgres://user@host/database";
    if let Some(file) = text.strip_prefix("sqlite:") {
        if password_file.is_some() {
            return Err(Problem::at(
                path,
                "an SQLite store has no password",
                "remove its password_file",
            ));
        }
        let file = base.join(file.strip_prefix("//").unwrap_or(file));
        return format!("sqlite:{}", file.display())
            .parse()
            .map_err(|_| Problem::at(path, "is not the path of a database file", form));
    }
    let text = match password_file {
        Some(file) => with_password(path, text, &base.join(file))?,
        None => Zeroizing::new(text.to_owned()),
    };
    if password_file.is_none() && user_info(&text).is_some_and(|user| user.contains(':')) {
        return Err(Problem::at(
            path,
            "holds a password",
            "leave the password out and name a file that holds it with the matching password_file key",
        ));
    }
    text.parse()
        .map_err(|_| Problem::at(path, "is not a store URL", form))
}

fn user_info(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?']).next()?;
    Some(authority.rsplit_once('@')?.0)
}

fn with_password(path: &[&str], url: &str, file: &Path) -> Result<Zeroizing<String>, Problem> {
    let user = user_info(url).filter(|user| !user.is_empty() && !user.contains(':'));
    let (Some(user), Some((scheme, rest))) = (user, url.split_once("://")) else {
        return Err(Problem::at(
            path,
            "names no user, or holds a password besides the password_file",
            "write postgres://user@host/database",
        ));
    };
    let password = read_secret(path, file)?;
    let after_user = rest.get(user.len()..).unwrap_or_default();
    let encoded = Zeroizing::new(utf8_percent_encode(&password, PASSWORD).to_string());
    Ok(Zeroizing::new(format!(
        "{scheme}://{user}:{}{after_user}",
        encoded.as_str()
    )))
}

/// A secret file's text without its last line break.
pub(super) fn read_secret(path: &[&str], file: &Path) -> Result<Zeroizing<String>, Problem> {
    let problem = |problem: String| {
        Problem::at(
            path,
            format!("the secret file {} {problem}", file.display()),
            "name a readable file that holds the secret and nothing else",
        )
    };
    let length =
        std::fs::metadata(file).map_err(|error| problem(format!("can't be read: {error}")))?;
    if length.len() > SECRET_BYTES_MAX {
        return Err(problem("is longer than 64 KiB".to_owned()));
    }
    let text = std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .map_err(|error| problem(format!("can't be read: {error}")))?;
    let trimmed = text.trim_end_matches(['\n', '\r']);
    if trimmed.is_empty() {
        return Err(problem("is empty".to_owned()));
    }
    Ok(Zeroizing::new(trimmed.to_owned()))
}
