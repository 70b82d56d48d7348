//! Asking for a termination, approving it, calling it off.

use super::domain::ShredDomain;
use super::error::ShredError;
use super::inventory::InventoryKey;
use super::rules::{self, Due};
use crate::catalog::{
    Approval, CatalogError, NewTermination, Termination, TerminationId, TerminationState,
};
use crate::clock::UnixMs;
use crate::tenants::{Tenant, TenantId, TenantState};
use zeroize::Zeroizing;

/// A termination that was asked for.
pub struct Requested {
    /// Its row.
    pub termination: Termination,
    /// The inventory's key, for the tenant: shown once here, dropped when the inventory was taken.
    pub inventory_key: Zeroizing<String>,
}

/// A termination with how it stands.
#[derive(Clone, Debug)]
pub struct TerminationView {
    /// Its row.
    pub termination: Termination,
    /// How it stands to its due date.
    pub due: Due,
    /// When its shred runs, or ran at the earliest.
    pub run_at: crate::clock::UnixMs,
    /// Why it is not begun although it is approved; told in lists only.
    pub waits: Option<String>,
}

impl ShredDomain {
    /// Asks for a tenant's termination: from here on it is read-only. Asked again by the same principal before anybody approved,
    /// it answers the same again.
    ///
    /// # Errors
    /// [`ShredError::Forbidden`] for a tenant in another state or a grace out of range; [`ShredError`].
    pub async fn request_termination(
        &self,
        tenant: &Tenant,
        principal: &str,
        grace_days: Option<u32>,
    ) -> Result<Requested, ShredError> {
        let catalog = &self.stores.catalog;
        if tenant.state == TenantState::Terminating {
            return self.requested_again(tenant, principal).await;
        }
        rules::may_terminate(tenant.state)?;
        let now = self.stores.clock.now();
        let grace_end = self.policy.grace_end(now, grace_days)?;
        let id = TerminationId::random().ok_or(ShredError::NoRandomness)?;
        let key = InventoryKey::random().ok_or(ShredError::NoRandomness)?;
        let sealed = self
            .keys
            .seal_inventory_key(tenant.id, id, key.expose())
            .await?;
        let new = NewTermination {
            id,
            tenant: tenant.id,
            requested_by: principal.to_owned(),
            requested: now,
            grace_end,
            mode: self.policy.mode,
            sealed_inventory_key: sealed,
        };
        catalog.begin_termination(&new).await?;
        Ok(Requested {
            termination: catalog.termination(tenant.id).await?,
            inventory_key: Zeroizing::new(hex::encode(key.expose())),
        })
    }

    /// The answer of a request whose first answer was lost.
    async fn requested_again(
        &self,
        tenant: &Tenant,
        principal: &str,
    ) -> Result<Requested, ShredError> {
        let known = self.stores.catalog.termination(tenant.id).await?;
        let same = known.requested_by == principal
            && known.state == TerminationState::Requested
            && known.approvals.is_empty();
        let Some(sealed) = known.sealed_inventory_key.as_deref().filter(|_| same) else {
            return Err(rules::Forbidden::Terminating.into());
        };
        let opened = self
            .keys
            .open_inventory_key(tenant.id, known.id, sealed)
            .await?;
        Ok(Requested {
            inventory_key: Zeroizing::new(hex::encode(opened.as_slice())),
            termination: known,
        })
    }

    /// Records a principal's approval.
    ///
    /// # Errors
    /// [`ShredError::Forbidden`] for who asked, and when it is over or begun; [`ShredError`].
    pub async fn approve_termination(
        &self,
        tenant: &Tenant,
        principal: &str,
    ) -> Result<Termination, ShredError> {
        let catalog = &self.stores.catalog;
        let termination = self.open_termination(tenant).await?;
        rules::may_approve(&termination, principal)?;
        let approval = self.by(principal);
        catalog
            .approve_termination(tenant.id, termination.id, &approval)
            .await?;
        Ok(catalog.termination(tenant.id).await?)
    }

    /// Calls a termination off; the tenant has the state again that it had. The key store remembers it first, so that a catalog that
    /// is restored from an older copy shreds nobody who stays. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`ShredError::Forbidden`] once its shred has begun; [`ShredError`] when nothing is called off, or only the key store knows of
    /// it: call again.
    pub async fn cancel_termination(
        &self,
        tenant: &Tenant,
        principal: &str,
    ) -> Result<Termination, ShredError> {
        let catalog = &self.stores.catalog;
        let termination = self.open_termination(tenant).await?;
        match termination.state {
            TerminationState::Shredding | TerminationState::Erased | TerminationState::Purged => {
                return Err(rules::Forbidden::Begun.into());
            }
            TerminationState::Requested
            | TerminationState::Approved
            | TerminationState::Cancelled => {}
        }
        self.keys.call_off(termination.id).await?;
        let by = self.by(principal);
        match catalog
            .cancel_termination(tenant.id, termination.id, &by)
            .await
        {
            Ok(()) => Ok(catalog.termination(tenant.id).await?),
            Err(CatalogError::Conflict { .. }) => Err(rules::Forbidden::Begun.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a tenant that an operator names may be shredded now.
    ///
    /// # Errors
    /// [`ShredError::Forbidden`] says what is missing; [`ShredError`].
    pub async fn may_shred(&self, tenant: &Tenant) -> Result<(), ShredError> {
        let termination = match self.stores.catalog.termination(tenant.id).await {
            Ok(termination) => Some(termination),
            Err(CatalogError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let now = self.stores.clock.now();
        rules::may_shred(tenant.state, termination.as_ref(), now)?;
        let approved = termination.filter(|one| one.state == TerminationState::Approved);
        let ids: Vec<TerminationId> = approved.iter().map(|one| one.id).collect();
        if self.keys.called_off(&ids).await?.is_empty() {
            return Ok(());
        }
        Err(rules::Forbidden::CalledOff.into())
    }

    /// Terminations that are not over, with how they stand, by the end of their grace; only those behind `after` in that order.
    ///
    /// # Errors
    /// [`ShredError`].
    pub async fn open_terminations(
        &self,
        after: Option<(UnixMs, TerminationId)>,
        rows_max: u32,
    ) -> Result<Vec<TerminationView>, ShredError> {
        let open = self
            .stores
            .catalog
            .open_terminations(after, rows_max)
            .await?;
        let mut views: Vec<TerminationView> = open.into_iter().map(|one| self.view(one)).collect();
        self.say_what_waits(&mut views).await;
        Ok(views)
    }

    /// Why what is approved is not begun. What can't be told, since somebody does not answer, is the reason, too.
    async fn say_what_waits(&self, views: &mut [TerminationView]) {
        let is_approved =
            |one: &&mut TerminationView| one.termination.state == TerminationState::Approved;
        let ids: Vec<TerminationId> = views
            .iter_mut()
            .filter(is_approved)
            .map(|one| one.termination.id)
            .collect();
        if ids.is_empty() {
            return;
        }
        let called_off = self.keys.called_off(&ids).await;
        let is_due = |one: &TerminationView| matches!(one.due, Due::Due | Due::Overdue);
        let due = views.iter_mut().filter(is_approved).any(|one| is_due(one));
        let time = if due {
            self.agrees_on_time().await
        } else {
            Ok(())
        };
        for one in views.iter_mut().filter(is_approved) {
            one.waits = match (&called_off, &time) {
                (Ok(known), _) if known.contains(&one.termination.id) => {
                    Some(rules::CALLED_OFF.to_owned())
                }
                (_, Err(error)) if is_due(one) => Some(error.to_string()),
                (Err(error), _) => Some(error.to_string()),
                (Ok(_), _) => None,
            };
        }
    }

    /// A termination with how it stands.
    #[must_use]
    pub fn view(&self, termination: Termination) -> TerminationView {
        let now = self.stores.clock.now();
        TerminationView {
            due: rules::due(&self.policy, &termination, now),
            run_at: self.policy.run_at(termination.grace_end),
            waits: None,
            termination,
        }
    }

    async fn open_termination(&self, tenant: &Tenant) -> Result<Termination, ShredError> {
        match self.stores.catalog.termination(tenant.id).await {
            Ok(termination) => Ok(termination),
            Err(CatalogError::NotFound { .. }) => Err(rules::Forbidden::NotTerminating.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn by(&self, principal: &str) -> Approval {
        Approval {
            principal: principal.to_owned(),
            at: self.stores.clock.now(),
        }
    }
}

/// What an inventory's sealed key is bound to.
#[must_use]
pub(super) fn inventory_key_fields<'a>(
    tenant: &'a TenantId,
    termination: &'a TerminationId,
) -> [&'a [u8]; 2] {
    [tenant.as_bytes(), termination.as_bytes()]
}
