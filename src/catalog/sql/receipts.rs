//! Receipts: one a tenant and stage, whoever comes first.

use super::super::database::{DatabaseError, Row, Statement};
use super::super::{CatalogError, ReceiptId, ReceiptProof, ReceiptRow, ReceiptStore, WitnessMark};
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

    async fn receipts_logged(
        &self,
        tenant: TenantId,
        proofs: &[ReceiptProof],
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("receipts_logged").await?;
        for one in proofs {
            let update = Statement::new(
                "UPDATE receipts SET logged = $3, proof = $4, settled = $5
                 WHERE id = $1 AND tenant = $2 AND (logged IS NULL OR logged = $3)
                   AND COALESCE(proof, '') = $6",
            )
            .bind(one.receipt)
            .bind(tenant)
            .bind(i64::try_from(one.index).unwrap_or(i64::MAX))
            .bind(one.proof.as_str())
            .bind(one.settled.map_or(0, WitnessMark::code))
            .bind(one.before.as_deref().unwrap_or_default());
            if work.change(update).await? == 1 {
                continue;
            }
            let question = Statement::new("SELECT id FROM receipts WHERE id = $1 AND tenant = $2");
            return match work.row(question.bind(one.receipt).bind(tenant)).await? {
                Some(_) => Err(work.conflict(
                    "the log has the receipt in another place, or it was proven meanwhile",
                )),
                None => Err(work.not_found("receipt")),
            };
        }
        work.commit().await
    }

    async fn unsettle_receipts(&self, wish: WitnessMark) -> Result<u64, CatalogError> {
        let mut work = self.begin("unsettle_receipts").await?;
        let update =
            Statement::new("UPDATE receipts SET settled = 0 WHERE settled <> 0 AND settled <> $1");
        let changed = work.change(update.bind(wish.code())).await?;
        work.commit().await?;
        Ok(changed)
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
