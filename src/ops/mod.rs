//! One file an S3 operation: orchestration only. Knows neither HTTP nor cryptography.

pub mod conditions;
pub mod error;
pub mod etag;
pub mod gateway;
pub mod range;

pub use conditions::{
    CopySourceConditions, EntityTag, EntityTags, IfRange, ReadConditions, Validators, Verdict,
    WriteCondition,
};
pub use error::{Code, Detail, OpError};
pub use etag::ClientEtag;
pub use gateway::{Domain, Gateway, GatewayError, OpsLimits, Region};
pub use range::{RangeSpec, ResolvedRange, Unsatisfiable};
