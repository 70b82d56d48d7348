//! From what a store answers, or does not answer, to [`RegionError`].

use super::transport::SendError;
use super::xml;
use crate::region::{Missing, RegionError, VersionId};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use http::StatusCode;
use std::error::Error as StdError;

/// What a call does, which decides what a lost answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing changes: a lost answer is as good as none.
    Read,
    /// Something may have changed.
    Write,
}

/// One call, for its errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) operation: &'static str,
    pub(super) effect: Effect,
    /// What a 404 without a code is about.
    pub(super) about: Missing,
    /// Whether the caller named a version.
    pub(super) named_version: bool,
}

impl Call {
    pub(super) const fn read(operation: &'static str, about: Missing) -> Self {
        Self {
            operation,
            effect: Effect::Read,
            about,
            named_version: false,
        }
    }

    pub(super) fn write(operation: &'static str, about: Missing) -> Self {
        Self {
            effect: Effect::Write,
            ..Self::read(operation, about)
        }
    }

    pub(super) fn of_version(mut self, version: Option<&VersionId>) -> Self {
        self.named_version = version.is_some();
        self
    }

    pub(super) fn lying(self, reason: impl Into<String>) -> RegionError {
        RegionError::Lying {
            operation: self.operation,
            reason: reason.into(),
        }
    }

    pub(super) fn unavailable(self, reason: impl Into<String>) -> RegionError {
        RegionError::Unavailable {
            operation: self.operation,
            reason: reason.into(),
        }
    }

    /// The request went out whole and no usable answer came.
    pub(super) fn lost(self, reason: impl Into<String>) -> RegionError {
        match self.effect {
            Effect::Read => self.unavailable(reason),
            Effect::Write => RegionError::Unknown {
                operation: self.operation,
                reason: reason.into(),
            },
        }
    }

    pub(super) fn refused(self, status: u16, code: &str) -> RegionError {
        RegionError::Refused {
            operation: self.operation,
            status,
            code: code.to_owned(),
        }
    }

    pub(super) fn not_found(self, missing: Missing) -> RegionError {
        RegionError::NotFound {
            operation: self.operation,
            missing,
        }
    }

    pub(super) fn unsent(self, error: SendError) -> RegionError {
        match error {
            SendError::NotSent(reason) => self.unavailable(reason),
            SendError::Lost(reason) => self.lost(reason),
            SendError::Garbled(reason) => self.lying(reason),
            SendError::Body(source) => RegionError::BodyFailed {
                operation: self.operation,
                source,
            },
        }
    }

    /// What an answer that is no success means.
    pub(super) fn refusal(self, answer: &Refusal) -> RegionError {
        let operation = self.operation;
        if answer.delete_marker {
            return RegionError::DeleteMarker {
                operation,
                version: answer.version.clone(),
                named: self.named_version,
            };
        }
        match answer.code.as_deref() {
            Some(code) => self
                .by_code(code, answer)
                .unwrap_or_else(|| self.by_status(answer, code)),
            None => self.by_status(answer, "none"),
        }
    }

    fn by_code(self, code: &str, answer: &Refusal) -> Option<RegionError> {
        let operation = self.operation;
        Some(match code {
            "NoSuchBucket" => self.not_found(Missing::Bucket),
            "NoSuchKey" => self.not_found(Missing::Object),
            "NoSuchVersion" => self.not_found(Missing::Version),
            "NoSuchUpload" => self.not_found(Missing::Upload),
            "NoSuchObjectLockConfiguration"
            | "ObjectLockConfigurationNotFoundError"
            | "NoSuchObjectLegalHold" => self.not_found(Missing::ObjectLock),
            "NoSuchLifecycleConfiguration" => self.not_found(Missing::Lifecycle),
            "PreconditionFailed" => RegionError::PreconditionFailed { operation },
            "ConditionalRequestConflict" | "OperationAborted" => {
                RegionError::Conflict { operation }
            }
            "InvalidRange" => RegionError::RangeNotSatisfiable {
                operation,
                stored_bytes: answer.stored_bytes,
            },
            "InvalidPart" | "InvalidPartOrder" => RegionError::InvalidPart {
                operation,
                number: None,
            },
            "BucketNotEmpty" => RegionError::BucketNotEmpty { operation },
            "TooManyBuckets" => RegionError::TooManyBuckets { operation },
            "NotImplemented" => self.unsupported(),
            "SlowDown" | "ServiceUnavailable" | "RequestTimeout" | "Throttling"
            | "TooManyRequests" | "ReducedRequestRate" => {
                self.unavailable(format!("the store answered {code}"))
            }
            "InternalError" | "InternalServerError" => {
                self.lost(format!("the store answered {code}"))
            }
            _ => return None,
        })
    }

    fn by_status(self, answer: &Refusal, code: &str) -> RegionError {
        let operation = self.operation;
        let status = answer.status;
        match status {
            StatusCode::NOT_FOUND => self.not_found(self.about),
            StatusCode::PRECONDITION_FAILED => RegionError::PreconditionFailed { operation },
            StatusCode::CONFLICT if answer.code.is_none() => RegionError::Conflict { operation },
            StatusCode::RANGE_NOT_SATISFIABLE => RegionError::RangeNotSatisfiable {
                operation,
                stored_bytes: answer.stored_bytes,
            },
            StatusCode::NOT_IMPLEMENTED => self.unsupported(),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                self.unavailable(format!("the store answered {}", status.as_u16()))
            }
            _ if status.is_server_error() => {
                self.lost(format!("the store answered {}", status.as_u16()))
            }
            // Refusals and redirects: the same request will not fare better.
            _ if status.is_client_error() || status.is_redirection() => {
                self.refused(status.as_u16(), code)
            }
            // An error text under a status of success: the store has not done it, but who knows what it did.
            _ if answer.code.is_some() => self.refused(status.as_u16(), code),
            _ => self.lying(format!("unexpected status {}", status.as_u16())),
        }
    }

    fn unsupported(self) -> RegionError {
        RegionError::Unsupported {
            operation: self.operation,
            what: self.operation,
        }
    }
}

/// An answer that is no success, without its message, which may hold keys.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: Option<String>,
    pub(super) delete_marker: bool,
    pub(super) version: Option<VersionId>,
    pub(super) stored_bytes: Option<u64>,
}

impl Refusal {
    pub(super) fn read(status: StatusCode, headers: &http::HeaderMap, body: &[u8]) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let said = xml::error(body);
        Self {
            status,
            code: said.code,
            delete_marker: text("x-amz-delete-marker") == Some("true"),
            version: text("x-amz-version-id").map(|id| VersionId(id.to_owned())),
            stored_bytes: text("content-range")
                .and_then(|range| range.strip_prefix("bytes */"))
                .and_then(|bytes| bytes.parse().ok())
                .or(said.stored_bytes),
        }
    }
}

/// What an SDK call's failure means.
pub(super) fn from_sdk<E>(call: Call, error: SdkError<E, HttpResponse>) -> RegionError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let raw = service.raw();
            let code = service.err().code().map(plain_code);
            let headers = raw.headers();
            let answer = Refusal {
                status: StatusCode::from_u16(raw.status().as_u16())
                    .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                code,
                delete_marker: headers.get("x-amz-delete-marker") == Some("true"),
                version: headers
                    .get("x-amz-version-id")
                    .map(|id| VersionId(id.to_owned())),
                stored_bytes: None,
            };
            call.refusal(&answer)
        }
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            match StatusCode::from_u16(status) {
                Ok(status) if !status.is_success() => call.refusal(&Refusal {
                    status,
                    code: None,
                    delete_marker: false,
                    version: None,
                    stored_bytes: None,
                }),
                _ => call.lying(format!("unreadable answer with status {status}")),
            }
        }
        SdkError::DispatchFailure(failure) => {
            let source = failure.as_connector_error().and_then(StdError::source);
            match source.and_then(|source| source.downcast_ref::<SendError>()) {
                Some(SendError::NotSent(reason)) => call.unavailable(reason.clone()),
                Some(SendError::Garbled(reason)) => call.lying(reason.clone()),
                Some(SendError::Lost(reason)) => call.lost(reason.clone()),
                Some(SendError::Body(_)) | None => call.lost("the request failed on its way"),
            }
        }
        SdkError::TimeoutError(_) => call.lost("no answer in time"),
        _ => call.unavailable("the request can't be built"),
    }
}

/// A code that may go to logs: an upstream decides its bytes.
pub(super) fn plain_code(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .collect()
}
