//! Keys that end in `/` (folder markers) on stores that walk a tree of directories and keep no such object: under the name
//! of the folder's first possible entry, a single space. No other key may have that name (`region::key_problem`), so each
//! key still has a stored name of its own; see docs/adr/folder-markers-have-a-name.md.

use super::S3Store;
use crate::region::ObjectRef;
use crate::tenants::ObjectKey;
use std::borrow::Cow;

/// The last segment of a folder marker's stored name: what sorts before every other entry of the folder.
pub(in crate::region) const MARKER: &str = " ";

/// The key that a stored name stands for; `None` when it is its own.
fn key_of(stored: &str) -> Option<&str> {
    stored.strip_suffix(MARKER).filter(|key| key.ends_with('/'))
}

impl S3Store {
    fn renames_folder_markers(&self) -> bool {
        let rules = &self.profile.keys;
        rules.folder_markers && !rules.trailing_slash
    }

    /// The object under its stored name.
    pub(super) fn stored<'a>(&self, at: &'a ObjectRef) -> Cow<'a, ObjectRef> {
        if !self.renames_folder_markers() || !at.key.as_str().ends_with('/') {
            return Cow::Borrowed(at);
        }
        // Only a key of 1,024 bytes has no longer one; `key_problem` has refused it.
        match ObjectKey::new(format!("{}{MARKER}", at.key.as_str())) {
            Ok(key) => Cow::Owned(ObjectRef {
                bucket: at.bucket.clone(),
                key,
            }),
            Err(_) => Cow::Borrowed(at),
        }
    }

    /// Where a listing begins that is to begin behind this key.
    pub(super) fn stored_start(&self, start: &str) -> String {
        let marker = self.renames_folder_markers() && start.ends_with('/');
        format!("{start}{}", if marker { MARKER } else { "" })
    }

    /// The key of a stored name that a listing gave.
    pub(super) fn listed_key(&self, mut stored: String) -> String {
        if self.renames_folder_markers()
            && let Some(key) = key_of(&stored)
        {
            stored.truncate(key.len());
        }
        stored
    }

    /// Whether a listed key is a folder marker whose stored name alone has the prefix that was asked for.
    pub(super) fn only_stored_name_has(&self, prefix: &str, key: &str) -> bool {
        self.renames_folder_markers() && key_of(prefix) == Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_is_for_markers_alone() {
        assert_eq!(key_of("a/ "), Some("a/"));
        assert_eq!(key_of("a/ / "), Some("a/ /"));
        for own in ["a ", " ", "a/", "a/  ", "a/ x", "a/x ", ""] {
            assert_eq!(key_of(own), None, "{own:?}");
        }
    }
}
