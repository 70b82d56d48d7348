//! Where a backup is tried out: a directory that holds every wrapped key for a while.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::KeyService;
use super::init::no_randomness;
use crate::backup::{is_left_behind, is_tag};
use crate::calls::StoreCalls;
use crate::config::StoreUrl;
use crate::error::KeysError;
use crate::store::SqlKeyStore;

const PREFIX: &str = "lethe-restore-";

/// What a small key store needs, in bytes.
const FREE_BYTES_MIN: u64 = 16 << 20;

fn failed(cause: impl ToString) -> KeysError {
    KeysError::Unavailable {
        operation: "creating a scratch store",
        cause: cause.to_string(),
    }
}

/// Makes the directory unless it is there; refuses one into which others could put something, or that they could replace.
fn own(dir: &Path) -> Result<(), KeysError> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    made.map_err(|error| failed(format!("{}: {}", dir.display(), error.kind())))?;
    let found = fs::symlink_metadata(dir).map_err(|error| failed(error.kind()))?;
    let why = if !found.is_dir() {
        "is not a directory"
    } else if found.uid() != rustix::process::geteuid().as_raw() {
        "belongs to another user"
    } else if found.mode() & 0o022 != 0 {
        "can be written to by others; make it mode 0700"
    } else {
        return Ok(());
    };
    Err(failed(format!("{} {why}", dir.display())))
}

impl KeyService {
    /// Whether a backup of this length can be tried out under `scratch`: it is this user's alone, and has room for it twice.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`] with what is wrong.
    pub fn check_scratch(scratch: &Path, backup_bytes: u64) -> Result<(), KeysError> {
        own(scratch)?;
        let volume = rustix::fs::statvfs(scratch).map_err(|error| failed(error.kind()))?;
        let free = volume.f_bavail.saturating_mul(volume.f_frsize);
        let wanted = backup_bytes.saturating_mul(2).max(FREE_BYTES_MIN);
        if free < wanted {
            let dir = scratch.display();
            return Err(failed(format!(
                "{dir} has {free} bytes free, and trying a backup out takes {wanted}"
            )));
        }
        Ok(())
    }

    /// Deletes what killed tests of backups left under `scratch` more than a day ago; answers how many.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`] with what is wrong.
    pub fn sweep_scratch(scratch: &Path) -> Result<u64, KeysError> {
        own(scratch)?;
        let sweep = || -> io::Result<u64> {
            let mut swept = 0;
            for entry in fs::read_dir(scratch)? {
                let entry = entry?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.strip_prefix(PREFIX).is_some_and(is_tag) && is_left_behind(&entry)? {
                    fs::remove_dir_all(entry.path())?;
                    swept += 1;
                }
            }
            Ok(swept)
        };
        sweep().map_err(|error| failed(error.kind()))
    }
}

/// A directory of its own that goes with the test.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn create(parent: &Path) -> Result<Self, KeysError> {
        own(parent)?;
        let mut tag = [0; 8];
        getrandom::fill(&mut tag).map_err(|_| no_randomness())?;
        let path = parent.join(format!("{PREFIX}{}", hex::encode(tag)));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| failed(error.kind()))?;
        Ok(Self(path))
    }

    pub(super) fn store(&self, like: &StoreCalls) -> Result<StoreCalls, KeysError> {
        let url = StoreUrl::Sqlite {
            path: self.0.join("scratch.db"),
        };
        let store = SqlKeyStore::scratch(&url, like.deadline).map_err(failed)?;
        Ok(StoreCalls {
            store: Arc::new(store),
            name: url.to_string(),
            ..like.clone()
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is as useless as any backup without its root.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests;
