//! An export written into a new store, all or nothing.

use sqlx::{Any, AssertSqlSafe, Transaction};
use tokio::sync::mpsc;

use super::super::pool::store_error;
use super::super::{
    EntryRecord, FenceRow, Imported, KekRow, Phase, Record, StoreError, StoreRecord,
};
use super::init::insert_nodes;
use super::moves::insert_move;
use super::placeholders::Placeholders;
use super::{SqlKeyStore, rows};
use crate::config::StoreUrl;
use crate::types::{EntrySubject, FenceScope};

/// Rows of one INSERT, of twelve values each at most: far below either database's limit on parameters.
const ROWS_PER_INSERT: usize = 256;

/// In KiB, below zero.
const IMPORT_CACHE: &str = "PRAGMA cache_size = -65536";

impl SqlKeyStore {
    pub(super) async fn take_records(
        &self,
        mut records: mpsc::Receiver<Option<Vec<Record>>>,
    ) -> Result<Imported, StoreError> {
        let places = self.placeholders();
        let mut transaction = self.begin().await?;
        let Some(Some(first)) = records.recv().await else {
            return Ok(Imported::Broken);
        };
        let mut first = first.into_iter();
        let Some(Record::Store(head)) = first.next() else {
            return Ok(Imported::Broken);
        };
        self.keep_indexes_in_memory(&mut transaction).await?;
        self.gate.pass()?;
        if !fill_head(&mut transaction, &head).await? {
            return Ok(Imported::NotEmpty);
        }
        insert_all(&mut transaction, places, first.collect()).await?;
        loop {
            match records.recv().await {
                Some(Some(page)) => {
                    self.gate.pass()?;
                    insert_all(&mut transaction, places, page).await?;
                }
                Some(None) => break,
                // Whoever reads the export found it wrong, or is gone.
                None => return Ok(Imported::Broken),
            }
        }
        self.commit(transaction).await?;
        Ok(Imported::Done)
    }

    /// Rows come in the order of their ids, which is none to the indexes by tenant and by entry: each row touches a page anywhere in
    /// them, and SQLite's 2 MB would write most of those out for each row. Bounded all the same; whoever imports does nothing else.
    async fn keep_indexes_in_memory(
        &self,
        transaction: &mut Transaction<'static, Any>,
    ) -> Result<(), StoreError> {
        let StoreUrl::Sqlite { .. } = &self.url else {
            return Ok(());
        };
        self.gate.pass()?;
        sqlx::query(IMPORT_CACHE)
            .execute(&mut **transaction)
            .await
            .map(|_| ())
            .map_err(|error| store_error(&error))
    }

    pub(super) async fn make_ready(&self) -> Result<bool, StoreError> {
        self.gate.pass()?;
        let made = sqlx::query("UPDATE key_store SET state = $1 WHERE id = 1 AND state = $2")
            .bind(Phase::Ready.as_str())
            .bind(Phase::Restoring.as_str())
            .execute(&self.pool)
            .await
            .map_err(|error| store_error(&error))?;
        Ok(made.rows_affected() == 1)
    }
}

async fn fill_head(
    transaction: &mut Transaction<'static, Any>,
    head: &StoreRecord,
) -> Result<bool, StoreError> {
    let filled = sqlx::query(
        "UPDATE key_store SET state = $1, epoch = $2, held = $3, fence = $4, entry = $5, log_size = $6, \
         created_ms = $7 WHERE id = 1 AND state = $8 AND identity = $9 AND domain = $10",
    )
    .bind(Phase::Restoring.as_str())
    .bind(rows::stored(head.epoch.0, "epoch")?)
    .bind(i64::from(head.held))
    .bind(rows::stored(head.fence, "fence")?)
    .bind(rows::stored(head.entry, "entry")?)
    .bind(rows::stored(head.log_size, "log size")?)
    .bind(head.created_ms)
    .bind(Phase::Initializing.as_str())
    .bind(head.identity.as_bytes().to_vec())
    .bind(head.domain.clone())
    .execute(&mut **transaction)
    .await
    .map_err(|error| store_error(&error))?;
    if filled.rows_affected() != 1 {
        return Ok(false);
    }
    sqlx::query("INSERT INTO epochs (epoch, state, created_ms) VALUES ($1, 'current', $2)")
        .bind(rows::stored(head.epoch.0, "epoch")?)
        .bind(head.created_ms)
        .execute(&mut **transaction)
        .await
        .map_err(|error| store_error(&error))?;
    Ok(true)
}

/// The nodes' and KEKs' own references make the database refuse what does not hang together.
async fn insert_all(
    transaction: &mut Transaction<'static, Any>,
    places: Placeholders,
    page: Vec<Record>,
) -> Result<(), StoreError> {
    let (mut nodes, mut keks, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    for record in page {
        match record {
            Record::Store(_) => return Err(StoreError::Corrupt("order of records")),
            Record::Node(row) => nodes.push(*row),
            Record::Kek(row) => keks.push(row),
            Record::Entry(entry) => entries.push(entry),
            Record::Fence(fence) => insert_fence(transaction, &fence).await?,
            Record::Move(row) => {
                insert_epoch_left(transaction, &row).await?;
                insert_move(transaction, &row).await?;
            }
        }
    }
    for chunk in nodes.chunks(super::init::NODES_PER_INSERT) {
        insert_nodes(transaction, places, chunk).await?;
    }
    for chunk in entries.chunks(ROWS_PER_INSERT) {
        insert_entries(transaction, places, chunk).await?;
    }
    for chunk in keks.chunks(ROWS_PER_INSERT) {
        insert_keks(transaction, places, chunk).await?;
    }
    Ok(())
}

async fn insert_epoch_left(
    transaction: &mut Transaction<'static, Any>,
    row: &super::super::MoveRow,
) -> Result<(), StoreError> {
    let state = match row.destroyed_ms {
        Some(_) => "destroyed",
        None => "retired",
    };
    sqlx::query("INSERT INTO epochs (epoch, state, created_ms) VALUES ($1, $2, $3)")
        .bind(rows::stored(row.from.0, "epoch")?)
        .bind(state)
        .bind(row.rekeyed_ms)
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(|error| store_error(&error))
}

async fn insert_keks(
    transaction: &mut Transaction<'static, Any>,
    mut places: Placeholders,
    keks: &[KekRow],
) -> Result<(), StoreError> {
    const COLUMNS: usize = 10;
    // Safe: the text is made of this crate's column names and placeholders.
    let statement = AssertSqlSafe(format!(
        "INSERT INTO keks ({}) VALUES {}",
        rows::KEK_COLUMNS,
        places.rows(keks.len(), COLUMNS)
    ));
    let mut query = sqlx::query(statement).persistent(false);
    for row in keks {
        query = query
            .bind(row.tenant.as_bytes().to_vec())
            .bind(row.info.kek_id.as_bytes().to_vec())
            .bind(i64::from(row.info.version))
            .bind(row.info.commitment.to_vec())
            .bind(row.info.state.as_str())
            .bind(row.info.created_ms)
            .bind(i64::from(row.place.number()))
            .bind(rows::stored(row.generation, "generation")?)
            .bind(row.wrapped.to_vec())
            .bind(row.leaf_hash.to_vec());
    }
    query
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(|error| store_error(&error))
}

async fn insert_entries(
    transaction: &mut Transaction<'static, Any>,
    mut places: Placeholders,
    entries: &[EntryRecord],
) -> Result<(), StoreError> {
    const COLUMNS: usize = 12;
    // Safe: the text is made of this module's column names and placeholders.
    let statement = AssertSqlSafe(format!(
        "INSERT INTO log_entries (number, kind, entry, log_index, tenant, version, kek_id, nonce, commitment, \
         previous, receipt_id, created_ms) VALUES {}",
        places.rows(entries.len(), COLUMNS)
    ));
    let mut query = sqlx::query(statement).persistent(false);
    for entry in entries {
        let (kind, tenant, receipt_id) = match entry.subject {
            EntrySubject::Kek { tenant, .. } => ("kek", Some(tenant.as_bytes().to_vec()), None),
            EntrySubject::Statement { receipt_id } => {
                ("statement", None, Some(receipt_id.to_vec()))
            }
            EntrySubject::Override => ("override", None, None),
        };
        let creation = entry.creation.as_ref();
        let index = entry
            .index
            .map(|index| rows::stored(index, "log index"))
            .transpose()?;
        query = query
            .bind(rows::stored(entry.number, "entry number")?)
            .bind(kind)
            .bind(entry.entry.to_vec())
            .bind(index)
            .bind(tenant)
            .bind(creation.map(|creation| i64::from(creation.version)))
            .bind(creation.map(|creation| creation.kek_id.as_bytes().to_vec()))
            .bind(creation.map(|creation| creation.nonce.to_vec()))
            .bind(creation.map(|creation| creation.commitment.to_vec()))
            .bind(creation.map(|creation| creation.previous.to_vec()))
            .bind(receipt_id)
            .bind(entry.created_ms);
    }
    query
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(|error| store_error(&error))
}

async fn insert_fence(
    transaction: &mut Transaction<'static, Any>,
    fence: &FenceRow,
) -> Result<(), StoreError> {
    let (kind, tenant) = match fence.scope {
        FenceScope::Tenant(tenant) => ("tenant", Some(tenant)),
        FenceScope::Nodes => ("nodes", None),
    };
    sqlx::query("INSERT INTO fences (fence, kind, tenant, raised_ms) VALUES ($1, $2, $3, 0)")
        .bind(rows::stored(fence.fence, "fence")?)
        .bind(kind)
        .bind(tenant.map(|tenant| tenant.as_bytes().to_vec()))
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(|error| store_error(&error))
}
