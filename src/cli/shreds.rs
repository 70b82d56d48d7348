//! `lethe tenant terminate|approve|cancel|list --due` and `lethe shred`.

use super::args::{ApiArguments, ShredCommand, TenantReference};
use super::client::{Client, encoded};
use super::commands::path;
use super::error::CommandError;
use super::output::{Format, print};
use super::pages::{self, Page};
use super::watch;
use crate::admin::{SHREDS_LISTED_MAX, ShredBody, TenantView, TerminationBody};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const TERMINATION: [&str; 11] = [
    "name",
    "tenant",
    "domain",
    "state",
    "due",
    "grace_end_ms",
    "run_at_ms",
    "approvals",
    "approvals_needed",
    "requested_by",
    "waits",
];
const SHRED: [&str; 8] = [
    "id",
    "domain",
    "state",
    "steps_done",
    "running",
    "tenants",
    "changed_ms",
    "last_error",
];

fn within(path: &str, domain: Option<&str>) -> String {
    let query = domain.map(|domain| format!("?domain={}", encoded(domain)));
    format!("{path}{}", query.unwrap_or_default())
}

/// What is to be terminated, and how it stands.
pub(super) async fn due(
    client: &Client,
    domain: Option<String>,
    format: Format,
) -> Result<(), CommandError> {
    let first = Page {
        domain,
        ..Page::default()
    };
    let rows: Vec<TerminationBody> = pages::listed(client, "/v1/terminations", first).await?;
    print(format, &TERMINATION, &rows)
}

/// The API's answer does not say that it is cut; its length does.
fn tell_what_is_left_out(rows: &[ShredBody]) {
    for of_domain in rows.chunk_by(|one, next| one.domain == next.domain) {
        if of_domain.len() >= SHREDS_LISTED_MAX as usize {
            watch::say(&format!(
                "{}: {SHREDS_LISTED_MAX} shreds are shown, those that are not over first; `lethe receipt list` has all that are over",
                of_domain[0].domain
            ));
        }
    }
}

/// Asks for a termination and shows the inventory's key, this once.
pub(super) async fn terminate(
    client: &Client,
    of: &TenantReference,
    grace_days: Option<u32>,
    format: Format,
) -> Result<(), CommandError> {
    let body = json!({ "grace_days": grace_days });
    let asked: TerminationBody = client.post(&path(of, "/terminate"), &body).await?;
    let mut columns = TERMINATION.to_vec();
    columns.push("inventory_key");
    print(format, &columns, &asked)
}

/// Approves or cancels.
pub(super) async fn decide(
    client: &Client,
    path: &str,
    format: Format,
) -> Result<(), CommandError> {
    let row: TerminationBody = client.post(path, &json!({})).await?;
    print(format, &TERMINATION, &row)
}

/// `lethe shred`.
pub(super) async fn shred(
    api: &ApiArguments,
    command: ShredCommand,
    format: Format,
) -> Result<(), CommandError> {
    let client = Client::new(api)?;
    let is_status = matches!(command, ShredCommand::Status { .. });
    let (domain, tenant, waiting, rows) = match command {
        ShredCommand::Status { domain, waiting } => {
            let rows: Result<Vec<ShredBody>, _> =
                client.get(&within("/v1/shreds", domain.as_deref())).await;
            (domain, None, waiting, rows)
        }
        ShredCommand::Run {
            domain,
            tenant,
            now: _,
            waiting,
        } => {
            let path = within("/v1/shreds/run", domain.as_deref());
            let rows = client.post(&path, &json!({ "tenant": tenant })).await;
            (domain, tenant, waiting, rows)
        }
        ShredCommand::Resume { domain, waiting } => {
            let path = within("/v1/shreds/resume", domain.as_deref());
            let rows = client.post(&path, &json!({})).await;
            (domain, None, waiting, rows)
        }
    };
    if is_status {
        tell_what_waits(&client, domain.as_deref()).await?;
    }
    if !waiting.wait {
        let rows = rows?;
        tell_what_is_left_out(&rows);
        return print(format, &SHRED, &rows);
    }
    let asked = Asked {
        client: &client,
        domain: domain.as_deref(),
    };
    let concerned = match tenant {
        Some(tenant) => asked.of_tenant(&tenant, rows).await?,
        None => rows?
            .into_iter()
            .filter(|row| !watch::is_over(row))
            .map(|row| row.id)
            .collect(),
    };
    let path = within("/v1/shreds", asked.domain);
    let longest = Duration::from_secs(u64::from(waiting.wait_minutes) * 60);
    let rows = watch::until_over(&client, &path, &concerned, longest).await?;
    print(format, &SHRED, &rows)
}

/// Why shreds that are due do not begin: they have no row yet.
async fn tell_what_waits(client: &Client, domain: Option<&str>) -> Result<(), CommandError> {
    let rows: Vec<TerminationBody> = client.get(&within("/v1/terminations", domain)).await?;
    for row in &rows {
        if let Some(reason) = &row.waits {
            eprintln!("tenant {} waits: {reason}", row.name);
        }
    }
    Ok(())
}

struct Asked<'a> {
    client: &'a Client,
    domain: Option<&'a str>,
}

impl Asked<'_> {
    /// The shreds that a tenant is part of. Where its shred could not be begun because it has been, by an earlier call of
    /// the same command for instance, that one is it.
    async fn of_tenant(
        &self,
        tenant: &str,
        begun: Result<Vec<ShredBody>, CommandError>,
    ) -> Result<BTreeSet<String>, CommandError> {
        let reference = TenantReference {
            tenant: tenant.to_owned(),
            domain: self.domain.map(str::to_owned),
        };
        let (rows, refused) = match begun {
            Ok(rows) => (rows, None),
            Err(error) => {
                let path = within("/v1/shreds", self.domain);
                (self.client.get(&path).await?, Some(error))
            }
        };
        let known: TenantView = self.client.get(&path(&reference, "")).await?;
        let of_it = |row: &ShredBody| row.tenants.contains(&known.id);
        let found: BTreeSet<String> = rows.into_iter().filter(of_it).map(|row| row.id).collect();
        match refused {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }
}
