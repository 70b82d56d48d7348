//! A domain's own signing keys: the issuer of its receipts and its log's key. They live outside the key tree, so that destroying
//! a root never costs them, and outside the key store, so that no backup of it holds them.
//!
//! One directory: `signing.json` says which keys there were and when; secret keys lie beside it, mode 0600. A new key's file is
//! there before the list names it, and the list is replaced as a whole.

mod files;

use crate::clock::UnixMs;
use crate::tenants::DomainName;
use arc_swap::ArcSwap;
use lethe_receipts::keys::{IssuerKey, KeyId};
use lethe_receipts::log::{LogKey, LogVerifier, Origin};
use lethe_receipts::statement::Mode;
use lethe_receipts::text::{Base64, Text, UtcTime};
use lethe_receipts::{PublicKey, TrustFile, TrustedKey, TrustedValidator, TrustedWitness};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

const FORMAT: &str = "lethe-signing/v1";
const LIST: &str = "signing.json";

/// How long a rotated key stays trusted once no receipt that it signed waits for witnesses.
const OVERLAP_S: u64 = 7 * 24 * 60 * 60;

/// By how much the witnesses' clocks may be behind, in seconds.
const CLOCK_TOLERANCE_S: u64 = 300;

/// A failure with the signing keys.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// They were never made.
    #[error("{dir} holds no signing keys; `lethe domain init` makes them")]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// A file can't be read or written.
    #[error("{path}: {step}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What was done.
        step: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file is not what it must be.
    #[error("{path}: {reason}")]
    Invalid {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The keys make a trust file under which every receipt is invalid.
    #[error(
        "the keys of domain {domain} can't stand in one trust file, and every receipt would be invalid: {why}"
    )]
    Trust {
        /// The domain.
        domain: String,
        /// What verifiers would say.
        why: String,
    },
    /// The system has no randomness.
    #[error("making a signing key: the system has no randomness")]
    NoRandomness,
}

/// A key in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Listed {
    public_key: Base64<32>,
    not_before: UtcTime,
    not_after: Option<UtcTime>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct List {
    format: String,
    domain: String,
    origin: String,
    /// The last signs.
    issuers: Vec<Listed>,
    log: Vec<Listed>,
}

/// Who else a trust file names: public keys from the configuration.
#[derive(Clone, Debug, Default)]
pub struct TrustSettings {
    /// Whether the domain is a development one.
    pub dev: bool,
    /// Second parties.
    pub validators: Vec<TrustedValidator>,
    /// How many of them must sign.
    pub validator_threshold: u64,
    /// Witnesses of the log.
    pub witnesses: Vec<TrustedWitness>,
    /// How many of them must cosign.
    pub witness_threshold: u64,
}

/// What the list says of a domain's log, for who checks it and never signs: no secret is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedLog {
    /// The log's name.
    pub origin: Origin,
    /// Every key that the log ever had, the newest last.
    pub keys: Vec<LogVerifier>,
    /// Every key that ever signed receipts, the newest last.
    pub issuers: Vec<PublicKey>,
}

impl PublishedLog {
    /// Reads `signing.json` in `dir`, which may be a copy of the list alone.
    ///
    /// # Errors
    /// As [`Signing::open`].
    pub fn read(dir: &Path, domain: &DomainName) -> Result<Self, SigningError> {
        let path = dir.join(LIST);
        of_list(&path, &read_list(dir, domain)?)
    }
}

/// A domain's signing keys.
pub struct Signing {
    dir: PathBuf,
    domain: DomainName,
    /// As the file was when it was looked at last; other processes may have changed it since.
    list: Mutex<List>,
    issuer: ArcSwap<IssuerKey>,
    /// Its public half.
    log: [u8; 32],
    published: PublishedLog,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signing")
            .field("dir", &self.dir)
            .field("origin", &self.published.origin)
            .finish_non_exhaustive()
    }
}

impl Signing {
    /// Makes a domain's signing keys and its log's name, unless they are there. For `domain init` and `dev` only.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn create(dir: &Path, domain: &DomainName, now: UnixMs) -> Result<Self, SigningError> {
        files::make_dir(dir)?;
        if files::exists(&dir.join(LIST))? {
            return Self::open(dir, domain);
        }
        let random: [u8; 8] = files::random()?;
        let origin = Origin::of_domain(domain.as_str(), random);
        let origin = origin.map_err(|error| invalid(dir, &error))?;
        let since = from_now(dir, now)?;
        let issuer = IssuerKey::from_random(files::random()?);
        files::write_issuer(dir, &issuer)?;
        let seed = Zeroizing::new(files::random::<32>()?);
        let log = LogKey::from_seed(&origin, &seed);
        files::write_log(dir, &log)?;
        let list = List {
            format: FORMAT.to_owned(),
            domain: domain.as_str().to_owned(),
            origin: origin.to_string(),
            issuers: vec![listed(issuer.public_key().to_bytes(), since)],
            log: vec![listed(*log.verifier().public_key(), since)],
        };
        files::write_list(dir, LIST, &list)?;
        Self::open(dir, domain)
    }

    /// Opens a domain's signing keys.
    ///
    /// # Errors
    /// [`SigningError::Missing`] when they were never made; [`SigningError::Invalid`] when others may read them, or they are
    /// another domain's.
    pub fn open(dir: &Path, domain: &DomainName) -> Result<Self, SigningError> {
        let path = dir.join(LIST);
        let list = read_list(dir, domain)?;
        let published = of_list(&path, &list)?;
        let issuer = files::read_issuer(dir, &newest(&path, &list.issuers)?.public_key.0)?;
        let log = files::read_log(dir, &newest(&path, &list.log)?.public_key.0)?;
        if log.origin() != published.origin {
            return Err(invalid(&path, &"the log's key is another log's"));
        }
        Ok(Self {
            dir: dir.to_owned(),
            domain: domain.clone(),
            list: Mutex::new(list),
            issuer: ArcSwap::from_pointee(issuer),
            log: *log.verifier().public_key(),
            published,
        })
    }

    /// The key that signs receipts now: the newest of the list, whoever made it.
    ///
    /// # Errors
    /// [`SigningError`] when the list or the key can't be read: nothing is signed with a key that may be rotated.
    pub fn issuer(&self) -> Result<Arc<IssuerKey>, SigningError> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut list)?;
        Ok(self.issuer.load_full())
    }

    /// Takes over what another process has written since.
    fn refresh(&self, list: &mut List) -> Result<(), SigningError> {
        let path = self.dir.join(LIST);
        let found = read_list(&self.dir, &self.domain)?;
        if found == *list {
            return Ok(());
        }
        if found.origin != list.origin {
            return Err(invalid(&path, &"it is another log's since the start"));
        }
        let public_key = newest(&path, &found.issuers)?.public_key.0;
        if public_key != self.issuer.load().public_key().to_bytes() {
            let issuer = files::read_issuer(&self.dir, &public_key)?;
            let keyid = issuer.key_id();
            self.issuer.store(Arc::new(issuer));
            tracing::info!(op = "rotate-issuer", %keyid, outcome = "noticed", "receipts are signed with another key from here on");
        }
        *list = found;
        Ok(())
    }

    /// The log's key.
    ///
    /// # Errors
    /// [`SigningError`] when its file is not what it was at the opening.
    pub fn log_key(&self) -> Result<LogKey, SigningError> {
        files::read_log(&self.dir, &self.log)
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.published.origin
    }

    /// The log's name and every key that it had when these were opened: who checks it takes them all.
    #[must_use]
    pub fn published_log(&self) -> &PublishedLog {
        &self.published
    }

    /// Makes a new issuer key. The one before stays in the trust file with the end of its window, and its secret is deleted.
    ///
    /// # Errors
    /// [`SigningError`]: either the old key or the new one signs then, as `signing.json` says.
    pub fn rotate_issuer(&self, now: UnixMs) -> Result<PublicKey, SigningError> {
        // Held over the writing, here and by the file for other processes: two rotations at once would lose one.
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let _locked = files::lock(&self.dir)?;
        self.refresh(&mut list)?;
        let since = from_now(&self.dir, now)?;
        let until = overlap_end(&self.dir, now)?;
        let issuer = IssuerKey::from_random(files::random()?);
        let public_key = issuer.public_key();
        files::write_issuer(&self.dir, &issuer)?;
        let mut next = list.clone();
        let before = next.issuers.last_mut().map(|before| {
            before.not_after = Some(until);
            before.public_key.0
        });
        next.issuers.push(listed(public_key.to_bytes(), since));
        files::write_list(&self.dir, LIST, &next)?;
        *list = next;
        self.issuer.store(Arc::new(issuer));
        if let Some(before) = before {
            files::delete_issuer(&self.dir, &before);
        }
        Ok(public_key)
    }

    /// Which keys verifiers are to believe, and for what (`docs/receipts.md` §8).
    ///
    /// # Errors
    /// [`SigningError`] when the list can't be read.
    pub fn trust(&self, settings: &TrustSettings) -> Result<TrustFile, SigningError> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut list)?;
        trust_of(&self.dir.join(LIST), &list, settings)
    }

    /// Keeps rotated keys trusted without an end while `waiting` says that a receipt which they signed waits for witnesses: it is
    /// they who say when it was signed. Once none does, the key's window ends some days later.
    ///
    /// # Errors
    /// [`SigningError`] when the list can't be read or written.
    pub fn keep_trusted(
        &self,
        waiting: impl Fn(&KeyId) -> bool,
        now: UnixMs,
    ) -> Result<(), SigningError> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut list)?;
        let until = overlap_end(&self.dir, now)?;
        if with_windows(&list, &waiting, until) == *list {
            return Ok(());
        }
        let _locked = files::lock(&self.dir)?;
        self.refresh(&mut list)?;
        let next = with_windows(&list, &waiting, until);
        files::write_list(&self.dir, LIST, &next)?;
        *list = next;
        Ok(())
    }

    /// Whether there are keys that sign no more.
    #[must_use]
    pub fn has_rotated(&self) -> bool {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.issuers.len() > 1
    }
}

/// Checks that the keys in `dir` and the configured ones make a trust file under which a receipt can be valid.
///
/// # Errors
/// [`SigningError::Invalid`] names a key that stands twice and both who have it; else as [`Signing::open`].
pub fn check_roles(
    dir: &Path,
    domain: &DomainName,
    settings: &TrustSettings,
) -> Result<(), SigningError> {
    trust_of(&dir.join(LIST), &read_list(dir, domain)?, settings).map(drop)
}

fn trust_of(path: &Path, list: &List, settings: &TrustSettings) -> Result<TrustFile, SigningError> {
    let mode = if settings.dev {
        Mode::Dev
    } else {
        Mode::Production
    };
    let origin = Origin::new(list.origin.as_str()).map_err(|error| invalid(path, &error))?;
    let mut trust = TrustFile::new(Text::lossy(&list.domain), mode, &origin);
    trust.issuers = list.issuers.iter().filter_map(trusted).collect();
    trust.log = list.log.iter().filter_map(trusted).collect();
    trust.validators.clone_from(&settings.validators);
    trust.validator_threshold = settings.validator_threshold;
    trust.witnesses.clone_from(&settings.witnesses);
    trust.witness_threshold = settings.witness_threshold;
    let why = |why: String| SigningError::Trust {
        domain: list.domain.clone(),
        why,
    };
    trust.check().map_err(why)?;
    Ok(trust)
}

fn overlap_end(dir: &Path, now: UnixMs) -> Result<UtcTime, SigningError> {
    let from = from_now(dir, now)?.unix_s();
    UtcTime::from_unix_s(from.saturating_add(OVERLAP_S)).map_err(|error| invalid(dir, &error))
}

/// The list with the windows of rotated keys as [`Signing::keep_trusted`] wants them; `until` ends those that need no longer wait.
fn with_windows(list: &List, waiting: impl Fn(&KeyId) -> bool, until: UtcTime) -> List {
    let mut next = list.clone();
    // The last signs, and has no end.
    let rotated = next.issuers.len().saturating_sub(1);
    for key in next.issuers.iter_mut().take(rotated) {
        let keyid = PublicKey::from_bytes(&key.public_key.0).map(|key| key.key_id());
        let waits = keyid.is_ok_and(|keyid| waiting(&keyid));
        key.not_after = match key.not_after {
            _ if waits => None,
            None => Some(until),
            ended => ended,
        };
    }
    next
}

fn read_list(dir: &Path, domain: &DomainName) -> Result<List, SigningError> {
    let path = dir.join(LIST);
    if !files::exists(&path)? {
        return Err(SigningError::Missing {
            dir: dir.to_owned(),
        });
    }
    let text = files::read_private(&path)?;
    let list: List = serde_json::from_str(&text).map_err(|error| invalid(&path, &error))?;
    if list.format != FORMAT || list.domain != domain.as_str() {
        return Err(invalid(
            &path,
            &format!("these are not keys of domain {domain}"),
        ));
    }
    Ok(list)
}

fn newest<'a>(path: &Path, keys: &'a [Listed]) -> Result<&'a Listed, SigningError> {
    keys.last()
        .ok_or_else(|| invalid(path, &"it names no keys"))
}

fn of_list(path: &Path, list: &List) -> Result<PublishedLog, SigningError> {
    let origin = Origin::new(list.origin.as_str()).map_err(|error| invalid(path, &error))?;
    newest(path, &list.log)?;
    let keys = list
        .log
        .iter()
        .map(|key| LogVerifier::new(&origin, &key.public_key.0));
    let keys = keys.collect::<Result<Vec<_>, _>>();
    let issuers = list
        .issuers
        .iter()
        .map(|key| PublicKey::from_bytes(&key.public_key.0));
    let issuers = issuers.collect::<Result<Vec<_>, _>>();
    Ok(PublishedLog {
        keys: keys.map_err(|error| invalid(path, &error))?,
        issuers: issuers.map_err(|error| invalid(path, &error))?,
        origin,
    })
}

fn trusted(listed: &Listed) -> Option<TrustedKey> {
    // Keys of the list were made here: one that is no key would be a corrupt list, and is nobody's to trust.
    let public_key = PublicKey::from_bytes(&listed.public_key.0).ok()?;
    Some(TrustedKey {
        keyid: public_key.key_id(),
        public_key: listed.public_key,
        not_before: listed.not_before,
        not_after: listed.not_after,
    })
}

fn listed(public_key: [u8; 32], not_before: UtcTime) -> Listed {
    Listed {
        public_key: Base64(public_key),
        not_before,
        not_after: None,
    }
}

fn from_now(dir: &Path, now: UnixMs) -> Result<UtcTime, SigningError> {
    let seconds = u64::try_from(now.0 / 1000).unwrap_or(0);
    UtcTime::from_unix_s(seconds.saturating_sub(CLOCK_TOLERANCE_S))
        .map_err(|error| invalid(dir, &error))
}

fn invalid(path: &Path, reason: &dyn std::fmt::Display) -> SigningError {
    SigningError::Invalid {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests;
