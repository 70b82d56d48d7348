//! What every answer has, whoever made it: request ids, the server's name, no body where HTTP has none, and a body that is
//! counted and logged when it is through.

use super::context::{GatewayId, RequestContext};
use super::sentences::sentence;
use crate::timed_io::Phase;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use quick_xml::escape::escape;
use s3s::{Body, StdError};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// Gives an answer what every answer has.
pub(super) fn shape(
    response: &mut Response<Body>,
    context: &RequestContext,
    gateway: GatewayId,
    is_head: bool,
) {
    let request = context.id();
    // s3s knows no partial HEAD: a range of it is answered as GET would.
    if is_head
        && response.status() == StatusCode::OK
        && response.headers().contains_key(header::CONTENT_RANGE)
    {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let status = response.status();
    if status.is_client_error() || status.is_server_error() || status.is_redirection() {
        let object_bytes = object_bytes(response);
        complete_document(response.body_mut(), context, gateway, object_bytes);
    }
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, text: String| {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    };
    set(REQUEST_ID, request.to_string());
    set(HOST_ID, gateway.host_id(request));
    headers.insert(header::SERVER, HeaderValue::from_static("Lethe"));
    let is_error = status.is_client_error() || status.is_server_error();
    if status == StatusCode::NOT_MODIFIED || (is_head && is_error) {
        headers.remove(header::CONTENT_TYPE);
        headers.remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::empty();
    }
}

/// The length that the answer to a range without a byte names (`Content-Range: bytes */N`).
fn object_bytes(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?;
    range.to_str().ok()?.strip_prefix("bytes */")?.parse().ok()
}

/// Adds what an error's document lacks: what was asked for, and when the error is s3s's own a sentence and the ids.
fn complete_document(
    body: &mut Body,
    context: &RequestContext,
    gateway: GatewayId,
    object_bytes: Option<u64>,
) {
    let request = context.id();
    let Some(bytes) = body.bytes() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return;
    };
    let Some(document) = text.strip_suffix("</Error>") else {
        return;
    };
    let mut named = document.to_owned();
    if !document.contains("<Message>")
        && let Some((before, after)) = document.split_once("</Code>")
    {
        let code = before.rsplit_once("<Code>").map_or("", |(_, code)| code);
        let sentence = sentence(code);
        named = format!("{before}</Code><Message>{sentence}</Message>{after}");
    }
    if let Some(bytes) = object_bytes.filter(|_| !document.contains("<ActualObjectSize>")) {
        named.push_str(&format!("<ActualObjectSize>{bytes}</ActualObjectSize>"));
    }
    if !document.contains("<Resource>") {
        let resource = escape(context.resource());
        named.push_str(&format!("<Resource>{resource}</Resource>"));
    }
    if !document.contains("<RequestId>") {
        named.push_str(&format!("<RequestId>{request}</RequestId>"));
    }
    if !document.contains("<HostId>") {
        named.push_str(&format!("<HostId>{}</HostId>", gateway.host_id(request)));
    }
    named.push_str("</Error>");
    *body = Body::from(named);
}

/// An answer's body. When it is dropped the request is over: it is logged, and what it held is released.
pub(super) struct Answer {
    body: Body,
    context: Arc<RequestContext>,
    status: u16,
    bytes: u64,
    /// What Content-Length announces: the connection asks for nothing more once it has that much.
    announced: Option<u64>,
    is_whole: bool,
    phase: Phase,
}

impl Answer {
    pub(super) fn of(
        response: Response<Body>,
        context: Arc<RequestContext>,
        phase: Phase,
    ) -> Response<Self> {
        let status = response.status().as_u16();
        let length = response.headers().get(header::CONTENT_LENGTH);
        let announced = length.and_then(|text| text.to_str().ok()?.parse().ok());
        response.map(|body| Self::new(body, context, status, announced, phase))
    }

    fn new(
        body: Body,
        context: Arc<RequestContext>,
        status: u16,
        announced: Option<u64>,
        phase: Phase,
    ) -> Self {
        Self {
            announced,
            is_whole: body.is_end_stream(),
            body,
            context,
            status,
            bytes: 0,
            phase,
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                this.bytes += frame.data_ref().map_or(0, |d| d.len() as u64);
                this.is_whole = this.body.is_end_stream() || this.announced == Some(this.bytes);
            }
            Some(Err(error)) => {
                this.is_whole = false;
                tracing::warn!(request_id = %this.context.id(), "answer broken off: {error}");
            }
            None => this.is_whole = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.context.log(self.status, self.bytes, self.is_whole);
        self.phase.end_request();
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::RequestId;
    use super::*;

    fn shaped(status: StatusCode, body: &str, is_head: bool) -> Response<Body> {
        let mut response = Response::new(Body::from(body.to_owned()));
        *response.status_mut() = status;
        let context = RequestContext::new(RequestId::NONE, "/bucket/a&%3C");
        shape(&mut response, &context, GatewayId([0; 16]), is_head);
        response
    }

    fn text(response: &Response<Body>) -> String {
        let bytes = response.body().bytes().unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn every_answer_has_ids_and_a_server() {
        let response = shaped(StatusCode::OK, "data</Error>", false);
        assert_eq!(response.headers()[REQUEST_ID], "0000000000000000");
        assert!(response.headers().contains_key(HOST_ID));
        assert_eq!(response.headers()[header::SERVER], "Lethe");
        assert_eq!(text(&response), "data</Error>");
    }

    #[test]
    fn error_documents_name_the_request_once() {
        let without = shaped(
            StatusCode::FORBIDDEN,
            "<Error><Code>X</Code></Error>",
            false,
        );
        assert_eq!(text(&without).matches("<RequestId>").count(), 1);
        assert_eq!(text(&without).matches("<HostId>").count(), 1);
        assert!(text(&without).contains("<Resource>/bucket/a&amp;%3C</Resource>"));
        let with = "<Error><RequestId>1</RequestId></Error>";
        let response = shaped(StatusCode::FORBIDDEN, with, false);
        assert_eq!(text(&response).matches("<RequestId>").count(), 1);
    }

    #[test]
    fn error_documents_have_one_sentence() {
        let status = StatusCode::FORBIDDEN;
        let without = shaped(status, "<Error><Code>InvalidURI</Code></Error>", false);
        let expected = "<Code>InvalidURI</Code><Message>The specified URI couldn't be parsed.</Message><Resource>";
        assert!(text(&without).contains(expected), "{}", text(&without));
        let unknown = shaped(status, "<Error><Code>OfTomorrow</Code></Error>", false);
        assert!(text(&unknown).contains("<Message>The request"));
        let with = "<Error><Code>X</Code><Message>own</Message></Error>";
        let with = shaped(status, with, false);
        assert_eq!(text(&with).matches("<Message>").count(), 1);
    }

    #[tokio::test]
    async fn answer_with_every_announced_byte_is_whole_without_its_end_being_asked_for() {
        use http_body_util::{BodyExt as _, StreamBody};
        let chunk = |data: &'static str| Ok::<_, StdError>(Frame::data(Bytes::from(data)));
        for (announced, is_whole) in [("4", true), ("5", false)] {
            let stream = StreamBody::new(futures::stream::iter([chunk("ab"), chunk("cd")]));
            let mut response = Response::new(Body::http_body_unsync(stream));
            let length = HeaderValue::from_static(announced);
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length);
            let context = RequestContext::new(RequestId::NONE, "/bucket/key");
            let mut answer = Answer::of(response, context, Phase::new()).into_body();
            answer.frame().await.unwrap().unwrap();
            assert!(!answer.is_whole);
            answer.frame().await.unwrap().unwrap();
            assert_eq!(answer.is_whole, is_whole);
        }
    }

    #[test]
    fn errors_to_head_have_no_body() {
        let response = shaped(StatusCode::NOT_FOUND, "<Error></Error>", true);
        assert_eq!(text(&response), "");
        let response = shaped(StatusCode::NOT_MODIFIED, "<Error></Error>", false);
        assert_eq!(text(&response), "");
    }
}
