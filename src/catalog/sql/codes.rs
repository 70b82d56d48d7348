//! How states and kinds are written in rows, and how rows are read back. What can't be read is `Corrupt`.

use super::super::database::{DatabaseError, Row, Value};
use super::super::{
    ApprovalMode, BucketState, BucketVersioning, Change, CredentialState, JobKind, ReceiptStage,
    ShredState, TerminationState, UploadState,
};
use crate::tenants::{
    AccessKeyId, BucketName, NameError, ObjectKey, RegionName, TenantId, TenantState,
};
use lethe_envelope::{ChecksumAlgorithm, ChecksumType};

/// The most of a reason that is kept, in bytes.
const REASON_BYTES_MAX: usize = 1024;

/// What is kept of the reason why something is tried again; PostgreSQL's texts hold no NUL.
pub(super) fn reason(text: &str) -> String {
    let mut text = text.replace('\0', "");
    text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
    text
}

/// A value with a fixed text in the catalog's rows.
pub(super) trait Coded: Sized {
    fn code(self) -> &'static str;
    fn from_code(text: &str) -> Option<Self>;
}

macro_rules! coded {
    ($type:ty { $($variant:ident = $code:literal),+ $(,)? }) => {
        impl Coded for $type {
            fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }
            fn from_code(text: &str) -> Option<Self> {
                match text {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

coded!(TenantState {
    Creating = "creating",
    Active = "active",
    Suspended = "suspended",
    Terminating = "terminating",
    Shredded = "shredded",
});
coded!(CredentialState {
    Creating = "creating",
    Active = "active",
    Revoked = "revoked",
});
coded!(BucketState {
    Creating = "creating",
    Active = "active",
    Deleting = "deleting",
});
coded!(BucketVersioning {
    Off = "off",
    Enabled = "enabled",
    Suspended = "suspended",
});
coded!(UploadState {
    Creating = "creating",
    Open = "open",
    Completing = "completing",
    Completed = "completed",
    Aborting = "aborting",
});
coded!(JobKind {
    FinishTenant = "finish-tenant",
    FinishCredential = "finish-credential",
    FinishBucket = "finish-bucket",
    SweepUploads = "sweep-uploads",
});

coded!(ApprovalMode {
    Production = "production",
    Dev = "dev",
});
coded!(TerminationState {
    Requested = "requested",
    Approved = "approved",
    Cancelled = "cancelled",
    Shredding = "shredding",
    Erased = "erased",
    Purged = "purged",
});
coded!(ShredState {
    Requested = "requested",
    Fenced = "fenced",
    Inventoried = "inventoried",
    Rekeyed = "rekeyed",
    Refenced = "refenced",
    BackedUp = "backed-up",
    Destroyed = "destroyed",
    Receipted = "receipted",
    Purged = "purged",
});
coded!(ReceiptStage {
    Revoked = "revoked",
    Erased = "erased",
    Purged = "purged",
});

/// The codes of up to `N` states for a fixed list of parameters; the rest are empty, which is no code.
pub(super) fn state_codes<T: Coded + Copy, const N: usize>(states: &[T]) -> [&'static str; N] {
    let mut codes = [""; N];
    for (slot, state) in codes.iter_mut().zip(states) {
        *slot = state.code();
    }
    codes
}

pub(super) fn state<T: Coded>(row: &Row, column: &'static str) -> Result<T, DatabaseError> {
    T::from_code(&row.get::<String>(column)?).ok_or_else(|| DatabaseError::corrupt(column))
}

/// A name that was checked when it was written.
pub(super) fn name<T>(
    row: &Row,
    column: &'static str,
    parse: impl FnOnce(String) -> Result<T, NameError>,
) -> Result<T, DatabaseError> {
    parse(row.get(column)?).map_err(|_| DatabaseError::corrupt(column))
}

pub(super) fn optional_object_key(
    row: &Row,
    column: &'static str,
) -> Result<Option<ObjectKey>, DatabaseError> {
    let Some(bytes) = row.get::<Option<Vec<u8>>>(column)? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes).map_err(|_| DatabaseError::corrupt(column))?;
    let key = ObjectKey::new(text).map_err(|_| DatabaseError::corrupt(column))?;
    Ok(Some(key))
}

pub(super) fn object_key(row: &Row, column: &'static str) -> Result<ObjectKey, DatabaseError> {
    optional_object_key(row, column)?.ok_or_else(|| DatabaseError::corrupt(column))
}

/// An unsigned number of a BIGINT column.
pub(super) fn number<T: TryFrom<i64>>(row: &Row, column: &'static str) -> Result<T, DatabaseError> {
    T::try_from(row.get::<i64>(column)?).map_err(|_| DatabaseError::corrupt(column))
}

pub(super) fn checksum_kind_values(
    kind: Option<(ChecksumAlgorithm, ChecksumType)>,
) -> (Value, Value) {
    (
        Value::from(kind.map(|(algorithm, _)| i64::from(algorithm.code()))),
        Value::from(kind.map(|(_, checksum_type)| i64::from(checksum_type.code()))),
    )
}

pub(super) fn checksum_kind(
    row: &Row,
    algorithm: &'static str,
    checksum_type: &'static str,
) -> Result<Option<(ChecksumAlgorithm, ChecksumType)>, DatabaseError> {
    let codes = (
        row.get::<Option<i64>>(algorithm)?,
        row.get::<Option<i64>>(checksum_type)?,
    );
    match codes {
        (None, None) => Ok(None),
        (Some(algorithm_code), Some(type_code)) => {
            let algorithm_known = u8::try_from(algorithm_code)
                .ok()
                .and_then(|code| ChecksumAlgorithm::from_code(code).ok());
            let type_known = u8::try_from(type_code)
                .ok()
                .and_then(|code| ChecksumType::from_code(code).ok());
            match algorithm_known.zip(type_known) {
                Some(kind) => Ok(Some(kind)),
                None => Err(DatabaseError::corrupt(algorithm)),
            }
        }
        _ => Err(DatabaseError::corrupt(algorithm)),
    }
}

/// A change's kind, tenant and name columns.
pub(super) fn change_columns(change: &Change) -> (&'static str, Option<&[u8]>, Option<&str>) {
    match change {
        Change::Tenant(tenant) => ("tenant", Some(tenant.as_bytes()), None),
        Change::Credential(id) => ("credential", None, Some(id.as_str())),
        Change::Bucket(tenant, bucket) => {
            ("bucket", Some(tenant.as_bytes()), Some(bucket.as_str()))
        }
        Change::Region(region) => ("region", None, Some(region.as_str())),
    }
}

pub(super) fn change(row: &Row) -> Result<Change, DatabaseError> {
    let tenant = || row.array("tenant").map(TenantId::from_bytes);
    match row.get::<String>("kind")?.as_str() {
        "tenant" => Ok(Change::Tenant(tenant()?)),
        "credential" => Ok(Change::Credential(name(row, "name", AccessKeyId::new)?)),
        "bucket" => Ok(Change::Bucket(
            tenant()?,
            name(row, "name", BucketName::new)?,
        )),
        "region" => Ok(Change::Region(name(row, "name", RegionName::new)?)),
        _ => Err(DatabaseError::corrupt("kind")),
    }
}
