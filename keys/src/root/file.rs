//! Root keys in files, one an epoch: the embedded default.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{NodeToWrap, RootError, RootProvider, WrappedNode};
use crate::secret::{KeyBytes, NoRandomness, NodeKey, NodeWrap, RootKey};
use crate::tree::Epoch;
use crate::types::{Assurance, KeyStoreIdentity, RootKind};

/// A file is this label, the owning key store's identity, the epoch (u64-BE), the key and the SHA-256 of all that.
const LABEL: &[u8; 16] = b"lethe/v1/root\0\0\0";
const KEY_AT: usize = 40;
const DIGEST_AT: usize = 72;
const FILE_BYTES: usize = 104;

/// Root keys of one key store in a directory of their own.
#[derive(Debug, Clone)]
pub(crate) struct FileRoot {
    dir: PathBuf,
    owner: KeyStoreIdentity,
}

impl FileRoot {
    pub(crate) fn new(dir: &Path, owner: KeyStoreIdentity) -> Self {
        Self {
            dir: dir.to_path_buf(),
            owner,
        }
    }

    /// Makes the directory, closed to others, unless it is there; `init` only.
    pub(crate) fn create_directory(dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    fn path(&self, epoch: Epoch) -> PathBuf {
        self.dir.join(format!("epoch-{epoch}.key"))
    }

    fn check_directory(&self) -> Result<(), RootError> {
        let mode = fs::metadata(&self.dir)
            .map_err(|error| unavailable("reading the root directory", &error))?
            .mode();
        // Whoever may write here may replace a key file by another.
        refuse_mode(&self.dir, mode, 0o022)
    }

    fn read(&self, epoch: Epoch) -> Result<RootKey, RootError> {
        self.check_directory()?;
        let path = self.path(epoch);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RootError::EpochMissing(epoch));
            }
            Err(error) => return Err(unavailable("opening a root key", &error)),
        };
        let metadata = file
            .metadata()
            .map_err(|error| unavailable("reading a root key", &error))?;
        refuse_mode(&path, metadata.mode(), 0o077)?;
        if metadata.len() != FILE_BYTES as u64 {
            return Err(RootError::Corrupt(epoch));
        }
        let mut bytes = Zeroizing::new([0; FILE_BYTES]);
        file.read_exact(bytes.as_mut_slice())
            .map_err(|error| unavailable("reading a root key", &error))?;
        if Sha256::digest(&bytes[..DIGEST_AT])[..] != bytes[DIGEST_AT..]
            || bytes[..16] != LABEL[..]
            || bytes[32..KEY_AT] != epoch.0.to_be_bytes()
        {
            return Err(RootError::Corrupt(epoch));
        }
        if bytes[16..32] != self.owner.as_bytes()[..] {
            return Err(RootError::Foreign(epoch));
        }
        KeyBytes::from_slice(&bytes[KEY_AT..DIGEST_AT])
            .map(RootKey)
            .ok_or(RootError::Corrupt(epoch))
    }

    fn create(&self, epoch: Epoch) -> Result<(), RootError> {
        self.check_directory()?;
        match self.read(epoch) {
            Ok(_) => return Ok(()),
            Err(RootError::EpochMissing(_)) => {}
            Err(error) => return Err(error),
        }
        let key = KeyBytes::random().map_err(|error| RootError::Unavailable(error.to_string()))?;
        let mut bytes = Zeroizing::new([0; FILE_BYTES]);
        bytes[..16].copy_from_slice(LABEL);
        bytes[16..32].copy_from_slice(self.owner.as_bytes());
        bytes[32..KEY_AT].copy_from_slice(&epoch.0.to_be_bytes());
        bytes[KEY_AT..DIGEST_AT].copy_from_slice(key.expose());
        let digest = Sha256::digest(&bytes[..DIGEST_AT]);
        bytes[DIGEST_AT..].copy_from_slice(&digest);
        self.publish(epoch, bytes.as_slice())
            .map_err(|error| unavailable("writing a root key", &error))?;
        // A concurrent creator may have been first; its key counts, if it is this key store's.
        self.read(epoch).map(|_| ())
    }

    /// Writes aside, then links under the final name: a key file is whole or absent, and never replaced.
    fn publish(&self, epoch: Epoch, bytes: &[u8]) -> io::Result<()> {
        let mut tag = [0; 8];
        getrandom::fill(&mut tag).map_err(|_| io::ErrorKind::Other)?;
        let aside = self
            .dir
            .join(format!(".epoch-{epoch}.{}.new", hex::encode(tag)));
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&aside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            match fs::hard_link(&aside, self.path(epoch)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                outcome => outcome,
            }
        })();
        let removed = fs::remove_file(&aside);
        written?;
        removed?;
        File::open(&self.dir)?.sync_all()
    }

    fn destroy(&self, epoch: Epoch) -> Result<(), RootError> {
        // A file that no longer parses may be one that an interrupted destruction has overwritten already.
        if let Err(error @ (RootError::Foreign(_) | RootError::Exposed { .. })) = self.read(epoch) {
            return Err(error);
        }
        let failed = |error: io::Error| unavailable("destroying a root key", &error);
        // Out of the way first: whoever reads at the same time finds the key or none, never one half overwritten.
        let condemned = self.dir.join(format!(".epoch-{epoch}.condemned"));
        if_there(fs::rename(self.path(epoch), &condemned)).map_err(failed)?;
        let file = OpenOptions::new().write(true).open(&condemned);
        if let Some(mut file) = if_there(file).map_err(failed)? {
            // Overwriting is all that software can do; a copy-on-write or worn-out medium may keep the old blocks.
            let mut noise = [0; FILE_BYTES];
            getrandom::fill(&mut noise)
                .map_err(|_| RootError::Unavailable("no randomness".to_owned()))?;
            file.write_all(&noise)
                .and_then(|()| file.sync_all())
                .and_then(|()| if_there(fs::remove_file(&condemned)))
                .map_err(failed)?;
        }
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(failed)
    }

    async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<R, RootError> + Send + 'static,
    ) -> Result<R, RootError> {
        let root = self.clone();
        tokio::task::spawn_blocking(move || work(&root))
            .await
            .map_err(|_| RootError::Unavailable("the file task ended early".to_owned()))?
    }
}

fn refuse_mode(path: &Path, mode: u32, forbidden: u32) -> Result<(), RootError> {
    let mode = mode & 0o7777;
    if mode & forbidden == 0 {
        Ok(())
    } else {
        Err(RootError::Exposed {
            path: path.to_path_buf(),
            mode,
        })
    }
}

/// What is not there was destroyed before, or is being destroyed by somebody else.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn unavailable(doing: &str, error: &io::Error) -> RootError {
    RootError::Unavailable(format!("{doing}: {}", error.kind()))
}

#[async_trait]
impl RootProvider for FileRoot {
    async fn create_epoch(&self, epoch: Epoch) -> Result<(), RootError> {
        self.run(move |root| root.create(epoch)).await
    }

    async fn wrap(
        &self,
        epoch: Epoch,
        nodes: &[NodeToWrap<'_>],
    ) -> Result<Vec<NodeWrap>, RootError> {
        let key = self.run(move |root| root.read(epoch)).await?;
        nodes
            .iter()
            .map(|node| {
                let wrapped = key.0.wrap(&node.context, node.key.0.expose())?;
                Ok(NodeWrap::from(wrapped))
            })
            .collect::<Result<_, NoRandomness>>()
            .map_err(|error| RootError::Unavailable(error.to_string()))
    }

    async fn unwrap(&self, epoch: Epoch, nodes: &[WrappedNode]) -> Result<Vec<NodeKey>, RootError> {
        let key = self.run(move |root| root.read(epoch)).await?;
        nodes
            .iter()
            .map(|node| key.0.unwrap(&node.context, &node.wrapped).map(NodeKey))
            .collect::<Result<_, _>>()
            .map_err(|_| RootError::Foreign(epoch))
    }

    async fn destroy_epoch(&self, epoch: Epoch) -> Result<(), RootError> {
        self.run(move |root| root.destroy(epoch)).await
    }

    async fn check_control(&self, _epoch: Epoch) -> Result<(), RootError> {
        self.run(|root| {
            root.check_directory()?;
            // Nothing is written: the kernel is asked.
            rustix::fs::access(&root.dir, rustix::fs::Access::WRITE_OK)
                .map_err(|_| RootError::Denied(format!("{} can't be written", root.dir.display())))
        })
        .await
    }

    fn kind(&self) -> RootKind {
        RootKind::File
    }

    fn assurance(&self) -> Assurance {
        Assurance::Software
    }

    fn destruction(&self, epoch: Epoch) -> String {
        format!(
            "the file of root key epoch {epoch} was overwritten with random bytes and synced, removed, and its directory \
             synced; copies of the file and blocks that the medium kept are not reached"
        )
    }
}
