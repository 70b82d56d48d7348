//! The upstream's credentials: one provider for both clients, re-read when its file changes.

use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_smithy_runtime_api::client::identity::Identity;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// How long a change of the file may go unseen.
pub(super) const POLL_EVERY: Duration = Duration::from_secs(2);
const FILE_BYTES_MAX: u64 = 64 * 1024;
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a credentials file gives no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file can't be read.
    #[error("credentials file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file can be read but is not a credentials file with a default profile.
    #[error("credentials file {path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
}

/// What tells one state of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

struct Current {
    identity: Identity,
    credentials: Credentials,
}

struct Seen {
    at: Instant,
    stamp: Stamp,
}

/// The upstream's credentials as its file has them now, within [`POLL_EVERY`].
pub(super) struct FileCredentials {
    path: PathBuf,
    current: ArcSwap<Current>,
    seen: tokio::sync::Mutex<Seen>,
}

impl fmt::Debug for FileCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCredentials")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl FileCredentials {
    pub(super) async fn open(path: &Path) -> Result<Self, CredentialsError> {
        let (stamp, current) = load(path).await?;
        Ok(Self {
            path: path.to_owned(),
            current: ArcSwap::from_pointee(current),
            seen: tokio::sync::Mutex::new(Seen {
                at: Instant::now(),
                stamp,
            }),
        })
    }

    /// The identity to sign with.
    pub(super) async fn identity(&self) -> Identity {
        self.refresh().await;
        self.current.load().identity.clone()
    }

    /// Looks at the file if that is due. Whoever finds another caller looking goes on with what is known; a file that
    /// can't be read for a while leaves the last good credentials in use.
    async fn refresh(&self) {
        let Ok(mut seen) = self.seen.try_lock() else {
            return;
        };
        if seen.at.elapsed() < POLL_EVERY {
            return;
        }
        seen.at = Instant::now();
        let looked = tokio::time::timeout(READ_TIMEOUT, async {
            if stamp(&self.path).await.ok() == Some(seen.stamp) {
                return Ok(None);
            }
            load(&self.path).await.map(Some)
        });
        match looked.await {
            Ok(Ok(Some((stamp, current)))) => {
                seen.stamp = stamp;
                self.current.store(Arc::new(current));
                tracing::info!(path = %self.path.display(), "upstream credentials re-read");
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "upstream credentials can't be re-read; the last ones stay in use");
            }
            Err(_) => {
                tracing::warn!(path = %self.path.display(), "reading upstream credentials takes too long; the last ones stay in use");
            }
        }
    }
}

impl ProvideCredentials for FileCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            self.refresh().await;
            provider::Result::Ok(self.current.load().credentials.clone())
        })
    }
}

async fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let metadata = tokio::fs::metadata(path).await?;
    Ok(Stamp {
        modified: metadata.modified().ok(),
        bytes: metadata.len(),
    })
}

async fn load(path: &Path) -> Result<(Stamp, Current), CredentialsError> {
    let unreadable = |source| CredentialsError::Read {
        path: path.to_owned(),
        source,
    };
    let stamp = stamp(path).await.map_err(unreadable)?;
    if stamp.bytes > FILE_BYTES_MAX {
        return Err(CredentialsError::Content {
            path: path.to_owned(),
            problem: "is longer than 64 KiB",
        });
    }
    let text = Zeroizing::new(tokio::fs::read_to_string(path).await.map_err(unreadable)?);
    let credentials = parse(&text).map_err(|problem| CredentialsError::Content {
        path: path.to_owned(),
        problem,
    })?;
    let identity = Identity::from(credentials.clone());
    Ok((
        stamp,
        Current {
            identity,
            credentials,
        },
    ))
}

/// Reads the `[default]` profile of an AWS shared-credentials file.
fn parse(text: &str) -> Result<Credentials, &'static str> {
    let mut in_default = false;
    let (mut access_key_id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') || line.starts_with(';') {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            let name = section.strip_suffix(']').ok_or("has a broken section")?;
            in_default = name.trim() == "default";
            continue;
        }
        let (name, value) = line
            .split_once('=')
            .ok_or("has a line that is neither a section nor a setting")?;
        if !in_default {
            continue;
        }
        match name.trim() {
            "aws_access_key_id" => access_key_id = Some(value.trim()),
            "aws_secret_access_key" => secret = Some(value.trim()),
            "aws_session_token" => token = Some(value.trim()),
            _ => {}
        }
    }
    let filled = |value: Option<&str>, problem| match value {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(problem),
    };
    Ok(Credentials::new(
        filled(access_key_id, "has no aws_access_key_id under [default]")?,
        filled(secret, "has no aws_secret_access_key under [default]")?,
        token.filter(|text| !text.is_empty()).map(str::to_owned),
        None,
        "credentials file",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_two_profiles_default_taken() {
        let text = "# c\n[other]\naws_access_key_id=no\naws_secret_access_key = no\n[default]\naws_access_key_id = AK\n aws_secret_access_key=S/K=\nregion = x\n";
        let credentials = parse(text).unwrap();
        assert_eq!(credentials.access_key_id(), "AK");
        assert_eq!(credentials.secret_access_key(), "S/K=");
        assert_eq!(credentials.session_token(), None);
    }

    #[test]
    fn parse_missing_or_empty_secret_refused() {
        for text in [
            "",
            "[default]\naws_access_key_id = AK\n",
            "[default]\naws_access_key_id = AK\naws_secret_access_key =\n",
            "[default\naws_access_key_id = AK\naws_secret_access_key = S\n",
            "[other]\naws_access_key_id = AK\naws_secret_access_key = S\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn refresh_file_changed_new_identity_after_poll() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        let write = |id: &str| {
            let text = format!("[default]\naws_access_key_id={id}\naws_secret_access_key=s\n");
            std::fs::write(&path, text).unwrap();
        };
        write("first");
        let file = FileCredentials::open(&path).await.unwrap();
        let id =
            |file: &FileCredentials| file.current.load().credentials.access_key_id().to_owned();
        write("second-one");
        file.refresh().await;
        assert_eq!(id(&file), "first", "not looked at before the poll is due");
        file.seen.lock().await.at -= POLL_EVERY;
        file.refresh().await;
        assert_eq!(id(&file), "second-one");
        std::fs::write(&path, "broken").unwrap();
        file.seen.lock().await.at -= POLL_EVERY;
        file.refresh().await;
        assert_eq!(id(&file), "second-one", "the last good ones stay");
    }
}
