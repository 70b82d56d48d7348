//! Reads with a Range or with conditions. s3s answers 400 to ranges and conditions that S3 ignores or that RFC 9110 allows (several
//! ranges, lists of tags, repeated headers), and parses them only after it has verified the signature over them. So such a read
//! goes through s3s twice: once to be verified, then, as the caller whom that made known, without those headers, which the front
//! takes from the extensions and parses itself.

use super::auth::{Asked, EdgeAccess};
use http::header::{
    AUTHORIZATION, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri};
use s3s::route::S3Route;
use s3s::service::S3Service;
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

/// Headers that the front parses and s3s must not.
const OURS: [HeaderName; 5] = [
    RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
];

/// The headers that a read had, in the extensions for the front.
#[derive(Clone, Debug)]
pub(super) struct ReadHeaders(HeaderMap);

impl ReadHeaders {
    /// Gives the headers back to the request that they were taken from.
    pub(super) fn restore(extensions: &Extensions, headers: &mut HeaderMap) {
        if let Some(Self(taken)) = extensions.get::<Self>() {
            headers.extend(taken.clone());
        }
    }
}

/// Takes verified reads past s3s's parsing.
pub(super) struct ReadRoute {
    /// s3s without signatures: only requests that the other one has verified reach it.
    pub(super) verified: S3Service,
    pub(super) access: EdgeAccess,
}

/// The query without what s3s would take for a signature.
fn without_signature(uri: &Uri) -> Option<Uri> {
    let Some(query) = uri.query() else {
        return Some(uri.clone());
    };
    let is_auth = |pair: &&str| {
        pair.get(..6)
            .is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_auth(pair)).collect();
    let path_and_query = match kept.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{}", uri.path(), kept.join("&")),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[async_trait::async_trait]
impl S3Route for ReadRoute {
    fn is_match(&self, method: &Method, _: &Uri, headers: &HeaderMap, _: &mut Extensions) -> bool {
        matches!(*method, Method::GET | Method::HEAD)
            && OURS.iter().any(|name| headers.contains_key(name))
    }

    async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        let signer = request.credentials.as_ref().map(|c| c.access_key.clone());
        let asked = Asked {
            op: match request.method {
                Method::HEAD => "HeadObject",
                _ => "GetObject",
            },
            bucket: None,
            key: None,
        };
        self.access
            .admit(signer.as_deref(), &asked, &mut request.extensions)
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let mut headers = request.headers;
        let mut taken = HeaderMap::new();
        for name in OURS {
            for value in headers.get_all(&name) {
                taken.append(name.clone(), value.clone());
            }
            headers.remove(&name);
        }
        headers.remove(AUTHORIZATION);
        let mut verified = Request::new(request.input);
        *verified.method_mut() = request.method;
        *verified.uri_mut() =
            without_signature(&request.uri).ok_or(S3Error::from(S3ErrorCode::InvalidURI))?;
        *verified.headers_mut() = headers;
        *verified.extensions_mut() = request.extensions;
        verified.extensions_mut().insert(ReadHeaders(taken));
        let answered = self.verified.call(verified).await;
        let (parts, body) = answered
            .map_err(|failed| S3Error::with_source(S3ErrorCode::InternalError, failed.into()))?
            .into_parts();
        let mut response = S3Response::new(body);
        response.status = Some(parts.status);
        response.headers = parts.headers;
        response.extensions = parts.extensions;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_leaves_the_query_and_nothing_else_does() {
        for (uri, kept) in [
            ("/b/k", "/b/k"),
            (
                "/b/k?versionId=1&X-Amz-Signature=2&x-id=3",
                "/b/k?versionId=1&x-id=3",
            ),
            ("/b/k?X-Amz-Signature=2", "/b/k"),
            ("/b/k%2Fé?é", "/b/k%2Fé?é"),
        ] {
            if let Ok(uri) = uri.parse::<Uri>() {
                assert_eq!(without_signature(&uri).unwrap().to_string(), kept);
            }
        }
    }
}
