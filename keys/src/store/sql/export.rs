//! Everything in the store, as of one moment, in pages.

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};
use tokio::sync::mpsc;

use super::super::pool::store_error;
use super::super::{EntryRecord, Record, StoreError, StoreRecord};
use super::moves::{MOVE_COLUMNS, movement};
use super::{SqlKeyStore, log, rows};
use crate::config::StoreUrl;
use crate::types::EntrySubject;

/// Rows that are in memory at a time, twice over: one page is read while another is written.
const ROWS_PER_PAGE: i64 = 1_000;

impl SqlKeyStore {
    pub(super) async fn send_records(
        &self,
        records: mpsc::Sender<Vec<Record>>,
    ) -> Result<(), StoreError> {
        self.gate.pass()?;
        let mut transaction = self
            .pool
            .begin()
            .await
            .map_err(|error| store_error(&error))?;
        if let StoreUrl::Postgres { .. } = &self.url {
            // SQLite's read transactions are snapshots; PostgreSQL's have to be asked for one.
            sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                .execute(&mut *transaction)
                .await
                .map_err(|error| store_error(&error))?;
        }
        let mut export = Export {
            transaction,
            records,
        };
        // The receiver's end is the export's end: whoever reads says why.
        let _sent = export.all(self).await?;
        export
            .transaction
            .rollback()
            .await
            .map_err(|error| store_error(&error))
    }
}

struct Export {
    transaction: Transaction<'static, Any>,
    records: mpsc::Sender<Vec<Record>>,
}

impl Export {
    /// `false` when the receiver is gone.
    async fn all(&mut self, store: &SqlKeyStore) -> Result<bool, StoreError> {
        store.gate.pass()?;
        let row = sqlx::query(
            "SELECT identity, domain, epoch, held, fence, entry, log_size, created_ms FROM key_store WHERE id = 1",
        )
        .fetch_optional(&mut *self.transaction)
        .await
        .map_err(|error| store_error(&error))?
        .ok_or(StoreError::Missing)?;
        let head = Record::Store(StoreRecord {
            identity: rows::identity(&row)?,
            domain: rows::text(&row, "domain")?,
            epoch: rows::epoch(&row)?,
            held: rows::count(&row, "held")? != 0,
            fence: rows::count(&row, "fence")?,
            entry: rows::count(&row, "entry")?,
            log_size: rows::count(&row, "log_size")?,
            created_ms: rows::integer(&row, "created_ms")?,
        });
        if self.records.send(vec![head]).await.is_err() {
            return Ok(false);
        }
        // Nodes before their KEKs, so that a reader needs the nodes alone in memory.
        let nodes = "SELECT place, generation, epoch, wrapped FROM nodes WHERE place > $1 ORDER BY place LIMIT $2";
        let fences =
            "SELECT fence, kind, tenant FROM fences WHERE fence > $1 ORDER BY fence LIMIT $2";
        let entries = "SELECT number, kind, entry, log_index, tenant, version, kek_id, nonce, commitment, previous, \
                       receipt_id, created_ms FROM log_entries WHERE number > $1 ORDER BY number LIMIT $2";
        let moves = format!(
            "SELECT {MOVE_COLUMNS} FROM moves WHERE epoch_from > $1 ORDER BY epoch_from LIMIT $2"
        );
        Ok(self
            .numbered(nodes, "place", |row| rows::node(row).map(Record::Node))
            .await?
            && self.keks().await?
            && self
                .numbered(entries, "number", |row| entry(row).map(Record::Entry))
                .await?
            && self
                .numbered(fences, "fence", |row| rows::fence(row).map(Record::Fence))
                .await?
            && self
                .numbered(&moves, "epoch_from", |row| {
                    movement(row).map(Box::new).map(Record::Move)
                })
                .await?)
    }

    async fn numbered(
        &mut self,
        statement: &str,
        key: &str,
        record: fn(&AnyRow) -> Result<Record, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut after = -1;
        loop {
            // Safe: a text of this module, without anything of a caller's.
            let page = sqlx::query(AssertSqlSafe(statement.to_owned()))
                .bind(after)
                .bind(ROWS_PER_PAGE)
                .fetch_all(&mut *self.transaction)
                .await
                .map_err(|error| store_error(&error))?;
            let Some(last) = page.last() else {
                return Ok(true);
            };
            after = rows::integer(last, key)?;
            let page = page.iter().map(record).collect::<Result<_, _>>()?;
            if self.records.send(page).await.is_err() {
                return Ok(false);
            }
        }
    }

    async fn keks(&mut self) -> Result<bool, StoreError> {
        let columns = rows::KEK_COLUMNS;
        let mut after = Vec::new();
        loop {
            // Safe: a text of this module, without anything of a caller's.
            let page = sqlx::query(AssertSqlSafe(format!(
                "SELECT {columns} FROM keks WHERE kek_id > $1 ORDER BY kek_id LIMIT $2"
            )))
            .bind(after.clone())
            .bind(ROWS_PER_PAGE)
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(|error| store_error(&error))?
            .iter()
            .map(rows::kek)
            .collect::<Result<Vec<_>, _>>()?;
            let Some(last) = page.last() else {
                return Ok(true);
            };
            after = last.info.kek_id.as_bytes().to_vec();
            let page = page.into_iter().map(Record::Kek).collect();
            if self.records.send(page).await.is_err() {
                return Ok(false);
            }
        }
    }
}

fn entry(row: &AnyRow) -> Result<EntryRecord, StoreError> {
    let subject = log::subject(row)?;
    let creation = match subject {
        EntrySubject::Kek { .. } => Some(log::creation(row)?),
        EntrySubject::Statement { .. } | EntrySubject::Override => None,
    };
    Ok(EntryRecord {
        number: rows::count(row, "number")?,
        subject,
        entry: rows::bytes(row, "entry")?,
        index: rows::optional_count(row, "log_index")?,
        created_ms: rows::integer(row, "created_ms")?,
        creation,
    })
}
