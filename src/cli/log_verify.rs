//! `lethe log verify`: walks a whole log.

use super::args::{ApiArguments, LogVerifyArguments};
use super::client::{Client, encoded};
use super::error::CommandError;
use super::output::{Format, print};
use super::{log_store, stores};
use crate::config::{self, Environment};
use crate::log::{
    Check, DirLog, Head, LogPath, LogReader, LogStoreError, Outcome, RemoteLog, Report,
    VerifyOptions, verify_log,
};
use crate::tenants::DomainName;
use lethe_receipts::TrustFile;
use lethe_receipts::log::{
    KeyName, LogVerifier, Origin, TILE_WIDTH, TileKind, TilePath, TreeHead, WitnessVerifier,
    open_checkpoint,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Entries between two lines of progress.
const PROGRESS_EVERY: u64 = 100_000;
const CHECKPOINT_BYTES_MAX: u64 = 64 << 10;
/// Longest trust file (`docs/receipts.md` §1).
const TRUST_BYTES_MAX: u64 = 16 << 20;

pub(super) async fn verify(
    api: &ApiArguments,
    arguments: LogVerifyArguments,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let mut options = options(&arguments)?;
    for file in &arguments.seen {
        let head = seen(file, &options)?;
        options.seen.push((file.display().to_string(), head));
    }
    let reader = reader(api, &arguments, environment).await?;
    if is_absent(reader.as_ref()).await? {
        return Err(CommandError::failed(
            "there is no log there: neither a checkpoint nor an entry",
            "check --domain, --dir or --url; `lethe domain show` names the domains, and `lethe.toml` the place of each log",
        ));
    }
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
    judged(&report)
}

/// Whether nothing of a log is there, which says nothing about any log.
async fn is_absent(reader: &dyn LogReader) -> Result<bool, CommandError> {
    let failed = |error: LogStoreError| CommandError::Failed(error.to_string());
    let first = TileKind::Entries;
    let whole = TilePath::new(first, 0, TILE_WIDTH);
    let one = TilePath::new(first, 0, 1);
    let tiles = whole.into_iter().chain(one).map(LogPath::Tile);
    let heads = [Head::Checkpoint, Head::Cosigned, Head::Intent];
    for path in heads.map(LogPath::Head).into_iter().chain(tiles) {
        if reader.read(&path).await.map_err(failed)?.is_some() {
            return Ok(false);
        }
    }
    match reader.statements(None, 1).await {
        Ok(found) => Ok(found.is_empty()),
        Err(LogStoreError::Unlisted { .. }) => Ok(true),
        Err(error) => Err(failed(error)),
    }
}

/// 3 where something does not hold, 4 where something could not be checked (design §4, as for receipts).
fn judged(report: &Report) -> Result<(), CommandError> {
    let (code, outcome, hint) = if report.holds() {
        let hint = "give what it takes to check it, or wait for the witnesses";
        (4, Outcome::Missing, hint)
    } else {
        let hint = "keep the log as it is, as evidence";
        (3, Outcome::Failed, hint)
    };
    match report.checks.iter().find(|check| check.outcome == outcome) {
        None => Ok(()),
        Some(Check { name, detail, .. }) => Err(CommandError::Verdict {
            code,
            message: format!("the log: {name}: {detail}; {hint}"),
        }),
    }
}

/// What the log is compared with but for what others have seen.
fn options(arguments: &LogVerifyArguments) -> Result<VerifyOptions, CommandError> {
    if let Some(file) = &arguments.trust {
        return trusted(file);
    }
    let log = parsed(&arguments.log_key, LogVerifier::from_text)?;
    let witnesses = parsed(&arguments.witness_key, WitnessVerifier::from_text)?;
    let threshold = arguments.witness_threshold.unwrap_or(witnesses.len());
    if threshold > witnesses.len() {
        let given = witnesses.len();
        return Err(CommandError::Usage(format!(
            "--witness-threshold {threshold} is more than the {given} witnesses given"
        )));
    }
    Ok(VerifyOptions {
        log,
        witnesses,
        witness_threshold: threshold,
        seen: Vec::new(),
    })
}

fn trusted(file: &Path) -> Result<VerifyOptions, CommandError> {
    let refused =
        |error: &dyn std::fmt::Display| CommandError::Usage(format!("{}: {error}", file.display()));
    let text = whole(file, TRUST_BYTES_MAX)?;
    let trust = TrustFile::from_json(text.as_bytes()).map_err(|error| refused(&error))?;
    let origin = Origin::new(trust.origin.as_str()).map_err(|error| refused(&error))?;
    let log = trust
        .log
        .iter()
        .map(|key| LogVerifier::new(&origin, &key.public_key.0));
    let witnesses = trust.witnesses.iter().map(|witness| {
        let name = KeyName::new(witness.name.as_str())?;
        WitnessVerifier::new(&name, &witness.public_key.0)
    });
    Ok(VerifyOptions {
        log: log
            .collect::<Result<_, _>>()
            .map_err(|error| refused(&error))?,
        witnesses: witnesses
            .collect::<Result<_, _>>()
            .map_err(|error| refused(&error))?,
        witness_threshold: usize::try_from(trust.witness_threshold).unwrap_or(usize::MAX),
        seen: Vec::new(),
    })
}

fn show(format: Format, report: &Report) -> Result<(), CommandError> {
    match format {
        Format::Json => print(format, &[], report),
        Format::Table | Format::Csv => {
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
        let log = log_store::reader(&config, &name, stores).await?;
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
    let text = whole(file, CHECKPOINT_BYTES_MAX)?;
    let refused = |error| CommandError::Usage(format!("{}: {error}", file.display()));
    if options.log.is_empty() {
        let signed = lethe_receipts::log::SignedCheckpoint::parse(text).map_err(refused)?;
        return Ok(signed.claimed().map_err(refused)?.head);
    }
    let opened = open_checkpoint(&text, &options.log, &options.witnesses).map_err(refused)?;
    Ok(opened.checkpoint.head)
}

fn whole(file: &Path, bytes_max: u64) -> Result<String, CommandError> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|found| found.take(bytes_max).read_to_string(&mut text))
        .map_err(|error| CommandError::file(file, "reading", &error))?;
    Ok(text)
}
