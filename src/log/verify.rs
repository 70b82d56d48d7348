//! Walks a whole log and recomputes it.

use super::proofs::{LogProofError, read_tile};
use super::store::{Head, LogPath, LogReader, LogStoreError, ReceiptId};
use lethe_receipts::envelope::Envelope;
use lethe_receipts::log::{
    CheckpointError, Entry, Frontier, LogVerifier, NewTile, OpenedCheckpoint, SignedCheckpoint,
    TILE_WIDTH, TileKind, TilePath, TreeHead, WitnessVerifier, decode_entries, open_checkpoint,
    tiles_of,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Statements listed at once.
const STATEMENTS_PAGE: usize = 1000;
/// Problems told of in full; the rest is counted.
const PROBLEMS_MAX: usize = 20;

/// What a walk compares with.
#[derive(Debug, Default)]
pub struct VerifyOptions {
    /// The log's keys; without any, signatures are not checked and the report says so.
    pub log: Vec<LogVerifier>,
    /// The witnesses' keys.
    pub witnesses: Vec<WitnessVerifier>,
    /// How many of them must have cosigned the newest tree.
    pub witness_threshold: usize,
    /// Tree heads that others have seen of this log, such as a witness's newest: who, and which.
    pub seen: Vec<(String, TreeHead)>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Ok,
    /// It does not.
    Failed,
    /// There was nothing to check it with.
    Missing,
}

/// One check of a walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// A sentence about it.
    pub detail: String,
}

/// What a walk found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The log's origin.
    pub origin: String,
    /// Entries in it.
    pub size: u64,
    /// Its root hash, in hexadecimal.
    pub root: String,
    /// Every check, in the order of the walk.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether nothing failed.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.checks
            .iter()
            .all(|check| check.outcome != Outcome::Failed)
    }

    fn check(&mut self, name: &str, outcome: Outcome, detail: impl Into<String>) {
        self.checks.push(Check {
            name: name.to_owned(),
            outcome,
            detail: detail.into(),
        });
    }

    /// One check that holds unless `problems` has any.
    fn all(&mut self, name: &str, problems: &Problems, fine: impl Into<String>) {
        if problems.count == 0 {
            self.check(name, Outcome::Ok, fine);
        } else {
            self.check(name, Outcome::Failed, problems.to_string());
        }
    }
}

#[derive(Default)]
struct Problems {
    first: Vec<String>,
    count: u64,
}

impl Problems {
    fn add(&mut self, problem: impl Into<String>) {
        self.count += 1;
        if self.first.len() < PROBLEMS_MAX {
            self.first.push(problem.into());
        }
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.first.join("; "))?;
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Recomputes every tile of a log and compares everything with everything; `progress` hears entries done and in all.
///
/// # Errors
/// [`LogStoreError`] when the log can't be read; what is read and wrong is in the report.
pub async fn verify_log(
    reader: &dyn LogReader,
    options: &VerifyOptions,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Report, LogStoreError> {
    let mut report = Report {
        origin: String::new(),
        size: 0,
        root: String::new(),
        checks: Vec::new(),
    };
    let Some(head) = checkpoint(reader, options, &mut report).await? else {
        return Ok(report);
    };
    let mut seen = options.seen.clone();
    if let Some(cosigned) = cosigned(reader, options, head, &mut report).await? {
        seen.push(("the cosigned checkpoint".to_owned(), cosigned));
    }
    let statements = match statements(reader, &mut report).await {
        Ok(found) => Some(found),
        Err(error @ LogStoreError::Unlisted { .. }) => {
            report.check("statements", Outcome::Missing, error.to_string());
            None
        }
        Err(error) => return Err(error),
    };
    let mut walk = Walk {
        reader,
        head,
        frontier: Frontier::default(),
        tiles: Problems::default(),
        tiles_count: 0,
        roots: BTreeMap::new(),
        listed: statements.is_some(),
        wanted: statements.unwrap_or_default(),
    };
    for (_, seen) in &seen {
        walk.roots.insert(seen.size, TreeHead::EMPTY);
    }
    walk.run(progress).await?;
    walk.report(&seen, &mut report);
    Ok(report)
}

async fn checkpoint(
    reader: &dyn LogReader,
    options: &VerifyOptions,
    report: &mut Report,
) -> Result<Option<TreeHead>, LogStoreError> {
    const NAME: &str = "checkpoint";
    let Some(bytes) = reader.read(&LogPath::Head(Head::Checkpoint)).await? else {
        report.check(NAME, Outcome::Failed, "there is no checkpoint");
        return Ok(None);
    };
    let claimed = text(&bytes).and_then(|text| SignedCheckpoint::parse(text)?.claimed());
    let claimed = match claimed {
        Ok(claimed) => claimed,
        Err(error) => {
            report.check(NAME, Outcome::Failed, error.to_string());
            return Ok(None);
        }
    };
    report.origin = claimed.origin.to_string();
    report.size = claimed.head.size;
    report.root = hex::encode(claimed.head.root);
    match open(&bytes, options) {
        _ if options.log.is_empty() => {
            report.check(
                NAME,
                Outcome::Missing,
                "no key of the log was given: its signature was not checked",
            );
        }
        Ok(_) => report.check(NAME, Outcome::Ok, "signed by a known key of the log"),
        Err(error) => report.check(NAME, Outcome::Failed, error.to_string()),
    }
    Ok(Some(claimed.head))
}

fn text(bytes: &[u8]) -> Result<&str, CheckpointError> {
    std::str::from_utf8(bytes).map_err(|_| CheckpointError::Malformed)
}

fn open(bytes: &[u8], options: &VerifyOptions) -> Result<OpenedCheckpoint, CheckpointError> {
    open_checkpoint(text(bytes)?, &options.log, &options.witnesses)
}

/// The tree that was cosigned last, which may be older than the newest.
async fn cosigned(
    reader: &dyn LogReader,
    options: &VerifyOptions,
    newest: TreeHead,
    report: &mut Report,
) -> Result<Option<TreeHead>, LogStoreError> {
    const NAME: &str = "cosigned";
    let wanted = options.witness_threshold;
    let Some(bytes) = reader.read(&LogPath::Head(Head::Cosigned)).await? else {
        let detail = format!("there is no cosigned checkpoint, and {wanted} witnesses are wanted");
        let outcome = if wanted == 0 {
            Outcome::Ok
        } else {
            Outcome::Missing
        };
        report.check(NAME, outcome, detail);
        return Ok(None);
    };
    if options.log.is_empty() {
        report.check(NAME, Outcome::Missing, "no key of the log was given");
        let claimed = text(&bytes).and_then(|text| SignedCheckpoint::parse(text)?.claimed());
        return Ok(claimed.ok().map(|claimed| claimed.head));
    }
    match open(&bytes, options) {
        Ok(opened) => {
            let head = opened.checkpoint.head;
            let count = opened.cosignatures.len();
            let size = head.size;
            let mut detail = format!(
                "{count} known witnesses cosigned the tree of {size} entries, and {wanted} are wanted"
            );
            let met = wanted == 0 || (head == newest && count >= wanted);
            if wanted > 0 && head != newest {
                detail.push_str(&format!(
                    ": the newest, of {}, is not cosigned yet",
                    newest.size
                ));
            }
            let outcome = if met { Outcome::Ok } else { Outcome::Missing };
            report.check(NAME, outcome, detail);
            Ok(Some(head))
        }
        Err(error) => {
            report.check(NAME, Outcome::Failed, error.to_string());
            Ok(None)
        }
    }
}

/// The entries of all statements beside the log; each is well-formed and named by its own content.
async fn statements(
    reader: &dyn LogReader,
    report: &mut Report,
) -> Result<BTreeMap<Entry, ReceiptId>, LogStoreError> {
    let (mut wanted, mut problems) = (BTreeMap::new(), Problems::default());
    let mut after = None;
    loop {
        let page = reader.statements(after, STATEMENTS_PAGE).await?;
        let Some(last) = page.last().copied() else {
            break;
        };
        if after.is_some_and(|after| last <= after) {
            return Err(LogStoreError::lying(
                "listing",
                "statements",
                "the list does not go on",
            ));
        }
        after = Some(last);
        for id in page {
            let bytes = reader.read(&LogPath::Statement(id)).await?;
            let envelope = bytes.as_deref().map(Envelope::from_json);
            match envelope {
                Some(Ok(envelope)) => drop(wanted.insert(envelope.log_entry(), id)),
                Some(Err(error)) => problems.add(format!("statement {id}: {error}")),
                None => problems.add(format!("statement {id} is listed and not there")),
            }
        }
    }
    report.all(
        "statements",
        &problems,
        format!("{} well-formed", wanted.len()),
    );
    Ok(wanted)
}

struct Walk<'r> {
    reader: &'r dyn LogReader,
    head: TreeHead,
    frontier: Frontier,
    tiles: Problems,
    tiles_count: u64,
    /// Heads at the sizes that others have seen.
    roots: BTreeMap<u64, TreeHead>,
    /// Whether it is known which statements there are.
    listed: bool,
    /// Entries of statements that were not met yet.
    wanted: BTreeMap<Entry, ReceiptId>,
}

impl Walk<'_> {
    async fn run(
        &mut self,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<(), LogStoreError> {
        let edge = tiles_of(self.head.size);
        let mut next = 0;
        while next < self.head.size {
            let Some(entries) = self.bundle(next).await? else {
                return Ok(());
            };
            self.note_roots(next, &entries);
            for entry in &entries {
                self.wanted.remove(entry);
            }
            let Ok(tiles) = self.frontier.append(&entries) else {
                self.tiles.add("the log is larger than a log can be");
                return Ok(());
            };
            let stored =
                |tile: &&NewTile| tile.path.width() == TILE_WIDTH || edge.contains(&tile.path);
            for tile in tiles.iter().filter(stored) {
                self.compare(tile).await?;
            }
            next += entries.len() as u64;
            progress(next, self.head.size);
        }
        Ok(())
    }

    /// The bundle that begins with entry `next`; `None`, with a problem noted, where the walk can't go on.
    async fn bundle(&mut self, next: u64) -> Result<Option<Vec<Entry>>, LogStoreError> {
        let width = (self.head.size - next).min(u64::from(TILE_WIDTH));
        let width = u16::try_from(width).unwrap_or(TILE_WIDTH);
        let index = next / u64::from(TILE_WIDTH);
        let Some(path) = TilePath::new(TileKind::Entries, index, width) else {
            self.tiles.add("the log is larger than a log can be");
            return Ok(None);
        };
        let entries = match read_tile(self.reader, &path).await {
            Ok(bytes) => decode_entries(&bytes),
            Err(LogProofError::Store(error)) => return Err(error),
            Err(_) => None,
        };
        if entries.is_none() {
            self.tiles.add(format!(
                "{path} is missing or malformed: the walk ends there"
            ));
        }
        Ok(entries)
    }

    async fn compare(&mut self, tile: &NewTile) -> Result<(), LogStoreError> {
        self.tiles_count += 1;
        match read_tile(self.reader, &tile.path).await {
            Ok(bytes) if bytes == tile.bytes => {}
            Ok(_) => self
                .tiles
                .add(format!("{} is not what its entries make", tile.path)),
            Err(LogProofError::Store(error)) => return Err(error),
            Err(_) => self.tiles.add(format!("{} is missing", tile.path)),
        }
        Ok(())
    }

    /// Notes the heads of the trees that end within `entries`, which begin at `next`.
    fn note_roots(&mut self, next: u64, entries: &[Entry]) {
        let end = next + entries.len() as u64;
        let sizes: Vec<u64> = self
            .roots
            .range(next + 1..=end)
            .map(|(size, _)| *size)
            .collect();
        for size in sizes {
            let mut until = self.frontier.clone();
            let count = usize::try_from(size - next).unwrap_or(usize::MAX);
            let beginning = entries.get(..count).unwrap_or(entries);
            if until.append(beginning).is_ok() {
                self.roots.insert(size, until.head());
            }
        }
    }

    fn report(&self, seen: &[(String, TreeHead)], report: &mut Report) {
        report.all(
            "tiles",
            &self.tiles,
            format!("{} recomputed", self.tiles_count),
        );
        if self.frontier.head() == self.head {
            report.check(
                "root",
                Outcome::Ok,
                "the entries make the checkpoint's root",
            );
        } else {
            report.check(
                "root",
                Outcome::Failed,
                "the entries do not make the checkpoint's root",
            );
        }
        for (who, head) in seen {
            let name = format!("consistent with {who}");
            let size = head.size;
            if size > self.head.size {
                let detail = format!("it is of {size} entries: the log was rolled back");
                report.check(&name, Outcome::Failed, detail);
            } else if self.roots.get(&size) == Some(head) {
                let detail = format!("its {size} entries are the beginning of the log");
                report.check(&name, Outcome::Ok, detail);
            } else {
                let detail = format!("its {size} entries are not the beginning of the log");
                report.check(&name, Outcome::Failed, detail);
            }
        }
        if !self.listed {
            return;
        }
        let mut unmet = Problems::default();
        for id in self.wanted.values() {
            unmet.add(format!("statement {id} is not in the log"));
        }
        report.all("statements in the log", &unmet, "each has its entry");
    }
}
