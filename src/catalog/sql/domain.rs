//! What the catalog records of its domain: identities, regions, the revision.

use super::super::database::Statement;
use super::super::{CatalogError, Change, DomainStore, RegionCheck, Revision, StoreIdentities};
use super::{SqlCatalog, at, codes};
use crate::clock::UnixMs;
use crate::region::UpstreamBucket;
use crate::tenants::RegionName;
use async_trait::async_trait;

#[async_trait]
impl DomainStore for SqlCatalog {
    async fn identities(&self) -> Result<StoreIdentities, CatalogError> {
        let operation = "identities";
        let question = Statement::new(
            "SELECT catalog_identity, key_store_identity FROM domain
             WHERE id = 1 AND key_store_identity IS NOT NULL",
        );
        let row = self
            .read_one(operation, "record of the stores' identities", question)
            .await?;
        Ok(StoreIdentities {
            catalog: row.array("catalog_identity").map_err(at(operation))?,
            key_store: row.array("key_store_identity").map_err(at(operation))?,
        })
    }

    async fn record_identities(&self, identities: &StoreIdentities) -> Result<(), CatalogError> {
        let mut work = self.begin("record_identities").await?;
        let update = Statement::new(
            "UPDATE domain SET key_store_identity = $2 WHERE id = 1 AND catalog_identity = $1
                 AND (key_store_identity IS NULL OR key_store_identity = $2)",
        )
        .bind(identities.catalog.as_slice())
        .bind(identities.key_store.as_slice());
        if work.change(update).await? == 1 {
            return work.commit().await;
        }
        Err(work.conflict("other identities are recorded"))
    }

    async fn record_region(
        &self,
        region: &RegionName,
        identity: [u8; 16],
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("record_region").await?;
        let upsert = Statement::new(
            "INSERT INTO regions (name, identity) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET identity = excluded.identity WHERE regions.identity IS NULL",
        )
        .bind(region.as_str())
        .bind(identity.as_slice());
        if work.change(upsert).await? == 1 {
            return work.commit_with(&Change::Region(region.clone())).await;
        }
        let same = Statement::new("SELECT name FROM regions WHERE name = $1 AND identity = $2")
            .bind(region.as_str())
            .bind(identity.as_slice());
        match work.row(same).await? {
            Some(_) => Ok(()),
            None => Err(work.conflict("another identity is recorded for the region")),
        }
    }

    async fn region_identity(&self, region: &RegionName) -> Result<[u8; 16], CatalogError> {
        let operation = "region_identity";
        let question =
            Statement::new("SELECT identity FROM regions WHERE name = $1 AND identity IS NOT NULL")
                .bind(region.as_str());
        let row = self.read_one(operation, "region", question).await?;
        row.array("identity").map_err(at(operation))
    }

    async fn spool_bucket(
        &self,
        region: &RegionName,
        proposed: &UpstreamBucket,
    ) -> Result<UpstreamBucket, CatalogError> {
        let operation = "spool_bucket";
        let mut work = self.begin(operation).await?;
        let upsert = Statement::new(
            "INSERT INTO regions (name, spool_bucket) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET spool_bucket = COALESCE(regions.spool_bucket, excluded.spool_bucket)
             RETURNING spool_bucket",
        )
        .bind(region.as_str())
        .bind(proposed.as_str());
        let Some(row) = work.row(upsert).await? else {
            return Err(work.not_found("region"));
        };
        let bucket = row.get("spool_bucket").map_err(at(operation))?;
        work.commit().await?;
        Ok(UpstreamBucket::from_catalog(bucket))
    }

    async fn store_region_check(
        &self,
        region: &RegionName,
        check: &RegionCheck,
    ) -> Result<(), CatalogError> {
        let operation = "store_region_check";
        let unwritable = |_| CatalogError::Corrupt {
            operation,
            reason: "the outcome can't be written".to_owned(),
        };
        let profile = serde_json::to_string(&check.profile).map_err(unwritable)?;
        let missing = serde_json::to_string(&check.missing).map_err(unwritable)?;
        let mut work = self.begin(operation).await?;
        let upsert = Statement::new(
            "INSERT INTO regions (name, checked, profile, missing) VALUES ($1, $2, $3, $4)
             ON CONFLICT (name) DO UPDATE SET checked = excluded.checked, profile = excluded.profile,
                 missing = excluded.missing",
        )
        .bind(region.as_str())
        .bind(check.checked)
        .bind(profile.as_str())
        .bind(missing.as_str());
        if work.change(upsert).await? != 1 {
            return Err(work.not_found("region"));
        }
        work.commit_with(&Change::Region(region.clone())).await
    }

    async fn region_check(&self, region: &RegionName) -> Result<RegionCheck, CatalogError> {
        let operation = "region_check";
        let question = Statement::new(
            "SELECT checked, profile, missing FROM regions WHERE name = $1 AND checked IS NOT NULL",
        )
        .bind(region.as_str());
        let row = self.read_one(operation, "region check", question).await?;
        let unreadable = |_| CatalogError::Corrupt {
            operation,
            reason: "the stored outcome is of another version; run `lethe region check` again"
                .to_owned(),
        };
        let profile: String = row.get("profile").map_err(at(operation))?;
        let missing: String = row.get("missing").map_err(at(operation))?;
        Ok(RegionCheck {
            checked: UnixMs(row.get("checked").map_err(at(operation))?),
            profile: serde_json::from_str(&profile).map_err(unreadable)?,
            missing: serde_json::from_str(&missing).map_err(unreadable)?,
        })
    }

    async fn revision(&self) -> Result<Revision, CatalogError> {
        let operation = "revision";
        let question = Statement::new("SELECT revision FROM domain WHERE id = 1");
        let row = self.read_one(operation, "domain", question).await?;
        Ok(Revision(row.get("revision").map_err(at(operation))?))
    }

    async fn changes_since(&self, since: Revision) -> Result<Option<Vec<Change>>, CatalogError> {
        let operation = "changes_since";
        // One statement, so that the revision and the changes are of one moment.
        let question = Statement::new(
            "SELECT d.revision AS newest, c.revision, c.kind, c.tenant, c.name
             FROM domain d LEFT JOIN changes c ON c.revision > $1 WHERE d.id = 1
             ORDER BY c.revision DESC",
        )
        .bind(since.0);
        let rows = self.read(operation, question).await?;
        let Some(first) = rows.first() else {
            return Err(CatalogError::NotFound {
                operation,
                what: "domain",
            });
        };
        let newest: i64 = first.get("newest").map_err(at(operation))?;
        let revision: Option<i64> = first.get("revision").map_err(at(operation))?;
        let rows = if revision.is_some() {
            rows.as_slice()
        } else {
            &[]
        };
        // Every revision has one row, until it is pruned. A newest one before `since` is a catalog put back to an older state.
        let complete = i64::try_from(rows.len()).ok() == newest.checked_sub(since.0);
        if !complete {
            return Ok(None);
        }
        let changes = rows.iter().map(codes::change).collect::<Result<_, _>>();
        changes.map(Some).map_err(at(operation))
    }

    async fn ping(&self) -> Result<(), CatalogError> {
        self.revision().await.map(drop)
    }
}
