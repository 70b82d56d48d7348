//! Backups as files of a directory, each with a `sha256sum` line beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;

use super::marker;
use super::{BackupError, BackupPlace, BackupReader, BackupWriter};
use crate::types::KeyStoreIdentity;

const READ_BYTES: usize = 65_536;

/// A directory that was marked for a key store ([`Self::adopt`]); it is made by others.
#[derive(Debug, Clone)]
pub struct BackupDirectory {
    pub(super) dir: PathBuf,
}

impl BackupDirectory {
    /// Takes the directory; nothing is looked at yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_path_buf(),
        }
    }

    /// When the newest backup was begun, in milliseconds since 1970; `None` when there is none. Everything before is in it.
    ///
    /// # Errors
    /// [`BackupError::Unavailable`].
    pub async fn newest_begun_ms(&self) -> Result<Option<i64>, BackupError> {
        let names = self.list().await?;
        let dir = self.dir.clone();
        blocking("looking at backups", move || {
            let mut newest = None;
            for name in names {
                let metadata = fs::metadata(dir.join(name))?;
                // A file system without a time of birth says when the writing ended.
                let begun = metadata.created().or_else(|_| metadata.modified())?;
                let since = begun.duration_since(UNIX_EPOCH).unwrap_or_default();
                newest = newest.max(i64::try_from(since.as_millis()).ok());
            }
            Ok(newest)
        })
        .await
    }

    async fn check(&self, of: &KeyStoreIdentity) -> Result<(), BackupError> {
        let (dir, of) = (self.dir.clone(), *of);
        let looked = blocking("looking at the place for backups", move || {
            Ok(marker::check(&dir, &of))
        });
        looked.await?
    }

    fn path(&self, name: &str) -> Result<PathBuf, BackupError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(BackupError::Missing(name.escape_default().to_string()));
        }
        Ok(self.dir.join(name))
    }
}

pub(super) async fn blocking<R: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> Result<R, BackupError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(BackupError::Unavailable(format!(
            "{doing}: {}",
            error.kind()
        ))),
        Err(_) => Err(BackupError::Unavailable(format!("{doing}: ended early"))),
    }
}

#[async_trait]
impl BackupPlace for BackupDirectory {
    async fn ready(&self, of: &KeyStoreIdentity) -> Result<u64, BackupError> {
        self.check(of).await?;
        let dir = self.dir.clone();
        blocking("writing to the place for backups", move || {
            Self::try_out(&dir)
        })
        .await
    }

    async fn begin(&self, of: &KeyStoreIdentity) -> Result<Box<dyn BackupWriter>, BackupError> {
        self.check(of).await?;
        let dir = self.dir.clone();
        let aside = blocking("creating a backup", move || Aside::create(&dir)).await?;
        Ok(Box::new(DirectoryWriter {
            place: self.clone(),
            aside: Some(aside),
        }))
    }

    async fn read(&self, name: &str) -> Result<Box<dyn BackupReader>, BackupError> {
        let path = self.path(name)?;
        let opened = blocking("opening a backup", move || match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            outcome => outcome.map(Some),
        });
        let file = opened.await?;
        let file = file.ok_or_else(|| BackupError::Missing(name.to_owned()))?;
        Ok(Box::new(DirectoryReader { file: Some(file) }))
    }

    async fn list(&self) -> Result<Vec<String>, BackupError> {
        let dir = self.dir.clone();
        blocking("listing backups", move || {
            let mut names = Vec::new();
            for entry in fs::read_dir(&dir)? {
                let name = entry?.file_name().into_string().unwrap_or_default();
                if name.ends_with(super::format::EXTENSION) && !name.starts_with('.') {
                    names.push(name);
                }
            }
            names.sort_unstable();
            Ok(names)
        })
        .await
    }
}

/// A file that is not a backup yet; removed unless it becomes one.
pub(super) struct Aside {
    path: PathBuf,
    pub(super) file: File,
}

impl Aside {
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        let mut tag = [0; 8];
        getrandom::fill(&mut tag).map_err(|_| io::ErrorKind::Other)?;
        let path = dir.join(format!(".{}.new", hex::encode(tag)));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self { path, file })
    }

    fn publish(self, path: &Path, name: &str, sha256: &str) -> io::Result<()> {
        self.file.sync_all()?;
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut sum = Self::create(dir)?;
        writeln!(sum.file, "{sha256}  {name}")?;
        sum.file.sync_all()?;
        // The sum first: where there is a backup, there is its sum.
        let sum_path = dir.join(format!("{name}.sha256"));
        fs::rename(&sum.path, sum_path)?;
        match fs::hard_link(&self.path, path) {
            // The name holds the digest: it is this backup.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => outcome?,
        }
        File::open(dir)?.sync_all()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Nothing is lost when it stays: it has no backup's name.
        let _removed = fs::remove_file(&self.path);
    }
}

struct DirectoryWriter {
    place: BackupDirectory,
    /// `None` after a failed write: what is there is not known.
    aside: Option<Aside>,
}

#[async_trait]
impl BackupWriter for DirectoryWriter {
    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), BackupError> {
        let mut aside = self.aside.take().ok_or_else(broken)?;
        let write = move || aside.file.write_all(&bytes).map(|()| aside);
        self.aside = Some(blocking("writing a backup", write).await?);
        Ok(())
    }

    async fn publish(
        mut self: Box<Self>,
        name: &str,
        sha256: &[u8; 32],
    ) -> Result<(), BackupError> {
        let aside = self.aside.take().ok_or_else(broken)?;
        let (path, name, sum) = (self.place.path(name)?, name.to_owned(), hex::encode(sha256));
        blocking("publishing a backup", move || {
            aside.publish(&path, &name, &sum)
        })
        .await
    }
}

fn broken() -> BackupError {
    BackupError::Unavailable("writing a backup: an earlier write failed".to_owned())
}

struct DirectoryReader {
    file: Option<File>,
}

#[async_trait]
impl BackupReader for DirectoryReader {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, BackupError> {
        let Some(mut file) = self.file.take() else {
            return Ok(None);
        };
        let read = move || {
            let mut bytes = Vec::with_capacity(READ_BYTES);
            (&mut file)
                .take(READ_BYTES as u64)
                .read_to_end(&mut bytes)?;
            Ok((file, bytes))
        };
        let (file, bytes) = blocking("reading a backup", read).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.file = Some(file);
        Ok(Some(bytes))
    }
}
