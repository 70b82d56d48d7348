//! Preflights, and the headers that tell browsers whose scripts may read an answer
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! A preflight carries no credential. One with `X-Amz-Credential` in its query asks for a presigned URL's, so that tenant's bucket's
//! rules decide it; an unknown key, an unknown bucket and a bucket without rules are told apart by nothing. One without says nothing of
//! whose bucket it means: it is answered alike for every name, and the real answer's headers, by the rules, decide what scripts see.

use super::auth;
use super::browsers::Browsers;
use super::guard::query::Query;
use super::guard::{bucket_named, framing};
use super::host::HostRules;
use crate::ops::cors::{self, CorsRequest, CorsRule};
use crate::ops::{Code, OpError};
use crate::tenants::{AccessKeyId, Authenticator};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use s3s::Body;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long browsers may keep the answer that is alike for every name, in seconds.
const ALIKE_FOR_S: &str = "600";

/// What an answer that depends on a rule depends on.
const VARY: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
);

/// Looks rules up and answers by them.
pub(super) struct CrossOrigin {
    browsers: Arc<dyn Browsers>,
    authenticator: Arc<dyn Authenticator>,
    deadline: Duration,
}

/// What a request says that its answer's headers depend on.
pub(super) struct Asked {
    origin: Option<String>,
    method: Method,
    bucket: String,
    /// Who says to have signed it.
    access_key_id: OnceLock<AccessKeyId>,
}

impl Asked {
    /// Says who signed, where only the body tells.
    pub(super) fn names_key(&self, key: &AccessKeyId) {
        let _ = self.access_key_id.set(key.clone());
    }

    /// `None` for what no rule can be about.
    pub(super) fn of(parts: &Parts, hosts: &HostRules) -> Option<Self> {
        let origin = parts.headers.get(header::ORIGIN);
        let is_read = [&Method::GET, &Method::HEAD].contains(&&parts.method);
        if parts.method == Method::OPTIONS || (origin.is_none() && !is_read) {
            return None;
        }
        let host = framing::single_host(parts).ok()?;
        let bucket = bucket_named(&hosts.addressing(host), parts.uri.path())?;
        Some(Self {
            origin: origin.and_then(|value| Some(value.to_str().ok()?.to_owned())),
            method: parts.method.clone(),
            bucket,
            access_key_id: claimed_key(&parts.headers, parts.uri.query())
                .map_or_else(OnceLock::new, OnceLock::from),
        })
    }
}

/// The key that a request names, wherever it does.
fn claimed_key(headers: &HeaderMap, query: Option<&str>) -> Option<AccessKeyId> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (_, credential) = value.to_str().ok()?.split_once("Credential=")?;
        return key_of(credential);
    }
    let query = Query::parse(query?).ok()?;
    key_of(query.unique("X-Amz-Credential")?)
}

/// The key in a credential, which goes on with its scope.
fn key_of(credential: &str) -> Option<AccessKeyId> {
    AccessKeyId::new(credential.split('/').next()?).ok()
}

impl CrossOrigin {
    pub(super) fn new(
        browsers: Arc<dyn Browsers>,
        authenticator: Arc<dyn Authenticator>,
        deadline: Duration,
    ) -> Self {
        Self {
            browsers,
            authenticator,
            deadline,
        }
    }

    /// A bucket's rules; `None` alike for an unknown key, an unknown bucket, one without rules, and when nobody can tell.
    async fn rules(&self, key: &AccessKeyId, bucket: &str) -> Option<cors::StoredRules> {
        let looked_up = async {
            let resolved = auth::resolve(&*self.authenticator, key, self.deadline).await?;
            self.browsers.cors_rules(&resolved.caller, bucket).await
        };
        match tokio::time::timeout(self.deadline, looked_up).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::debug!(%error, "no CORS rules");
                None
            }
            Err(_) => None,
        }
    }

    /// Adds what the bucket's rules say to the headers of a request's answer, whatever it is.
    pub(super) async fn decorate(&self, asked: &Asked, headers: &mut HeaderMap) {
        let Some(key) = asked.access_key_id.get() else {
            return;
        };
        let Some(stored) = self.rules(key, &asked.bucket).await else {
            return;
        };
        headers.append(header::VARY, VARY);
        let Some(origin) = &asked.origin else {
            return;
        };
        let rules = match stored.read() {
            Ok(rules) => rules,
            Err(error) => return tracing::warn!(%error, "CORS rules are left out"),
        };
        let request = CorsRequest {
            origin,
            method: asked.method.as_str(),
            headers: &[],
        };
        if let Some(verdict) = cors::decide(&rules, &request) {
            allow(headers, verdict.rule, verdict.any_origin, origin);
        }
    }

    /// Answers a preflight.
    ///
    /// # Errors
    /// `BadRequest` when it does not say what it asks for, `AccessForbidden` when no rule allows that.
    pub(super) async fn preflight(
        &self,
        parts: &Parts,
        hosts: &HostRules,
    ) -> Result<Response<Body>, OpError> {
        let host = framing::single_host(parts)?;
        framing::no_conflicts(parts)?;
        let asked = Preflight::read(&parts.headers)?;
        let query = Query::parse(parts.uri.query().unwrap_or_default())?;
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.append(header::VARY, VARY);
        if !query.has("X-Amz-Credential") {
            let everything = CorsRule {
                allowed_methods: cors::METHODS.map(str::to_owned).to_vec(),
                ..CorsRule::default()
            };
            allow(headers, &everything, true, asked.origin);
            set(headers, header::ACCESS_CONTROL_MAX_AGE, ALIKE_FOR_S);
            asked.allow_headers(headers);
            return Ok(response);
        }
        let key = query.unique("X-Amz-Credential").and_then(key_of);
        let bucket = bucket_named(&hosts.addressing(host), parts.uri.path());
        let (Some(key), Some(bucket)) = (key, bucket) else {
            return Err(forbidden());
        };
        let stored = self.rules(&key, &bucket).await.ok_or_else(forbidden)?;
        let rules = stored.read()?;
        let request = CorsRequest {
            origin: asked.origin,
            method: asked.method,
            headers: &asked.headers,
        };
        let verdict = cors::decide(&rules, &request).ok_or_else(forbidden)?;
        allow(headers, verdict.rule, verdict.any_origin, asked.origin);
        asked.allow_headers(headers);
        Ok(response)
    }
}

/// S3's answer when no rule allows a request, and when there is none.
fn forbidden() -> OpError {
    OpError::new(
        Code::AccessForbidden,
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / \
         Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
    )
}

/// What a preflight asks for.
struct Preflight<'a> {
    origin: &'a str,
    method: &'a str,
    headers: Vec<&'a str>,
}

impl<'a> Preflight<'a> {
    fn read(sent: &'a HeaderMap) -> Result<Self, OpError> {
        let bad = |message| OpError::new(Code::BadRequest, message);
        let text = |name: HeaderName| sent.get(name).and_then(|value| value.to_str().ok());
        let origin = text(header::ORIGIN)
            .ok_or_else(|| bad("Insufficient information. Origin request header needed."))?;
        let method = text(header::ACCESS_CONTROL_REQUEST_METHOD)
            .filter(|method| cors::METHODS.contains(method))
            .ok_or_else(|| bad("Invalid Access-Control-Request-Method"))?;
        let mut headers = Vec::new();
        for value in sent.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            let listed = value.to_str().map_err(|_| forbidden())?;
            headers.extend(listed.split(',').map(str::trim).filter(|n| !n.is_empty()));
        }
        if headers
            .iter()
            .any(|name| HeaderName::try_from(*name).is_err())
        {
            return Err(forbidden());
        }
        Ok(Self {
            origin,
            method,
            headers,
        })
    }

    fn allow_headers(&self, answered: &mut HeaderMap) {
        if !self.headers.is_empty() {
            let names = self.headers.join(", ").to_ascii_lowercase();
            set(answered, header::ACCESS_CONTROL_ALLOW_HEADERS, &names);
        }
    }
}

/// Says what a rule allows.
fn allow(headers: &mut HeaderMap, rule: &CorsRule, any_origin: bool, origin: &str) {
    match any_origin {
        true => set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        false => {
            set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            set(headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
    }
    let methods = rule.allowed_methods.join(", ");
    set(headers, header::ACCESS_CONTROL_ALLOW_METHODS, &methods);
    if !rule.expose_headers.is_empty() {
        let exposed = rule.expose_headers.join(", ");
        set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &exposed);
    }
    if let Some(max_age_s) = rule.max_age_s {
        let max_age_s = max_age_s.to_string();
        set(headers, header::ACCESS_CONTROL_MAX_AGE, &max_age_s);
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Rules and origins are header text: what is not was refused before.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
