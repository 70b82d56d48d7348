//! The stored form of a Lethe object, as `docs/format.md` defines it.
//!
//! Pure: no I/O, no async runtime, no wall clock. The two exceptions are named by their modules: `random` asks
//! the operating system for salts and ids, and [`Engine::fastest`] times the AEAD engines once per process.
//!
//! An object is one stored body (parts, zero pad, trailer), one header and one sealed metadata value. All of them
//! are Cobblestone-256 messages ([`message`]) under the object's [`Dek`], told apart by typed contexts ([`context`]).
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod checksum;
pub mod context;
pub mod customer;
pub mod engine;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod header;
pub mod id;
mod kdf;
pub mod key;
pub mod layout;
pub mod message;
pub mod metadata;
mod random;
pub mod single;
pub mod trailer;
pub mod upload;

pub use checksum::{Checksum, ChecksumAlgorithm, ChecksumError, ChecksumType};
pub use context::{
    AttemptContext, DekContext, KekContext, MetadataContext, NodeContext, PartContext,
    TrailerContext, kek_commitment,
};
pub use customer::{CustomerCheck, CustomerKey, CustomerSecret};
pub use engine::{Engine, SegmentAead, TagMismatch};
pub use header::{Header, HeaderDraft, HeaderError, Kind, SinglePart, Suite};
pub use id::{IdError, KekId, ObjectId, TenantId};
pub use key::Dek;
pub use layout::SegmentSpan;
pub use message::{OpenError, Opener, SealedPart, Sealer, open_message, seal_message};
pub use metadata::{MetadataError, ObjectMetadata, user_metadata_len};
pub use random::RandomError;
pub use single::{SingleError, SingleSealer};
pub use trailer::{PartRecord, PartSlice, Trailer, TrailerError};
pub use upload::{SealedChecksumError, part_list_digest};
