//! `log` of a domain: a directory, or a bucket of an S3 store.

use super::error::Problem;
use super::model::S3Backend;
use super::raw::RawBackend;
use super::regions::s3_backend;
use std::path::{Path, PathBuf};

/// The directory or the bucket: one of them.
type Place = (Option<PathBuf>, Option<S3Backend>);

pub(super) fn log_place(base: &Path, domain: &str, raw: &RawBackend) -> Result<Place, Problem> {
    let section = ["domains", domain, "log"];
    let at = |key: &str, problem: String, hint: &str| {
        let path: Vec<&str> = section.iter().copied().chain([key]).collect();
        Problem::at(&path, problem, hint)
    };
    match raw.kind.as_str() {
        "dir" => {
            if let Some(key) = raw.s3_key() {
                let problem = "a log of kind \"dir\" has no such key".to_owned();
                return Err(at(key, problem, "remove it, or write kind = \"s3\""));
            }
            let path = raw.path.as_ref().ok_or_else(|| {
                Problem::at(
                    &section,
                    "the key `path` is missing",
                    "name the log's directory",
                )
            })?;
            Ok((Some(base.join(path)), None))
        }
        "s3" if raw.lifecycle.is_some() => {
            let problem = "a log of kind \"s3\" has no such key".to_owned();
            Err(at(
                "lifecycle",
                problem,
                "remove it: a log keeps everything",
            ))
        }
        "s3" if raw.path.is_some() => {
            let problem = "a log of kind \"s3\" has no such key".to_owned();
            Err(at("path", problem, "remove it, or write kind = \"dir\""))
        }
        "s3" => Ok((None, Some(s3_backend(base, &section, raw)?))),
        other => Err(at(
            "kind",
            format!("{other:?} is not a kind of place for a log"),
            "write dir or s3",
        )),
    }
}
