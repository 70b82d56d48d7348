//! The bytes of a backup (`docs/format.md`, key store backups): a label, records, and an end that sums them up.

use lethe_envelope::{KekId, TenantId};
use sha2::{Digest, Sha256};

use crate::secret::{NodeWrap, WRAPPED_BYTES};
use crate::store::{
    Canary, EntryRecord, FenceRow, KekRow, MoveRow, MoveState, NodeRow, Record, StoreRecord,
};
use crate::tree::{Epoch, Place};
use crate::types::{CreationEntry, EntrySubject, FenceScope, KekInfo, KekState, KeyStoreIdentity};

pub(crate) const EXTENSION: &str = ".lethe-keys";

const LABEL: &[u8; 16] = b"lethe/v1/keys\0\0\0";

/// The longest record: a move of the root with as many victims as there may be.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// Absent, where a number may be: no count comes near it.
const ABSENT: u64 = u64::MAX;

/// What is wrong with a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("it is no key store backup of this version")]
    Label,
    #[error("it ends before its end")]
    Truncated,
    #[error("a record is damaged")]
    Record,
    #[error("its digest or its counts do not match its contents")]
    Sum,
}

/// Encodes a backup piece by piece.
pub(crate) struct Encoder {
    bytes: Vec<u8>,
    sum: Sha256,
    pub(crate) nodes: u64,
    pub(crate) keks: u64,
    pub(crate) length: u64,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self {
            bytes: LABEL.to_vec(),
            sum: Sha256::new(),
            nodes: 0,
            keks: 0,
            length: 0,
        }
    }

    /// `false` when the record is too long to be one.
    #[must_use]
    pub(crate) fn push(&mut self, record: &Record) -> bool {
        match record {
            Record::Node(_) => self.nodes += 1,
            Record::Kek(_) => self.keks += 1,
            _ => {}
        }
        let (kind, body) = encode(record);
        self.frame(kind, &body)
    }

    fn frame(&mut self, kind: u8, body: &[u8]) -> bool {
        let Ok(length) = u32::try_from(body.len()) else {
            return false;
        };
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(body);
        body.len() <= RECORD_BYTES_MAX
    }

    /// What has been encoded since the last time.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.bytes);
        self.sum.update(&bytes);
        self.length += bytes.len() as u64;
        bytes
    }

    /// The last bytes, and the SHA-256 of the whole file.
    pub(crate) fn finish(mut self) -> (Vec<u8>, [u8; 32], u64) {
        let mut last = self.take();
        let mut body = self.sum.clone().finalize().to_vec();
        body.extend_from_slice(&self.nodes.to_be_bytes());
        body.extend_from_slice(&self.keks.to_be_bytes());
        let _fits = self.frame(END, &body);
        last.extend(self.take());
        let length = self.length;
        (last, self.sum.finalize().into(), length)
    }
}

/// Decodes a backup from pieces of any length.
pub(crate) struct Decoder {
    bytes: Vec<u8>,
    at: usize,
    labelled: bool,
    ended: bool,
    sum: Sha256,
    file: Sha256,
    pub(crate) nodes: u64,
    pub(crate) keks: u64,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            at: 0,
            labelled: false,
            ended: false,
            sum: Sha256::new(),
            file: Sha256::new(),
            nodes: 0,
            keks: 0,
        }
    }

    /// Takes a piece and answers the records that are complete with it.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<Record>, FormatError> {
        self.file.update(piece);
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(piece);
        if !self.labelled {
            let Some(label) = self.bytes.first_chunk::<16>() else {
                return Ok(Vec::new());
            };
            if label != LABEL {
                return Err(FormatError::Label);
            }
            self.sum.update(label);
            self.labelled = true;
            self.at = LABEL.len();
        }
        let mut records = Vec::new();
        while let Some((kind, frame)) = self.frame()? {
            let body = &self.bytes[self.at + FRAME_BYTES..self.at + frame];
            if kind == END {
                self.check_end(body)?;
                self.ended = true;
            } else {
                let record = decode(kind, body).ok_or(FormatError::Record)?;
                match record {
                    Record::Node(_) => self.nodes += 1,
                    Record::Kek(_) => self.keks += 1,
                    _ => {}
                }
                records.push(record);
                self.sum.update(&self.bytes[self.at..self.at + frame]);
            }
            self.at += frame;
        }
        Ok(records)
    }

    /// The next frame's kind and whole length, if it is there.
    fn frame(&self) -> Result<Option<(u8, usize)>, FormatError> {
        let rest = &self.bytes[self.at..];
        if self.ended {
            // Whatever comes behind the end is not summed.
            return if rest.is_empty() {
                Ok(None)
            } else {
                Err(FormatError::Record)
            };
        }
        let Some((kind, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let Some(length) = rest.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > RECORD_BYTES_MAX {
            return Err(FormatError::Record);
        }
        Ok((rest.len() >= 4 + length).then_some((*kind, FRAME_BYTES + length)))
    }

    fn check_end(&self, body: &[u8]) -> Result<(), FormatError> {
        let mut expected = self.sum.clone().finalize().to_vec();
        expected.extend_from_slice(&self.nodes.to_be_bytes());
        expected.extend_from_slice(&self.keks.to_be_bytes());
        if body == expected {
            Ok(())
        } else {
            Err(FormatError::Sum)
        }
    }

    /// The SHA-256 of the whole file, when it had its end.
    pub(crate) fn finish(self) -> Result<[u8; 32], FormatError> {
        if self.ended {
            Ok(self.file.finalize().into())
        } else {
            Err(FormatError::Truncated)
        }
    }
}

const FRAME_BYTES: usize = 5;
const STORE: u8 = 1;
const NODE: u8 = 2;
const KEK: u8 = 3;
const ENTRY: u8 = 4;
const FENCE: u8 = 5;
const MOVE: u8 = 6;
const END: u8 = 255;

struct Body(Vec<u8>);

impl Body {
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn number(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    fn canary(self, canary: &Canary) -> Self {
        self.number(canary.wrapped.len() as u64)
            .bytes(&canary.wrapped)
            .bytes(&canary.sum)
    }

    fn time(self, ms: i64) -> Self {
        self.bytes(&ms.to_be_bytes())
    }
}

fn encode(record: &Record) -> (u8, Vec<u8>) {
    let body = Body(Vec::with_capacity(320));
    match record {
        Record::Store(store) => (STORE, store_body(body, store).0),
        Record::Node(node) => (NODE, node_body(body, node).0),
        Record::Kek(kek) => (KEK, kek_body(body, kek).0),
        Record::Entry(entry) => (ENTRY, entry_body(body, entry).0),
        Record::Fence(fence) => (FENCE, fence_body(body, *fence).0),
        Record::Move(row) => (MOVE, move_body(body, row).0),
    }
}

fn store_body(body: Body, store: &StoreRecord) -> Body {
    body.bytes(store.identity.as_bytes())
        .number(store.epoch.0)
        .number(u64::from(store.held))
        .number(store.fence)
        .number(store.entry)
        .number(store.log_size)
        .time(store.created_ms)
        .bytes(store.domain.as_bytes())
}

fn node_body(body: Body, node: &NodeRow) -> Body {
    body.number(u64::from(node.place.number()))
        .number(node.generation)
        .number(node.epoch.0)
        .bytes(&node.wrapped)
}

fn kek_body(body: Body, kek: &KekRow) -> Body {
    let state = match kek.info.state {
        KekState::Pending => 0,
        KekState::Active => 1,
        KekState::DecryptOnly => 2,
    };
    body.bytes(kek.tenant.as_bytes())
        .bytes(kek.info.kek_id.as_bytes())
        .number(u64::from(kek.info.version))
        .number(state)
        .number(u64::from(kek.place.number()))
        .number(kek.generation)
        .time(kek.info.created_ms)
        .bytes(&kek.info.commitment)
        .bytes(&kek.leaf_hash)
        .bytes(&kek.wrapped)
}

fn entry_body(body: Body, entry: &EntryRecord) -> Body {
    let body = body
        .number(entry.number)
        .number(entry.index.unwrap_or(ABSENT))
        .time(entry.created_ms)
        .bytes(&entry.entry);
    match (entry.subject, &entry.creation) {
        (EntrySubject::Kek { tenant, .. }, Some(creation)) => body
            .bytes(&[1])
            .bytes(tenant.as_bytes())
            .number(u64::from(creation.version))
            .bytes(creation.kek_id.as_bytes())
            .bytes(&creation.nonce)
            .bytes(&creation.commitment)
            .bytes(&creation.previous),
        (EntrySubject::Statement { receipt_id }, _) => body.bytes(&[2]).bytes(&receipt_id),
        (EntrySubject::Override | EntrySubject::Kek { .. }, _) => body.bytes(&[3]),
    }
}

fn fence_body(body: Body, fence: FenceRow) -> Body {
    let body = body.number(fence.fence);
    match fence.scope {
        FenceScope::Tenant(tenant) => body.bytes(&[1]).bytes(tenant.as_bytes()),
        FenceScope::Lift(tenant) => body.bytes(&[2]).bytes(tenant.as_bytes()),
        FenceScope::Nodes => body.bytes(&[3]),
    }
}

fn move_body(body: Body, row: &MoveRow) -> Body {
    let state = match row.state {
        MoveState::Rekeyed => 1,
        MoveState::Destroying => 2,
        MoveState::Destroyed => 3,
    };
    let body = body
        .number(row.from.0)
        .number(row.to.0)
        .number(state)
        .number(row.nodes)
        .number(row.keks_rewrapped)
        .number(row.keks_deleted)
        .number(row.bytes)
        .canary(&row.canary_from)
        .canary(&row.canary_to)
        .time(row.canary_opened_ms)
        .time(row.rekeyed_ms)
        .bytes(&row.backup.map_or([0; 32], |(sha256, _)| sha256))
        .time(row.backup.map_or(NO_TIME, |(_, ms)| ms))
        .time(row.destroyed_ms.unwrap_or(NO_TIME));
    row.victims
        .iter()
        .fold(body, |body, victim| body.bytes(victim.as_bytes()))
}

/// Absent, where a time may be.
const NO_TIME: i64 = i64::MIN;

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_be_bytes)
    }

    fn time(&mut self) -> Option<i64> {
        self.bytes().map(i64::from_be_bytes)
    }

    fn tenant(&mut self) -> Option<TenantId> {
        self.bytes().map(TenantId::from_bytes)
    }

    fn version(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn place(&mut self) -> Option<Place> {
        Place::new(self.number()?.try_into().ok()?)
    }

    fn wrapped(&mut self) -> Option<[u8; WRAPPED_BYTES]> {
        self.bytes()
    }
}

fn decode(kind: u8, body: &[u8]) -> Option<Record> {
    let mut fields = Fields(body);
    let record = match kind {
        STORE => Record::Store(store(&mut fields)?),
        NODE => Record::Node(NodeRow {
            place: fields.place()?,
            generation: fields.number()?,
            epoch: Epoch(fields.number()?),
            wrapped: NodeWrap::new(std::mem::take(&mut fields.0))?,
        }),
        KEK => Record::Kek(kek(&mut fields)?),
        ENTRY => Record::Entry(entry(&mut fields)?),
        FENCE => Record::Fence(FenceRow {
            fence: fields.number()?,
            scope: match fields.bytes()? {
                [1] => FenceScope::Tenant(fields.tenant()?),
                [2] => FenceScope::Lift(fields.tenant()?),
                [3] => FenceScope::Nodes,
                _ => return None,
            },
        }),
        MOVE => Record::Move(Box::new(movement(&mut fields)?)),
        _ => return None,
    };
    fields.0.is_empty().then_some(record)
}

fn store(fields: &mut Fields<'_>) -> Option<StoreRecord> {
    Some(StoreRecord {
        identity: KeyStoreIdentity::from_bytes(fields.bytes()?),
        epoch: Epoch(fields.number()?),
        held: match fields.number()? {
            0 => false,
            1 => true,
            _ => return None,
        },
        fence: fields.number()?,
        entry: fields.number()?,
        log_size: fields.number()?,
        created_ms: fields.time()?,
        domain: String::from_utf8(std::mem::take(&mut fields.0).to_vec()).ok()?,
    })
}

fn kek(fields: &mut Fields<'_>) -> Option<KekRow> {
    let tenant = fields.tenant()?;
    let kek_id = KekId::from_bytes(fields.bytes()?);
    let version = fields.version()?;
    let state = match fields.number()? {
        0 => KekState::Pending,
        1 => KekState::Active,
        2 => KekState::DecryptOnly,
        _ => return None,
    };
    let (place, generation) = (fields.place()?, fields.number()?);
    let created_ms = fields.time()?;
    Some(KekRow {
        tenant,
        info: KekInfo {
            kek_id,
            version,
            commitment: fields.bytes()?,
            state,
            created_ms,
        },
        place,
        generation,
        leaf_hash: fields.bytes()?,
        wrapped: fields.wrapped()?,
    })
}

fn entry(fields: &mut Fields<'_>) -> Option<EntryRecord> {
    let number = fields.number()?;
    let index = fields
        .number()
        .map(|index| (index != ABSENT).then_some(index))?;
    let created_ms = fields.time()?;
    let entry = fields.bytes()?;
    let (subject, creation) = match fields.bytes()? {
        [1] => {
            let tenant = fields.tenant()?;
            let version = fields.version()?;
            let creation = CreationEntry {
                version,
                kek_id: KekId::from_bytes(fields.bytes()?),
                nonce: fields.bytes()?,
                commitment: fields.bytes()?,
                previous: fields.bytes()?,
                entry,
                index,
            };
            (EntrySubject::Kek { tenant, version }, Some(creation))
        }
        [2] => {
            let receipt_id = fields.bytes()?;
            (EntrySubject::Statement { receipt_id }, None)
        }
        [3] => (EntrySubject::Override, None),
        _ => return None,
    };
    Some(EntryRecord {
        number,
        subject,
        entry,
        index,
        created_ms,
        creation,
    })
}

fn movement(fields: &mut Fields<'_>) -> Option<MoveRow> {
    let (from, to) = (Epoch(fields.number()?), Epoch(fields.number()?));
    let state = match fields.number()? {
        1 => MoveState::Rekeyed,
        2 => MoveState::Destroying,
        3 => MoveState::Destroyed,
        _ => return None,
    };
    let counts = [
        fields.number()?,
        fields.number()?,
        fields.number()?,
        fields.number()?,
    ];
    let mut canary = || {
        let length = usize::try_from(fields.number()?).ok()?;
        let (wrapped, rest) = fields.0.split_at_checked(length)?;
        fields.0 = rest;
        Some(Canary {
            wrapped: NodeWrap::new(wrapped)?,
            sum: fields.bytes()?,
        })
    };
    let (canary_from, canary_to) = (canary()?, canary()?);
    let (canary_opened_ms, rekeyed_ms) = (fields.time()?, fields.time()?);
    let (sha256, backup_ms, destroyed_ms) = (fields.bytes()?, fields.time()?, fields.time()?);
    let present = |ms: i64| (ms != NO_TIME).then_some(ms);
    let (victims, rest) = fields.0.as_chunks::<16>();
    fields.0 = rest;
    Some(MoveRow {
        from,
        to,
        state,
        victims: victims.iter().copied().map(TenantId::from_bytes).collect(),
        nodes: counts[0],
        keks_rewrapped: counts[1],
        keks_deleted: counts[2],
        bytes: counts[3],
        canary_from,
        canary_to,
        canary_opened_ms,
        rekeyed_ms,
        backup: present(backup_ms).map(|ms| (sha256, ms)),
        destroyed_ms: present(destroyed_ms),
    })
}
