//! What lies between a request's signature and its operation. Two s3s stand one behind the other: the first verifies the signature,
//! decodes the body, and hands every request to its route; the second knows no secret, parses, and calls the operation. Between
//! them the headers are taken away that s3s would refuse although S3 keeps or ignores them: ranges and conditions, which s3s answers
//! with 400 where S3 ignores them, `Content-Disposition` that is not ASCII, `Expires` that is no date. The front gets all of them back
//! and reads them itself. Customer keys leave the headers here for good: the front gets them as secrets.
//!
//! Nothing but a [`Verified`] gets to the second s3s, nothing but its route makes one, and its access check and the front each ask
//! for the [`Verification`] that only a [`Verified`] leaves in the extensions.

use super::auth::{self, EdgeAccess};
use super::customer_keys::CustomerKeys;
use super::documents;
use super::guard::query;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_TYPE, EXPIRES, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use s3s::auth::{S3Auth, SecretKey};
use s3s::route::S3Route;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, TrailingHeaders};
use std::sync::Arc;

/// Headers that the front reads and the second s3s must not.
const OURS: [HeaderName; 16] = [
    AUTHORIZATION,
    RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    HeaderName::from_static("x-amz-copy-source-if-match"),
    HeaderName::from_static("x-amz-copy-source-if-none-match"),
    HeaderName::from_static("x-amz-copy-source-if-modified-since"),
    HeaderName::from_static("x-amz-copy-source-if-unmodified-since"),
    CACHE_CONTROL,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_TYPE,
    EXPIRES,
];

/// A request whose signature s3s has verified with the secret of the credential that this task has looked up.
struct Verified {
    request: S3Request<Body>,
    signer: String,
}

impl Verified {
    /// s3s leaves the credentials that it has verified, or none.
    fn of(request: S3Request<Body>) -> S3Result<Self> {
        let signer = request.credentials.as_ref().map(|c| c.access_key.clone());
        match signer.filter(|signer| auth::is_resolved(signer)) {
            Some(signer) => Ok(Self { request, signer }),
            None => Err(S3ErrorCode::AccessDenied.into()),
        }
    }
}

/// What was verified: who signed, and the request as it came. In the extensions of what the second s3s calls.
#[derive(Clone)]
pub(super) struct Verification {
    signer: String,
    uri: Uri,
    headers: HeaderMap,
    trailers: Option<TrailingHeaders>,
    customer_keys: CustomerKeys,
}

impl Verification {
    /// The access key that signed.
    pub(super) fn signer(&self) -> &str {
        &self.signer
    }

    #[cfg(test)]
    pub(super) fn header(&self, name: &str) -> Option<HeaderValue> {
        self.headers.get(name).cloned()
    }

    /// Gives an operation's request back what was taken away for the parsing, but for its customer keys.
    pub(super) fn restore<I>(self, request: &mut S3Request<I>) -> CustomerKeys {
        request.uri = self.uri;
        request.headers = self.headers;
        request.trailing_headers = self.trailers;
        self.customer_keys
    }
}

/// The second s3s.
pub(super) struct Parser(S3Service);

impl Parser {
    /// A parser that calls the builder's operations.
    pub(super) fn new(mut builder: S3ServiceBuilder, access: EdgeAccess) -> Self {
        // Without an authentication s3s would skip the access check too.
        builder.set_auth(NoSecrets);
        builder.set_access(access);
        Self(builder.build())
    }

    async fn call(&self, verified: Verified) -> S3Result<S3Response<Body>> {
        let Verified {
            mut request,
            signer,
        } = verified;
        let customer_keys = CustomerKeys::take(&mut request.headers, &mut request.uri);
        let mut parsed = Request::new(request.input);
        *parsed.method_mut() = request.method;
        *parsed.uri_mut() =
            parsed_uri(&request.uri).ok_or(S3Error::from(S3ErrorCode::InvalidURI))?;
        *parsed.headers_mut() = parsed_headers(&request.headers);
        *parsed.extensions_mut() = request.extensions;
        parsed.extensions_mut().insert(Verification {
            signer,
            uri: request.uri,
            headers: request.headers,
            trailers: request.trailing_headers,
            customer_keys,
        });
        let answered = self.0.call(parsed).await;
        let (parts, mut body) = answered
            .map_err(|failed| S3Error::with_source(S3ErrorCode::InternalError, failed.into()))?
            .into_parts();
        documents::mend(&parts.headers, &mut body);
        let mut response = S3Response::new(body);
        response.status = Some(parts.status);
        response.headers = parts.headers;
        response.extensions = parts.extensions;
        Ok(response)
    }
}

/// The second s3s verifies nothing: a signature that would get there is one too many.
struct NoSecrets;

#[async_trait::async_trait]
impl S3Auth for NoSecrets {
    async fn get_secret_key(&self, _: &str) -> S3Result<SecretKey> {
        Err(S3ErrorCode::AccessDenied.into())
    }
}

/// The URI without what s3s would take for a signature, and without the `response-*` parameters, which the front reads.
fn parsed_uri(uri: &Uri) -> Option<Uri> {
    let Some(raw) = uri.query() else {
        return Some(uri.clone());
    };
    let kept = query::without(raw, |name| {
        let name = name.to_ascii_lowercase();
        name.starts_with("x-amz-") || name.starts_with("response-")
    });
    query::replace(uri, &kept)
}

fn parsed_headers(sent: &HeaderMap) -> HeaderMap {
    let mut headers = sent.clone();
    for name in OURS {
        headers.remove(name);
    }
    let is_repeated = |name: &&HeaderName| {
        name.as_str().starts_with("x-amz-meta-") && sent.get_all(*name).iter().nth(1).is_some()
    };
    for name in sent.keys().filter(is_repeated) {
        let values: Vec<&[u8]> = sent
            .get_all(name)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        // Values joined by commas are a value: each of them was one.
        if let Ok(joined) = HeaderValue::from_bytes(&values.join(&b","[..])) {
            headers.insert(name, joined);
        }
    }
    headers
}

/// The first s3s's way to the second: every request takes it.
pub(super) struct VerifiedRoute(pub(super) Arc<Parser>);

#[async_trait::async_trait]
impl S3Route for VerifiedRoute {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        true
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let verified = Verified::of(request)?;
        auth::record_verified(&verified.request.extensions);
        self.0.call(verified).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::tests::harness::{FewKeys, KEY};
    use crate::edge::{RequestContext, RequestId};
    use crate::tenants::AccessKeyId;

    #[test]
    fn signature_and_overrides_leave_the_query_and_nothing_else_does() {
        for (uri, kept) in [
            ("/b/k", "/b/k"),
            (
                "/b/k?versionId=1&X-Amz-Signature=2&x-id=3",
                "/b/k?versionId=1&x-id=3",
            ),
            ("/b/k?X-Amz-Signature=2", "/b/k"),
            ("/b/k?X%2Damz%2DSignature=2&%72esponse-expires=x", "/b/k"),
            (
                "/b%2Fk?a=x-amz-&responses&a=%26&+=",
                "/b%2Fk?a=x-amz-&responses&a=%26&+=",
            ),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(parsed_uri(&uri).unwrap().to_string(), kept);
        }
    }

    #[test]
    fn repeated_metadata_is_joined_and_other_headers_stay() {
        let mut sent = HeaderMap::new();
        for (name, value) in [
            ("x-amz-meta-a", "1"),
            ("x-amz-meta-a", "2, 3"),
            ("x-amz-meta-b", "4"),
            ("expires", "junk"),
            ("authorization", "AWS4"),
            ("x-amz-tagging", "a=b"),
        ] {
            let name = HeaderName::from_static(name);
            sent.append(name, HeaderValue::from_static(value));
        }
        let headers = parsed_headers(&sent);
        assert_eq!(headers.len(), 3, "{headers:?}");
        assert_eq!(headers["x-amz-meta-a"], "1,2, 3");
        assert_eq!(headers["x-amz-meta-b"], "4");
        assert_eq!(headers["x-amz-tagging"], "a=b");
    }

    struct Reachable;

    #[async_trait::async_trait]
    impl s3s::S3 for Reachable {}

    #[tokio::test]
    async fn second_s3s_calls_nothing_without_a_verification() {
        let access = EdgeAccess {
            shares: crate::edge::limits::Shares::new(1),
        };
        let parser = Parser::new(S3ServiceBuilder::new(Reachable), access);
        let key = AccessKeyId::new(KEY).unwrap();
        let second = std::time::Duration::from_secs(1);
        let resolved = auth::resolve(&FewKeys, &key, second).await.unwrap();
        let status = |verification: Option<Verification>| {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = Uri::from_static("/bucket/key");
            let context = RequestContext::new(RequestId::NONE, "/bucket/key");
            request.extensions_mut().insert(context);
            if let Some(verification) = verification {
                request.extensions_mut().insert(verification);
            }
            let answered = auth::RESOLVED.scope(Arc::clone(&resolved), parser.0.call(request));
            async { answered.await.unwrap().status() }
        };
        let of = |signer: &str| Verification {
            signer: signer.into(),
            uri: Uri::from_static("/bucket/key"),
            headers: HeaderMap::new(),
            trailers: None,
            customer_keys: CustomerKeys::NONE,
        };
        assert_eq!(status(None).await, 403);
        assert_eq!(status(Some(of("AKIDOTHER"))).await, 403);
        // Past the access check: the operation itself is not there.
        assert_eq!(status(Some(of(KEY))).await, 501);
    }

    #[tokio::test]
    async fn request_that_was_not_verified_is_not_made_one() {
        let request = |credentials| S3Request {
            input: Body::empty(),
            method: Method::GET,
            uri: Uri::from_static("/b/k"),
            headers: HeaderMap::new(),
            extensions: Extensions::new(),
            credentials,
            region: None,
            service: None,
            trailing_headers: None,
        };
        let other = s3s::auth::Credentials {
            access_key: "AKID".into(),
            secret_key: "secret".to_owned().into(),
        };
        assert!(Verified::of(request(None)).is_err());
        // No credential was looked up in this task.
        assert!(Verified::of(request(Some(other))).is_err());
    }
}
