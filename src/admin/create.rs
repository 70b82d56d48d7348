//! Creating tenants and credentials: a job first, then the catalog's row, then the steps that the row calls for. Whatever is cut
//! off is finished by the same request again, or by the job.

use super::error::ApiError;
use crate::catalog::{
    CatalogError, CredentialRow, CredentialState, JobKind, NewCredential, NewTenant,
};
use crate::clock::UnixMs;
use crate::jobs::JobDomain;
use crate::tenants::access::{Grant, GrantChange};
use crate::tenants::{AccessKeyId, RegionName, Subject, Tenant, TenantId, TenantName, TenantState};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// When the job looks after a creation, in milliseconds: later than any request's deadline.
const JOB_AFTER_MS: i64 = 60_000;
const SECRET_CHARS_MIN: usize = 8;
const SECRET_CHARS_MAX: usize = 256;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A credential whose secret is shown once.
pub struct NewSecret {
    /// The access-key id.
    pub id: AccessKeyId,
    /// The secret access key.
    pub secret: Zeroizing<String>,
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSecret")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Creates a tenant, or finishes creating the one of that name. `id` repeats an earlier request exactly.
///
/// # Errors
/// [`ApiError`]: a conflict when the name is another tenant's or the region another one; unavailable when a step failed, after
/// which the same request finishes it.
pub async fn create_tenant(
    domain: &JobDomain,
    name: &TenantName,
    region: &RegionName,
    id: Option<TenantId>,
) -> Result<Tenant, ApiError> {
    if !domain.regions.contains_key(region) {
        return Err(ApiError::not_found(
            format!("there is no region {region} in domain {} here", domain.name),
            "`lethe region list` shows the regions that this gateway serves",
        ));
    }
    let id = match known_tenant(domain, name, id).await? {
        Some(known) if &known.name != name => {
            return Err(ApiError::conflict(
                "the tenant of that id has another name",
                "leave the id out, or repeat the name that it was created with",
            ));
        }
        Some(known) if &known.region != region => {
            return Err(ApiError::conflict(
                format!("tenant {name} exists in region {}", known.region),
                "choose another name, or that region",
            ));
        }
        Some(known) if id.is_some_and(|id| id != known.id) => {
            return Err(ApiError::conflict(
                format!("tenant {name} exists with another id"),
                "choose another name, or leave the id out",
            ));
        }
        Some(known) => known.id,
        // Ids are drawn here and never chosen: one that was a shredded tenant's must not name a living one.
        None if id.is_some() => {
            return Err(ApiError::not_found(
                "there is no tenant of that id to finish",
                "leave the id out: the gateway draws it",
            ));
        }
        None => TenantId::random().map_err(|_| no_randomness())?,
    };
    let now = domain.clock.now();
    enqueue(domain, JobKind::FinishTenant, &Subject::Tenant(id), now).await?;
    let new = NewTenant {
        id,
        name: name.clone(),
        region: region.clone(),
        created: now,
    };
    match domain.catalog.begin_tenant(&new).await {
        Ok(()) => {}
        // Its own row, of an earlier try; the creation time alone may differ.
        Err(CatalogError::Exists { .. }) if domain.catalog.tenant(id).await.is_ok() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(domain.finish_tenant(id).await?)
}

async fn known_tenant(
    domain: &JobDomain,
    name: &TenantName,
    id: Option<TenantId>,
) -> Result<Option<Tenant>, ApiError> {
    if let Some(id) = id {
        match domain.catalog.tenant(id).await {
            Err(CatalogError::NotFound { .. }) => {}
            known => return Ok(Some(known?)),
        }
    }
    match domain.catalog.tenant_named(name).await {
        Err(CatalogError::NotFound { .. }) => Ok(None),
        // A shredded tenant is history: its name is free, and its id never comes back.
        Ok(shredded) if shredded.state == TenantState::Shredded && id.is_none() => Ok(None),
        known => Ok(Some(known?)),
    }
}

async fn enqueue(
    domain: &JobDomain,
    kind: JobKind,
    subject: &Subject,
    now: UnixMs,
) -> Result<(), ApiError> {
    let due = now.plus_ms(JOB_AFTER_MS);
    domain
        .catalog
        .enqueue(kind, &subject.to_string(), due)
        .await?;
    Ok(())
}

/// Creates a credential with a random secret. Given the id of one whose creation was cut off, finishes that one.
///
/// # Errors
/// [`ApiError`]: a conflict when the id is taken, was begun with another grant, or the tenant takes no credentials; unavailable when a
/// step failed, after which the same request with the same id finishes it.
pub async fn issue_credential(
    domain: &JobDomain,
    tenant: &Tenant,
    id: Option<AccessKeyId>,
    asked: GrantChange,
) -> Result<NewSecret, ApiError> {
    takes_credentials(tenant)?;
    let repeated = id.is_some();
    let id = match id {
        Some(id) => id,
        None => AccessKeyId::new(format!("LETHE{}", random_text::<15>()?.as_str()))?,
    };
    if repeated && let Some((row, _)) = known_credential(domain, &id).await? {
        if row.tenant != tenant.id || row.state != CredentialState::Creating {
            return Err(taken());
        }
        is_granted(&row, &asked)?;
        // Nobody has seen this secret yet: its credential was never active.
        let secret = open(domain, &row).await?;
        activate(domain, &id).await?;
        return Ok(NewSecret { id, secret });
    }
    let secret = random_text::<40>()?;
    begin(domain, tenant, &id, &secret, asked).await?;
    activate(domain, &id).await?;
    Ok(NewSecret { id, secret })
}

/// Takes over an access key that a tenant's applications use already. Repeating it with the same secret succeeds, and changes nothing of
/// what it was granted.
///
/// # Errors
/// [`ApiError`]: a conflict when the id is taken, was revoked, has another secret or another grant; unavailable when a step failed, after which
/// the same request finishes it.
pub async fn import_credential(
    domain: &JobDomain,
    tenant: &Tenant,
    id: &AccessKeyId,
    secret: &Zeroizing<String>,
    asked: GrantChange,
) -> Result<(), ApiError> {
    takes_credentials(tenant)?;
    let fits = (SECRET_CHARS_MIN..=SECRET_CHARS_MAX).contains(&secret.len())
        && secret.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        return Err(ApiError::invalid(
            "the secret access key is too short, too long or holds spaces",
            "a secret has 8 to 256 visible ASCII characters",
        ));
    }
    match known_credential(domain, id).await? {
        Some((row, _)) => {
            if row.tenant != tenant.id || row.state == CredentialState::Revoked {
                return Err(taken());
            }
            let known = open(domain, &row).await?;
            if !bool::from(known.as_bytes().ct_eq(secret.as_bytes())) {
                return Err(taken());
            }
            is_granted(&row, &asked)?;
        }
        None => begin(domain, tenant, id, secret, asked).await?,
    }
    activate(domain, id).await
}

/// That a credential which is there already has what is asked for: nothing is widened or narrowed by creating it again.
fn is_granted(row: &CredentialRow, asked: &GrantChange) -> Result<(), ApiError> {
    let grant = Grant::clone(&row.grant);
    match asked.clone().on(grant) == *row.grant {
        true => Ok(()),
        false => Err(ApiError::conflict(
            "the access key is there, and may do something else",
            "leave --allow, --scope and --expires out, and change them with `lethe credential update`",
        )),
    }
}

fn takes_credentials(tenant: &Tenant) -> Result<(), ApiError> {
    match tenant.state {
        TenantState::Active | TenantState::Suspended => Ok(()),
        TenantState::Creating => Err(ApiError::conflict(
            format!("tenant {} is not completely created", tenant.name),
            "repeat `lethe tenant create` with the same name and region",
        )),
        TenantState::Terminating | TenantState::Shredded => Err(ApiError::conflict(
            format!("tenant {} takes no new credentials", tenant.name),
            "its state is shown by `lethe tenant show`",
        )),
    }
}

async fn known_credential(
    domain: &JobDomain,
    id: &AccessKeyId,
) -> Result<Option<(CredentialRow, Tenant)>, ApiError> {
    match domain.catalog.credential(id).await {
        Err(CatalogError::NotFound { .. }) => Ok(None),
        known => Ok(Some(known?)),
    }
}

async fn begin(
    domain: &JobDomain,
    tenant: &Tenant,
    id: &AccessKeyId,
    secret: &Zeroizing<String>,
    asked: GrantChange,
) -> Result<(), ApiError> {
    // Asked before anything is written; the registration itself decides if two domains race for it.
    let owner = domain.directory.domain_of(id).await?;
    if owner.is_some_and(|owner| owner != domain.name) {
        return Err(taken());
    }
    let sealed_secret = domain
        .keys
        .seal_credential(&tenant.id, id, secret.as_bytes())
        .await?;
    let now = domain.clock.now();
    enqueue(
        domain,
        JobKind::FinishCredential,
        &Subject::Credential(id.clone()),
        now,
    )
    .await?;
    let new = NewCredential {
        tenant: tenant.id,
        id: id.clone(),
        sealed_secret,
        grant: Arc::new(asked.on(Grant::unrestricted())),
        created: now,
    };
    match domain.catalog.begin_credential(&new).await {
        Err(CatalogError::Exists { .. }) => Err(taken()),
        other => Ok(other?),
    }
}

async fn activate(domain: &JobDomain, id: &AccessKeyId) -> Result<(), ApiError> {
    let (row, _) = domain.finish_credential(id).await?;
    if row.state == CredentialState::Active {
        return Ok(());
    }
    Err(ApiError::conflict(
        "the credential was revoked meanwhile",
        "create another one",
    ))
}

async fn open(domain: &JobDomain, row: &CredentialRow) -> Result<Zeroizing<String>, ApiError> {
    let opened = domain
        .keys
        .open_credential(&row.tenant, &row.id, &row.sealed_secret)
        .await?;
    let text = std::str::from_utf8(&opened)
        .map_err(|_| ApiError::internal("a credential's sealed secret is not text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Says the same of a key of this tenant's, of another's and of another domain's.
fn taken() -> ApiError {
    ApiError::conflict(
        "the access-key id is taken, revoked, or has another secret",
        "use another access-key id; a revoked one never works again",
    )
}

fn no_randomness() -> ApiError {
    ApiError::unavailable("the system has no randomness")
}

fn random_text<const CHARACTERS: usize>() -> Result<Zeroizing<String>, ApiError> {
    let mut random = Zeroizing::new([0_u8; CHARACTERS]);
    getrandom::fill(random.as_mut_slice()).map_err(|_| no_randomness())?;
    let mut text = Zeroizing::new(String::with_capacity(CHARACTERS));
    for byte in random.iter() {
        text.push(char::from(ALPHABET[usize::from(byte & 31)]));
    }
    Ok(text)
}
