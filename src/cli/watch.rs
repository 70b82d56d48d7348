//! Waits for shreds and tells how they come along. It only looks: ending it ends no shred, and it can be begun again at any time.

use super::client::Client;
use super::error::CommandError;
use crate::admin::ShredBody;
use crate::catalog::ShredState;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks.
const POLL: Duration = Duration::from_secs(1);

/// Longest wait for one answer; what it asks for is a few rows.
const ANSWER_DEADLINE: Duration = Duration::from_secs(15);

/// How long nobody may answer: a gateway may be starting again meanwhile, after what it was killed by.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Looks at the shreds of `path` until all that concern are over, at most for `longest`; answers them as they are then.
///
/// # Errors
/// [`CommandError::Unfinished`] when some are not over by then; what the admin API fails with for two minutes.
pub(super) async fn until_over(
    client: &Client,
    path: &str,
    concerned: &BTreeSet<String>,
    longest: Duration,
) -> Result<Vec<ShredBody>, CommandError> {
    if concerned.is_empty() {
        say("nothing is due, and no shred is open");
        return Ok(Vec::new());
    }
    let deadline = Instant::now() + longest;
    let mut told = BTreeMap::new();
    let mut silent_since: Option<Instant> = None;
    loop {
        match look(client, path).await {
            Ok(mut rows) => {
                silent_since = None;
                rows.retain(|row| concerned.contains(&row.id));
                tell(&rows, &mut told);
                let open = rows.iter().find(|row| !is_over(row));
                match open {
                    None => return Ok(rows),
                    Some(row) if Instant::now() >= deadline => return Err(unfinished(row)),
                    Some(_) => {}
                }
            }
            Err(error) => {
                let since = *silent_since.get_or_insert_with(|| {
                    say(&format!("no answer, asking again: {error}"));
                    Instant::now()
                });
                if since.elapsed() >= SILENCE_MAX || Instant::now() >= deadline {
                    return Err(error);
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether nothing is left of it to do.
pub(super) fn is_over(row: &ShredBody) -> bool {
    row.state == ShredState::Purged.as_str()
}

async fn look(client: &Client, path: &str) -> Result<Vec<ShredBody>, CommandError> {
    let answer = tokio::time::timeout(ANSWER_DEADLINE, client.get(path)).await;
    answer.unwrap_or_else(|_| {
        let waited = ANSWER_DEADLINE.as_secs();
        Err(CommandError::Failed(format!(
            "the admin API did not answer within {waited} s"
        )))
    })
}

/// Says what is new since the last look.
fn tell(rows: &[ShredBody], told: &mut BTreeMap<String, (String, Option<String>)>) {
    for row in rows {
        let now = (row.state.clone(), row.last_error.clone());
        if told.get(&row.id) == Some(&now) {
            continue;
        }
        say(&line(row));
        told.insert(row.id.clone(), now);
    }
}

fn line(row: &ShredBody) -> String {
    let steps = ShredState::ALL.len() - 1;
    let mut line = format!(
        "shred {} of domain {}: {}, {} of {steps} steps done",
        row.id, row.domain, row.state, row.steps_done
    );
    if let Some(error) = &row.last_error {
        line = format!("{line}; waits for its next try: {error}");
    }
    line
}

fn unfinished(row: &ShredBody) -> CommandError {
    let line = line(row);
    CommandError::Unfinished(format!(
        "{line}; it goes on by itself, run the command again to go on waiting"
    ))
}

/// Results are on standard output, and nobody has to read this.
pub(super) fn say(text: &str) {
    let _closed = writeln!(std::io::stderr(), "{text}");
}
