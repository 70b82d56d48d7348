//! `/v1/tenants/{tenant}/credentials`.

use super::create::{import_credential, issue_credential};
use super::effect::{EffectView, Effected};
use super::error::{ApiError, ErrorBody};
use super::grants;
use super::server::{Acting, JsonBody};
use super::state::{Admin, AdminDomain};
use super::tenants::InDomain;
use crate::catalog::{CredentialRow, JobKind};
use crate::clock::UnixMs;
use crate::tenants::{AccessKeyId, Subject};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// A credential without its secret.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CredentialView {
    /// The access-key id.
    pub access_key_id: String,
    /// `creating`, `active`, `expired` or `revoked`.
    pub state: String,
    /// What it may do: `read`, `write`, `list`, `delete`, `admin`.
    pub allow: Vec<String>,
    /// Where: `BUCKET` or `BUCKET:PREFIX`, or `*` for everything.
    pub scope: Vec<String>,
    /// Until when, in RFC 3339; absent when it never expires.
    pub expires: Option<String>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
}

impl CredentialView {
    fn of(row: &CredentialRow, now: UnixMs) -> Self {
        Self {
            access_key_id: row.id.to_string(),
            state: grants::state(row, now).to_owned(),
            allow: grants::allow(row),
            scope: row.grant.scope.texts(),
            expires: grants::expires(row),
            created_ms: row.created.0,
        }
    }
}

/// A new credential; its secret is shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct IssuedCredential {
    /// The tenant's id.
    pub tenant: String,
    /// The access-key id.
    pub access_key_id: String,
    /// The secret access key.
    #[serde(with = "wire_secret")]
    #[schema(value_type = String)]
    pub secret_access_key: Zeroizing<String>,
}

/// Secrets have no serde of their own, so that they reach the wire only where a field says so.
mod wire_secret {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(
        secret: &Zeroizing<String>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(from).map(Zeroizing::new)
    }
}

/// A credential to create.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCredential {
    /// The access-key id of an earlier try that failed, to finish it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// What it may do: any of `read`, `write`, `list`, `delete`, `admin`; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// Where: `BUCKET`, `BUCKET:PREFIX` for the keys that begin so, or `*` alone for everything; everything when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<String>>,
    /// Until when, in RFC 3339, or `never`; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// An access key that exists elsewhere.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportCredential {
    /// The access-key id.
    pub access_key_id: String,
    /// The secret access key.
    #[serde(with = "wire_secret")]
    #[schema(value_type = String)]
    pub secret_access_key: Zeroizing<String>,
    /// What it may do: any of `read`, `write`, `list`, `delete`, `admin`; when absent, all of them for a key that is new here, and what they are for one that is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// Where: `BUCKET`, `BUCKET:PREFIX` for the keys that begin so, or `*` alone for everything; when absent, as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<String>>,
    /// Until when, in RFC 3339, or `never`; when absent, as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// What a credential may do from now on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeGrant {
    /// What it may do: any of `read`, `write`, `list`, `delete`, `admin`; unchanged when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// Where: `BUCKET`, `BUCKET:PREFIX` for the keys that begin so, or `*` alone for everything; unchanged when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<String>>,
    /// Until when, in RFC 3339, or `never`; unchanged when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

macro_rules! asked {
    ($body:ident) => {
        grants::Asked {
            allow: $body.allow.as_deref(),
            scope: $body.scope.as_deref(),
            expires: $body.expires.as_deref(),
        }
    };
}

/// Creates a credential with a random secret.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/credentials", tag = "credentials", request_body = CreateCredential,
    params(("tenant" = String, Path, description = "id or name"), InDomain),
    responses((status = 200, body = IssuedCredential), (status = 409, body = ErrorBody)))]
pub(super) async fn create(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path(tenant): Path<String>,
    Query(within): Query<InDomain>,
    JsonBody(body): JsonBody<CreateCredential>,
) -> Result<Json<IssuedCredential>, ApiError> {
    acting.operates()?;
    let asked = asked!(body).change(admin.clock.now())?;
    let (domain, tenant) = admin.tenant(&tenant, within.domain.as_deref()).await?;
    let id = body.access_key_id.map(AccessKeyId::new).transpose()?;
    let issued = issue_credential(&domain.stores, &tenant, id, asked).await?;
    acting.done("credential-create", Some(tenant.id));
    known_soon(&admin, domain).await;
    Ok(Json(IssuedCredential {
        tenant: tenant.id.to_string(),
        access_key_id: issued.id.to_string(),
        secret_access_key: issued.secret,
    }))
}

/// Takes over an access key that the tenant's applications use already.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/credentials/import", tag = "credentials", request_body = ImportCredential,
    params(("tenant" = String, Path, description = "id or name"), InDomain),
    responses((status = 200, body = CredentialView), (status = 409, body = ErrorBody)))]
pub(super) async fn import(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path(tenant): Path<String>,
    Query(within): Query<InDomain>,
    JsonBody(body): JsonBody<ImportCredential>,
) -> Result<Json<CredentialView>, ApiError> {
    acting.operates()?;
    let asked = asked!(body).change(admin.clock.now())?;
    let (domain, tenant) = admin.tenant(&tenant, within.domain.as_deref()).await?;
    let id = AccessKeyId::new(body.access_key_id)?;
    let secret = &body.secret_access_key;
    import_credential(&domain.stores, &tenant, &id, secret, asked).await?;
    acting.done("credential-import", Some(tenant.id));
    known_soon(&admin, domain).await;
    let (row, _) = domain.stores.catalog.credential(&id).await?;
    Ok(Json(CredentialView::of(&row, admin.clock.now())))
}

/// Lists a tenant's credentials.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/credentials", tag = "credentials",
    params(("tenant" = String, Path, description = "id or name"), InDomain),
    responses((status = 200, body = Vec<CredentialView>), (status = 404, body = ErrorBody)))]
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    Path(tenant): Path<String>,
    Query(within): Query<InDomain>,
) -> Result<Json<Vec<CredentialView>>, ApiError> {
    let (domain, tenant) = admin.tenant(&tenant, within.domain.as_deref()).await?;
    let rows = domain.stores.catalog.credentials(tenant.id).await?;
    let now = admin.clock.now();
    let views = rows.iter().map(|row| CredentialView::of(row, now));
    Ok(Json(views.collect()))
}

/// Waits a little for the other gateways to know a new key. It is made: whether they say so in time changes nothing.
async fn known_soon(admin: &Admin, domain: &AdminDomain) {
    if let Err(error) = domain.effective_now(admin.limits.known_deadline).await {
        tracing::debug!(op = "credential", %error, "a gateway has not said that it knows the new key");
    }
}

/// Changes what a credential may do; returns when no gateway goes by what it might do before: all have acknowledged, or their lease on the
/// catalog ended.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/credentials/{id}/grant", tag = "credentials", request_body = ChangeGrant,
    params(("tenant" = String, Path, description = "id or name"), ("id" = String, Path, description = "access-key id"), InDomain),
    responses((status = 200, body = Effected<CredentialView>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn change_grant(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path((tenant, id)): Path<(String, String)>,
    Query(within): Query<InDomain>,
    JsonBody(body): JsonBody<ChangeGrant>,
) -> Result<Json<Effected<CredentialView>>, ApiError> {
    acting.operates()?;
    let asked = asked!(body).change(admin.clock.now())?;
    if asked.is_empty() {
        return Err(ApiError::invalid(
            "nothing is to be changed",
            "name at least one of allow, scope and expires; what is left out stays as it is",
        ));
    }
    let (domain, tenant) = admin.tenant(&tenant, within.domain.as_deref()).await?;
    let id = AccessKeyId::new(id)?;
    let catalog = &domain.stores.catalog;
    catalog.change_grant(tenant.id, &id, &asked).await?;
    acting.done("credential-grant", Some(tenant.id));
    let (row, _) = catalog.credential(&id).await?;
    let effect = domain.effective_now(admin.limits.effect_deadline).await?;
    Ok(Json(Effected {
        now: CredentialView::of(&row, admin.clock.now()),
        gateways: EffectView::of(&effect),
    }))
}

/// Revokes a credential; returns when no gateway accepts it any more: all have acknowledged, or their lease on the catalog ended.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/credentials/{id}/revoke", tag = "credentials",
    params(("tenant" = String, Path, description = "id or name"), ("id" = String, Path, description = "access-key id"), InDomain),
    responses((status = 200, body = Effected<CredentialView>), (status = 404, body = ErrorBody)))]
pub(super) async fn revoke(
    State(admin): State<Arc<Admin>>,
    acting: Acting,
    Path((tenant, id)): Path<(String, String)>,
    Query(within): Query<InDomain>,
) -> Result<Json<Effected<CredentialView>>, ApiError> {
    acting.operates()?;
    let (domain, tenant) = admin.tenant(&tenant, within.domain.as_deref()).await?;
    let id = AccessKeyId::new(id)?;
    let stores = &domain.stores;
    // The job takes the key out of the directory should this request not get so far.
    let subject = Subject::Credential(id.clone()).to_string();
    let due = admin.clock.now().plus_ms(60_000);
    stores
        .catalog
        .enqueue(JobKind::FinishCredential, &subject, due)
        .await?;
    stores.catalog.revoke_credential(tenant.id, &id).await?;
    acting.done("credential-revoke", Some(tenant.id));
    let (row, _) = match stores.finish_credential(&id).await {
        Ok(finished) => finished,
        // Revoked it is; only the directory still knows its hash, and the job sees to that.
        Err(error) => {
            tracing::warn!(tenant = %tenant.id, op = "credential-revoke", outcome = "deferred", %error, "the directory's entry stays for now");
            stores
                .catalog
                .credential(&id)
                .await
                .map_err(ApiError::from)?
        }
    };
    let effect = domain.effective_now(admin.limits.effect_deadline).await?;
    Ok(Json(Effected {
        now: CredentialView::of(&row, admin.clock.now()),
        gateways: EffectView::of(&effect),
    }))
}
