//! Rows of the database as records, checked: what does not parse is corrupt.

use sqlx::Row;
use sqlx::any::AnyRow;

use lethe_envelope::{KekId, TenantId};

use super::super::pool::store_error;
use super::super::{FenceRow, GatewayRow, KekRow, NodeRow, Phase, StoreError, StoreHead};
use crate::secret::NodeWrap;
use crate::tree::{Epoch, Place};
use crate::types::{FenceScope, GatewayId, KekInfo, KekState, KeyStoreIdentity};

pub(super) const KEK_INFO_COLUMNS: &str = "kek_id, version, commitment, state, created_ms";

pub(super) const KEK_COLUMNS: &str =
    "tenant, kek_id, version, commitment, state, created_ms, place, generation, wrapped, leaf_hash";

pub(super) fn integer(row: &AnyRow, column: &str) -> Result<i64, StoreError> {
    row.try_get(column).map_err(|error| store_error(&error))
}

pub(super) fn count(row: &AnyRow, column: &'static str) -> Result<u64, StoreError> {
    u64::try_from(integer(row, column)?).map_err(|_| StoreError::Corrupt(column))
}

pub(super) fn text(row: &AnyRow, column: &str) -> Result<String, StoreError> {
    row.try_get(column).map_err(|error| store_error(&error))
}

pub(super) fn bytes<const N: usize>(
    row: &AnyRow,
    column: &'static str,
) -> Result<[u8; N], StoreError> {
    let bytes: Vec<u8> = row.try_get(column).map_err(|error| store_error(&error))?;
    bytes.try_into().map_err(|_| StoreError::Corrupt(column))
}

pub(super) fn optional_bytes<const N: usize>(
    row: &AnyRow,
    column: &'static str,
) -> Result<Option<[u8; N]>, StoreError> {
    let bytes: Option<Vec<u8>> = row.try_get(column).map_err(|error| store_error(&error))?;
    bytes
        .map(|bytes| bytes.try_into().map_err(|_| StoreError::Corrupt(column)))
        .transpose()
}

pub(super) fn optional_integer(row: &AnyRow, column: &str) -> Result<Option<i64>, StoreError> {
    row.try_get(column).map_err(|error| store_error(&error))
}

pub(super) fn optional_count(
    row: &AnyRow,
    column: &'static str,
) -> Result<Option<u64>, StoreError> {
    optional_integer(row, column)?
        .map(|number| u64::try_from(number).map_err(|_| StoreError::Corrupt(column)))
        .transpose()
}

pub(super) fn tenant(row: &AnyRow) -> Result<TenantId, StoreError> {
    bytes(row, "tenant").map(TenantId::from_bytes)
}

pub(super) fn version(row: &AnyRow) -> Result<u32, StoreError> {
    u32::try_from(integer(row, "version")?).map_err(|_| StoreError::Corrupt("version"))
}

pub(super) fn node_wrap(row: &AnyRow, column: &'static str) -> Result<NodeWrap, StoreError> {
    let bytes: Vec<u8> = row.try_get(column).map_err(|error| store_error(&error))?;
    NodeWrap::new(&bytes).ok_or(StoreError::Corrupt(column))
}

pub(super) fn stored(number: u64, column: &'static str) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Corrupt(column))
}

pub(super) fn head(row: &AnyRow) -> Result<StoreHead, StoreError> {
    Ok(StoreHead {
        identity: identity(row)?,
        domain: text(row, "domain")?,
        phase: Phase::parse(&text(row, "state")?).ok_or(StoreError::Corrupt("state"))?,
        epoch: epoch(row)?,
        held: count(row, "held")? != 0,
        log_size: count(row, "log_size")?,
    })
}

pub(super) fn identity(row: &AnyRow) -> Result<KeyStoreIdentity, StoreError> {
    bytes(row, "identity").map(KeyStoreIdentity::from_bytes)
}

pub(super) fn epoch(row: &AnyRow) -> Result<Epoch, StoreError> {
    count(row, "epoch").map(Epoch)
}

fn place(row: &AnyRow) -> Result<Place, StoreError> {
    u16::try_from(integer(row, "place")?)
        .ok()
        .and_then(Place::new)
        .ok_or(StoreError::Corrupt("place"))
}

pub(super) fn node(row: &AnyRow) -> Result<NodeRow, StoreError> {
    Ok(NodeRow {
        place: place(row)?,
        generation: count(row, "generation")?,
        epoch: epoch(row)?,
        wrapped: node_wrap(row, "wrapped")?,
    })
}

pub(super) fn kek_info(row: &AnyRow) -> Result<KekInfo, StoreError> {
    Ok(KekInfo {
        kek_id: KekId::from_bytes(bytes(row, "kek_id")?),
        version: version(row)?,
        commitment: bytes(row, "commitment")?,
        state: KekState::parse(&text(row, "state")?).ok_or(StoreError::Corrupt("state"))?,
        created_ms: integer(row, "created_ms")?,
    })
}

pub(super) fn kek(row: &AnyRow) -> Result<KekRow, StoreError> {
    Ok(KekRow {
        tenant: tenant(row)?,
        info: kek_info(row)?,
        place: place(row)?,
        generation: count(row, "generation")?,
        wrapped: bytes(row, "wrapped")?,
        leaf_hash: bytes(row, "leaf_hash")?,
    })
}

pub(super) fn fence(row: &AnyRow) -> Result<FenceRow, StoreError> {
    let scope = match text(row, "kind")?.as_str() {
        "tenant" => FenceScope::Tenant(tenant(row)?),
        "nodes" => FenceScope::Nodes,
        _ => return Err(StoreError::Corrupt("fence")),
    };
    Ok(FenceRow {
        fence: count(row, "fence")?,
        scope,
    })
}

pub(super) fn gateway(row: &AnyRow) -> Result<GatewayRow, StoreError> {
    Ok(GatewayRow {
        gateway: GatewayId::from_bytes(bytes(row, "gateway")?),
        epoch: epoch(row)?,
        fence: count(row, "fence")?,
        lease_ms: count(row, "lease_ms")?,
        renewals: count(row, "renewals")?,
        renewed_ms: integer(row, "renewed_ms")?,
    })
}
