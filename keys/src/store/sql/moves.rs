//! Moving the root: one transaction, whose statements and foreign keys allow nothing between old and new.

use std::collections::BTreeSet;

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use lethe_envelope::TenantId;

use super::super::moves::Canary;
use super::super::pool::store_error;
use super::super::{
    KekRow, MoveMark, MoveOutcome, MovePlan, MoveRow, MoveState, NodeRow, Rewrap, StoreError,
};
use super::init::{NODES_PER_INSERT, insert_nodes};
use super::placeholders::Placeholders;
use super::{SqlKeyStore, rows};
use crate::secret::{WRAPPED_BYTES, Wrapped};
use crate::tree::{Epoch, PLACES, Place};

/// KEKs that are read, rewrapped and written at a time.
const KEKS_PER_PAGE: usize = 500;

pub(super) const MOVE_COLUMNS: &str = "epoch_from, epoch_to, state, victims, nodes, keks_rewrapped, keks_deleted, bytes, \
     canary_from, sum_from, canary_to, sum_to, canary_opened_ms, rekeyed_ms, backup, backup_ms, destroyed_ms";

/// The bytes of a KEK's row that a move writes: id, generation and wrap; and of a node's: place, generation and epoch,
/// beside its wrap.
const KEK_BYTES: u64 = 16 + 8 + WRAPPED_BYTES as u64;
const NODE_BYTES: u64 = 24;

impl SqlKeyStore {
    pub(super) async fn write_move(
        &self,
        plan: &MovePlan,
        rewrap: &dyn Rewrap,
    ) -> Result<MoveOutcome, StoreError> {
        let mut transaction = self.begin().await?;
        if !self.leave_epoch(&mut transaction, plan).await? {
            return Ok(MoveOutcome::NotCurrent);
        }
        if plan.fenced
            && let Some(tenant) = self.unfenced(&mut transaction, &plan.victims).await?
        {
            return Ok(MoveOutcome::NotFenced(tenant));
        }
        let mut keks_deleted = 0;
        for victim in &plan.victims {
            self.gate.pass()?;
            keks_deleted += sqlx::query("DELETE FROM keks WHERE tenant = $1")
                .bind(victim.as_bytes().to_vec())
                .execute(&mut *transaction)
                .await
                .map_err(|error| store_error(&error))?
                .rows_affected();
        }
        let (fresh, same) = plan.split_nodes();
        let mut keks_rewrapped = 0;
        for node in &fresh {
            match self.replace_node(&mut transaction, node, rewrap).await? {
                Ok(rewrapped) => keks_rewrapped += rewrapped,
                Err(kek_id) => return Ok(MoveOutcome::Unopened(kek_id)),
            }
        }
        for chunk in same.chunks(NODES_PER_INSERT) {
            self.gate.pass()?;
            rewrap_nodes(&mut transaction, self.placeholders(), plan, chunk).await?;
        }
        self.check_moved(&mut transaction, plan.to).await?;
        let row = MoveRow {
            from: plan.from,
            to: plan.to,
            state: MoveState::Rekeyed,
            victims: plan.victims.clone(),
            nodes: plan.nodes.len() as u64,
            keks_rewrapped,
            keks_deleted,
            bytes: plan.node_bytes() + keks_rewrapped * KEK_BYTES,
            canary_from: plan.canary_from.clone(),
            canary_to: plan.canary_to.clone(),
            canary_opened_ms: plan.now_ms,
            rekeyed_ms: plan.now_ms,
            backup: None,
            destroyed_ms: None,
        };
        self.gate.pass()?;
        insert_move(&mut transaction, &row).await?;
        self.commit(transaction).await?;
        Ok(MoveOutcome::Moved(Box::new(row)))
    }

    /// Locks the store's row and turns the epoch; nothing that makes a KEK or raises a fence runs beside this.
    async fn leave_epoch(
        &self,
        transaction: &mut Transaction<'static, Any>,
        plan: &MovePlan,
    ) -> Result<bool, StoreError> {
        let (from, to) = (
            rows::stored(plan.from.0, "epoch")?,
            rows::stored(plan.to.0, "epoch")?,
        );
        self.gate.pass()?;
        let turned = sqlx::query(
            "UPDATE key_store SET epoch = $1, held = 1 WHERE id = 1 AND epoch = $2 \
             AND (state = 'ready' AND held = 0 OR state = 'restoring')",
        )
        .bind(to)
        .bind(from)
        .execute(&mut **transaction)
        .await
        .map_err(|error| store_error(&error))?;
        if turned.rows_affected() != 1 {
            return Ok(false);
        }
        self.gate.pass()?;
        sqlx::query("UPDATE epochs SET state = 'retired' WHERE epoch = $1")
            .bind(from)
            .execute(&mut **transaction)
            .await
            .map_err(|error| store_error(&error))?;
        self.gate.pass()?;
        sqlx::query("INSERT INTO epochs (epoch, state, created_ms) VALUES ($1, 'current', $2)")
            .bind(to)
            .bind(plan.now_ms)
            .execute(&mut **transaction)
            .await
            .map_err(|error| store_error(&error))?;
        Ok(true)
    }

    async fn unfenced(
        &self,
        transaction: &mut Transaction<'static, Any>,
        victims: &[TenantId],
    ) -> Result<Option<TenantId>, StoreError> {
        for victim in victims {
            self.gate.pass()?;
            let newest: Option<String> = sqlx::query_scalar(
                "SELECT kind FROM fences WHERE tenant = $1 ORDER BY fence DESC LIMIT 1",
            )
            .bind(victim.as_bytes().to_vec())
            .fetch_optional(&mut **transaction)
            .await
            .map_err(|error| store_error(&error))?;
            if newest.as_deref() != Some("tenant") {
                return Ok(Some(*victim));
            }
        }
        Ok(None)
    }

    /// Puts a new node in a victim's place, moves the survivors to it and deletes the old one, which fails while any
    /// KEK is left under it. The inner error is a KEK that does not open.
    async fn replace_node(
        &self,
        transaction: &mut Transaction<'static, Any>,
        node: &NodeRow,
        rewrap: &dyn Rewrap,
    ) -> Result<Result<u64, String>, StoreError> {
        self.gate.pass()?;
        insert_nodes(transaction, self.placeholders(), std::slice::from_ref(node)).await?;
        let mut rewrapped = 0;
        let mut after = Vec::new();
        loop {
            self.gate.pass()?;
            let page = keks_under_older(transaction, node, &after).await?;
            let Some(last) = page.last() else { break };
            after = last.info.kek_id.as_bytes().to_vec();
            let mut moved = Vec::with_capacity(page.len());
            for row in &page {
                match rewrap.rewrap(row) {
                    Some(wrapped) => moved.push((row, wrapped)),
                    None => return Ok(Err(hex::encode(row.info.kek_id.as_bytes()))),
                }
            }
            self.gate.pass()?;
            move_keks(transaction, self.placeholders(), node.generation, &moved).await?;
            rewrapped += moved.len() as u64;
            // A page is some milliseconds of computation; others have their turn.
            tokio::task::yield_now().await;
        }
        self.gate.pass()?;
        sqlx::query("DELETE FROM nodes WHERE place = $1 AND generation < $2")
            .bind(i64::from(node.place.number()))
            .bind(rows::stored(node.generation, "generation")?)
            .execute(&mut **transaction)
            .await
            .map_err(|error| store_error(&error))?;
        Ok(Ok(rewrapped))
    }

    /// Every place has one node, under the new epoch.
    async fn check_moved(
        &self,
        transaction: &mut Transaction<'static, Any>,
        to: Epoch,
    ) -> Result<(), StoreError> {
        self.gate.pass()?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS whole, COUNT(CASE WHEN epoch = $1 THEN 1 END) AS moved FROM nodes",
        )
        .bind(rows::stored(to.0, "epoch")?)
        .fetch_one(&mut **transaction)
        .await
        .map_err(|error| store_error(&error))?;
        let places = i64::from(PLACES);
        if rows::integer(&row, "whole")? == places && rows::integer(&row, "moved")? == places {
            Ok(())
        } else {
            Err(StoreError::Corrupt("set of nodes"))
        }
    }

    pub(super) async fn read_nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.gate.pass()?;
        sqlx::query(
            "SELECT place, generation, epoch, wrapped FROM nodes ORDER BY place, generation",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(|error| store_error(&error))?
        .iter()
        .map(rows::node)
        .collect()
    }

    pub(super) async fn count_nodes_up_to(&self, epoch: Epoch) -> Result<u64, StoreError> {
        self.gate.pass()?;
        let row = sqlx::query("SELECT COUNT(*) AS nodes FROM nodes WHERE epoch <= $1")
            .bind(rows::stored(epoch.0, "epoch")?)
            .fetch_one(&self.pool)
            .await
            .map_err(|error| store_error(&error))?;
        rows::count(&row, "nodes")
    }

    pub(super) async fn read_movement(&self, from: Epoch) -> Result<Option<MoveRow>, StoreError> {
        self.gate.pass()?;
        sqlx::query(AssertSqlSafe(format!(
            "SELECT {MOVE_COLUMNS} FROM moves WHERE epoch_from = $1"
        )))
        .bind(rows::stored(from.0, "epoch")?)
        .fetch_optional(&self.pool)
        .await
        .map_err(|error| store_error(&error))?
        .as_ref()
        .map(movement)
        .transpose()
    }

    pub(super) async fn read_moves(&self) -> Result<Vec<MoveRow>, StoreError> {
        self.gate.pass()?;
        sqlx::query(AssertSqlSafe(format!(
            "SELECT {MOVE_COLUMNS} FROM moves ORDER BY epoch_from"
        )))
        .fetch_all(&self.pool)
        .await
        .map_err(|error| store_error(&error))?
        .iter()
        .map(movement)
        .collect()
    }

    pub(super) async fn write_mark(&self, from: Epoch, mark: MoveMark) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let from = rows::stored(from.0, "epoch")?;
        self.gate.pass()?;
        let marking = match mark {
            MoveMark::BackedUp { sha256, now_ms } => sqlx::query(
                "UPDATE moves SET backup = $1, backup_ms = $2 WHERE epoch_from = $3 AND state <> 'destroyed'",
            )
            .bind(sha256.to_vec())
            .bind(now_ms),
            MoveMark::Destroying { backup, canary_opened_ms } => sqlx::query(
                "UPDATE moves SET state = $1, canary_opened_ms = $2 WHERE backup = $3 AND epoch_from = $4 \
                 AND state <> 'destroyed'",
            )
            .bind(MoveState::Destroying.as_str())
            .bind(canary_opened_ms)
            .bind(backup.to_vec()),
            MoveMark::Destroyed { now_ms } => sqlx::query(
                "UPDATE moves SET state = $1, destroyed_ms = $2 WHERE epoch_from = $3 AND state = 'destroying'",
            )
            .bind(MoveState::Destroyed.as_str())
            .bind(now_ms),
        };
        let marked = marking
            .bind(from)
            .execute(&mut *transaction)
            .await
            .map_err(|error| store_error(&error))?;
        if marked.rows_affected() != 1 {
            return Ok(false);
        }
        if let MoveMark::Destroyed { .. } = mark {
            self.gate.pass()?;
            sqlx::query("UPDATE epochs SET state = 'destroyed' WHERE epoch = $1")
                .bind(from)
                .execute(&mut *transaction)
                .await
                .map_err(|error| store_error(&error))?;
            self.gate.pass()?;
            sqlx::query(
                "UPDATE key_store SET held = 0 WHERE id = 1 \
                 AND NOT EXISTS (SELECT 1 FROM moves WHERE state <> 'destroyed')",
            )
            .execute(&mut *transaction)
            .await
            .map_err(|error| store_error(&error))?;
        }
        self.commit(transaction).await?;
        Ok(true)
    }
}

impl MovePlan {
    fn node_bytes(&self) -> u64 {
        let bytes = |node: &NodeRow| NODE_BYTES + node.wrapped.len() as u64;
        self.nodes.iter().map(bytes).sum()
    }

    /// New nodes in the victims' places, and those that only change their epoch.
    fn split_nodes(&self) -> (Vec<NodeRow>, Vec<NodeRow>) {
        let places: BTreeSet<Place> = self.victims.iter().copied().map(Place::of_tenant).collect();
        self.nodes
            .iter()
            .cloned()
            .partition(|node| places.contains(&node.place))
    }
}

async fn keks_under_older(
    transaction: &mut Transaction<'static, Any>,
    node: &NodeRow,
    after: &[u8],
) -> Result<Vec<KekRow>, StoreError> {
    let columns = rows::KEK_COLUMNS;
    sqlx::query(AssertSqlSafe(format!(
        "SELECT {columns} FROM keks WHERE place = $1 AND generation < $2 AND kek_id > $3 ORDER BY kek_id LIMIT $4"
    )))
    .bind(i64::from(node.place.number()))
    .bind(rows::stored(node.generation, "generation")?)
    .bind(after.to_vec())
    .bind(KEKS_PER_PAGE as i64)
    .fetch_all(&mut **transaction)
    .await
    .map_err(|error| store_error(&error))?
    .iter()
    .map(rows::kek)
    .collect()
}

async fn move_keks(
    transaction: &mut Transaction<'static, Any>,
    mut places: Placeholders,
    generation: u64,
    moved: &[(&KekRow, Wrapped)],
) -> Result<(), StoreError> {
    // Safe: the text is made of placeholders alone. VALUES names its columns so in SQLite and PostgreSQL.
    let statement = AssertSqlSafe(format!(
        "UPDATE keks SET generation = {}, wrapped = v.column2 FROM (VALUES {}) AS v WHERE keks.kek_id = v.column1",
        places.one(),
        places.rows(moved.len(), 2)
    ));
    let mut query = sqlx::query(statement)
        .persistent(false)
        .bind(rows::stored(generation, "generation")?);
    for (row, wrapped) in moved {
        query = query
            .bind(row.info.kek_id.as_bytes().to_vec())
            .bind(wrapped.to_vec());
    }
    expect_rows(query.execute(&mut **transaction).await, moved.len())
}

async fn rewrap_nodes(
    transaction: &mut Transaction<'static, Any>,
    mut places: Placeholders,
    plan: &MovePlan,
    nodes: &[NodeRow],
) -> Result<(), StoreError> {
    // Safe: the text is made of placeholders alone.
    let statement = AssertSqlSafe(format!(
        "UPDATE nodes SET epoch = {}, wrapped = v.column3 FROM (VALUES {}) AS v \
         WHERE nodes.place = v.column1 AND nodes.generation = v.column2 AND nodes.epoch = {}",
        places.one(),
        places.rows(nodes.len(), 3),
        places.one()
    ));
    let mut query = sqlx::query(statement)
        .persistent(false)
        .bind(rows::stored(plan.to.0, "epoch")?);
    for node in nodes {
        query = query
            .bind(i64::from(node.place.number()))
            .bind(rows::stored(node.generation, "generation")?)
            .bind(node.wrapped.to_vec());
    }
    query = query.bind(rows::stored(plan.from.0, "epoch")?);
    expect_rows(query.execute(&mut **transaction).await, nodes.len())
}

fn expect_rows(
    done: Result<sqlx::any::AnyQueryResult, sqlx::Error>,
    rows: usize,
) -> Result<(), StoreError> {
    let changed = done.map_err(|error| store_error(&error))?.rows_affected();
    if changed == rows as u64 {
        Ok(())
    } else {
        Err(StoreError::Corrupt("tree"))
    }
}

pub(super) async fn insert_move(
    transaction: &mut Transaction<'static, Any>,
    row: &MoveRow,
) -> Result<(), StoreError> {
    let victims: Vec<u8> = row
        .victims
        .iter()
        .flat_map(|victim| *victim.as_bytes())
        .collect();
    // Safe: the text is made of this module's own column names.
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO moves ({MOVE_COLUMNS}) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
    )))
    .bind(rows::stored(row.from.0, "epoch")?)
    .bind(rows::stored(row.to.0, "epoch")?)
    .bind(row.state.as_str())
    .bind(victims)
    .bind(rows::stored(row.nodes, "nodes")?)
    .bind(rows::stored(row.keks_rewrapped, "keks")?)
    .bind(rows::stored(row.keks_deleted, "keks")?)
    .bind(rows::stored(row.bytes, "bytes")?)
    .bind(row.canary_from.wrapped.to_vec())
    .bind(row.canary_from.sum.to_vec())
    .bind(row.canary_to.wrapped.to_vec())
    .bind(row.canary_to.sum.to_vec())
    .bind(row.canary_opened_ms)
    .bind(row.rekeyed_ms)
    .bind(row.backup.map(|(sha256, _)| sha256.to_vec()))
    .bind(row.backup.map(|(_, now_ms)| now_ms))
    .bind(row.destroyed_ms)
    .execute(&mut **transaction)
    .await
    .map(|_| ())
    .map_err(|error| store_error(&error))
}

pub(super) fn movement(row: &AnyRow) -> Result<MoveRow, StoreError> {
    let victims: Vec<u8> = row
        .try_get("victims")
        .map_err(|error| store_error(&error))?;
    let (victims, rest) = victims.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(StoreError::Corrupt("victims"));
    }
    let backup =
        rows::optional_bytes(row, "backup")?.zip(rows::optional_integer(row, "backup_ms")?);
    Ok(MoveRow {
        from: Epoch(rows::count(row, "epoch_from")?),
        to: Epoch(rows::count(row, "epoch_to")?),
        state: MoveState::parse(&rows::text(row, "state")?).ok_or(StoreError::Corrupt("move"))?,
        victims: victims.iter().copied().map(TenantId::from_bytes).collect(),
        nodes: rows::count(row, "nodes")?,
        keks_rewrapped: rows::count(row, "keks_rewrapped")?,
        keks_deleted: rows::count(row, "keks_deleted")?,
        bytes: rows::count(row, "bytes")?,
        canary_from: Canary {
            wrapped: rows::node_wrap(row, "canary_from")?,
            sum: rows::bytes(row, "sum_from")?,
        },
        canary_to: Canary {
            wrapped: rows::node_wrap(row, "canary_to")?,
            sum: rows::bytes(row, "sum_to")?,
        },
        canary_opened_ms: rows::integer(row, "canary_opened_ms")?,
        rekeyed_ms: rows::integer(row, "rekeyed_ms")?,
        backup,
        destroyed_ms: rows::optional_integer(row, "destroyed_ms")?,
    })
}
