//! Identities and records that callers see.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use lethe_envelope::{KekId, TenantId};

use crate::tree::Epoch;

macro_rules! random_identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            pub(crate) fn random() -> Option<Self> {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes).ok()?;
                Some(Self(bytes))
            }

            /// Takes the 16 bytes as they are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

random_identity! {
    /// A key store's random identity; the catalog records it, and start-up refuses another.
    KeyStoreIdentity
}
random_identity! {
    /// One run of a gateway process, as lease rows and fence evidence name it.
    GatewayId
}

/// A text that is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key store identity is 32 lower-case hexadecimal digits")]
pub struct IdentityError;

impl FromStr for KeyStoreIdentity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| IdentityError)?;
        let identity = Self(bytes);
        // One text for one identity: the decoder alone would take upper case too.
        if identity.to_string() == text {
            Ok(identity)
        } else {
            Err(IdentityError)
        }
    }
}

/// What a KEK may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KekState {
    /// Its commitment is not in the log yet: it wraps nothing.
    Pending,
    /// It seals new DEKs.
    Active,
    /// It opens what it sealed before a rotation.
    DecryptOnly,
}

impl KekState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::DecryptOnly => "decrypt-only",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::DecryptOnly]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What may be known of a KEK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KekInfo {
    /// Its id, as object headers carry it.
    pub kek_id: KekId,
    /// 1 for a tenant's first.
    pub version: u32,
    /// `docs/format.md` §3; repeated in headers and receipts.
    pub commitment: [u8; 32],
    /// What it may do.
    pub state: KekState,
    /// Milliseconds since 1970, by the clock of the gateway that made it.
    pub created_ms: i64,
}

/// How well a root provider keeps its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assurance {
    /// Files on a disk: as good as the disk's erasure and the absence of copies.
    Software,
    /// A key service of its own: it gives its keys to nobody, and its own backups hold them until they expire.
    Service,
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Software => f.write_str("software"),
            Self::Service => f.write_str("service"),
        }
    }
}

/// Which root provider a domain has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// Files on a disk.
    File,
    /// A transit engine of OpenBao, or one that speaks like it.
    OpenBao,
}

impl fmt::Display for RootKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::OpenBao => "openbao",
        })
    }
}

/// The lease as `/readyz` reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseState {
    /// Time until the keys are dropped unless the lease is renewed; `None` when it has ended.
    pub remaining: Option<Duration>,
    /// The newest epoch seen; worth recording for [`crate::KeyServiceConfig::epoch_min`].
    pub epoch: Epoch,
    /// The newest fence applied.
    pub fence: u64,
    /// Why the newest renewal failed.
    pub failure: Option<crate::KeysError>,
}

/// Whom a fence concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceScope {
    /// No gateway uses the tenant's keys from here on.
    Tenant(TenantId),
    /// Every gateway drops the nodes and KEKs that it holds and reads them anew.
    Nodes,
}

/// A raised fence, to be followed by the process that raised it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// Its number.
    pub number: u64,
    /// Whom it concerns.
    pub scope: FenceScope,
    /// The raiser's boot clock when the fence was known to be committed.
    pub(crate) committed: Duration,
}

/// How far one gateway is with a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayFence {
    /// It has dropped the keys and said so.
    Acknowledged,
    /// It has not answered, and its lease has run out: its timer has dropped the keys.
    Expired,
    /// Neither yet.
    Waiting,
}

/// What a fence has come to, for the receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceEvidence {
    /// The fence.
    pub fence: Fence,
    /// Every gateway with a lease row.
    pub gateways: Vec<(GatewayId, GatewayFence)>,
}

impl FenceEvidence {
    /// Whether no gateway can use the fenced keys any more.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.gateways
            .iter()
            .all(|(_, state)| *state != GatewayFence::Waiting)
    }
}

/// What a catalog secret belongs to; bound into its seal.
#[derive(Debug, Clone, Copy)]
pub struct SecretContext<'a> {
    /// What kind of secret, e.g. `credential`.
    pub label: &'a str,
    /// What identifies it, e.g. tenant and access-key id.
    pub fields: &'a [&'a [u8]],
}
