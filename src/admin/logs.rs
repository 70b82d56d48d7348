//! `/v1/log/{domain}/…`: a domain's transparency log, as C2SP tlog-tiles lays it out, read-only.

use super::error::{ApiError, ErrorBody};
use super::server::Acting;
use super::state::Admin;
use crate::log::{Head, LogPath, LogReader, LogStoreError, ReceiptId};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;

/// Statements answered at once.
const PAGE_MAX: usize = 1000;

/// Which statements.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// Only ids after this one.
    after: Option<String>,
    /// At most so many.
    limit: Option<usize>,
}

fn log_of<'a>(admin: &'a Admin, domain: &str) -> Result<&'a dyn LogReader, ApiError> {
    let log = admin.domain(Some(domain))?.log.as_deref();
    log.ok_or_else(|| {
        ApiError::not_found(
            format!("domain {domain} has no log"),
            "give its section a key `log`",
        )
    })
}

fn failed(error: LogStoreError) -> ApiError {
    tracing::warn!(op = "log", outcome = "failed", %error, "the log can't be read");
    ApiError::unavailable("the log can't be read now")
}

/// Lists the receipt ids of the statements beside the log, ascending.
#[utoipa::path(get, path = "/v1/log/{domain}/statements", tag = "log",
    params(("domain" = String, Path, description = "name"),
        ("after" = Option<String>, Query, description = "only ids after this one"),
        ("limit" = Option<usize>, Query, description = "at most so many, up to 1,000")),
    responses((status = 200, body = Vec<String>), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(super) async fn statements(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    Path(domain): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<String>>, ApiError> {
    let log = log_of(&admin, &domain)?;
    let after = page.after.map(|id| id.parse::<ReceiptId>()).transpose();
    let after = after.map_err(|_| {
        ApiError::invalid("after is not a receipt id", "write 32 hexadecimal digits")
    })?;
    let limit = page.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let ids = log.statements(after, limit).await.map_err(failed)?;
    Ok(Json(ids.iter().map(ToString::to_string).collect()))
}

/// One file of the log: `checkpoint`, `cosigned`, `tile/…`, `tile/entries/…`, `statements/<receipt id>.json`.
#[utoipa::path(get, path = "/v1/log/{domain}/{path}", tag = "log",
    params(("domain" = String, Path, description = "name"),
        ("path" = String, Path, description = "checkpoint, cosigned, tile/…, statements/<receipt id>.json")),
    responses((status = 200, description = "the file"), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(super) async fn file(
    State(admin): State<Arc<Admin>>,
    _acting: Acting,
    Path((domain, path)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let log = log_of(&admin, &domain)?;
    let absent = || {
        ApiError::not_found(
            "the log has no such file",
            "it has checkpoint, cosigned, tile/…, statements and statements/<receipt id>.json",
        )
    };
    let path = LogPath::parse(&path).ok_or_else(absent)?;
    let (kind, cache) = match path {
        // What is about to be done is the sequencer's own business.
        LogPath::Head(Head::Intent) => return Err(absent()),
        LogPath::Head(_) => ("text/plain; charset=utf-8", "no-cache"),
        LogPath::Tile(_) => (
            "application/octet-stream",
            "private, max-age=31536000, immutable",
        ),
        LogPath::Statement(_) => ("application/json", "private, max-age=31536000, immutable"),
    };
    let bytes = log.read(&path).await.map_err(failed)?.ok_or_else(absent)?;
    Ok(([(CONTENT_TYPE, kind), (CACHE_CONTROL, cache)], bytes).into_response())
}
