//! Shreds: one row a move of the root, worked on under a lease and a fence as jobs are.

use super::super::database::{DatabaseError, Row, Statement};
use super::super::{
    Approval, Bucket, CatalogError, Evidence, NewTermination, Shred, ShredFence, ShredId,
    ShredState, ShredStore, Termination, TerminationId, Upload,
};
use super::buckets::bucket_of;
use super::codes::{self, Coded};
use super::uploads::{select_uploads, upload_of};
use super::{SqlCatalog, Work, at};
use crate::clock::UnixMs;
use crate::tenants::TenantId;
use async_trait::async_trait;

/// A lease that ends later than this after a whole new one would was taken by a clock that was ahead, in milliseconds: it counts as
/// over. Long, so that two gateways whose clocks differ do not take a shred from each other all the time.
const LEASE_AHEAD_MS_MAX: i64 = 60 * 60 * 1000;

/// How many shreds one claim tries before it lets the racing claimers have them.
const CANDIDATES: i64 = 8;

macro_rules! columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " id, state, epoch_from, started, changed, owner, lease_until, fence, last_error ",
            $after
        )
    };
}

fn shred_of(row: &Row) -> Result<Shred, DatabaseError> {
    Ok(Shred {
        id: ShredId::from_bytes(row.array("id")?),
        state: codes::state(row, "state")?,
        epoch_from: codes::number(row, "epoch_from")?,
        started: UnixMs(row.get("started")?),
        changed: UnixMs(row.get("changed")?),
        owner: row.get("owner")?,
        lease_until: UnixMs(row.get("lease_until")?),
        fence: ShredFence(row.get("fence")?),
        last_error: row.get("last_error")?,
    })
}

fn evidence_of(row: &Row) -> Result<Evidence, DatabaseError> {
    let tenant: Vec<u8> = row.get("tenant")?;
    Ok(Evidence {
        state: codes::state(row, "state")?,
        tenant: if tenant.is_empty() {
            None
        } else {
            Some(TenantId::from_bytes(row.array("tenant")?))
        },
        body: row.get("body")?,
    })
}

/// What concerns the whole shred has an empty tenant.
fn tenant_key(tenant: Option<&TenantId>) -> &[u8] {
    tenant.map_or(&[], |tenant| tenant.as_bytes())
}

impl Work {
    async fn upsert_evidence(
        &mut self,
        shred: ShredId,
        evidence: &Evidence,
    ) -> Result<(), CatalogError> {
        let upsert = Statement::new(
            "INSERT INTO shred_evidence (shred, state, tenant, body) VALUES ($1, $2, $3, $4)
             ON CONFLICT (shred, state, tenant) DO UPDATE SET body = excluded.body",
        )
        .bind(shred)
        .bind(evidence.state.code())
        .bind(tenant_key(evidence.tenant.as_ref()))
        .bind(evidence.body.as_str());
        self.change(upsert).await.map(drop)
    }

    async fn why_not_shred(&mut self, shred: ShredId) -> CatalogError {
        let question = Statement::new("SELECT id FROM shreds WHERE id = $1").bind(shred);
        match self.row(question).await {
            Ok(Some(_)) => self.conflict("the shred is in another state, or another runner has it"),
            Ok(None) => self.not_found("shred"),
            Err(error) => error,
        }
    }

    /// What else changes when a shred reaches a state.
    async fn settle_terminations(
        &mut self,
        shred: ShredId,
        reached: ShredState,
    ) -> Result<(), CatalogError> {
        let text = match reached {
            ShredState::Inventoried => {
                "UPDATE terminations SET sealed_inventory_key = NULL WHERE shred = $1"
            }
            ShredState::Receipted => {
                "UPDATE terminations SET state = 'erased' WHERE shred = $1 AND state = 'shredding'"
            }
            ShredState::Purged => {
                "UPDATE terminations SET state = 'purged' WHERE shred = $1 AND state = 'erased'"
            }
            _ => return Ok(()),
        };
        self.change(Statement::new(text).bind(shred))
            .await
            .map(drop)
    }
}

#[async_trait]
impl ShredStore for SqlCatalog {
    async fn begin_termination(&self, new: &NewTermination) -> Result<(), CatalogError> {
        self.insert_termination(new).await
    }

    async fn approve_termination(
        &self,
        tenant: TenantId,
        termination: TerminationId,
        approval: &Approval,
    ) -> Result<(), CatalogError> {
        self.insert_approval(tenant, termination, approval).await
    }

    async fn cancel_termination(
        &self,
        tenant: TenantId,
        termination: TerminationId,
        by: &Approval,
    ) -> Result<(), CatalogError> {
        self.call_off_termination(tenant, termination, by).await
    }

    async fn termination(&self, tenant: TenantId) -> Result<Termination, CatalogError> {
        self.newest_termination(tenant).await
    }

    async fn open_terminations(
        &self,
        after: Option<(UnixMs, TerminationId)>,
        rows_max: u32,
    ) -> Result<Vec<Termination>, CatalogError> {
        self.terminations_not_over(after, rows_max).await
    }

    async fn is_termination_due(&self, due: UnixMs) -> Result<bool, CatalogError> {
        self.any_termination_due(due).await
    }

    async fn terminations_between(
        &self,
        from: UnixMs,
        to: UnixMs,
        after: Option<(UnixMs, TerminationId)>,
        rows_max: u32,
    ) -> Result<Vec<Termination>, CatalogError> {
        self.terminations_of_period(from, to, after, rows_max).await
    }

    async fn database_now(&self) -> Result<Option<UnixMs>, CatalogError> {
        let operation = "database_now";
        if !self.database.has_server() {
            return Ok(None);
        }
        // Not now(), which is a transaction's beginning.
        let question = Statement::new(
            "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS unix_ms",
        );
        let row = self.read_one(operation, "time", question).await?;
        let unix_ms: i64 = row.get("unix_ms").map_err(at(operation))?;
        Ok(Some(UnixMs(unix_ms)))
    }

    async fn due_terminations(
        &self,
        due: UnixMs,
        rows_max: u32,
    ) -> Result<Vec<Termination>, CatalogError> {
        self.terminations_due(due, rows_max).await
    }

    async fn begin_shred(
        &self,
        id: ShredId,
        epoch_from: u64,
        terminations: &[TerminationId],
        now: UnixMs,
    ) -> Result<Option<Shred>, CatalogError> {
        let operation = "begin_shred";
        let mut work = self.begin(operation).await?;
        let insert = Statement::new(columns!(
            "INSERT INTO shreds (id, state, is_open, epoch_from, started, changed, lease_until, fence)
             VALUES ($1, 'requested', 1, $2, $3, $3, 0, 0) ON CONFLICT DO NOTHING RETURNING",
            ""
        ))
        .bind(id)
        .bind(i64::try_from(epoch_from).unwrap_or(i64::MAX))
        .bind(now);
        let Some(row) = work.row(insert).await? else {
            let open = Statement::new(columns!("SELECT", "FROM shreds WHERE is_open = 1"));
            let row = work.row(open).await?;
            return row
                .map(|row| shred_of(&row))
                .transpose()
                .map_err(at(operation));
        };
        let mut taken = 0;
        for termination in terminations {
            let take = Statement::new(
                "UPDATE terminations SET state = 'shredding', shred = $1 WHERE id = $2 AND state = 'approved'",
            );
            taken += work.change(take.bind(id).bind(*termination)).await?;
        }
        if taken == 0 {
            // Dropped, the transaction leaves no empty shred behind.
            return Ok(None);
        }
        work.commit().await?;
        shred_of(&row).map(Some).map_err(at(operation))
    }

    async fn claim_shred(
        &self,
        owner: &str,
        now: UnixMs,
        lease_ms: i64,
    ) -> Result<Option<Shred>, CatalogError> {
        let operation = "claim_shred";
        let ahead = now.plus_ms(lease_ms).plus_ms(LEASE_AHEAD_MS_MAX);
        // The open one first: a long purge does not hold up the next erasure.
        let waiting = Statement::new(
            "SELECT id FROM shreds WHERE state <> 'purged' AND (lease_until <= $1 OR lease_until > $2)
             ORDER BY is_open DESC, changed, id LIMIT $3",
        )
        .bind(now)
        .bind(ahead)
        .bind(CANDIDATES);
        for row in self.read(operation, waiting).await? {
            let id: [u8; 16] = row.array("id").map_err(at(operation))?;
            let mut work = self.begin(operation).await?;
            let take = Statement::new(columns!(
                "UPDATE shreds SET owner = $2, lease_until = $4, fence = fence + 1
                 WHERE id = $1 AND state <> 'purged' AND (lease_until <= $3 OR lease_until > $5) RETURNING",
                ""
            ))
            .bind(ShredId::from_bytes(id))
            .bind(owner)
            .bind(now)
            .bind(now.plus_ms(lease_ms))
            .bind(ahead);
            if let Some(row) = work.row(take).await? {
                let shred = shred_of(&row).map_err(at(operation))?;
                work.commit().await?;
                return Ok(Some(shred));
            }
        }
        Ok(None)
    }

    async fn move_shred_from(
        &self,
        shred: ShredId,
        fence: ShredFence,
        epoch_from: u64,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("move_shred_from").await?;
        let change = Statement::new(
            "UPDATE shreds SET epoch_from = $3 WHERE id = $1 AND fence = $2 AND owner IS NOT NULL
             AND state IN ('requested', 'fenced', 'inventoried')",
        )
        .bind(shred)
        .bind(fence.0)
        .bind(i64::try_from(epoch_from).unwrap_or(i64::MAX));
        if work.change(change).await? == 1 {
            return work.commit().await;
        }
        Err(work.why_not_shred(shred).await)
    }

    async fn renew_shred(
        &self,
        shred: ShredId,
        fence: ShredFence,
        until: UnixMs,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("renew_shred").await?;
        let renew = Statement::new(
            "UPDATE shreds SET lease_until = $3 WHERE id = $1 AND fence = $2 AND owner IS NOT NULL",
        )
        .bind(shred)
        .bind(fence.0)
        .bind(until);
        if work.change(renew).await? == 1 {
            return work.commit().await;
        }
        Err(work.why_not_shred(shred).await)
    }

    async fn release_shred(
        &self,
        shred: ShredId,
        fence: ShredFence,
        retry_at: UnixMs,
        reason: Option<&str>,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("release_shred").await?;
        let release = Statement::new(
            "UPDATE shreds SET owner = NULL, lease_until = $3, last_error = $4
             WHERE id = $1 AND fence = $2 AND owner IS NOT NULL",
        )
        .bind(shred)
        .bind(fence.0)
        .bind(retry_at)
        .bind(reason.map(codes::reason).as_deref());
        if work.change(release).await? == 1 {
            return work.commit().await;
        }
        Err(work.why_not_shred(shred).await)
    }

    async fn hurry_shreds(&self) -> Result<(), CatalogError> {
        let mut work = self.begin("hurry_shreds").await?;
        let hurry = Statement::new("UPDATE shreds SET lease_until = 0 WHERE owner IS NULL");
        work.change(hurry).await?;
        work.commit().await
    }

    async fn take_shreds_back(&self) -> Result<(), CatalogError> {
        let mut work = self.begin("take_shreds_back").await?;
        let take = Statement::new(
            "UPDATE shreds SET lease_until = 0, owner = NULL, fence = fence + 1 WHERE state <> 'purged'",
        );
        work.change(take).await?;
        work.commit().await
    }

    async fn advance_shred(
        &self,
        shred: ShredId,
        fence: ShredFence,
        from: ShredState,
        evidence: &[Evidence],
        now: UnixMs,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("advance_shred").await?;
        let Some(to) = from.next() else {
            return Err(work.conflict("the shred is over"));
        };
        let advance = Statement::new(
            "UPDATE shreds SET state = $4, changed = $5, last_error = NULL, is_open = $6
             WHERE id = $1 AND fence = $2 AND state = $3 AND owner IS NOT NULL",
        )
        .bind(shred)
        .bind(fence.0)
        .bind(from.code())
        .bind(to.code())
        .bind(now)
        .bind(i64::from(to < ShredState::Receipted));
        if work.change(advance).await? != 1 {
            return Err(work.why_not_shred(shred).await);
        }
        for one in evidence {
            work.upsert_evidence(shred, one).await?;
        }
        work.settle_terminations(shred, to).await?;
        work.commit().await
    }

    async fn note_evidence(
        &self,
        shred: ShredId,
        fence: ShredFence,
        evidence: &Evidence,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("note_evidence").await?;
        let held = Statement::new(
            "UPDATE shreds SET fence = fence WHERE id = $1 AND fence = $2 AND owner IS NOT NULL",
        );
        if work.change(held.bind(shred).bind(fence.0)).await? != 1 {
            return Err(work.why_not_shred(shred).await);
        }
        work.upsert_evidence(shred, evidence).await?;
        work.commit().await
    }

    async fn evidence(&self, shred: ShredId) -> Result<Vec<Evidence>, CatalogError> {
        let operation = "evidence";
        let question = Statement::new(
            "SELECT state, tenant, body FROM shred_evidence WHERE shred = $1 ORDER BY state, tenant",
        );
        let rows = self.read(operation, question.bind(shred)).await?;
        rows.iter()
            .map(evidence_of)
            .collect::<Result<_, _>>()
            .map_err(at(operation))
    }

    async fn evidence_of(
        &self,
        shred: ShredId,
        state: ShredState,
        tenant: Option<TenantId>,
    ) -> Result<Option<Evidence>, CatalogError> {
        let operation = "evidence_of";
        let question = Statement::new(
            "SELECT state, tenant, body FROM shred_evidence WHERE shred = $1 AND state = $2 AND tenant = $3",
        )
        .bind(shred)
        .bind(state.code())
        .bind(tenant_key(tenant.as_ref()));
        let rows = self.read(operation, question).await?;
        rows.first()
            .map(evidence_of)
            .transpose()
            .map_err(at(operation))
    }

    async fn shred(&self, shred: ShredId) -> Result<Shred, CatalogError> {
        let operation = "shred";
        let question = Statement::new(columns!("SELECT", "FROM shreds WHERE id = $1"));
        let row = self
            .read_one(operation, "shred", question.bind(shred))
            .await?;
        shred_of(&row).map_err(at(operation))
    }

    async fn shreds(&self, rows_max: u32) -> Result<Vec<Shred>, CatalogError> {
        let operation = "shreds";
        let question = Statement::new(columns!(
            "SELECT",
            "FROM shreds ORDER BY CASE WHEN state = 'purged' THEN 1 ELSE 0 END, started DESC, id LIMIT $1"
        ));
        let rows = self
            .read(operation, question.bind(i64::from(rows_max)))
            .await?;
        rows.iter()
            .map(shred_of)
            .collect::<Result<_, _>>()
            .map_err(at(operation))
    }

    async fn shred_terminations(&self, shred: ShredId) -> Result<Vec<Termination>, CatalogError> {
        self.terminations_of_shred(shred).await
    }

    async fn buckets_in_any_state(&self, tenant: TenantId) -> Result<Vec<Bucket>, CatalogError> {
        let operation = "buckets_in_any_state";
        let question = Statement::new(
            "SELECT name, region, upstream, format, state, versioning, object_lock, created FROM buckets
             WHERE tenant = $1 ORDER BY name",
        )
        .bind(tenant);
        let rows = self.read(operation, question).await?;
        rows.iter()
            .map(bucket_of)
            .collect::<Result<_, _>>()
            .map_err(at(operation))
    }

    async fn uploads_in_any_state(
        &self,
        tenant: TenantId,
        rows_max: u32,
    ) -> Result<Vec<Upload>, CatalogError> {
        let operation = "uploads_in_any_state";
        let question = Statement::new(select_uploads!(
            "SELECT",
            "WHERE tenant = $1 ORDER BY id LIMIT $2"
        ))
        .bind(tenant)
        .bind(i64::from(rows_max));
        let rows = self.read(operation, question).await?;
        rows.iter()
            .map(upload_of)
            .collect::<Result<_, _>>()
            .map_err(at(operation))
    }

    async fn end_uploads(&self, tenant: TenantId) -> Result<(), CatalogError> {
        let mut work = self.begin("end_uploads").await?;
        let end = Statement::new(
            "UPDATE uploads SET state = 'aborting' WHERE tenant = $1 AND state IN ('creating', 'open', 'completing')
                 AND EXISTS (SELECT 1 FROM tenants WHERE id = $1 AND state = 'shredded')",
        );
        work.change(end.bind(tenant)).await?;
        work.commit().await
    }
}
