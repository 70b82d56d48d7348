//! What the operations' tests share.

use crate::region::{KeyRules, RegionProfile};

/// A store that can do everything.
pub fn profile() -> RegionProfile {
    RegionProfile {
        conditional_put: true,
        conditional_complete: true,
        conditional_copy: true,
        conditional_delete: true,
        equal_parts: false,
        versioning: true,
        tagging: true,
        keys: KeyRules::all(),
        put_checksum: false,
        content_disposition_bytes_max: 2000,
        user_metadata_bytes_max: 2048,
    }
}
