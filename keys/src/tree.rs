//! Where keys stand in the tree: epochs, the 1,024 tenant nodes and the service node (design §3).

use sha2::{Digest, Sha256};

use lethe_envelope::TenantId;

/// Tenant nodes of a domain.
pub(crate) const SHARDS: u16 = 1_024;

/// Tenant nodes and the service node.
pub(crate) const PLACES: u16 = SHARDS + 1;

/// The generation that `init` gives every node.
pub(crate) const FIRST_GENERATION: u64 = 1;

/// Number of a root key; grows by one with each move of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch that `init` makes.
    pub const FIRST: Self = Self(1);
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A node's place in the tree: 0 to 1,023 are tenant shards, 1,024 is the service node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place(u16);

impl Place {
    pub(crate) const SERVICE: Self = Self(SHARDS);

    /// The shard that a tenant's KEKs hang under, for good: it follows from the uid alone.
    pub(crate) fn of_tenant(tenant: TenantId) -> Self {
        let digest = Sha256::digest(tenant.as_bytes());
        Self(u16::from_be_bytes([digest[0], digest[1]]) % SHARDS)
    }

    pub(crate) fn new(place: u16) -> Option<Self> {
        (place < PLACES).then_some(Self(place))
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..PLACES).map(Self)
    }

    pub(crate) fn number(self) -> u16 {
        self.0
    }
}
