//! A log elsewhere, read over HTTP: as the admin listener serves it, or any server of C2SP tlog-tiles.

use super::http::{HttpClient, HttpError};
use super::store::{LogPath, LogReader, LogStoreError, ReceiptId};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// A listing of statements as the admin listener answers it.
const LISTING_BYTES_MAX: usize = 1 << 20;

/// A log under a URL.
pub struct RemoteLog {
    client: HttpClient,
    base: String,
    token: Option<Zeroizing<String>>,
}

impl fmt::Debug for RemoteLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteLog({})", self.base)
    }
}

impl RemoteLog {
    /// The log under `base`; `token` is the admin API's.
    ///
    /// # Errors
    /// [`HttpError::Unusable`] for certificates that can't be used, or a token that would travel in the clear.
    pub fn new(
        base: &str,
        token: Option<Zeroizing<String>>,
        ca: Option<&Path>,
    ) -> Result<Self, HttpError> {
        let url: http::Uri = base
            .parse()
            .map_err(|_| HttpError::Unusable(format!("{base} is not a URL")))?;
        let host = url.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<std::net::IpAddr>();
        let loopback = host == "localhost" || address.is_ok_and(|ip| ip.is_loopback());
        if token.is_some() && url.scheme_str() != Some("https") && !loopback {
            let problem = format!("{base}: a token is sent over https:// only");
            return Err(HttpError::Unusable(problem));
        }
        Ok(Self {
            client: HttpClient::new(ca)?,
            base: base.trim_end_matches('/').to_owned(),
            token,
        })
    }

    async fn get(&self, path: &str, max: usize) -> Result<(StatusCode, Bytes), LogStoreError> {
        let url = format!("{}/{path}", self.base);
        let token = self.token.as_ref().map(|token| token.as_str());
        let answer = self
            .client
            .exchange(Method::GET, &url, token, Bytes::new(), max);
        answer
            .await
            .map_err(|error| LogStoreError::away("reading", path, error))
    }

    /// Whether an answer means that this server has no list of statements, as one of mere files has none.
    fn lists_none(&self, status: StatusCode) -> bool {
        let refused = status.is_redirection()
            || matches!(
                status,
                StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED
            );
        // The admin API has one: where it refuses, the token is wrong.
        refused && self.token.is_none()
    }
}

#[async_trait]
impl LogReader for RemoteLog {
    async fn read(&self, path: &LogPath) -> Result<Option<Bytes>, LogStoreError> {
        match self.get(&path.to_string(), path.bytes_max()).await? {
            (StatusCode::OK, bytes) => Ok(Some(bytes)),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, _) => Err(unexpected(path, status)),
        }
    }

    async fn statements(
        &self,
        after: Option<ReceiptId>,
        max: usize,
    ) -> Result<Vec<ReceiptId>, LogStoreError> {
        let after = after.map_or_else(String::new, |id| format!("after={id}&"));
        let path = format!("statements?{after}limit={max}");
        let (status, listing) = self.get(&path, LISTING_BYTES_MAX).await?;
        if self.lists_none(status) {
            let reason = format!("HTTP status {status}");
            return Err(LogStoreError::Unlisted { reason });
        }
        if status != StatusCode::OK {
            return Err(unexpected(&path, status));
        }
        let lying =
            |reason: &dyn fmt::Display| LogStoreError::lying("listing", "statements", reason);
        let ids: Vec<String> = serde_json::from_slice(&listing).map_err(|error| lying(&error))?;
        let ids = ids.iter().map(|id| id.parse::<ReceiptId>());
        ids.collect::<Result<_, _>>().map_err(|error| lying(&error))
    }
}

fn unexpected(path: impl fmt::Display, status: StatusCode) -> LogStoreError {
    LogStoreError::away("reading", path, format!("HTTP status {status}"))
}
