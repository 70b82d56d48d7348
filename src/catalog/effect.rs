//! When a change is effective: no gateway acts on what it knew before it.

use super::{CatalogError, Revision};
use async_trait::async_trait;
use lethe_keys::GatewayId;
use std::time::Duration;

/// How one gateway came to act on a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayEffect {
    /// It has dropped what changed, and said so.
    Acknowledged,
    /// It did not answer, and serves nothing that it cached: its lease on the catalog has ended, or it has stopped.
    Expired,
}

/// How a change became effective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The revision that everybody has applied, or may not serve without.
    pub revision: Revision,
    /// Every gateway that had a lease when or after the change was made, by id.
    pub gateways: Vec<(GatewayId, GatewayEffect)>,
}

impl Effect {
    /// How many gateways acted in this way.
    #[must_use]
    pub fn count(&self, effect: GatewayEffect) -> usize {
        let like = self.gateways.iter().filter(|(_, found)| *found == effect);
        like.count()
    }
}

/// Tells when a change is effective on every gateway of a domain.
#[async_trait]
pub trait Effective: Send + Sync + 'static {
    /// Returns once every gateway has applied a revision that is committed, or its lease has ended. Asked again, it goes on where it
    /// was: a gateway that went away keeps nobody waiting for more than one lease in all.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] when that is not so, or can't be known, within the deadline.
    async fn effective(
        &self,
        revision: Revision,
        deadline: Duration,
    ) -> Result<Effect, CatalogError>;
}
