//! The bodies of a backup's records (`docs/format.md` §14).

use lethe_envelope::{KekId, TenantId};

use crate::secret::{NodeWrap, WRAPPED_BYTES};
use crate::store::{
    Canary, EntryRecord, FenceRow, KekRow, MoveRow, MoveState, NodeRow, Record, StoreRecord,
};
use crate::tree::{Epoch, Place};
use crate::types::{CreationEntry, EntrySubject, FenceScope, KekInfo, KekState, KeyStoreIdentity};

const STORE: u8 = 1;
const NODE: u8 = 2;
const KEK: u8 = 3;
const ENTRY: u8 = 4;
const FENCE: u8 = 5;
const MOVE: u8 = 6;

/// Absent, where a number may be: no count comes near it.
const ABSENT: u64 = u64::MAX;

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

pub(super) fn encode(record: &Record) -> (u8, Vec<u8>) {
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

pub(super) fn decode(kind: u8, body: &[u8]) -> Option<Record> {
    let mut fields = Fields(body);
    let record = match kind {
        STORE => Record::Store(store(&mut fields)?),
        NODE => Record::Node(Box::new(NodeRow {
            place: fields.place()?,
            generation: fields.number()?,
            epoch: Epoch(fields.number()?),
            wrapped: NodeWrap::new(std::mem::take(&mut fields.0))?,
        })),
        KEK => Record::Kek(kek(&mut fields)?),
        ENTRY => Record::Entry(entry(&mut fields)?),
        FENCE => Record::Fence(FenceRow {
            fence: fields.number()?,
            scope: match fields.bytes()? {
                [1] => FenceScope::Tenant(fields.tenant()?),
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
