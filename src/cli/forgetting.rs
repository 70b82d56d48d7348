//! Whom a restore of the key store makes it forget: never somebody whom the catalog still serves, but by an operator's word.

use super::error::CommandError;
use super::statements::Erased;
use crate::catalog::{CatalogError, TenantStore};
use crate::tenants::{TenantId, TenantState};
use lethe_keys::{KeysError, Refusal};
use std::collections::BTreeMap;

const fn word(state: TenantState) -> &'static str {
    match state {
        TenantState::Creating => "being created",
        TenantState::Active => "active",
        TenantState::Suspended => "suspended",
        TenantState::Terminating => "terminating",
        TenantState::Shredded => "shredded",
    }
}

/// What the catalog knows of a tenant who is to be forgotten.
struct Known {
    name: String,
    state: TenantState,
}

/// Who is to be forgotten, and who may be.
pub(super) struct Forgetting {
    tenants: Vec<TenantId>,
    known: BTreeMap<[u8; 16], Known>,
    /// The catalog has them as not erased, and nobody has asked for it by `--forget`.
    refused: Vec<TenantId>,
}

impl Forgetting {
    /// Takes whom statements of the log name, whom the catalog's shreds have left behind, and whom the operator `asked` for, by
    /// name or id: that must be one whom a signed statement names.
    pub(super) async fn new(
        catalog: &dyn TenantStore,
        erased: &Erased,
        left_behind: &[TenantId],
        asked: &[String],
    ) -> Result<Self, CommandError> {
        let mut known = BTreeMap::new();
        for tenant in erased
            .tenants
            .iter()
            .chain(&erased.unlogged)
            .chain(left_behind)
        {
            let found = match catalog.tenant(*tenant).await {
                Err(CatalogError::NotFound { .. }) => continue,
                found => found?,
            };
            let row = Known {
                name: found.name.to_string(),
                state: found.state,
            };
            known.insert(*tenant.as_bytes(), row);
        }
        let named = |tenant: &TenantId, text: &String| {
            let name = known.get(tenant.as_bytes()).map(|known| &known.name);
            tenant.to_string() == *text || name == Some(text)
        };
        let by_statement = || erased.tenants.iter().chain(&erased.unlogged);
        for text in asked {
            if !by_statement().any(|tenant| named(tenant, text)) {
                return Err(CommandError::Usage(format!(
                    "--forget {text}: no statement beside the log says that such a tenant is erased"
                )));
            }
        }
        let is_asked = |tenant: &TenantId| asked.iter().any(|text| named(tenant, text));
        let serves = |tenant: &&TenantId| {
            let state = known.get(tenant.as_bytes()).map(|known| known.state);
            state.is_some_and(|state| state != TenantState::Shredded)
                && !left_behind.contains(tenant)
                && !is_asked(tenant)
        };
        let refused = erased.tenants.iter().filter(serves).copied().collect();
        let unlogged = erased.unlogged.iter().filter(|tenant| is_asked(tenant));
        let mut tenants: Vec<TenantId> = erased.tenants.clone();
        tenants.extend(unlogged.chain(left_behind));
        tenants.sort_unstable_by_key(|tenant| *tenant.as_bytes());
        tenants.dedup();
        Ok(Self {
            tenants,
            known,
            refused,
        })
    }

    /// Everybody whom the restored key store must not hold.
    pub(super) fn tenants(&self) -> &[TenantId] {
        &self.tenants
    }

    /// Tells who is forgotten before it is done, unless there is somebody among them who may not be; answers those.
    pub(super) fn guard(&self, found: &[TenantId]) -> Vec<TenantId> {
        let refused = found.iter().filter(|tenant| self.refused.contains(tenant));
        let refused: Vec<TenantId> = refused.copied().collect();
        if refused.is_empty() {
            for name in self.names(found) {
                eprintln!("lethe: forgets tenant {name}");
            }
        }
        refused
    }

    /// Names with ids, as far as the catalog knows names.
    pub(super) fn names(&self, tenants: &[TenantId]) -> Vec<String> {
        let one = |tenant: &TenantId| match self.known.get(tenant.as_bytes()) {
            Some(known) => format!("{} ({tenant})", known.name),
            None => tenant.to_string(),
        };
        tenants.iter().map(one).collect()
    }

    /// What a restore failed with, with what to do where it is the catalog that speaks against it.
    pub(super) fn refused(&self, error: KeysError) -> CommandError {
        let KeysError::Refused {
            reason: Refusal::ForgettingRefused { tenants },
        } = &error
        else {
            return error.into();
        };
        let says = |tenant: &TenantId| {
            let state = self.known.get(tenant.as_bytes());
            let state = state.map_or("not erased", |known| word(known.state));
            format!("{} is {state}", self.names(&[*tenant]).concat())
        };
        let states: Vec<String> = tenants.iter().map(says).collect();
        let options: Vec<String> = tenants
            .iter()
            .map(|one| format!("--forget {one}"))
            .collect();
        CommandError::failed(
            format!(
                "the log says that these tenants are erased, and the catalog does not: {}",
                states.join(", ")
            ),
            format!(
                "if the catalog is an older copy, put the newest one back, or repeat the command with {} for those that are erased: what \
                 they stored opens nowhere afterwards",
                options.join(" ")
            ),
        )
    }
}
