//! What a change came to on the gateways of its domain.

use crate::catalog::{Effect, GatewayEffect};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many gateways of the domain act on a change, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EffectView {
    /// So many have applied it and said so.
    pub acknowledged: u64,
    /// So many have not answered, and serve nothing since their lease ended or they stopped.
    pub expired: u64,
}

impl EffectView {
    pub(super) fn of(effect: &Effect) -> Self {
        let count = |like| u64::try_from(effect.count(like)).unwrap_or(u64::MAX);
        Self {
            acknowledged: count(GatewayEffect::Acknowledged),
            expired: count(GatewayEffect::Expired),
        }
    }
}

/// Something that was changed, on every gateway of its domain.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Effected<T> {
    /// What it is now.
    #[serde(flatten)]
    pub now: T,
    /// The domain's gateways.
    pub gateways: EffectView,
}
