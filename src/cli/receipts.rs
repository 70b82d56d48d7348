//! `lethe receipt`: what an auditor lists, fetches, checks and signs. Checking and signing need no gateway and no network.

use super::args::{ApiArguments, ReceiptCommand};
use super::client::{Client, encoded};
use super::commands::path;
use super::error::CommandError;
use super::output::{Format, print};
use super::validate::validate;
use crate::admin::{AuditPage, AuditRow, IssuerBody, ObjectView};
use lethe_receipts::{
    Check, Report, TrustFile, Verdict,
    statement::{Stage, StatementBody},
};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// Longest receipt or trust file (`docs/receipts.md` §1).
const FILE_BYTES_MAX: u64 = 16 << 20;

const AUDIT: [&str; 11] = [
    "name",
    "tenant",
    "state",
    "requested_ms",
    "run_at_ms",
    "shredded_ms",
    "approvals",
    "revoked_receipt",
    "erased_receipt",
    "purged_receipt",
    "exceptions",
];

/// What a sample is drawn from and compared with.
const AUDIT_CSV: [&str; 16] = [
    "name",
    "tenant",
    "domain",
    "state",
    "due",
    "requested_by",
    "requested_ms",
    "grace_end_ms",
    "run_at_ms",
    "shredded_ms",
    "approvals",
    "cancelled_by",
    "revoked_receipt",
    "erased_receipt",
    "purged_receipt",
    "exceptions",
];

/// `lethe receipt`.
pub(super) async fn receipt(
    api: &ApiArguments,
    command: ReceiptCommand,
    format: Format,
) -> Result<(), CommandError> {
    match command {
        ReceiptCommand::List {
            domain,
            from,
            to,
            csv,
        } => {
            let client = Client::new(api)?;
            if csv && format == Format::Json {
                return Err(CommandError::Usage(
                    "--csv is not JSON: leave -o json out".to_owned(),
                ));
            }
            let rows = list(&client, domain, from, to).await?;
            if csv || format == Format::Csv {
                return written(None, csv_of(&rows)?.as_bytes());
            }
            print(format, &AUDIT, &rows)
        }
        ReceiptCommand::Get { of, to } => {
            let file = Client::new(api)?.raw(&path(&of, "/receipt")).await?;
            written(to.as_deref(), &file)
        }
        ReceiptCommand::Trust { domain, to, rotate } => {
            let client = Client::new(api)?;
            let at = format!("/v1/domains/{}/trust", encoded(&domain));
            if rotate {
                let made: IssuerBody = client.post(&format!("{at}/rotate"), &json!({})).await?;
                eprintln!("the issuer's key is now {}", made.keyid);
            }
            let file = client.raw(&at).await?;
            eprintln!("fingerprint {}", TrustFile::fingerprint(&file));
            written(to.as_deref(), &file)
        }
        ReceiptCommand::Verify {
            file,
            trust,
            object,
        } => verify(&file, &trust, object.as_deref(), format),
        ReceiptCommand::Validate {
            file,
            trust,
            key,
            incomplete,
        } => validate(&file, &trust, &key, incomplete),
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    let failed = |error: &std::io::Error| CommandError::file(path, "reading", error);
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    let longest = FILE_BYTES_MAX + 1;
    file.take(longest)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    Ok(bytes)
}

fn written(to: Option<&Path>, bytes: &[u8]) -> Result<(), CommandError> {
    match to {
        Some(path) => {
            std::fs::write(path, bytes).map_err(|error| CommandError::file(path, "writing", &error))
        }
        None => std::io::stdout()
            .lock()
            .write_all(bytes)
            .map_err(|error| CommandError::Failed(format!("the result can't be printed: {error}"))),
    }
}

/// Midnight of a day, UTC, in milliseconds since 1970.
fn day(text: &str) -> Result<i64, CommandError> {
    let date: jiff::civil::Date = text
        .parse()
        .map_err(|_| CommandError::Usage(format!("{text:?} is not a day such as 2026-01-31")))?;
    let at = date.to_zoned(jiff::tz::TimeZone::UTC);
    let at = at.map_err(|error| CommandError::Usage(format!("{text:?}: {error}")))?;
    Ok(at.timestamp().as_millisecond())
}

async fn list(
    client: &Client,
    domain: Option<String>,
    from: Option<String>,
    to: Option<String>,
) -> Result<Vec<AuditRow>, CommandError> {
    let from = from.as_deref().map(day).transpose()?;
    let to = to.as_deref().map(day).transpose()?;
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(CommandError::Usage(
            "the period is empty: --to is the first day after it".to_owned(),
        ));
    }
    let mut rows = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let pairs = [
            ("domain", domain.clone()),
            ("from_ms", from.map(|ms| ms.to_string())),
            ("to_ms", to.map(|ms| ms.to_string())),
            ("after", after),
        ];
        let query: Vec<String> = pairs
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}={}", encoded(&value?))))
            .collect();
        let page: AuditPage = client
            .get(&format!("/v1/receipts?{}", query.join("&")))
            .await?;
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            return Ok(rows);
        }
    }
}

/// CSV as RFC 4180 has it; a field that a spreadsheet would take for a formula is made text.
fn csv_of(rows: &[AuditRow]) -> Result<String, CommandError> {
    let mut text = AUDIT_CSV.join(",") + "\r\n";
    for row in rows {
        let value = serde_json::to_value(row)
            .map_err(|error| CommandError::Failed(format!("a row can't be printed: {error}")))?;
        let field = |column: &&str| match value.get(column) {
            None | Some(serde_json::Value::Null) => String::new(),
            Some(serde_json::Value::Array(items)) if items.is_empty() => String::new(),
            Some(_) => quoted(&super::output::cell(column, &value)),
        };
        let fields: Vec<String> = AUDIT_CSV.iter().map(field).collect();
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    Ok(text)
}

fn quoted(field: &str) -> String {
    let formula = field.len() > 1 && field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if formula {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if field.contains([',', '"', '\r', '\n']) {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field
}

fn verify(
    file: &Path,
    trust: &Path,
    object: Option<&Path>,
    format: Format,
) -> Result<(), CommandError> {
    let report = lethe_receipts::verify(&read(file)?, &read(trust)?);
    let object = object
        .map(|object| named(&report, &read(object)?))
        .transpose()?;
    match format {
        Format::Json => {
            let view = json!({
                "verdict": report.verdict, "trustFingerprint": report.trust_fingerprint,
                "checks": report.checks, "object": object.as_ref().map(|found| json!({
                    "outcome": if found.is_ok() { "ok" } else { "failed" },
                    "sentence": found.as_ref().map_or_else(Clone::clone, Clone::clone),
                })),
            });
            print(format, &[], &view)?;
        }
        Format::Table | Format::Csv => shown(&report, object.as_ref())?,
    }
    if let Some(Err(message)) = object {
        // A file that is not complete yet may name the key later.
        let erased = report.statements.iter().any(|body| is_erased(&body));
        let code = match report.verdict {
            Verdict::Incomplete if !erased => Verdict::Incomplete.exit_code(),
            _ => Verdict::Invalid.exit_code(),
        };
        return Err(CommandError::Verdict { code, message });
    }
    match report.verdict {
        Verdict::Verified => Ok(()),
        verdict => Err(CommandError::Verdict {
            code: verdict.exit_code(),
            message: report
                .deciding()
                .map_or_else(String::new, |check| check.sentence.clone()),
        }),
    }
}

fn shown(report: &Report, object: Option<&Result<String, String>>) -> Result<(), CommandError> {
    let mut text = format!("trust file {}\n", report.trust_fingerprint);
    for Check {
        name,
        receipt,
        outcome,
        sentence,
    } in &report.checks
    {
        let receipt = receipt.map_or_else(String::new, |receipt| format!(" [{}]", receipt + 1));
        let outcome = outcome.to_string();
        text.push_str(&format!("{outcome:<8} {name}{receipt}: {sentence}\n"));
    }
    if let Some(found) = object {
        let (outcome, sentence) = match found {
            Ok(sentence) => ("ok", sentence),
            Err(sentence) => ("failed", sentence),
        };
        text.push_str(&format!("{outcome:<8} object: {sentence}\n"));
    }
    text.push_str(&format!("{}\n", report.verdict));
    written(None, text.as_bytes())
}

fn is_erased(body: &&StatementBody) -> bool {
    body.predicate.stage >= Stage::Erased
}

/// Whether an object's header names a KEK that the receipt says is destroyed.
fn named(report: &Report, object: &[u8]) -> Result<Result<String, String>, CommandError> {
    let object: ObjectView = serde_json::from_slice(object).map_err(|error| {
        CommandError::Usage(format!(
            "--object is not what `lethe object inspect -o json` prints: {error}"
        ))
    })?;
    let Some(header) = object.header else {
        return Ok(Err("The object has no header of Lethe's.".to_owned()));
    };
    let Some(body) = report.statements.iter().rev().find(is_erased) else {
        return Ok(Err("No statement says that keys are destroyed.".to_owned()));
    };
    let key = body.predicate.keys.iter().find(|key| {
        key.kek_id.to_string() == header.kek_id
            && key.commitment.to_string() == header.kek_commitment
    });
    Ok(match key {
        Some(key) => Ok(format!(
            "The object's key hangs from KEK version {}, which is destroyed.",
            key.version
        )),
        None => Err("The object's header names no KEK of this receipt.".to_owned()),
    })
}
