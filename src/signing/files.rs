//! The files of the signing keys.

use super::{SigningError, invalid};
use lethe_receipts::keys::IssuerKey;
use lethe_receipts::log::LogKey;
use serde::Serialize;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

const LOCK: &str = "lock";
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The longest file that is read.
const BYTES_MAX: u64 = 1 << 20;

fn file<'a>(path: &'a Path, step: &'static str) -> impl Fn(io::Error) -> SigningError + 'a {
    move |source| SigningError::File {
        path: path.to_owned(),
        step,
        source,
    }
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], SigningError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| SigningError::NoRandomness)?;
    Ok(bytes)
}

pub(super) fn make_dir(dir: &Path) -> Result<(), SigningError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(file(dir, "making the directory"))
}

pub(super) fn exists(path: &Path) -> Result<bool, SigningError> {
    path.try_exists().map_err(file(path, "looking"))
}

fn issuer_path(dir: &Path, public_key: &[u8; 32]) -> PathBuf {
    dir.join(format!("issuer-{}.pem", hex::encode(public_key)))
}

fn log_path(dir: &Path, public_key: &[u8; 32]) -> PathBuf {
    dir.join(format!("log-{}.key", hex::encode(public_key)))
}

pub(super) fn write_issuer(dir: &Path, key: &IssuerKey) -> Result<(), SigningError> {
    let path = issuer_path(dir, &key.public_key().to_bytes());
    let pem = key.to_pem().map_err(|error| invalid(&path, &error))?;
    write_private(&path, pem.as_bytes())
}

pub(super) fn write_log(dir: &Path, key: &LogKey) -> Result<(), SigningError> {
    let path = log_path(dir, key.verifier().public_key());
    write_private(&path, key.text().as_bytes())
}

pub(super) fn read_issuer(dir: &Path, public_key: &[u8; 32]) -> Result<IssuerKey, SigningError> {
    let path = issuer_path(dir, public_key);
    let key = IssuerKey::from_pem(&read_private(&path)?).map_err(|error| invalid(&path, &error))?;
    if key.public_key().to_bytes() != *public_key {
        return Err(invalid(&path, &"it holds another key than its name says"));
    }
    Ok(key)
}

pub(super) fn read_log(dir: &Path, public_key: &[u8; 32]) -> Result<LogKey, SigningError> {
    let path = log_path(dir, public_key);
    let text = read_private(&path)?;
    let key = LogKey::from_text(text.trim_end()).map_err(|error| invalid(&path, &error))?;
    if key.verifier().public_key() != public_key {
        return Err(invalid(&path, &"it holds another key than its name says"));
    }
    Ok(key)
}

/// A rotated key signs nothing more. That its file could not be deleted keeps nobody from going on.
pub(super) fn delete_issuer(dir: &Path, public_key: &[u8; 32]) {
    let path = issuer_path(dir, public_key);
    if let Err(error) = std::fs::remove_file(&path) {
        tracing::warn!(op = "rotate-issuer", outcome = "kept", path = %path.display(), %error, "the old issuer key's file remains");
    }
}

pub(super) fn write_list(
    dir: &Path,
    name: &str,
    list: &impl Serialize,
) -> Result<(), SigningError> {
    let path = dir.join(name);
    let text = serde_json::to_vec_pretty(list).map_err(|error| invalid(&path, &error))?;
    write_private(&path, &text)
}

/// Writes aside, syncs, renames, syncs the directory.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), SigningError> {
    let aside = path.with_extension(format!("aside-{}", hex::encode(random::<8>()?)));
    let written = (|| {
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        std::fs::rename(&aside, path)?;
        match path.parent() {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    })();
    if written.is_err() {
        // It may not even be there; what matters is the error above.
        let _gone = std::fs::remove_file(&aside);
    }
    written.map_err(file(path, "writing"))
}

/// Keeps other processes from changing the list until it is dropped; they change it for an instant only.
pub(super) fn lock(dir: &Path) -> Result<File, SigningError> {
    let path = dir.join(LOCK);
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(file(&path, "opening"))?;
    for _ in 0..LOCK_TRIES {
        match opened.try_lock() {
            Ok(()) => return Ok(opened),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(file(&path, "locking")(error)),
        }
    }
    let held = io::Error::new(io::ErrorKind::WouldBlock, "another process holds it");
    Err(file(&path, "locking")(held))
}

/// Reads a file that nobody else may read.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<String>, SigningError> {
    let opened = File::open(path).map_err(file(path, "opening"))?;
    let metadata = opened.metadata().map_err(file(path, "looking"))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(invalid(path, &"others may read it; make it mode 0600"));
    }
    let mut text = Zeroizing::new(String::new());
    opened
        .take(BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(file(path, "reading"))?;
    Ok(text)
}
