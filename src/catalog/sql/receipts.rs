//! Receipts: one a tenant and stage, whoever comes first.

use super::super::database::{DatabaseError, Row, Statement};
use super::super::{CatalogError, ReceiptId, ReceiptRow, ReceiptStore};
use super::codes::{self, Coded};
use super::{SqlCatalog, at};
use crate::clock::UnixMs;
use crate::tenants::TenantId;
use async_trait::async_trait;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, tenant, stage, envelope, entry, issued, logged, proof FROM receipts ",
            $rest
        )
    };
}

fn receipt_of(row: &Row) -> Result<ReceiptRow, DatabaseError> {
    let logged: Option<i64> = row.get("logged")?;
    Ok(ReceiptRow {
        id: ReceiptId::from_bytes(row.array("id")?),
        tenant: TenantId::from_bytes(row.array("tenant")?),
        stage: codes::state(row, "stage")?,
        envelope: row.get("envelope")?,
        entry: row.array("entry")?,
        issued: UnixMs(row.get("issued")?),
        logged: logged.map(|_| codes::number(row, "logged")).transpose()?,
        proof: row.get("proof")?,
    })
}

impl SqlCatalog {
    async fn many_receipts(
        &self,
        operation: &'static str,
        question: Statement,
    ) -> Result<Vec<ReceiptRow>, CatalogError> {
        let rows = self.read(operation, question).await?;
        rows.iter()
            .map(receipt_of)
            .collect::<Result<_, _>>()
            .map_err(at(operation))
    }
}

#[async_trait]
impl ReceiptStore for SqlCatalog {
    async fn keep_receipt(&self, receipt: &ReceiptRow) -> Result<ReceiptRow, CatalogError> {
        let operation = "keep_receipt";
        let mut work = self.begin(operation).await?;
        let insert = Statement::new(
            "INSERT INTO receipts (id, tenant, stage, envelope, entry, issued, settled)
             VALUES ($1, $2, $3, $4, $5, $6, 0)
             ON CONFLICT DO NOTHING",
        )
        .bind(receipt.id)
        .bind(receipt.tenant)
        .bind(receipt.stage.code())
        .bind(receipt.envelope.as_str())
        .bind(receipt.entry.as_slice())
        .bind(receipt.issued);
        work.change(insert).await?;
        let kept = Statement::new(select!("WHERE tenant = $1 AND stage = $2"))
            .bind(receipt.tenant)
            .bind(receipt.stage.code());
        let Some(row) = work.row(kept).await? else {
            return Err(work.exists("receipt"));
        };
        let kept = receipt_of(&row).map_err(at(operation))?;
        work.commit().await?;
        Ok(kept)
    }

    async fn receipt_logged(
        &self,
        tenant: TenantId,
        receipt: ReceiptId,
        index: u64,
        proof: &str,
        settled: bool,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("receipt_logged").await?;
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        let update = Statement::new(
            "UPDATE receipts SET logged = $3, proof = $4, settled = $5
             WHERE id = $1 AND tenant = $2 AND (logged IS NULL OR logged = $3)",
        )
        .bind(receipt)
        .bind(tenant)
        .bind(index)
        .bind(proof)
        .bind(i64::from(settled));
        if work.change(update).await? == 1 {
            return work.commit().await;
        }
        let question = Statement::new("SELECT id FROM receipts WHERE id = $1 AND tenant = $2");
        match work.row(question.bind(receipt).bind(tenant)).await? {
            Some(_) => Err(work.conflict("the log has the receipt in another place")),
            None => Err(work.not_found("receipt")),
        }
    }

    async fn receipts(&self, tenant: TenantId) -> Result<Vec<ReceiptRow>, CatalogError> {
        let question = Statement::new(select!("WHERE tenant = $1")).bind(tenant);
        let mut found = self.many_receipts("receipts", question).await?;
        found.sort_by_key(|receipt| receipt.stage);
        Ok(found)
    }

    async fn receipt(&self, receipt: ReceiptId) -> Result<ReceiptRow, CatalogError> {
        let operation = "receipt";
        let question = Statement::new(select!("WHERE id = $1")).bind(receipt);
        let row = self.read_one(operation, "receipt", question).await?;
        receipt_of(&row).map_err(at(operation))
    }

    async fn receipts_unlogged(&self, rows_max: u32) -> Result<Vec<ReceiptRow>, CatalogError> {
        // Those that only wait for witnesses must not keep others from the log.
        let question = Statement::new(select!(
            "WHERE settled = 0 ORDER BY CASE WHEN logged IS NULL THEN 0 ELSE 1 END, issued, id LIMIT $1"
        ));
        let question = question.bind(i64::from(rows_max));
        self.many_receipts("receipts_unlogged", question).await
    }
}
