//! One file an S3 operation: orchestration only. Knows neither HTTP messages nor cryptography.

pub mod authenticate;
mod body_end;
pub mod bucket_tagging;
pub mod buckets;
pub mod checksum;
pub mod conditions;
pub mod copy_object;
pub mod cors;
pub mod customer_key;
pub mod delete_object;
pub mod error;
pub mod etag;
mod failures;
mod folding;
pub mod gateway;
pub mod headers;
pub mod lifecycle;
pub mod list_objects;
pub mod multipart;
pub mod object_lock;
pub mod opened;
pub mod post_object;
pub mod put_object;
pub mod range;
pub mod read_object;
mod reading;
pub mod scope;
pub mod sealing;
mod stored_head;
pub mod tagging;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod trailers;

pub use conditions::{
    CopySourceConditions, EntityTag, EntityTags, IfRange, ReadConditions, Validators, Verdict,
    WriteCondition,
};
pub use error::{Code, Detail, OpError};
pub use etag::ClientEtag;
pub use gateway::{Domain, Gateway, GatewayError, OpsLimits, Region};
pub use range::{RangeSpec, ResolvedRange, Unsatisfiable};
