//! Tenants.

use super::super::database::{DatabaseError, Row, Statement};
use super::super::{CatalogError, Change, NewTenant, TenantStore};
use super::codes::{self, Coded};
use super::{SqlCatalog, at};
use crate::clock::UnixMs;
use crate::tenants::{RegionName, Tenant, TenantId, TenantName, TenantState};
use async_trait::async_trait;

/// Reads the columns `id`, `name`, `region`, `state`, `created`.
fn tenant_of(row: &Row) -> Result<Tenant, DatabaseError> {
    Ok(Tenant {
        id: TenantId::from_bytes(row.array("id")?),
        name: codes::name(row, "name", TenantName::new)?,
        region: codes::name(row, "region", RegionName::new)?,
        state: codes::state(row, "state")?,
        created: UnixMs(row.get("created")?),
    })
}

#[async_trait]
impl TenantStore for SqlCatalog {
    async fn begin_tenant(&self, new: &NewTenant) -> Result<(), CatalogError> {
        let operation = "begin_tenant";
        let mut work = self.begin(operation).await?;
        let insert = Statement::new(
            "INSERT INTO tenants (id, name, region, state, created, bucket_count)
             VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT DO NOTHING",
        )
        .bind(new.id)
        .bind(new.name.as_str())
        .bind(new.region.as_str())
        .bind(TenantState::Creating.code())
        .bind(new.created);
        if work.change(insert).await? == 1 {
            return work.commit_with(&Change::Tenant(new.id)).await;
        }
        let same =
            Statement::new("SELECT id FROM tenants WHERE id = $1 AND name = $2 AND region = $3")
                .bind(new.id)
                .bind(new.name.as_str())
                .bind(new.region.as_str());
        match work.row(same).await? {
            Some(_) => Ok(()),
            None => Err(work.exists("tenant")),
        }
    }

    async fn move_tenant(
        &self,
        tenant: TenantId,
        from: &[TenantState],
        to: TenantState,
    ) -> Result<(), CatalogError> {
        let operation = "move_tenant";
        let mut work = self.begin(operation).await?;
        let update = Statement::new(
            "UPDATE tenants SET state = $2 WHERE id = $1 AND state IN ($3, $4, $5, $6, $7)",
        )
        .bind(tenant)
        .bind(to.code());
        let update = codes::state_codes::<_, 5>(from)
            .into_iter()
            .fold(update, Statement::bind);
        if work.change(update).await? == 1 {
            return work.commit_with(&Change::Tenant(tenant)).await;
        }
        let question = Statement::new("SELECT state FROM tenants WHERE id = $1").bind(tenant);
        let Some(row) = work.row(question).await? else {
            return Err(work.not_found("tenant"));
        };
        if codes::state::<TenantState>(&row, "state").map_err(at(operation))? == to {
            Ok(())
        } else {
            Err(work.conflict("the tenant is in another state"))
        }
    }

    async fn tenant(&self, tenant: TenantId) -> Result<Tenant, CatalogError> {
        let operation = "tenant";
        let question =
            Statement::new("SELECT id, name, region, state, created FROM tenants WHERE id = $1")
                .bind(tenant);
        let row = self.read_one(operation, "tenant", question).await?;
        tenant_of(&row).map_err(at(operation))
    }

    /// The living tenant of that name, else the last that was shredded.
    async fn tenant_named(&self, name: &TenantName) -> Result<Tenant, CatalogError> {
        let operation = "tenant_named";
        let question = Statement::new(
            "SELECT id, name, region, state, created FROM tenants WHERE name = $1
             ORDER BY CASE WHEN state = 'shredded' THEN 1 ELSE 0 END, created DESC LIMIT 1",
        )
        .bind(name.as_str());
        let row = self.read_one(operation, "tenant", question).await?;
        tenant_of(&row).map_err(at(operation))
    }

    /// Shredded tenants may share a name with others, so a page never ends between two of one name while it can end before them.
    async fn tenants(
        &self,
        after: Option<&TenantName>,
        rows_max: u32,
    ) -> Result<Vec<Tenant>, CatalogError> {
        let operation = "tenants";
        let question = Statement::new(
            "SELECT id, name, region, state, created FROM tenants WHERE name > $1
             ORDER BY name, id LIMIT $2",
        )
        .bind(after.map_or("", TenantName::as_str))
        .bind(i64::from(rows_max).saturating_add(1));
        let rows = self.read(operation, question).await?;
        let mut tenants = rows
            .iter()
            .map(tenant_of)
            .collect::<Result<Vec<_>, _>>()
            .map_err(at(operation))?;
        let wanted = usize::try_from(rows_max).unwrap_or(usize::MAX);
        if tenants.len() > wanted
            && let Some(next) = tenants.pop()
        {
            let before = tenants
                .iter()
                .take_while(|tenant| tenant.name < next.name)
                .count();
            if before > 0 {
                tenants.truncate(before);
            }
        }
        Ok(tenants)
    }
}
