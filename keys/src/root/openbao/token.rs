//! A token in a file, read at every use: who replaces it needs to tell nobody.

use std::path::{Path, PathBuf};

use hyper::header::HeaderValue;
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

/// Longest token file, in bytes.
const TOKEN_BYTES_MAX: usize = 4096;

#[derive(Debug)]
pub(super) struct TokenFile(PathBuf);

impl TokenFile {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The token as a header's value, without the line break behind it.
    pub(super) async fn read(&self) -> Result<HeaderValue, String> {
        let failed = |what: String| format!("the token file {} {what}", self.0.display());
        let file = tokio::fs::File::open(&self.0)
            .await
            .map_err(|error| failed(format!("can't be read: {}", error.kind())))?;
        // Room for all of it at once: a growing buffer would leave copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES_MAX + 2));
        file.take(TOKEN_BYTES_MAX as u64 + 1)
            .read_to_end(&mut text)
            .await
            .map_err(|error| failed(format!("can't be read: {}", error.kind())))?;
        let token = text.trim_ascii();
        let fits = !token.is_empty()
            && text.len() <= TOKEN_BYTES_MAX
            && token.iter().all(u8::is_ascii_graphic);
        let value = fits.then(|| HeaderValue::from_bytes(token).ok()).flatten();
        let mut value = value.ok_or_else(|| failed("holds no token".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}
