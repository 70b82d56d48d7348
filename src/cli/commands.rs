//! The commands that ask the admin API.

use super::args::{
    ApiArguments, CredentialCommand, DomainCommand, KeyCommand, ObjectCommand, RegionCommand,
    TenantCommand, TenantReference,
};
use super::client::{Client, encoded, secret};
use super::error::CommandError;
use super::local;
use super::output::{Format, print};
use super::pages::{self, Page};
use super::shreds;
use crate::admin::{
    CredentialView, DomainView, Effected, IssuedCredential, KekView, ObjectView, RegionView,
    TenantView,
};
use crate::config::Environment;
use serde_json::json;

const TENANT: [&str; 6] = ["name", "id", "domain", "region", "state", "created_ms"];
const CREDENTIAL: [&str; 6] = [
    "access_key_id",
    "state",
    "allow",
    "scope",
    "expires",
    "created_ms",
];
/// What changed, and on how many gateways.
const EFFECTED_TENANT: [&str; 5] = [
    "name",
    "id",
    "state",
    "gateways.acknowledged",
    "gateways.expired",
];
const EFFECTED_CREDENTIAL: [&str; 7] = [
    "access_key_id",
    "state",
    "allow",
    "scope",
    "expires",
    "gateways.acknowledged",
    "gateways.expired",
];
const KEK: [&str; 5] = ["version", "kek_id", "state", "commitment", "created_ms"];
const DOMAIN: [&str; 6] = [
    "name",
    "jurisdiction",
    "public_endpoint",
    "regions",
    "epoch",
    "key_store_identity",
];
const REGION: [&str; 7] = [
    "name",
    "domain",
    "pair",
    "backend",
    "check.passed",
    "check.checked_ms",
    "check.missing",
];

pub(super) fn path(of: &TenantReference, rest: &str) -> String {
    let query = of
        .domain
        .as_ref()
        .map(|domain| format!("?domain={}", encoded(domain)));
    format!(
        "/v1/tenants/{}{rest}{}",
        encoded(&of.tenant),
        query.unwrap_or_default()
    )
}

pub(super) async fn domain(
    api: &ApiArguments,
    command: DomainCommand,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    match command {
        DomainCommand::Init { name, config } => {
            local::init(&name, &config, environment, format).await
        }
        DomainCommand::Show { name: None } => {
            let domains: Vec<DomainView> = Client::new(api)?.get("/v1/domains").await?;
            print(format, &DOMAIN, &domains)
        }
        DomainCommand::Show { name: Some(name) } => {
            let path = format!("/v1/domains/{}", encoded(&name));
            let domain: DomainView = Client::new(api)?.get(&path).await?;
            print(format, &DOMAIN, &domain)
        }
    }
}

pub(super) async fn region(
    api: &ApiArguments,
    command: RegionCommand,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    match command {
        RegionCommand::List => {
            let regions: Vec<RegionView> = Client::new(api)?.get("/v1/regions").await?;
            print(format, &REGION, &regions)
        }
        RegionCommand::Check {
            name,
            config: Some(config),
        } => local::check(&name, &config, environment, format).await,
        RegionCommand::Check { name, config: None } => {
            let path = format!("/v1/regions/{}/check", encoded(&name));
            let region: RegionView = Client::new(api)?.post(&path, &json!({})).await?;
            print(format, &REGION, &region)?;
            match region.check {
                Some(check) if !check.passed => Err(CommandError::failed(
                    format!("region {name} did not pass"),
                    "mend what is missing; until then it is not served after a restart",
                )),
                _ => Ok(()),
            }
        }
    }
}

pub(super) async fn tenant(
    api: &ApiArguments,
    command: TenantCommand,
    _environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let client = Client::new(api)?;
    let tenant: TenantView = match command {
        TenantCommand::Create { name, region, id } => {
            let body = json!({ "name": name, "region": region, "id": id });
            client.post("/v1/tenants", &body).await?
        }
        TenantCommand::List {
            domain,
            after,
            limit,
            due,
        } => {
            if due {
                return shreds::due(&client, domain, format).await;
            }
            let first = Page {
                domain,
                after,
                limit,
            };
            let tenants: Vec<TenantView> = pages::listed(&client, "/v1/tenants", first).await?;
            return print(format, &TENANT, &tenants);
        }
        TenantCommand::Show(of) => client.get(&path(&of, "")).await?,
        TenantCommand::Suspend(of) => {
            return effected_tenant(&client, &path(&of, "/suspend"), format).await;
        }
        TenantCommand::Resume(of) => {
            return effected_tenant(&client, &path(&of, "/resume"), format).await;
        }
        TenantCommand::Terminate { of, grace_days } => {
            return shreds::terminate(&client, &of, grace_days, format).await;
        }
        TenantCommand::Approve(of) => {
            return shreds::decide(&client, &path(&of, "/approve"), format).await;
        }
        TenantCommand::Cancel(of) => {
            return shreds::decide(&client, &path(&of, "/cancel"), format).await;
        }
    };
    print(format, &TENANT, &tenant)
}

async fn effected_tenant(client: &Client, path: &str, format: Format) -> Result<(), CommandError> {
    let tenant: Effected<TenantView> = client.post(path, &json!({})).await?;
    print(format, &EFFECTED_TENANT, &tenant)
}

pub(super) async fn credential(
    api: &ApiArguments,
    command: CredentialCommand,
    _environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let client = Client::new(api)?;
    let credential: CredentialView = match command {
        CredentialCommand::Create {
            of,
            access_key_id,
            grant,
        } => {
            let body = json!({
                "access_key_id": access_key_id,
                "allow": grant.allow, "scope": grant.scope, "expires": grant.expires,
            });
            let issued: IssuedCredential = client.post(&path(&of, "/credentials"), &body).await?;
            return print(
                format,
                &["tenant", "access_key_id", "secret_access_key"],
                &issued,
            );
        }
        CredentialCommand::Import {
            of,
            access_key_id,
            secret_file,
            grant,
        } => {
            let secret = secret(&secret_file)?;
            let body = json!({
                "access_key_id": access_key_id, "secret_access_key": secret.as_str(),
                "allow": grant.allow, "scope": grant.scope, "expires": grant.expires,
            });
            client
                .post(&path(&of, "/credentials/import"), &body)
                .await?
        }
        CredentialCommand::Update {
            of,
            access_key_id,
            grant,
        } => {
            let rest = format!("/credentials/{}/grant", encoded(&access_key_id));
            let body = json!({
                "allow": grant.allow, "scope": grant.scope, "expires": grant.expires,
            });
            let updated: Effected<CredentialView> = client.post(&path(&of, &rest), &body).await?;
            return print(format, &EFFECTED_CREDENTIAL, &updated);
        }
        CredentialCommand::List(of) => {
            let credentials: Vec<CredentialView> = client.get(&path(&of, "/credentials")).await?;
            return print(format, &CREDENTIAL, &credentials);
        }
        CredentialCommand::Revoke { of, access_key_id } => {
            let rest = format!("/credentials/{}/revoke", encoded(&access_key_id));
            let revoked: Effected<CredentialView> =
                client.post(&path(&of, &rest), &json!({})).await?;
            return print(format, &EFFECTED_CREDENTIAL, &revoked);
        }
    };
    print(format, &CREDENTIAL, &credential)
}

pub(super) async fn key(
    api: &ApiArguments,
    command: KeyCommand,
    _environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let client = Client::new(api)?;
    match command {
        KeyCommand::List(of) => {
            let keks: Vec<KekView> = client.get(&path(&of, "/keys")).await?;
            print(format, &KEK, &keks)
        }
        KeyCommand::Rotate(of) => {
            let kek: KekView = client.post(&path(&of, "/keys/rotate"), &json!({})).await?;
            print(format, &KEK, &kek)
        }
    }
}

pub(super) async fn object(
    api: &ApiArguments,
    command: ObjectCommand,
    _environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let ObjectCommand::Inspect {
        of,
        bucket,
        key,
        version,
    } = command;
    let body = json!({
        "tenant": of.tenant, "domain": of.domain, "bucket": bucket, "key": key, "version": version,
    });
    let object: ObjectView = Client::new(api)?.post("/v1/objects/inspect", &body).await?;
    let columns = [
        "plaintext_bytes",
        "stored_bytes",
        "etag",
        "version",
        "last_modified_ms",
        "upstream_bucket",
        "header.kind",
        "header.object_id",
        "header.kek_id",
        "header.kek_commitment",
    ];
    print(format, &columns, &object)
}
