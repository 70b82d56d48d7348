//! Entries for the log: queued with what they are about, recorded when the log has them.

use std::collections::HashSet;

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use lethe_envelope::{KekId, TenantId};

use super::super::pool::store_error;
use super::super::{Announcement, Sequenced, StoreError};
use super::{SqlKeyStore, rows};
use crate::types::{CreationEntry, EntrySubject, PendingEntry, SequencedEntry};

/// Receipts that are looked for at a time.
const STATEMENTS_PER_QUERY: usize = 256;

/// Locks the store's row and answers the next entry's number; `None` when the store is not ready, or, for a KEK's
/// creation, held.
pub(super) async fn next_entry(
    transaction: &mut Transaction<'static, Any>,
    of_kek: bool,
) -> Result<Option<i64>, StoreError> {
    // `held` is judged on the row as it is once the lock is had, so a move of the root cannot slip between.
    let statement = if of_kek {
        "UPDATE key_store SET entry = entry + 1 WHERE id = 1 AND state = 'ready' AND held = 0 RETURNING entry"
    } else {
        "UPDATE key_store SET entry = entry + 1 WHERE id = 1 AND state <> 'initializing' RETURNING entry"
    };
    sqlx::query(statement)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(|error| store_error(&error))?
        .map(|row| rows::integer(&row, "entry"))
        .transpose()
}

pub(super) fn subject(row: &AnyRow) -> Result<EntrySubject, StoreError> {
    match rows::text(row, "kind")?.as_str() {
        "kek" => Ok(EntrySubject::Kek {
            tenant: rows::tenant(row)?,
            version: rows::version(row)?,
        }),
        "statement" => Ok(EntrySubject::Statement {
            receipt_id: rows::bytes(row, "receipt_id")?,
        }),
        "override" => Ok(EntrySubject::Override),
        _ => Err(StoreError::Corrupt("entry kind")),
    }
}

pub(super) fn creation(row: &AnyRow) -> Result<CreationEntry, StoreError> {
    Ok(CreationEntry {
        version: rows::version(row)?,
        kek_id: KekId::from_bytes(rows::bytes(row, "kek_id")?),
        commitment: rows::bytes(row, "commitment")?,
        nonce: rows::bytes(row, "nonce")?,
        previous: rows::bytes(row, "previous")?,
        entry: rows::bytes(row, "entry")?,
        index: rows::optional_count(row, "log_index")?,
    })
}

impl SqlKeyStore {
    pub(super) async fn read_pending(&self, max: usize) -> Result<Vec<PendingEntry>, StoreError> {
        self.gate.pass()?;
        sqlx::query(
            "SELECT number, kind, entry, tenant, version, receipt_id FROM log_entries WHERE log_index IS NULL \
             ORDER BY number LIMIT $1",
        )
        .bind(i64::try_from(max).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(|error| store_error(&error))?
        .iter()
        .map(|row| {
            Ok(PendingEntry {
                number: rows::count(row, "number")?,
                subject: subject(row)?,
                entry: rows::bytes(row, "entry")?,
            })
        })
        .collect()
    }

    pub(super) async fn read_sequenced(
        &self,
        from: u64,
        max: usize,
    ) -> Result<Vec<SequencedEntry>, StoreError> {
        self.gate.pass()?;
        sqlx::query(
            "SELECT log_index, kind, tenant, version, receipt_id, entry FROM log_entries WHERE log_index >= $1 ORDER BY log_index LIMIT $2",
        )
        .bind(rows::stored(from, "log index")?)
        .bind(i64::try_from(max).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(|error| store_error(&error))?
        .iter()
        .map(|row| {
            Ok(SequencedEntry {
                index: rows::count(row, "log_index")?,
                entry: rows::bytes(row, "entry")?,
                receipt_id: match subject(row)? {
                    EntrySubject::Statement { receipt_id } => Some(receipt_id),
                    EntrySubject::Kek { .. } | EntrySubject::Override => None,
                },
            })
        })
        .collect()
    }

    /// Of those that are there: a KEK that was destroyed since needs no backup.
    pub(super) async fn count_keks_since(&self, unix_ms: i64) -> Result<u64, StoreError> {
        self.gate.pass()?;
        let row = sqlx::query("SELECT COUNT(*) AS keks FROM keks WHERE created_ms > $1")
            .bind(unix_ms)
            .fetch_one(&self.pool)
            .await
            .map_err(|error| store_error(&error))?;
        rows::count(&row, "keks")
    }

    pub(super) async fn write_entry(
        &self,
        announcement: Announcement,
        entry: &[u8; 32],
        created_ms: i64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        self.gate.pass()?;
        let number = next_entry(&mut transaction, false)
            .await?
            .ok_or(StoreError::Missing)?;
        let (kind, receipt_id) = match announcement {
            Announcement::Statement { receipt_id } => ("statement", Some(receipt_id.to_vec())),
            Announcement::Override => ("override", None),
        };
        self.gate.pass()?;
        let inserted = sqlx::query(
            "INSERT INTO log_entries (number, kind, entry, receipt_id, created_ms) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (entry) DO NOTHING",
        )
        .bind(number)
        .bind(kind)
        .bind(entry.to_vec())
        .bind(receipt_id)
        .bind(created_ms)
        .execute(&mut *transaction)
        .await
        .map_err(|error| store_error(&error))?;
        if inserted.rows_affected() == 0 {
            // It is there: the number is given back.
            return Ok(());
        }
        self.commit(transaction).await
    }

    pub(super) async fn write_sequenced(
        &self,
        first_index: u64,
        entries: &[[u8; 32]],
    ) -> Result<Sequenced, StoreError> {
        let mut transaction = self.begin().await?;
        self.gate.pass()?;
        let row = sqlx::query("UPDATE key_store SET entry = entry WHERE id = 1 RETURNING log_size")
            .fetch_optional(&mut *transaction)
            .await
            .map_err(|error| store_error(&error))?
            .ok_or(StoreError::Missing)?;
        let log_size = rows::count(&row, "log_size")?;
        if first_index > log_size {
            return Ok(Sequenced::Gap { log_size });
        }
        let mut activated = Vec::new();
        for (index, entry) in (first_index..).zip(entries) {
            self.gate.pass()?;
            match record_entry(&mut transaction, index, entry).await? {
                Recorded::Kek(tenant, version) => {
                    self.gate.pass()?;
                    if activate(&mut transaction, tenant, version).await? {
                        activated.push(tenant);
                    }
                }
                Recorded::Other => {}
                // Below the recorded size it was accepted before, whatever it is.
                Recorded::Unknown if index < log_size => {}
                Recorded::Unknown => return Ok(Sequenced::Unknown { index }),
            }
        }
        let end = first_index.saturating_add(entries.len() as u64);
        self.gate.pass()?;
        sqlx::query("UPDATE key_store SET log_size = $1 WHERE id = 1 AND log_size < $1")
            .bind(rows::stored(end, "log size")?)
            .execute(&mut *transaction)
            .await
            .map_err(|error| store_error(&error))?;
        self.commit(transaction).await?;
        Ok(Sequenced::Recorded(activated))
    }

    pub(super) async fn write_log_size(&self, log_size: u64) -> Result<(), StoreError> {
        self.gate.pass()?;
        sqlx::query("UPDATE key_store SET log_size = $1 WHERE id = 1 AND log_size < $1")
            .bind(rows::stored(log_size, "log size")?)
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|error| store_error(&error))
    }

    pub(super) async fn read_entry_index(
        &self,
        entry: &[u8; 32],
    ) -> Result<Option<Option<u64>>, StoreError> {
        self.gate.pass()?;
        sqlx::query("SELECT log_index FROM log_entries WHERE entry = $1")
            .bind(entry.to_vec())
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| store_error(&error))?
            .map(|row| rows::optional_count(&row, "log_index"))
            .transpose()
    }

    pub(super) async fn read_unknown_statements(
        &self,
        receipts: &[[u8; 16]],
    ) -> Result<Vec<[u8; 16]>, StoreError> {
        let mut known = HashSet::with_capacity(receipts.len());
        for chunk in receipts.chunks(STATEMENTS_PER_QUERY) {
            self.gate.pass()?;
            let places: Vec<String> = (1..=chunk.len()).map(|place| format!("${place}")).collect();
            // Safe: the text is made of placeholders alone.
            let statement = AssertSqlSafe(format!(
                "SELECT receipt_id FROM log_entries WHERE receipt_id IN ({})",
                places.join(", ")
            ));
            let mut query = sqlx::query(statement).persistent(false);
            for receipt in chunk {
                query = query.bind(receipt.to_vec());
            }
            let rows = query.fetch_all(&self.pool).await;
            for row in &rows.map_err(|error| store_error(&error))? {
                known.insert(rows::bytes::<16>(row, "receipt_id")?);
            }
        }
        let unknown = receipts.iter().filter(|receipt| !known.contains(*receipt));
        Ok(unknown.copied().collect())
    }

    pub(super) async fn read_creations(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<CreationEntry>, StoreError> {
        self.gate.pass()?;
        sqlx::query(
            "SELECT version, kek_id, nonce, commitment, previous, entry, log_index FROM log_entries \
             WHERE tenant = $1 ORDER BY version",
        )
        .bind(tenant.as_bytes().to_vec())
        .fetch_all(&self.pool)
        .await
        .map_err(|error| store_error(&error))?
        .iter()
        .map(creation)
        .collect()
    }
}

enum Recorded {
    Kek(TenantId, u32),
    Other,
    Unknown,
}

async fn record_entry(
    transaction: &mut Transaction<'static, Any>,
    index: u64,
    entry: &[u8; 32],
) -> Result<Recorded, StoreError> {
    // An entry that a crash made the log take twice keeps its first index.
    let row = sqlx::query(
        "UPDATE log_entries SET log_index = COALESCE(log_index, $1) WHERE entry = $2 \
         RETURNING kind, tenant, version, receipt_id",
    )
    .bind(rows::stored(index, "log index")?)
    .bind(entry.to_vec())
    .fetch_optional(&mut **transaction)
    .await
    .map_err(|error| store_error(&error))?;
    let Some(row) = row else {
        return Ok(Recorded::Unknown);
    };
    Ok(match subject(&row)? {
        EntrySubject::Kek { tenant, version } => Recorded::Kek(tenant, version),
        EntrySubject::Statement { .. } | EntrySubject::Override => Recorded::Other,
    })
}

/// Makes a pending KEK the sealing one, unless it is already, or gone.
async fn activate(
    transaction: &mut Transaction<'static, Any>,
    tenant: TenantId,
    version: u32,
) -> Result<bool, StoreError> {
    let pending: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM keks WHERE tenant = $1 AND version = $2 AND state = 'pending'",
    )
    .bind(tenant.as_bytes().to_vec())
    .bind(i64::from(version))
    .fetch_one(&mut **transaction)
    .await
    .map_err(|error| store_error(&error))?;
    if pending == 0 {
        return Ok(false);
    }
    for statement in [
        "UPDATE keks SET state = 'decrypt-only' WHERE tenant = $1 AND version < $2 AND state = 'active'",
        "UPDATE keks SET state = 'active' WHERE tenant = $1 AND version = $2 AND state = 'pending'",
    ] {
        sqlx::query(statement)
            .bind(tenant.as_bytes().to_vec())
            .bind(i64::from(version))
            .execute(&mut **transaction)
            .await
            .map_err(|error| store_error(&error))?;
    }
    Ok(true)
}
