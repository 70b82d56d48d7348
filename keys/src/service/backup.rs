//! Backups of the key store, and trying them out (design §3, step 5).

use std::collections::{HashMap, HashSet};
use std::path::Path;

use lethe_envelope::TenantId;
use tokio::sync::mpsc;

use super::KeyService;
use super::bulk::{Progress, page};
use super::rekey::{Mover, open_kek};
use super::scratch::Scratch;
use crate::backup::format::{Decoder, EXTENSION, Encoder, FormatError};
use crate::backup::{BackupError, BackupPlace, BackupWriter};
use crate::calls::StoreCalls;
use crate::error::{KeysError, Refusal};
use crate::secret::NodeKey;
use crate::store::{Imported, KekRow, MoveMark, MoveState, NodeRow, Record, StoreRecord};
use crate::tree::{Epoch, PLACES, Place};
use crate::types::{BackupEvidence, RestoreEvidence};

/// Pages of records that are between database and backup at a time.
const PAGES_MAX: usize = 2;

/// Bytes that are written at a time.
const PIECE_BYTES: usize = 262_144;

impl KeyService {
    /// Writes everything that lives in the key store to a place for backups: no old rows, no database pages.
    ///
    /// # Errors
    /// [`KeysError::Unavailable`] when store or place fail: there is no new backup; [`KeysError::Corrupt`].
    pub async fn backup(&self, place: &dyn BackupPlace) -> Result<BackupEvidence, KeysError> {
        let core = &self.core;
        core.check_ready().await?;
        let (pages, received) = mpsc::channel(PAGES_MAX);
        let exporting = core
            .store
            .bulk("exporting the key store", core.store.store.export(pages));
        let writer = place
            .begin(&core.identity)
            .await
            .map_err(|error| place_failed(&error))?;
        let writing = tokio::time::timeout(core.store.bulk_deadline, write_aside(writer, received));
        let (exported, written) = tokio::join!(exporting, writing);
        // What was written is only the whole when the export came to its end.
        exported?;
        let written = written.map_err(|_| crate::calls::late("writing a backup"))??;
        let created_ms = core.clock.unix_ms();
        let sha256 = written.sha256;
        let name = format!(
            "{}-epoch-{}-{}{EXTENSION}",
            core.domain,
            written.head.epoch,
            hex::encode(&sha256[..8])
        );
        let publishing = written.writer.publish(&name, &sha256);
        tokio::time::timeout(core.store.bulk_deadline, publishing)
            .await
            .map_err(|_| crate::calls::late("publishing a backup"))?
            .map_err(|error| place_failed(&error))?;
        Ok(BackupEvidence {
            name,
            sha256,
            bytes: written.bytes,
            epoch: written.head.epoch,
            log_size: written.head.log_size,
            nodes: written.nodes,
            keks: written.keks,
            created_ms,
        })
    }

    /// Restores a backup in a scratch store under `scratch`, opens every node with the current epoch alone, and every
    /// KEK, compares them with their commitments, and looks for whom the root has left behind. A move of the root that
    /// waits for it takes note. The scratch store is removed.
    ///
    /// # Errors
    /// [`Refusal::BackupRejected`] with what is wrong; [`KeysError::Unavailable`]: call again.
    pub async fn test_restore(
        &self,
        place: &dyn BackupPlace,
        name: &str,
        scratch: &Path,
    ) -> Result<RestoreEvidence, KeysError> {
        let core = &self.core;
        let head = core
            .store
            .call("reading the key store", core.store.store.head())
            .await?;
        let moves = core
            .store
            .call("reading moves of the root", core.store.store.moves())
            .await?;
        let victims: HashSet<TenantId> = moves
            .iter()
            .flat_map(|row| row.victims.iter().copied())
            .collect();
        let scratch = Scratch::create(scratch)?;
        let store = scratch.store(&core.store)?;
        let loaded = load(place, name, &store).await?;
        if loaded.head.identity != core.identity || loaded.head.domain != core.domain.as_str() {
            return Err(rejected(name, "it is another key store's"));
        }
        if loaded.head.epoch != head.epoch {
            let reason = format!("it is of epoch {}, not {}", loaded.head.epoch, head.epoch);
            return Err(rejected(name, &reason));
        }
        let mover = Mover {
            domain: &core.domain,
            store: &store,
            root: &core.root,
            now_ms: core.clock.unix_ms(),
        };
        let opened = mover
            .open_all(Opening::Backup(name), loaded.head.epoch, &victims)
            .await?;
        if (opened.nodes, opened.keks) != (loaded.nodes, loaded.keks) {
            return Err(rejected(name, "what was restored is not what was in it"));
        }
        let live = Mover {
            store: &core.store,
            ..mover
        };
        // Also where a destruction was asked for and its end is not known: this backup needs the epoch that is left even less.
        for row in moves.iter().filter(|row| row.state != MoveState::Destroyed) {
            let mark = MoveMark::BackedUp {
                sha256: loaded.sha256,
                now_ms: live.now_ms,
            };
            live.mark(row.from, mark).await?;
        }
        Ok(RestoreEvidence {
            sha256: loaded.sha256,
            epoch: loaded.head.epoch,
            log_size: loaded.head.log_size,
            nodes: opened.nodes,
            keks: opened.keks,
            victims: victims.len() as u64,
            tested_ms: live.now_ms,
        })
    }
}

pub(super) fn rejected(name: &str, reason: &str) -> KeysError {
    Refusal::BackupRejected {
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
    .into()
}

fn place_failed(error: &BackupError) -> KeysError {
    KeysError::Unavailable {
        operation: "reaching the place for backups",
        cause: error.to_string(),
    }
}

struct Written {
    writer: Box<dyn BackupWriter>,
    head: StoreRecord,
    sha256: [u8; 32],
    bytes: u64,
    nodes: u64,
    keks: u64,
}

async fn write_aside(
    mut writer: Box<dyn BackupWriter>,
    mut pages: mpsc::Receiver<Vec<Record>>,
) -> Result<Written, KeysError> {
    let mut encoder = Encoder::new();
    let mut head: Option<StoreRecord> = None;
    let mut pending = Vec::new();
    let mut progress = Progress::new("back_up");
    while let Some(records) = page("reading the key store", pages.recv()).await? {
        progress.add(records.len());
        for record in &records {
            match (record, &head) {
                (Record::Store(store), None) => head = Some(store.clone()),
                (Record::Node(node), Some(store)) if node.epoch != store.epoch => {
                    return Err(corrupt("set of nodes"));
                }
                (_, Some(_)) => {}
                (_, None) => return Err(corrupt("export")),
            }
            if !encoder.push(record) {
                return Err(corrupt("move of the root"));
            }
        }
        pending.extend(encoder.take());
        if pending.len() >= PIECE_BYTES {
            let piece = std::mem::take(&mut pending);
            write(&mut writer, piece).await?;
        }
    }
    let (nodes, keks) = (encoder.nodes, encoder.keks);
    let (last, sha256, bytes) = encoder.finish();
    pending.extend(last);
    write(&mut writer, pending).await?;
    Ok(Written {
        writer,
        head: head.ok_or_else(|| corrupt("export"))?,
        sha256,
        bytes,
        nodes,
        keks,
    })
}

async fn write(writer: &mut Box<dyn BackupWriter>, piece: Vec<u8>) -> Result<(), KeysError> {
    page("writing a backup", writer.write(piece))
        .await?
        .map_err(|error| place_failed(&error))
}

fn corrupt(what: &str) -> KeysError {
    KeysError::Corrupt {
        what: what.to_owned(),
    }
}

/// A backup that was read into a store.
pub(super) struct Loaded {
    pub(super) head: StoreRecord,
    pub(super) sha256: [u8; 32],
    pub(super) nodes: u64,
    pub(super) keks: u64,
}

/// Reads a backup into an empty store, which is `restoring` afterwards; all or nothing.
pub(super) async fn load(
    place: &dyn BackupPlace,
    name: &str,
    store: &StoreCalls,
) -> Result<Loaded, KeysError> {
    let loading = async {
        let (pages, received) = mpsc::channel(PAGES_MAX);
        let mut feed = Feed::open(place, name).await?;
        let head = feed.head().await?;
        let begin = store
            .store
            .begin_init(head.identity, &head.domain, head.created_ms);
        let found = store.call("creating a key store", begin).await?;
        if found.identity != head.identity || found.domain != head.domain {
            return Err(Refusal::StoreNotEmpty {
                store: store.name.clone(),
            }
            .into());
        }
        let importing = store.bulk("importing a backup", store.store.import(received));
        let (imported, fed) = tokio::join!(importing, feed.send_all(pages));
        // What is wrong with the file is more telling than that the import ended early.
        let (sha256, nodes, keks) = fed?;
        match imported? {
            Imported::Done => Ok(Loaded {
                head,
                sha256,
                nodes,
                keks,
            }),
            Imported::NotEmpty => Err(Refusal::StoreNotEmpty {
                store: store.name.clone(),
            }
            .into()),
            Imported::Broken => Err(rejected(name, "its records are not in order")),
        }
    };
    tokio::time::timeout(store.bulk_deadline, loading)
        .await
        .map_err(|_| crate::calls::late("reading a backup"))?
}

/// A backup's records, as they are read.
struct Feed<'a> {
    name: &'a str,
    reader: Box<dyn crate::backup::BackupReader>,
    decoder: Decoder,
    page: Vec<Record>,
}

impl<'a> Feed<'a> {
    async fn open(place: &dyn BackupPlace, name: &'a str) -> Result<Self, KeysError> {
        let reader = match place.read(name).await {
            Ok(reader) => reader,
            Err(BackupError::Missing(_)) => {
                return Err(rejected(name, "there is none of this name"));
            }
            Err(error) => return Err(place_failed(&error)),
        };
        Ok(Self {
            name,
            reader,
            decoder: Decoder::new(),
            page: Vec::new(),
        })
    }

    fn wrong(&self, error: FormatError) -> KeysError {
        rejected(self.name, &error.to_string())
    }

    /// The next records; `false` at the file's end.
    async fn fill(&mut self) -> Result<bool, KeysError> {
        while self.page.is_empty() {
            let piece = page("reading a backup", self.reader.next())
                .await?
                .map_err(|error| place_failed(&error))?;
            let Some(piece) = piece else { return Ok(false) };
            self.page = self
                .decoder
                .push(&piece)
                .map_err(|error| self.wrong(error))?;
        }
        Ok(true)
    }

    async fn head(&mut self) -> Result<StoreRecord, KeysError> {
        if !self.fill().await? {
            return Err(self.wrong(FormatError::Truncated));
        }
        match self.page.first() {
            Some(Record::Store(head)) => Ok(head.clone()),
            _ => Err(self.wrong(FormatError::Record)),
        }
    }

    /// Sends everything, and the end only when the file's own sum is right.
    async fn send_all(
        mut self,
        pages: mpsc::Sender<Option<Vec<Record>>>,
    ) -> Result<([u8; 32], u64, u64), KeysError> {
        let mut progress = Progress::new("import_backup");
        while self.fill().await? {
            let records = std::mem::take(&mut self.page);
            progress.add(records.len());
            let sent = page("importing a backup", pages.send(Some(records))).await?;
            if sent.is_err() {
                // The import says why.
                break;
            }
        }
        let (nodes, keks) = (self.decoder.nodes, self.decoder.keks);
        if pages.is_closed() {
            return Ok(([0; 32], nodes, keks));
        }
        let name = self.name;
        let sha256 = self
            .decoder
            .finish()
            .map_err(|error| rejected(name, &error.to_string()))?;
        let _import_says_why = page("importing a backup", pages.send(None)).await?;
        Ok((sha256, nodes, keks))
    }
}

/// Keys that were opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) nodes: u64,
    pub(super) keks: u64,
}

/// Which store is opened, and so what is wrong when something in it does not open.
#[derive(Clone, Copy)]
pub(super) enum Opening<'a> {
    /// One that this backup was restored into: victims must not be in it.
    Backup(&'a str),
    /// The live one, before its root moves: victims' KEKs are left behind, whether they open or not.
    Live,
}

impl Opening<'_> {
    fn unopened(self, row: &KekRow) -> KeysError {
        let kek_id = row.info.kek_id;
        match self {
            Self::Backup(name) => rejected(name, &format!("kek {kek_id} in it does not open")),
            Self::Live => Refusal::KekUnopened {
                kek_id,
                tenant: row.tenant,
            }
            .into(),
        }
    }
}

impl Mover<'_> {
    /// Opens every node of the store with one epoch, and every KEK, and looks for tenants who must not be there.
    pub(super) async fn open_all(
        &self,
        source: Opening<'_>,
        epoch: Epoch,
        victims: &HashSet<TenantId>,
    ) -> Result<Opened, KeysError> {
        let (pages, received) = mpsc::channel(PAGES_MAX);
        let exporting = self
            .store
            .bulk("reading every key", self.store.store.export(pages));
        let opening = self.open_pages(source, epoch, victims, received);
        let (exported, opened) = tokio::join!(exporting, opening);
        exported?;
        opened
    }

    /// Takes the pages, so that an early end here ends the export, too.
    async fn open_pages(
        &self,
        source: Opening<'_>,
        epoch: Epoch,
        victims: &HashSet<TenantId>,
        mut pages: mpsc::Receiver<Vec<Record>>,
    ) -> Result<Opened, KeysError> {
        let mut nodes: HashMap<Place, (u64, NodeKey)> = HashMap::new();
        let mut keks = 0;
        let mut progress = Progress::new("open_all_keys");
        while let Some(records) = page("reading a restored store", pages.recv()).await? {
            progress.add(records.len());
            let rows: Vec<NodeRow> = records
                .iter()
                .filter_map(|record| match record {
                    Record::Node(row) => Some(NodeRow::clone(row)),
                    _ => None,
                })
                .collect();
            for (row, key) in rows.iter().zip(self.open_nodes(epoch, &rows).await?) {
                nodes.insert(row.place, (row.generation, key));
            }
            for record in &records {
                let Record::Kek(row) = record else { continue };
                if victims.contains(&row.tenant) {
                    match source {
                        Opening::Live => continue,
                        Opening::Backup(name) => {
                            let reason = "it holds keys of a tenant that was shredded";
                            return Err(rejected(name, reason));
                        }
                    }
                }
                let node = nodes
                    .get(&row.place)
                    .filter(|(generation, _)| *generation == row.generation);
                if node
                    .and_then(|(_, key)| open_kek(self.domain, row, key))
                    .is_none()
                {
                    return Err(source.unopened(row));
                }
                keks += 1;
            }
            // A page is some milliseconds of computation; others have their turn.
            tokio::task::yield_now().await;
        }
        let nodes = nodes.len() as u64;
        if nodes == u64::from(PLACES) {
            Ok(Opened { nodes, keks })
        } else {
            Err(match source {
                Opening::Backup(name) => rejected(name, "nodes are missing in it"),
                Opening::Live => corrupt("set of nodes"),
            })
        }
    }
}
