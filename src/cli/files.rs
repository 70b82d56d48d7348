//! Files that nobody else may read, replaced whole or not at all.

use super::error::CommandError;
use std::io::Write as _;
use std::path::Path;

/// Writes a file with mode 0600: aside, synced, renamed, the directory synced.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    // The parent of a bare file name is empty, and names no directory.
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = parent.unwrap_or(Path::new("."));
    let write = || {
        // A temporary file is 0600 from its first moment.
        let mut aside = tempfile::Builder::new()
            .prefix(".lethe-")
            .tempfile_in(dir)?;
        aside.write_all(bytes)?;
        aside.as_file().sync_all()?;
        aside.persist(path)?;
        std::fs::File::open(dir)?.sync_all()
    };
    write().map_err(|error: std::io::Error| CommandError::file(path, "writing", &error))
}
