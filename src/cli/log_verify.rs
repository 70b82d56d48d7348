//! `lethe log verify`: walks a whole log.

use super::args::{ApiArguments, LogVerifyArguments};
use super::client::{Client, encoded};
use super::error::CommandError;
use super::output::{Format, print};
use super::{log_store, stores};
use crate::config::{self, Environment};
use crate::log::{DirLog, LogReader, RemoteLog, Report, VerifyOptions, verify_log};
use crate::tenants::DomainName;
use lethe_receipts::log::{LogVerifier, TreeHead, WitnessVerifier, open_checkpoint};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Entries between two lines of progress.
const PROGRESS_EVERY: u64 = 100_000;
const CHECKPOINT_BYTES_MAX: u64 = 64 << 10;

pub(super) async fn verify(
    api: &ApiArguments,
    arguments: LogVerifyArguments,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let log_keys = parsed(&arguments.log_key, LogVerifier::from_text)?;
    let witnesses = parsed(&arguments.witness_key, WitnessVerifier::from_text)?;
    let mut options = VerifyOptions {
        log: log_keys,
        witnesses,
        seen: Vec::new(),
    };
    for file in &arguments.seen {
        let head = seen(file, &options)?;
        options.seen.push((file.display().to_string(), head));
    }
    let reader = reader(api, &arguments, environment).await?;
    let told = AtomicU64::new(0);
    let progress = |done: u64, all: u64| {
        let step = done / PROGRESS_EVERY;
        if done == all || told.swap(step, Ordering::Relaxed) != step {
            eprintln!("log verify: {done} of {all} entries");
        }
    };
    let report = verify_log(reader.as_ref(), &options, &progress)
        .await
        .map_err(|error| CommandError::Failed(error.to_string()))?;
    show(format, &report)?;
    if report.holds() {
        return Ok(());
    }
    Err(CommandError::failed(
        "the log does not hold",
        "the checks above say where; keep the log as it is, as evidence",
    ))
}

fn show(format: Format, report: &Report) -> Result<(), CommandError> {
    match format {
        Format::Json => print(format, &[], report),
        Format::Table => {
            eprintln!(
                "{} entries, root {}, {}",
                report.size, report.root, report.origin
            );
            print(format, &["name", "outcome", "detail"], &report.checks)
        }
    }
}

fn parsed<K, E: std::fmt::Display>(
    texts: &[String],
    parse: fn(&str) -> Result<K, E>,
) -> Result<Vec<K>, CommandError> {
    let one = |text: &String| {
        parse(text).map_err(|error| CommandError::Usage(format!("key {text}: {error}")))
    };
    texts.iter().map(one).collect()
}

async fn reader(
    api: &ApiArguments,
    arguments: &LogVerifyArguments,
    environment: &Environment,
) -> Result<Arc<dyn LogReader>, CommandError> {
    if let Some(dir) = &arguments.dir {
        return Ok(Arc::new(DirLog::new(dir.clone())));
    }
    let unusable = |error: crate::log::HttpError| CommandError::Usage(error.to_string());
    if let Some(url) = &arguments.url {
        let log = RemoteLog::new(url, None, arguments.ca.as_deref()).map_err(unusable)?;
        return Ok(Arc::new(log));
    }
    let name = arguments.domain.as_deref();
    let name = name.ok_or_else(|| {
        CommandError::Usage("name the log with --domain, --dir or --url".to_owned())
    })?;
    if let Some(file) = &arguments.config {
        let config = config::load(file, environment)?;
        let name: DomainName = name
            .parse()
            .map_err(|error| CommandError::Usage(format!("{error}")))?;
        let (_, stores) = stores::domain_stores(&config, &name)?;
        let log = log_store::open(&config, &name, stores).await?;
        let log = log.ok_or_else(|| {
            CommandError::Usage(format!("{}: [domains.{name}] names no log", file.display()))
        })?;
        return Ok(log);
    }
    let access = Client::access(api)?;
    let url = format!("{}/v1/log/{}", access.endpoint, encoded(name));
    let log = RemoteLog::new(&url, Some(access.token), access.ca.as_deref()).map_err(unusable)?;
    Ok(Arc::new(log))
}

/// The tree head of a checkpoint that somebody else keeps; signed by a given key where any is given.
fn seen(file: &Path, options: &VerifyOptions) -> Result<TreeHead, CommandError> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|found| found.take(CHECKPOINT_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| CommandError::file(file, "reading", &error))?;
    let refused = |error| CommandError::Usage(format!("{}: {error}", file.display()));
    if options.log.is_empty() {
        let signed = lethe_receipts::log::SignedCheckpoint::parse(text).map_err(refused)?;
        return Ok(signed.claimed().map_err(refused)?.head);
    }
    let opened = open_checkpoint(&text, &options.log, &options.witnesses).map_err(refused)?;
    Ok(opened.checkpoint.head)
}
