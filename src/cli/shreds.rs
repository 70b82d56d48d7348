//! `lethe tenant terminate|approve|cancel|list --due` and `lethe shred`.

use super::args::{ApiArguments, ShredCommand, TenantReference};
use super::client::{Client, encoded};
use super::commands::path;
use super::error::CommandError;
use super::output::{Format, print};
use crate::admin::{ShredBody, TerminationBody};
use serde_json::json;

const TERMINATION: [&str; 10] = [
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
    domain: Option<&str>,
    format: Format,
) -> Result<(), CommandError> {
    let rows: Vec<TerminationBody> = client.get(&within("/v1/terminations", domain)).await?;
    print(format, &TERMINATION, &rows)
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
    let rows: Vec<ShredBody> = match command {
        ShredCommand::Status { domain } => {
            client.get(&within("/v1/shreds", domain.as_deref())).await?
        }
        ShredCommand::Run {
            domain,
            tenant,
            now: _,
        } => {
            let path = within("/v1/shreds/run", domain.as_deref());
            client.post(&path, &json!({ "tenant": tenant })).await?
        }
        ShredCommand::Resume { domain } => {
            let path = within("/v1/shreds/resume", domain.as_deref());
            client.post(&path, &json!({})).await?
        }
    };
    print(format, &SHRED, &rows)
}
