//! Credentials.

use super::super::database::{DatabaseError, Row, Statement};
use super::super::{
    CatalogError, Change, CredentialRow, CredentialState, CredentialStore, NewCredential,
};
use super::codes::{self, Coded};
use super::{SqlCatalog, Work, at};
use crate::clock::UnixMs;
use crate::tenants::{AccessKeyId, RegionName, Tenant, TenantId, TenantName};
use async_trait::async_trait;

/// Reads the columns `id`, `tenant`, `sealed_secret`, `state`, `created`.
fn credential_of(row: &Row) -> Result<CredentialRow, DatabaseError> {
    Ok(CredentialRow {
        tenant: TenantId::from_bytes(row.array("tenant")?),
        id: codes::name(row, "id", AccessKeyId::new)?,
        sealed_secret: row.get("sealed_secret")?,
        state: codes::state(row, "state")?,
        created: UnixMs(row.get("created")?),
    })
}

fn tenant_of(row: &Row) -> Result<Tenant, DatabaseError> {
    Ok(Tenant {
        id: TenantId::from_bytes(row.array("tenant")?),
        name: codes::name(row, "tenant_name", TenantName::new)?,
        region: codes::name(row, "tenant_region", RegionName::new)?,
        state: codes::state(row, "tenant_state")?,
        created: UnixMs(row.get("tenant_created")?),
    })
}

/// The state of a tenant's credential, in the transaction that could not change it.
async fn state_of(
    work: &mut Work,
    tenant: TenantId,
    id: &AccessKeyId,
) -> Result<CredentialState, CatalogError> {
    let question = Statement::new("SELECT state FROM credentials WHERE id = $1 AND tenant = $2")
        .bind(id.as_str())
        .bind(tenant);
    match work.row(question).await? {
        Some(row) => codes::state(&row, "state").map_err(at(work.operation)),
        None => Err(work.not_found("credential")),
    }
}

/// Why a credential could not be added.
async fn why_not_begun(work: &mut Work, new: &NewCredential) -> Result<(), CatalogError> {
    let question = Statement::new(
        "SELECT id, tenant, sealed_secret, state, created FROM credentials WHERE id = $1",
    )
    .bind(new.id.as_str());
    if let Some(row) = work.row(question).await? {
        let found = credential_of(&row).map_err(at(work.operation))?;
        if found.tenant != new.tenant || found.sealed_secret != new.sealed_secret {
            return Err(work.exists("credential"));
        }
        if found.state == CredentialState::Revoked {
            return Err(work.conflict("the credential is revoked"));
        }
        return Ok(());
    }
    let question = Statement::new("SELECT state FROM tenants WHERE id = $1").bind(new.tenant);
    match work.row(question).await? {
        Some(_) => Err(work.conflict("the tenant is shredded")),
        None => Err(work.not_found("tenant")),
    }
}

#[async_trait]
impl CredentialStore for SqlCatalog {
    async fn begin_credential(&self, new: &NewCredential) -> Result<(), CatalogError> {
        let mut work = self.begin("begin_credential").await?;
        let insert = Statement::new(
            "INSERT INTO credentials (id, tenant, sealed_secret, state, created)
             SELECT $1, id, $3, $4, $5 FROM tenants WHERE id = $2 AND state <> 'shredded'
             ON CONFLICT DO NOTHING",
        )
        .bind(new.id.as_str())
        .bind(new.tenant)
        .bind(new.sealed_secret.as_slice())
        .bind(CredentialState::Creating.code())
        .bind(new.created);
        if work.change(insert).await? == 1 {
            let change = Change::Credential(new.id.clone());
            return work.commit_with(&change).await;
        }
        why_not_begun(&mut work, new).await
    }

    async fn activate_credential(
        &self,
        tenant: TenantId,
        id: &AccessKeyId,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("activate_credential").await?;
        let update = Statement::new(
            "UPDATE credentials SET state = 'active'
             WHERE id = $1 AND tenant = $2 AND state = 'creating'",
        )
        .bind(id.as_str())
        .bind(tenant);
        if work.change(update).await? == 1 {
            return work.commit_with(&Change::Credential(id.clone())).await;
        }
        match state_of(&mut work, tenant, id).await? {
            CredentialState::Active => Ok(()),
            CredentialState::Creating | CredentialState::Revoked => {
                Err(work.conflict("the credential is revoked"))
            }
        }
    }

    async fn revoke_credential(
        &self,
        tenant: TenantId,
        id: &AccessKeyId,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("revoke_credential").await?;
        let update = Statement::new(
            "UPDATE credentials SET state = 'revoked'
             WHERE id = $1 AND tenant = $2 AND state <> 'revoked'",
        )
        .bind(id.as_str())
        .bind(tenant);
        if work.change(update).await? == 1 {
            return work.commit_with(&Change::Credential(id.clone())).await;
        }
        state_of(&mut work, tenant, id).await.map(drop)
    }

    async fn credential(&self, id: &AccessKeyId) -> Result<(CredentialRow, Tenant), CatalogError> {
        let operation = "credential";
        let question = Statement::new(
            "SELECT c.id, c.tenant, c.sealed_secret, c.state, c.created, t.name AS tenant_name,
                 t.region AS tenant_region, t.state AS tenant_state, t.created AS tenant_created
             FROM credentials c JOIN tenants t ON t.id = c.tenant WHERE c.id = $1",
        )
        .bind(id.as_str());
        let row = self.read_one(operation, "credential", question).await?;
        let credential = credential_of(&row).map_err(at(operation))?;
        Ok((credential, tenant_of(&row).map_err(at(operation))?))
    }

    async fn credentials(&self, tenant: TenantId) -> Result<Vec<CredentialRow>, CatalogError> {
        let operation = "credentials";
        let question = Statement::new(
            "SELECT id, tenant, sealed_secret, state, created FROM credentials
             WHERE tenant = $1 ORDER BY id",
        )
        .bind(tenant);
        let rows = self.read(operation, question).await?;
        rows.iter()
            .map(credential_of)
            .collect::<Result<_, _>>()
            .map_err(at(operation))
    }
}
