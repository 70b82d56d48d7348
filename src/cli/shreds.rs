//! `lethe tenant terminate|approve|cancel|list --due` and `lethe shred`.

use super::args::{ApiArguments, ShredCommand, TenantReference, Waiting};
use super::client::{Client, encoded};
use super::commands::path;
use super::error::CommandError;
use super::output::{Format, print};
use super::pages::{self, Page};
use super::watch;
use crate::admin::{SHREDS_LISTED_MAX, ShredBody, TerminationBody};
use crate::catalog::TerminationState;
use crate::clock::{Clock as _, SystemClock, UnixMs};
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
    if row.state == TerminationState::Approved.as_str() {
        let at = UnixMs(row.run_at_ms);
        let begins = if at <= SystemClock.now() {
            "at once".to_owned()
        } else {
            format!("at {}", super::output::moment(at.0))
        };
        let until = "`lethe tenant cancel` calls it off until it has begun";
        watch::say(&format!("the shred begins {begins}; {until}"));
    }
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
    let (asked, waiting, rows) = match command {
        ShredCommand::Status { domain, waiting } => {
            let asked = Asked::new(&client, domain, None);
            let rows: Vec<ShredBody> = client.get(&asked.path("/v1/shreds")).await?;
            (asked, waiting, rows)
        }
        ShredCommand::Run {
            domain,
            tenant,
            now: _,
            waiting,
        } => {
            let asked = Asked::new(&client, domain, tenant);
            let rows = asked.run(&waiting).await?;
            (asked, waiting, rows)
        }
        ShredCommand::Resume { domain, waiting } => {
            let asked = Asked::new(&client, domain, None);
            let path = asked.path("/v1/shreds/resume");
            let rows = client.post(&path, &json!({})).await?;
            (asked, waiting, rows)
        }
    };
    if is_status {
        tell_what_waits(&client, asked.domain.clone()).await?;
    }
    if !waiting.wait {
        tell_what_is_left_out(&rows);
        return print(format, &SHRED, &rows);
    }
    // What a tenant is part of is waited for even where it is over already: its row is the result.
    let concerned: BTreeSet<String> = rows
        .into_iter()
        .filter(|row| asked.tenant.is_some() || !watch::is_over(row))
        .map(|row| row.id)
        .collect();
    let path = asked.path("/v1/shreds");
    let rows = watch::until_over(&client, &path, &concerned, longest(&waiting)).await?;
    print(format, &SHRED, &rows)
}

/// Why shreds that are due do not begin: they have no row yet.
async fn tell_what_waits(client: &Client, domain: Option<String>) -> Result<(), CommandError> {
    let first = Page {
        domain,
        ..Page::default()
    };
    let rows: Vec<TerminationBody> = pages::listed(client, "/v1/terminations", first).await?;
    for row in &rows {
        if let Some(reason) = &row.waits {
            watch::say(&format!("tenant {} waits: {reason}", row.name));
        }
    }
    Ok(())
}

fn longest(waiting: &Waiting) -> Duration {
    Duration::from_secs(u64::from(waiting.wait_minutes) * 60)
}

struct Asked<'a> {
    client: &'a Client,
    domain: Option<String>,
    tenant: Option<String>,
}

impl<'a> Asked<'a> {
    fn new(client: &'a Client, domain: Option<String>, tenant: Option<String>) -> Self {
        Self {
            client,
            domain,
            tenant,
        }
    }

    fn path(&self, path: &str) -> String {
        within(path, self.domain.as_deref())
    }

    /// Begins what is due; answers the shred that the tenant is part of, or all.
    async fn run(&self, waiting: &Waiting) -> Result<Vec<ShredBody>, CommandError> {
        let path = self.path("/v1/shreds/run");
        let Some(tenant) = &self.tenant else {
            let rows: Vec<ShredBody> = self.client.post(&path, &json!({})).await?;
            if !waiting.wait && rows.iter().all(watch::is_over) {
                watch::say("no shred is open: nothing was due, or it is over already");
            }
            return Ok(rows);
        };
        let body = json!({ "tenant": tenant });
        let longest = if waiting.wait {
            longest(waiting)
        } else {
            Duration::ZERO
        };
        let begun = watch::until_not_busy(self.client, &path, &body, longest).await;
        match begun {
            Err(CommandError::Busy(why)) if waiting.wait => Err(CommandError::Unfinished(why)),
            Ok(rows) => Ok(rows),
            Err(refused) if waiting.wait => self.of(tenant, refused).await,
            Err(refused) => Err(refused),
        }
    }

    /// The shred that a tenant is part of. Where its shred could not be begun because it has been, by an earlier call of
    /// the same command for instance, that one is it.
    async fn of(
        &self,
        tenant: &str,
        refused: CommandError,
    ) -> Result<Vec<ShredBody>, CommandError> {
        let path = self.path("/v1/shreds");
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}tenant={}", encoded(tenant));
        let rows: Vec<ShredBody> = self.client.get(&path).await?;
        if rows.is_empty() {
            return Err(refused);
        }
        Ok(rows)
    }
}
