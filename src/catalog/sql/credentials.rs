//! Credentials.

use super::super::database::{DatabaseError, Row, Statement};
use super::super::{
    CatalogError, Change, CredentialRow, CredentialState, CredentialStore, NewCredential,
};
use super::codes::{self, Coded};
use super::{SqlCatalog, Work, at};
use crate::clock::UnixMs;
use crate::tenants::access::{Grant, GrantChange, Scope};
use crate::tenants::{AccessKeyId, RegionName, Tenant, TenantId, TenantName};
use async_trait::async_trait;
use std::sync::Arc;

/// The columns that a grant is written in.
fn grant_of(row: &Row) -> Result<Grant, DatabaseError> {
    let permissions = row.get::<String>("permissions")?;
    let scope = match row.get::<Option<String>>("scope")? {
        None => Scope::Everything,
        Some(text) => serde_json::from_str::<Vec<String>>(&text)
            .ok()
            .and_then(|texts| Scope::of(&texts).ok())
            .filter(|scope| *scope != Scope::Everything)
            .ok_or_else(|| DatabaseError::corrupt("scope"))?,
    };
    Ok(Grant {
        permissions: permissions
            .parse()
            .map_err(|_| DatabaseError::corrupt("permissions"))?,
        scope,
        expires: row.get::<Option<i64>>("expires")?.map(UnixMs),
    })
}

/// A scope's column.
fn scope_text(scope: &Scope) -> Option<String> {
    let texts = match scope {
        Scope::Everything => return None,
        Scope::Only(_) => scope.texts(),
    };
    Some(serde_json::Value::from(texts).to_string())
}

/// Reads the columns `id`, `tenant`, `sealed_secret`, `permissions`, `scope`, `expires`, `state`, `created`.
fn credential_of(row: &Row) -> Result<CredentialRow, DatabaseError> {
    Ok(CredentialRow {
        tenant: TenantId::from_bytes(row.array("tenant")?),
        id: codes::name(row, "id", AccessKeyId::new)?,
        sealed_secret: row.get("sealed_secret")?,
        grant: Arc::new(grant_of(row)?),
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
        "SELECT id, tenant, sealed_secret, permissions, scope, expires, state, created
         FROM credentials WHERE id = $1",
    )
    .bind(new.id.as_str());
    if let Some(row) = work.row(question).await? {
        let found = credential_of(&row).map_err(at(work.operation))?;
        let is_same = found.tenant == new.tenant
            && found.sealed_secret == new.sealed_secret
            && found.grant == new.grant;
        if !is_same {
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
            "INSERT INTO credentials
                 (id, tenant, sealed_secret, state, created, permissions, scope, expires)
             SELECT $1, id, $3, $4, $5, $6, $7, $8 FROM tenants WHERE id = $2 AND state <> 'shredded'
             ON CONFLICT DO NOTHING",
        )
        .bind(new.id.as_str())
        .bind(new.tenant)
        .bind(new.sealed_secret.as_slice())
        .bind(CredentialState::Creating.code())
        .bind(new.created)
        .bind(new.grant.permissions.to_string().as_str())
        .bind(scope_text(&new.grant.scope).as_deref())
        .bind(new.grant.expires.map(|at| at.0));
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

    async fn change_grant(
        &self,
        tenant: TenantId,
        id: &AccessKeyId,
        change: &GrantChange,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("change_grant").await?;
        let permissions = change
            .permissions
            .map(|permissions| permissions.to_string());
        let changes_scope = i64::from(change.scope.is_some());
        let scope = change.scope.as_ref().and_then(scope_text);
        let changes_expiry = i64::from(change.expires.is_some());
        let expires = change.expires.flatten().map(|at| at.0);
        let update = Statement::new(
            "UPDATE credentials SET permissions = COALESCE($3, permissions),
                 scope = CASE WHEN $4 = 1 THEN $5 ELSE scope END,
                 expires = CASE WHEN $6 = 1 THEN $7 ELSE expires END
             WHERE id = $1 AND tenant = $2 AND state <> 'revoked'",
        )
        .bind(id.as_str())
        .bind(tenant)
        .bind(permissions.as_deref())
        .bind(changes_scope)
        .bind(scope.as_deref())
        .bind(changes_expiry)
        .bind(expires);
        if work.change(update).await? == 1 {
            return work.commit_with(&Change::Credential(id.clone())).await;
        }
        state_of(&mut work, tenant, id).await?;
        Err(work.conflict("the credential is revoked"))
    }

    async fn credential(&self, id: &AccessKeyId) -> Result<(CredentialRow, Tenant), CatalogError> {
        let operation = "credential";
        let question = Statement::new(
            "SELECT c.id, c.tenant, c.sealed_secret, c.permissions, c.scope, c.expires, c.state,
                 c.created, t.name AS tenant_name, t.region AS tenant_region,
                 t.state AS tenant_state, t.created AS tenant_created
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
            "SELECT id, tenant, sealed_secret, permissions, scope, expires, state, created
             FROM credentials WHERE tenant = $1 ORDER BY id",
        )
        .bind(tenant);
        let rows = self.read(operation, question).await?;
        rows.iter()
            .map(credential_of)
            .collect::<Result<_, _>>()
            .map_err(at(operation))
    }
}
