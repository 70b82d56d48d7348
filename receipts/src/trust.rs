//! The trust file: which keys a verifier believes, and for what (`docs/receipts.md` §8).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::json::{self, JsonError};
use crate::keys::{KeyId, PublicKey};
use crate::log::{KeyName, LogVerifier, Origin, WitnessVerifier};
use crate::statement::Mode;
use crate::text::{Base64, Hex, Text, UtcTime};

/// What `format` of a trust file says.
pub const TRUST_FORMAT: &str = "lethe-trust/v1";

/// A key of an issuer or of the log, with the time in which it signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrustedKey {
    /// Digest of the public key.
    pub keyid: KeyId,
    /// The raw public key.
    pub public_key: Base64<32>,
    /// The first moment.
    pub not_before: UtcTime,
    /// The last moment; none while the key is in use.
    pub not_after: Option<UtcTime>,
}

/// A validator's key: somebody other than the issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrustedValidator {
    /// Who.
    pub name: Text,
    /// Digest of the public key.
    pub keyid: KeyId,
    /// The raw public key.
    pub public_key: Base64<32>,
    /// It may validate what was logged from this moment.
    pub not_before: UtcTime,
    /// It may validate what was logged to this moment.
    pub not_after: Option<UtcTime>,
}

/// A witness's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrustedWitness {
    /// The name on its signature lines.
    pub name: String,
    /// Digest of the public key.
    pub keyid: KeyId,
    /// The raw public key.
    pub public_key: Base64<32>,
}

/// A trust file. What stands in one is not yet sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrustFile {
    format: String,
    /// Whose receipts.
    pub domain: Text,
    /// Whether receipts of development deployments are believed.
    pub mode: Mode,
    /// The log's origin.
    pub origin: String,
    /// Who issues.
    pub issuers: Vec<TrustedKey>,
    /// Who validates.
    pub validators: Vec<TrustedValidator>,
    /// How many of them must have signed each statement.
    pub validator_threshold: u64,
    /// The log's keys.
    pub log: Vec<TrustedKey>,
    /// Who watches the log.
    pub witnesses: Vec<TrustedWitness>,
    /// How many of them must have cosigned.
    pub witness_threshold: u64,
}

impl TrustFile {
    /// A trust file of a domain and its log, without a key yet.
    #[must_use]
    pub fn new(domain: Text, mode: Mode, origin: &Origin) -> Self {
        Self {
            format: TRUST_FORMAT.to_owned(),
            domain,
            mode,
            origin: origin.to_string(),
            issuers: Vec::new(),
            validators: Vec::new(),
            validator_threshold: 0,
            log: Vec::new(),
            witnesses: Vec::new(),
            witness_threshold: 0,
        }
    }

    /// Reads a trust file.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(text: &[u8]) -> Result<Self, JsonError> {
        let file: Self = json::from_strict(text)?;
        if file.format != TRUST_FORMAT {
            return Err(JsonError::Shape(format!(
                "the format is not {TRUST_FORMAT}"
            )));
        }
        Ok(file)
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`JsonError`] for a threshold past 2^53-1.
    pub fn to_json(&self) -> Result<String, JsonError> {
        json::to_canonical(self)
    }

    /// What people compare to know that they have the same file: SHA-256 of its bytes.
    #[must_use]
    pub fn fingerprint(text: &[u8]) -> Hex<32> {
        Hex(Sha256::digest(text).into())
    }

    /// Every public key of every role.
    fn public_keys(&self) -> impl Iterator<Item = (&KeyId, &Base64<32>)> {
        let issuers = self.issuers.iter().map(|key| (&key.keyid, &key.public_key));
        let validators = self
            .validators
            .iter()
            .map(|key| (&key.keyid, &key.public_key));
        let log = self.log.iter().map(|key| (&key.keyid, &key.public_key));
        let witnesses = self
            .witnesses
            .iter()
            .map(|key| (&key.keyid, &key.public_key));
        issuers.chain(validators).chain(log).chain(witnesses)
    }

    /// Whose each public key is, for people.
    fn holders(&self) -> impl Iterator<Item = String> {
        let validators = self.validators.iter();
        let witnesses = self.witnesses.iter();
        let issuers = self.issuers.iter().map(|_| "the issuer".to_owned());
        let log = self.log.iter().map(|_| "the log".to_owned());
        issuers
            .chain(validators.map(|one| format!("validator {}", one.name)))
            .chain(log)
            .chain(witnesses.map(|one| format!("witness {}", one.name)))
    }

    /// Whether verifiers can use the file: its keys are sound, and none has two roles.
    ///
    /// # Errors
    /// The verifier's sentence; every receipt would be invalid under this file.
    pub fn check(&self) -> Result<(), String> {
        self.sound()?;
        self.roles().map(drop)
    }

    /// Whether no key stands twice: not in two roles, not twice in one.
    pub(crate) fn roles(&self) -> Result<String, String> {
        let mut seen: HashMap<&Base64<32>, String> = HashMap::new();
        for ((keyid, public_key), holder) in self.public_keys().zip(self.holders()) {
            if let Some(other) = seen.get(public_key) {
                return Err(format!(
                    "Key {keyid} stands twice, as {other}'s and as {holder}'s: each key has one role."
                ));
            }
            seen.insert(public_key, holder);
        }
        Ok(format!("{} keys, each in one role.", seen.len()))
    }

    /// The keys, ready to verify with.
    pub(crate) fn sound(&self) -> Result<Trust, String> {
        for (keyid, public_key) in self.public_keys() {
            let key = PublicKey::from_bytes(&public_key.0)
                .map_err(|error| format!("Key {keyid} cannot be used: {error}."))?;
            if key.key_id() != *keyid {
                return Err(format!("Key id {keyid} is not that of its public key."));
            }
        }
        if self.issuers.is_empty() || self.log.is_empty() {
            return Err("There is no issuer or no log key.".to_owned());
        }
        at_most(
            self.validator_threshold,
            self.validators.len(),
            "validators",
        )?;
        at_most(self.witness_threshold, self.witnesses.len(), "witnesses")?;
        let origin = Origin::new(self.origin.as_str())
            .map_err(|_| "The origin cannot name a log.".to_owned())?;
        let usable = |_| "A key cannot be used.".to_owned();
        let mut trust = Trust {
            domain: self.domain.clone(),
            mode: self.mode,
            issuers: Vec::new(),
            validators: Vec::new(),
            validator_threshold: self.validator_threshold,
            log: Vec::new(),
            log_windows: Vec::new(),
            witnesses: Vec::new(),
            witness_threshold: self.witness_threshold,
        };
        for key in &self.issuers {
            let window = Window::new(key.not_before, key.not_after)?;
            let public_key = PublicKey::from_bytes(&key.public_key.0);
            let public_key = public_key.map_err(|error| format!("{error}."))?;
            trust.issuers.push(Signer { public_key, window });
        }
        for key in &self.validators {
            let window = Window::new(key.not_before, key.not_after)?;
            let public_key = PublicKey::from_bytes(&key.public_key.0);
            let public_key = public_key.map_err(|error| format!("{error}."))?;
            trust.validators.push(Signer { public_key, window });
        }
        for key in &self.log {
            trust
                .log_windows
                .push(Window::new(key.not_before, key.not_after)?);
            let verifier = LogVerifier::new(&origin, &key.public_key.0);
            trust.log.push(verifier.map_err(usable)?);
        }
        for key in &self.witnesses {
            let name = KeyName::new(key.name.as_str())
                .map_err(|_| "A witness's name cannot stand on a signature line.".to_owned())?;
            let verifier = WitnessVerifier::new(&name, &key.public_key.0);
            trust.witnesses.push(verifier.map_err(usable)?);
        }
        Ok(trust)
    }
}

fn at_most(threshold: u64, there: usize, whom: &str) -> Result<(), String> {
    if threshold > u64::try_from(there).unwrap_or(u64::MAX) {
        return Err(format!(
            "{threshold} {whom} are wanted and {there} are listed."
        ));
    }
    Ok(())
}

/// When a key is trusted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    not_before: UtcTime,
    not_after: Option<UtcTime>,
}

impl Window {
    fn new(not_before: UtcTime, not_after: Option<UtcTime>) -> Result<Self, String> {
        if not_after.is_some_and(|not_after| not_after < not_before) {
            return Err("A key's window ends before it begins.".to_owned());
        }
        Ok(Self {
            not_before,
            not_after,
        })
    }

    pub(crate) fn contains(&self, time: UtcTime, tolerance_s: u64) -> bool {
        self.not_before.is_by(time, tolerance_s)
            && self
                .not_after
                .is_none_or(|not_after| time.is_by(not_after, tolerance_s))
    }
}

/// An issuer or validator.
#[derive(Debug)]
pub(crate) struct Signer {
    pub(crate) public_key: PublicKey,
    pub(crate) window: Window,
}

/// A sound trust file.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) domain: Text,
    pub(crate) mode: Mode,
    pub(crate) issuers: Vec<Signer>,
    pub(crate) validators: Vec<Signer>,
    pub(crate) validator_threshold: u64,
    pub(crate) log: Vec<LogVerifier>,
    /// In the order of `log`.
    pub(crate) log_windows: Vec<Window>,
    pub(crate) witnesses: Vec<WitnessVerifier>,
    pub(crate) witness_threshold: u64,
}

impl Trust {
    pub(crate) fn issuer(&self, keyid: &KeyId) -> Option<&Signer> {
        self.issuers
            .iter()
            .find(|key| key.public_key.key_id() == *keyid)
    }

    pub(crate) fn validator(&self, keyid: &KeyId) -> Option<&Signer> {
        self.validators
            .iter()
            .find(|key| key.public_key.key_id() == *keyid)
    }
}
