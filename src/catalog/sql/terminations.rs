//! Terminations and their approvals.

use super::super::database::{DatabaseError, Row, Statement, Value};
use super::super::shredding::TERMINABLE;
use super::super::{
    Approval, ApprovalMode, CatalogError, Change, NewTermination, ShredId, Termination,
    TerminationId,
};
use super::codes::{self, Coded};
use super::{SqlCatalog, Work, at};
use crate::clock::UnixMs;
use crate::tenants::{TenantId, TenantState};

/// What [`termination_of`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, tenant, requested_by, requested, grace_end, mode, state, cancelled_by, cancelled, shred, ",
            "sealed_inventory_key FROM terminations ",
            $rest
        )
    };
}

/// Approvals of one page of terminations that are read at most: a few principals each.
const APPROVALS_MAX: i64 = 100_000;

/// Where the first page begins.
const BEFORE_ALL: (UnixMs, TerminationId) = (UnixMs(i64::MIN), TerminationId::from_bytes([0; 16]));

fn termination_of(row: &Row) -> Result<Termination, DatabaseError> {
    let cancelled_by: Option<String> = row.get("cancelled_by")?;
    let cancelled: Option<i64> = row.get("cancelled")?;
    let shred: Option<Vec<u8>> = row.get("shred")?;
    let shred = shred.map(|_| row.array("shred")).transpose()?;
    Ok(Termination {
        id: TerminationId::from_bytes(row.array("id")?),
        tenant: TenantId::from_bytes(row.array("tenant")?),
        requested_by: row.get("requested_by")?,
        requested: UnixMs(row.get("requested")?),
        grace_end: UnixMs(row.get("grace_end")?),
        mode: codes::state::<ApprovalMode>(row, "mode")?,
        state: codes::state(row, "state")?,
        approvals: Vec::new(),
        cancelled: cancelled_by.zip(cancelled).map(|(principal, at)| Approval {
            principal,
            at: UnixMs(at),
        }),
        shred: shred.map(ShredId::from_bytes),
        sealed_inventory_key: row.get("sealed_inventory_key")?,
    })
}

impl SqlCatalog {
    /// Reads terminations, then their approvals.
    async fn terminations(
        &self,
        operation: &'static str,
        question: Statement,
    ) -> Result<Vec<Termination>, CatalogError> {
        let rows = self.read(operation, question).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut termination = termination_of(row).map_err(at(operation))?;
            let question = Statement::new(
                "SELECT principal, approved FROM approvals WHERE termination = $1
                 ORDER BY approved, principal LIMIT $2",
            )
            .bind(termination.id)
            .bind(APPROVALS_MAX);
            for row in self.read(operation, question).await? {
                termination.approvals.push(Approval {
                    principal: row.get("principal").map_err(at(operation))?,
                    at: UnixMs(row.get("approved").map_err(at(operation))?),
                });
            }
            found.push(termination);
        }
        Ok(found)
    }

    pub(super) async fn newest_termination(
        &self,
        tenant: TenantId,
    ) -> Result<Termination, CatalogError> {
        let operation = "termination";
        let question = Statement::new(select!(
            "WHERE tenant = $1
             ORDER BY CASE WHEN state = 'cancelled' THEN 1 ELSE 0 END, requested DESC, id LIMIT 1"
        ));
        let mut found = self.terminations(operation, question.bind(tenant)).await?;
        found.pop().ok_or(CatalogError::NotFound {
            operation,
            what: "termination",
        })
    }

    pub(super) async fn terminations_not_over(
        &self,
        after: Option<(UnixMs, TerminationId)>,
        rows_max: u32,
    ) -> Result<Vec<Termination>, CatalogError> {
        let (after_at, after_id) = after.unwrap_or(BEFORE_ALL);
        let question = Statement::new(select!(
            "WHERE state NOT IN ('cancelled', 'purged') AND (grace_end > $1 OR (grace_end = $1 AND id > $2))
             ORDER BY grace_end, id LIMIT $3"
        ))
        .bind(after_at)
        .bind(after_id)
        .bind(i64::from(rows_max));
        self.terminations("open_terminations", question).await
    }

    pub(super) async fn any_termination_due(&self, due: UnixMs) -> Result<bool, CatalogError> {
        let question = Statement::new(
            "SELECT id FROM terminations WHERE state = 'approved' AND grace_end <= $1 LIMIT 1",
        );
        let found = self.read("is_termination_due", question.bind(due)).await?;
        Ok(!found.is_empty())
    }

    pub(super) async fn terminations_due(
        &self,
        due: UnixMs,
        rows_max: u32,
    ) -> Result<Vec<Termination>, CatalogError> {
        let question = Statement::new(select!(
            "WHERE state = 'approved' AND grace_end <= $1 ORDER BY grace_end, id LIMIT $2"
        ));
        let question = question.bind(due).bind(i64::from(rows_max));
        self.terminations("due_terminations", question).await
    }

    pub(super) async fn terminations_of_period(
        &self,
        from: UnixMs,
        to: UnixMs,
        after: Option<(UnixMs, TerminationId)>,
        rows_max: u32,
    ) -> Result<Vec<Termination>, CatalogError> {
        let (after_at, after_id) = after.unwrap_or(BEFORE_ALL);
        let question = Statement::new(select!(
            "WHERE requested >= $1 AND requested < $2 AND (requested > $3 OR (requested = $3 AND id > $4))
             ORDER BY requested, id LIMIT $5"
        ))
        .bind(from)
        .bind(to)
        .bind(after_at)
        .bind(after_id)
        .bind(i64::from(rows_max));
        self.terminations("terminations_between", question).await
    }

    pub(super) async fn terminations_of_shred(
        &self,
        shred: ShredId,
    ) -> Result<Vec<Termination>, CatalogError> {
        let question = Statement::new(select!("WHERE shred = $1 ORDER BY tenant"));
        self.terminations("shred_terminations", question.bind(shred))
            .await
    }

    pub(super) async fn insert_termination(
        &self,
        new: &NewTermination,
    ) -> Result<(), CatalogError> {
        let operation = "begin_termination";
        let mut work = self.begin(operation).await?;
        let insert = Statement::new(
            "INSERT INTO terminations (id, tenant, requested_by, requested, grace_end, mode, approvals_needed,
                 approvals, state, tenant_state, sealed_inventory_key)
             SELECT $1, id, $3, $4, $5, $6, $7, 0, 'requested', state, $8 FROM tenants
             WHERE id = $2 AND state IN ($9, $10)
             ON CONFLICT DO NOTHING",
        )
        .bind(new.id)
        .bind(new.tenant)
        .bind(new.requested_by.as_str())
        .bind(new.requested)
        .bind(new.grace_end)
        .bind(new.mode.code())
        .bind(i64::from(new.mode.approvals_needed()))
        .bind(new.sealed_inventory_key.as_slice())
        .bind(TERMINABLE[0].code())
        .bind(TERMINABLE[1].code());
        if work.change(insert).await? == 1 {
            // The row may have changed between the two statements: its count decides.
            let update = Statement::new(
                "UPDATE tenants SET state = 'terminating' WHERE id = $1
                     AND state = (SELECT tenant_state FROM terminations WHERE id = $2)",
            );
            if work.change(update.bind(new.tenant).bind(new.id)).await? == 1 {
                return work.commit_with(&Change::Tenant(new.tenant)).await;
            }
            return Err(work.conflict("the tenant's state changed meanwhile"));
        }
        let same = Statement::new("SELECT id FROM terminations WHERE id = $1 AND tenant = $2");
        if work
            .row(same.bind(new.id).bind(new.tenant))
            .await?
            .is_some()
        {
            return Ok(());
        }
        let known = Statement::new("SELECT state FROM tenants WHERE id = $1").bind(new.tenant);
        match work.row(known).await? {
            None => Err(work.not_found("tenant")),
            Some(_) => Err(work.conflict(
                "a tenant is terminated from active or suspended, once: it is in another state",
            )),
        }
    }

    pub(super) async fn insert_approval(
        &self,
        tenant: TenantId,
        termination: TerminationId,
        approval: &Approval,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("approve_termination").await?;
        work.lock_termination(tenant, termination).await?;
        let insert = Statement::new(
            "INSERT INTO approvals (termination, principal, approved) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        )
        .bind(termination)
        .bind(approval.principal.as_str())
        .bind(approval.at);
        if work.change(insert).await? == 0 {
            return Ok(());
        }
        let count = Statement::new(
            "UPDATE terminations SET approvals = approvals + 1,
                 state = CASE WHEN approvals + 1 >= approvals_needed THEN 'approved' ELSE state END
             WHERE id = $1 AND tenant = $2 AND state IN ('requested', 'approved')",
        );
        if work.change(count.bind(termination).bind(tenant)).await? == 1 {
            return work.commit().await;
        }
        Err(work.conflict("the termination is over, or its shred has begun"))
    }

    pub(super) async fn call_off_termination(
        &self,
        tenant: TenantId,
        termination: TerminationId,
        by: &Approval,
    ) -> Result<(), CatalogError> {
        let operation = "cancel_termination";
        let mut work = self.begin(operation).await?;
        let cancel = Statement::new(
            "UPDATE terminations SET state = 'cancelled', cancelled_by = $3, cancelled = $4, sealed_inventory_key = NULL
             WHERE id = $1 AND tenant = $2 AND state IN ('requested', 'approved')
             RETURNING tenant_state",
        )
        .bind(termination)
        .bind(tenant)
        .bind(by.principal.as_str())
        .bind(by.at);
        if let Some(row) = work.row(cancel).await? {
            let state: TenantState = codes::state(&row, "tenant_state").map_err(at(operation))?;
            let back = Statement::new(
                "UPDATE tenants SET state = $2 WHERE id = $1 AND state = 'terminating'",
            );
            if work.change(back.bind(tenant).bind(state.code())).await? == 1 {
                return work.commit_with(&Change::Tenant(tenant)).await;
            }
            return Err(work.conflict("the tenant is not terminating"));
        }
        let cancelled = Statement::new(
            "SELECT id FROM terminations WHERE id = $1 AND tenant = $2 AND state = 'cancelled'",
        );
        if work
            .row(cancelled.bind(termination).bind(tenant))
            .await?
            .is_some()
        {
            return Ok(());
        }
        Err(work.why_not_terminated(tenant, termination).await)
    }
}

impl Work {
    /// Holds the row, so that of two approvals each sees the other's or waits for it.
    async fn lock_termination(
        &mut self,
        tenant: TenantId,
        termination: TerminationId,
    ) -> Result<(), CatalogError> {
        let hold = Statement::new(
            "UPDATE terminations SET approvals = approvals WHERE id = $1 AND tenant = $2
                 AND state IN ('requested', 'approved')",
        );
        if self.change(hold.bind(termination).bind(tenant)).await? == 1 {
            return Ok(());
        }
        Err(self.why_not_terminated(tenant, termination).await)
    }

    async fn why_not_terminated(
        &mut self,
        tenant: TenantId,
        termination: TerminationId,
    ) -> CatalogError {
        let question = Statement::new("SELECT id FROM terminations WHERE id = $1 AND tenant = $2");
        match self.row(question.bind(termination).bind(tenant)).await {
            Ok(Some(_)) => self.conflict("the termination is over, or its shred has begun"),
            Ok(None) => self.not_found("termination"),
            Err(error) => error,
        }
    }
}

macro_rules! value_of_row_id {
    ($($id:ty),+) => {$(
        impl From<$id> for Value {
            fn from(id: $id) -> Self {
                Self::Bytes(Some(id.as_bytes().to_vec()))
            }
        }
    )+};
}
value_of_row_id!(TerminationId, ShredId, super::super::ReceiptId);
