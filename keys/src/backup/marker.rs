//! Whose backups a directory is for: without its marker a mount point would be taken for what is not mounted there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::directory::{Aside, blocking};
use super::{BackupDirectory, BackupError};
use crate::types::KeyStoreIdentity;

const PREFIX: &str = "lethe-key-store-";

/// What a killed process left is nobody's work any more after so long.
pub(crate) const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

fn marker(dir: &Path, of: &KeyStoreIdentity) -> PathBuf {
    dir.join(format!("{PREFIX}{of}"))
}

/// Refuses a directory that is not there, or is not marked as this key store's.
pub(super) fn check(dir: &Path, of: &KeyStoreIdentity) -> Result<(), BackupError> {
    if marker(dir, of).is_file() {
        return Ok(());
    }
    let why = match fs::read_dir(dir) {
        Err(error) => format!("it can't be read: {}", error.kind()),
        Ok(entries) => {
            let others = entries.flatten().any(|entry| {
                let name = entry.file_name();
                name.to_string_lossy().starts_with(PREFIX)
            });
            let whose = if others { "another" } else { "no" };
            format!("it bears the mark of {whose} key store")
        }
    };
    Err(BackupError::NotAdopted {
        dir: dir.to_owned(),
        why,
    })
}

impl BackupDirectory {
    /// Marks the directory, which is there, as the place for this key store's backups. Repeating it changes nothing; one
    /// directory may be several key stores'.
    ///
    /// # Errors
    /// [`BackupError::Unavailable`].
    pub async fn adopt(&self, of: KeyStoreIdentity) -> Result<(), BackupError> {
        let dir = self.dir.clone();
        blocking("marking the place for backups", move || {
            let path = marker(&dir, &of);
            if path.is_file() {
                return Ok(());
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)?;
            writeln!(file, "Backups of the key store {of} lie here.")?;
            file.sync_all()?;
            File::open(&dir)?.sync_all()
        })
        .await
    }

    /// Deletes what killed backups left here more than a day ago; answers how many files.
    ///
    /// # Errors
    /// [`BackupError::Unavailable`].
    pub async fn sweep(&self) -> Result<u64, BackupError> {
        let dir = self.dir.clone();
        blocking("sweeping the place for backups", move || {
            let mut swept = 0;
            for entry in fs::read_dir(&dir)? {
                let entry = entry?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let tag = name
                    .strip_prefix('.')
                    .and_then(|of| of.strip_suffix(".new"));
                if tag.is_some_and(is_tag) && is_left_behind(&entry)? {
                    fs::remove_file(entry.path())?;
                    swept += 1;
                }
            }
            Ok(swept)
        })
        .await
    }

    /// Writes a file and removes it; answers the newest backup's length in bytes, 0 when there is none.
    pub(super) fn try_out(dir: &Path) -> io::Result<u64> {
        let mut aside = Aside::create(dir)?;
        aside
            .file
            .write_all(b"Lethe tries whether it can write here.\n")?;
        aside.file.sync_all()?;
        drop(aside);
        let mut newest: Option<(SystemTime, u64)> = None;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_string_lossy().ends_with(super::format::EXTENSION) {
                let metadata = entry.metadata()?;
                newest = newest.max(Some((metadata.modified()?, metadata.len())));
            }
        }
        Ok(newest.map_or(0, |(_, bytes)| bytes))
    }
}

/// Whether this is the random part of a name that was made here.
pub(crate) fn is_tag(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn is_left_behind(entry: &fs::DirEntry) -> io::Result<bool> {
    let age = entry.metadata()?.modified()?.elapsed();
    // A time to come is nobody's yesterday.
    Ok(age.is_ok_and(|age| age > LEFT_BEHIND_AFTER))
}

#[cfg(test)]
mod tests;
