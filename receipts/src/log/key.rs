//! Ed25519 keys of the log and of witnesses, with the names that their signature lines carry.

use super::note;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// The signature type of a log's key (C2SP signed-note).
const LOG_TYPE: u8 = 0x01;
/// The signature type of `cosignature/v1` (C2SP tlog-cosignature).
const WITNESS_TYPE: u8 = 0x04;
const NAME_BYTES_MAX: usize = 255;

/// What is wrong with a key or its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A name that a signature line can't carry.
    #[error(
        "a key name must be 1 to 255 printable ASCII characters, without spaces and plus signs"
    )]
    Name,
    /// A text form that is none.
    #[error("not a key in the text form of signed notes")]
    Format,
    /// A key of another kind: a log's where a witness's is wanted, or the reverse.
    #[error("a key of another signature type")]
    Type,
    /// 32 bytes that are no safe Ed25519 public key: no point, not canonical, or of small order.
    #[error("not a usable Ed25519 public key")]
    PublicKey,
}

/// SHA-256 of a raw public key: how keys are named outside of notes (`docs/receipts.md` §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 32]);

impl KeyId {
    /// The id of the raw 32-byte Ed25519 public key.
    #[must_use]
    pub fn of(public: &[u8; 32]) -> Self {
        Self(Sha256::digest(public).into())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The name in front of a signature: printable ASCII, no space, no plus sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// When it is no name that a signature line can carry.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
        let allowed = |b: u8| b.is_ascii_graphic() && b != b'+';
        if !fits || !text.bytes().all(allowed) {
            return Err(KeyError::Name);
        }
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which log: the first line of its checkpoints and the name of its keys, `lethe/<domain>/<16 hex>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(KeyName);

impl Origin {
    /// Checks `text`; any key name may be an origin, since witnesses also serve logs of others.
    ///
    /// # Errors
    ///
    /// When it can't name a key.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        KeyName::new(text).map(Self)
    }

    /// The origin of a new log of `domain`; `random` keeps it apart from every log that the domain had before.
    ///
    /// # Errors
    ///
    /// When the domain's name can't be part of a key name.
    pub fn of_domain(domain: &str, random: [u8; 8]) -> Result<Self, KeyError> {
        Self::new(format!("lethe/{domain}/{}", hex::encode(random)))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One public key with its name and signature type.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Public {
    name: KeyName,
    kind: u8,
    key: VerifyingKey,
}

impl Public {
    fn new(name: KeyName, kind: u8, bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::PublicKey)?;
        // `from_bytes` keeps the bytes it was given: another encoding of the point would be another key id.
        let canonical = key.to_edwards().compress().to_bytes() == *bytes;
        if key.is_weak() || !canonical {
            return Err(KeyError::PublicKey);
        }
        Ok(Self { name, kind, key })
    }

    fn from_text(text: &str, kind: u8) -> Result<Self, KeyError> {
        let mut fields = text.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(KeyError::Format);
        };
        let name = KeyName::new(name)?;
        let material = STANDARD.decode(material).map_err(|_| KeyError::Format)?;
        let public = Self::new(name, kind, split(&material, kind)?)?;
        if format!("{:08x}", public.note_id()) != id {
            return Err(KeyError::Format);
        }
        Ok(public)
    }

    fn text(&self) -> String {
        let id = self.note_id();
        format!("{}+{id:08x}+{}", self.name, STANDARD.encode(self.typed()))
    }

    fn typed(&self) -> Vec<u8> {
        let mut typed = vec![self.kind];
        typed.extend_from_slice(self.key.as_bytes());
        typed
    }

    fn note_id(&self) -> u32 {
        signed_note::key_id(self.name.as_str(), &self.typed())
    }

    fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        self.key.verify_strict(message, &signature).is_ok()
    }
}

fn split(material: &[u8], kind: u8) -> Result<&[u8; 32], KeyError> {
    match material.split_first() {
        Some((found, key)) if *found == kind => key.try_into().map_err(|_| KeyError::Format),
        Some(_) => Err(KeyError::Type),
        None => Err(KeyError::Format),
    }
}

/// One private key with what it signs as.
struct Private {
    public: Public,
    key: SigningKey,
}

const PRIVATE: &str = "PRIVATE+KEY+";

impl Private {
    fn new(name: KeyName, kind: u8, seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public = Public {
            name,
            kind,
            key: key.verifying_key(),
        };
        Self { public, key }
    }

    fn from_text(text: &str, kind: u8) -> Result<Self, KeyError> {
        let text = text.strip_prefix(PRIVATE).ok_or(KeyError::Format)?;
        let mut fields = text.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(KeyError::Format);
        };
        let decoded = STANDARD.decode(material).map_err(|_| KeyError::Format)?;
        let decoded = Zeroizing::new(decoded);
        let private = Self::new(KeyName::new(name)?, kind, split(&decoded, kind)?);
        if format!("{:08x}", private.public.note_id()) != id {
            return Err(KeyError::Format);
        }
        Ok(private)
    }

    fn text(&self) -> Zeroizing<String> {
        let mut typed = Zeroizing::new(vec![self.public.kind]);
        typed.extend_from_slice(&*Zeroizing::new(self.key.to_bytes()));
        let material = Zeroizing::new(STANDARD.encode(&*typed));
        let id = self.public.note_id();
        let name = &self.public.name;
        Zeroizing::new(format!("{PRIVATE}{name}+{id:08x}+{}", *material))
    }
}

macro_rules! verifier {
    ($(#[$doc:meta])* $verifier:ident, $kind:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $verifier(Public);

        impl $verifier {
            /// Reads the text form `<name>+<8 hex>+<base64>` (C2SP signed-note, verifier keys).
            ///
            /// # Errors
            ///
            /// When it is none, or of another signature type, or its public key is not a safe one.
            pub fn from_text(text: &str) -> Result<Self, KeyError> {
                Public::from_text(text, $kind).map(Self)
            }

            /// The text form `<name>+<8 hex>+<base64>`.
            #[must_use]
            pub fn text(&self) -> String {
                self.0.text()
            }

            /// The name that its signature lines carry.
            #[must_use]
            pub fn name(&self) -> &KeyName {
                &self.0.name
            }

            /// The raw public key.
            #[must_use]
            pub fn public_key(&self) -> &[u8; 32] {
                self.0.key.as_bytes()
            }

            /// The key's id outside of notes.
            #[must_use]
            pub fn keyid(&self) -> KeyId {
                KeyId::of(self.public_key())
            }

            /// The four bytes that tell the keys of one name apart in a note.
            pub(super) fn note_id(&self) -> u32 {
                self.0.note_id()
            }
        }
    };
}

verifier!(
    /// Verifies the signatures of one log key.
    LogVerifier,
    LOG_TYPE
);
verifier!(
    /// Verifies the cosignatures of one witness.
    WitnessVerifier,
    WITNESS_TYPE
);

impl LogVerifier {
    /// The key `public` of the log `origin`.
    ///
    /// # Errors
    ///
    /// When the bytes are not a safe public key.
    pub fn new(origin: &Origin, public: &[u8; 32]) -> Result<Self, KeyError> {
        Public::new(origin.0.clone(), LOG_TYPE, public).map(Self)
    }

    pub(super) fn verifies(&self, body: &str, signature: &[u8]) -> bool {
        let signature: Option<&[u8; 64]> = signature.try_into().ok();
        signature.is_some_and(|signature| self.0.verifies(body.as_bytes(), signature))
    }
}

impl WitnessVerifier {
    /// The key `public` of the witness `name`.
    ///
    /// # Errors
    ///
    /// When the bytes are not a safe public key.
    pub fn new(name: &KeyName, public: &[u8; 32]) -> Result<Self, KeyError> {
        Public::new(name.clone(), WITNESS_TYPE, public).map(Self)
    }

    /// The time of a cosignature that holds, in seconds of POSIX time.
    pub(super) fn verified_time(&self, body: &str, signature: &[u8]) -> Option<u64> {
        let (time, signature) = signature.split_first_chunk::<8>()?;
        let unix_s = u64::from_be_bytes(*time);
        let signature: &[u8; 64] = signature.try_into().ok()?;
        let holds = unix_s <= super::tree::SIZE_MAX
            && self
                .0
                .verifies(cosigned_message(unix_s, body).as_bytes(), signature);
        holds.then_some(unix_s)
    }
}

fn cosigned_message(unix_s: u64, body: &str) -> String {
    format!("cosignature/v1\ntime {unix_s}\n{body}")
}

macro_rules! private_key {
    ($(#[$doc:meta])* $key:ident, $kind:expr) => {
        $(#[$doc])*
        pub struct $key(Private);

        impl $key {
            /// Reads the text form `PRIVATE+KEY+<name>+<8 hex>+<base64>`.
            ///
            /// # Errors
            ///
            /// When it is none, or of another signature type.
            pub fn from_text(text: &str) -> Result<Self, KeyError> {
                Private::from_text(text, $kind).map(Self)
            }

            /// The text form `PRIVATE+KEY+<name>+<8 hex>+<base64>`: a secret.
            #[must_use]
            pub fn text(&self) -> Zeroizing<String> {
                self.0.text()
            }
        }

        impl fmt::Debug for $key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let name = stringify!($key);
                write!(f, "{name}({}, redacted)", self.0.public.name)
            }
        }
    };
}

private_key!(
    /// The private key of a log.
    LogKey,
    LOG_TYPE
);
private_key!(
    /// The private key of a witness.
    WitnessKey,
    WITNESS_TYPE
);

impl LogKey {
    /// The key of the log `origin` made from 32 random bytes.
    #[must_use]
    pub fn from_seed(origin: &Origin, seed: &[u8; 32]) -> Self {
        Self(Private::new(origin.0.clone(), LOG_TYPE, seed))
    }

    /// The log that it signs for.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin(self.0.public.name.clone())
    }

    /// What verifies its signatures.
    #[must_use]
    pub fn verifier(&self) -> LogVerifier {
        LogVerifier(self.0.public.clone())
    }

    /// The signature line over a checkpoint's body.
    pub(super) fn line(&self, body: &str) -> String {
        let signature = self.0.key.sign(body.as_bytes()).to_bytes();
        let public = &self.0.public;
        note::line(&public.name, public.note_id(), &signature)
    }
}

impl WitnessKey {
    /// The key of the witness `name` made from 32 random bytes.
    #[must_use]
    pub fn from_seed(name: &KeyName, seed: &[u8; 32]) -> Self {
        Self(Private::new(name.clone(), WITNESS_TYPE, seed))
    }

    /// What verifies its cosignatures.
    #[must_use]
    pub fn verifier(&self) -> WitnessVerifier {
        WitnessVerifier(self.0.public.clone())
    }

    /// The cosignature line over a checkpoint's body at `unix_s`.
    pub(super) fn line(&self, body: &str, unix_s: u64) -> String {
        let signature = self.0.key.sign(cosigned_message(unix_s, body).as_bytes());
        let mut timestamped = unix_s.to_be_bytes().to_vec();
        timestamped.extend_from_slice(&signature.to_bytes());
        let public = &self.0.public;
        note::line(&public.name, public.note_id(), &timestamped)
    }
}
