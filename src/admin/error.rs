//! The one place that turns failures into the admin API's answers: `{"error":{"code","message","hint"}}`.

use super::principal::Role;
use crate::catalog::CatalogError;
use crate::directory::DirectoryError;
use crate::jobs::FinishError;
use crate::region::RegionError;
use crate::tenants::NameError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lethe_keys::KeysError;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// What an answer says that is not a success.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// An error, for programs and for people.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// For programs, such as `not_found`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// A refusal or failure of the admin API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: String,
}

/// The code of an answer that a shred can't begin before another is over.
pub const SHRED_OPEN: &str = "shred_open";

impl ApiError {
    fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// 400.
    pub fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message, hint)
    }

    /// 401.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "no principal has this token",
            "send Authorization: Bearer TOKEN; the token's SHA-256 stands in [[admin.principals]]",
        )
    }

    /// 403.
    pub(super) fn forbidden(message: impl Into<String>, takes: Role) -> Self {
        let role = takes.as_str();
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            message,
            format!("ask a principal with the role {role}"),
        )
    }

    /// 408.
    pub(super) fn too_slow(deadline: Duration) -> Self {
        let waited = deadline.as_secs();
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            format!("the request's body did not come within {waited} s"),
            "send it again, whole",
        )
    }

    /// A body that is too long, or that broke off.
    pub(super) fn unreadable(bytes_max: usize) -> Self {
        Self::invalid(
            format!("the request's body can't be read, or has more than {bytes_max} bytes"),
            "/openapi.json describes every request's body",
        )
    }

    /// 404.
    pub fn not_found(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message, hint)
    }

    /// 409.
    pub fn conflict(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message, hint)
    }

    /// 409 for a shred that can't begin before another is over; [`SHRED_OPEN`] for programs.
    pub(super) fn shred_open(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            SHRED_OPEN,
            message,
            "`lethe shred status` shows what it waits for, and `lethe shred resume` lets it go on at once; with --wait the \
             command waits for both",
        )
    }

    /// 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            message,
            "repeat the command: every step that was done stays done, and repeating it is safe",
        )
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            message,
            "run `lethe doctor`, and look at the gateway's log",
        )
    }

    /// For programs, such as `not_found`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error: ErrorDetail {
                code: self.code.to_owned(),
                message: self.message,
                hint: self.hint,
            },
        };
        (self.status, Json(body)).into_response()
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        let message = error.to_string();
        match error {
            CatalogError::NotFound { what, .. } => Self::not_found(
                format!("there is no such {what}"),
                "check the name, and the domain when there are several",
            ),
            CatalogError::Exists { what, .. } => Self::conflict(
                format!("the {what} exists already"),
                "choose another name, or use the one that is there",
            ),
            CatalogError::Conflict { .. } => Self::conflict(
                message,
                "look at its state first; another change may have come before",
            ),
            CatalogError::Quota { .. } => {
                Self::conflict(message, "delete something, or raise the limit")
            }
            CatalogError::Unavailable { .. } => Self::unavailable(message),
            CatalogError::Corrupt { .. } => Self::internal(message),
        }
    }
}

impl From<KeysError> for ApiError {
    fn from(error: KeysError) -> Self {
        let message = error.to_string();
        match error {
            KeysError::TenantUnknown { .. } | KeysError::KekUnknown { .. } => Self::not_found(
                message,
                "repeat `lethe tenant create` for a tenant that is not completely created; one that is has lost its keys: put \
                 the newest key store back, or restore its newest backup",
            ),
            KeysError::TenantFenced { .. } | KeysError::KekNotSealing { .. } => Self::conflict(
                message,
                "look at the tenant's state with `lethe tenant show`",
            ),
            KeysError::LeaseEnded
            | KeysError::KekPending { .. }
            | KeysError::Unavailable { .. } => Self::unavailable(message),
            KeysError::CreationHeld => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                message,
                "a shred moves it: repeat the command when `lethe shred status` says that it is destroyed, or what it waits for",
            ),
            KeysError::NotAuthentic | KeysError::CustomerKeyWrong | KeysError::Corrupt { .. } => {
                Self::internal(message)
            }
            KeysError::Refused { .. } => Self::conflict(message, "run `lethe doctor`"),
        }
    }
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Taken { .. } => Self::conflict(
                "the access key belongs to another domain",
                "revoke it there first, or create a new one here",
            ),
            DirectoryError::Unavailable { .. } => Self::unavailable(error.to_string()),
        }
    }
}

impl From<RegionError> for ApiError {
    fn from(error: RegionError) -> Self {
        match error {
            RegionError::NotFound { .. } | RegionError::DeleteMarker { .. } => {
                Self::not_found(error.to_string(), "check bucket, key and version")
            }
            RegionError::Unavailable { .. } | RegionError::Unknown { .. } => {
                Self::unavailable(error.to_string())
            }
            other => Self::internal(other.to_string()),
        }
    }
}

impl From<FinishError> for ApiError {
    fn from(error: FinishError) -> Self {
        match error {
            FinishError::Catalog(error) => error.into(),
            FinishError::Keys(error) => error.into(),
            FinishError::Directory(error) => error.into(),
            FinishError::Region(error) => error.into(),
            FinishError::RegionElsewhere(_) => {
                Self::conflict(error.to_string(), "use the gateway that serves the region")
            }
            FinishError::SubjectUnknown => Self::internal(error.to_string()),
        }
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::invalid(error.to_string(), "choose another name")
    }
}
