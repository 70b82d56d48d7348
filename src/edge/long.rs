//! Operations that may take longer than clients and proxies wait for a status: Complete and copies. For a while a real status is
//! waited for. Then, as S3 does, the answer begins with 200, white space keeps the connection, and the outcome is in the body, be it
//! an error.

use super::answer;
use super::context::{GatewayId, RequestContext};
use super::error;
use crate::ops::OpError;
use bytes::Bytes;
use futures::Stream;
use http::{HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::{Body, StdError};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, Interval, MissedTickBehavior};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Most bytes of an outcome's document.
const OUTCOME_BYTES_MAX: usize = 1024 * 1024;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct LongAnswers {
    /// A real status, from the operation's begin.
    pub status_within: Duration,
    /// Between two bytes of white space.
    pub white_space_every: Duration,
}

/// What runs an operation, whether its client waits or not: it is not left half done.
pub(super) type Work = JoinHandle<Result<Response<Body>, OpError>>;

/// Waits for an operation's outcome, or answers before it.
///
/// # Errors
/// The operation's, within its time.
pub(super) async fn answer(
    mut work: Work,
    context: &Arc<RequestContext>,
    gateway: GatewayId,
    times: LongAnswers,
) -> Result<Response<Body>, OpError> {
    let too_long = async {
        context.operation_began().await;
        tokio::time::sleep(times.status_within).await;
    };
    tokio::select! {
        outcome = &mut work => flatten(outcome),
        () = too_long => {
            let body = StreamBody::new(white_space(work, Arc::clone(context), gateway, times));
            let mut response = Response::new(Body::http_body_unsync(body));
            let xml = HeaderValue::from_static("application/xml");
            response.headers_mut().insert(header::CONTENT_TYPE, xml);
            Ok(response)
        }
    }
}

fn flatten(
    outcome: Result<Result<Response<Body>, OpError>, JoinError>,
) -> Result<Response<Body>, OpError> {
    outcome.map_err(OpError::internal)?
}

enum Step {
    Begin(Work),
    Wait(Work, Interval),
    End,
}

fn white_space(
    work: Work,
    context: Arc<RequestContext>,
    gateway: GatewayId,
    times: LongAnswers,
) -> impl Stream<Item = Result<Frame<Bytes>, StdError>> + Send {
    futures::stream::unfold(Step::Begin(work), move |step| {
        let context = Arc::clone(&context);
        async move {
            let (bytes, next) = match step {
                Step::Begin(work) => {
                    let first = Instant::now() + times.white_space_every;
                    let mut ticks = tokio::time::interval_at(first, times.white_space_every);
                    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    (
                        Bytes::from_static(DECLARATION.as_bytes()),
                        Step::Wait(work, ticks),
                    )
                }
                Step::Wait(mut work, mut ticks) => tokio::select! {
                    outcome = &mut work => {
                        (document(flatten(outcome), &context, gateway).await, Step::End)
                    }
                    _ = ticks.tick() => (Bytes::from_static(b" "), Step::Wait(work, ticks)),
                },
                Step::End => return None,
            };
            Some((Ok(Frame::data(bytes)), next))
        }
    })
}

/// The outcome without the declaration, which is out already.
async fn document(
    outcome: Result<Response<Body>, OpError>,
    context: &RequestContext,
    gateway: GatewayId,
) -> Bytes {
    let refuse = |failed: &OpError| error::to_response(failed, context.id(), gateway);
    let mut response = outcome.unwrap_or_else(|failed| refuse(&failed));
    let status = response.status();
    if !status.is_success() {
        tracing::warn!(
            request_id = %context.id(),
            status = status.as_u16(),
            "an operation failed after its status was sent"
        );
    }
    answer::shape(&mut response, context, gateway, false);
    let whole = response.body_mut().store_all_limited(OUTCOME_BYTES_MAX);
    let whole = match whole.await {
        Ok(whole) if !whole.is_empty() => whole,
        // A body without a document would look like neither success nor failure.
        Ok(_) => failed_document(OpError::internal("the outcome has no document"), &refuse),
        Err(failed) => failed_document(OpError::internal(failed), &refuse),
    };
    without_declaration(&whole)
}

fn failed_document(failed: OpError, refuse: &dyn Fn(&OpError) -> Response<Body>) -> Bytes {
    refuse(&failed).body().bytes().unwrap_or_default()
}

fn without_declaration(document: &Bytes) -> Bytes {
    let end = match document.starts_with(b"<?xml") {
        true => document
            .windows(2)
            .position(|w| w == b"?>")
            .map_or(0, |at| at + 2),
        false => 0,
    };
    document.slice(end..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::RequestId;
    use http::StatusCode;
    use http_body_util::BodyExt as _;

    const GATEWAY: GatewayId = GatewayId([0; 16]);

    /// With a status within `status_ms`, and white space every 5 ms.
    fn times(status_ms: u64) -> LongAnswers {
        LongAnswers {
            status_within: Duration::from_millis(status_ms),
            white_space_every: Duration::from_millis(5),
        }
    }

    fn work(after_ms: u64, outcome: Result<(StatusCode, &'static str), OpError>) -> Work {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            outcome.map(|(status, body)| {
                let mut response = Response::new(Body::from(body.to_owned()));
                *response.status_mut() = status;
                response
            })
        })
    }

    async fn late(outcome: Result<(StatusCode, &'static str), OpError>) -> String {
        let context = RequestContext::new(RequestId::NONE, "/bucket/key");
        context.operation_begins();
        let answered = answer(work(100, outcome), &context, GATEWAY, times(0));
        let answered = answered.await.unwrap();
        assert_eq!(answered.status(), 200);
        let body = answered.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn status_within_its_time_is_the_operations_own() {
        let context = RequestContext::new(RequestId::NONE, "/bucket/key");
        context.operation_begins();
        let failing = work(0, Ok((StatusCode::CONFLICT, "<Error/>")));
        let answered = answer(failing, &context, GATEWAY, times(60_000));
        assert_eq!(answered.await.unwrap().status(), 409);
        let refused = work(0, Err(OpError::no_such_key()));
        context.operation_begins();
        let answered = answer(refused, &context, GATEWAY, times(60_000));
        assert!(answered.await.is_err());
    }

    #[tokio::test]
    async fn time_before_the_operation_begins_does_not_count() {
        let context = RequestContext::new(RequestId::NONE, "/bucket/key");
        let slow_body = work(100, Ok((StatusCode::FORBIDDEN, "<Error/>")));
        let answered = answer(slow_body, &context, GATEWAY, times(0));
        assert_eq!(answered.await.unwrap().status(), 403);
    }

    #[tokio::test]
    async fn late_outcome_follows_white_space_in_one_document() {
        let document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><CopyObjectResult/>";
        let body = late(Ok((StatusCode::OK, document))).await;
        let rest = body.strip_prefix(DECLARATION).unwrap();
        let spaces = rest.strip_suffix("<CopyObjectResult/>").unwrap();
        assert!(!spaces.is_empty() && spaces.trim().is_empty(), "{body}");
    }

    #[tokio::test]
    async fn late_failure_is_an_error_document_with_its_ids() {
        let document = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>";
        let own = Ok((StatusCode::SERVICE_UNAVAILABLE, document));
        for (outcome, code) in [
            (own, "SlowDown"),
            (Err(OpError::slow_down()), "SlowDown"),
            (Ok((StatusCode::OK, "")), "InternalError"),
        ] {
            let body = late(outcome).await;
            assert_eq!(body.matches("<?xml").count(), 1, "{body}");
            let error = format!("<Error><Code>{code}</Code>");
            assert!(body.contains(&error), "{body}");
            assert!(body.contains("<RequestId>"), "{body}");
            assert!(body.contains("<Message>"), "{body}");
        }
    }
}
