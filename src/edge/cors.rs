//! Preflights, and the headers that tell browsers whose scripts may read an answer
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! Answers say what the rules say only to who has signed: a key's id is no secret, and rules are not looked up for whoever names one.
//!
//! A preflight carries no credential. One with `X-Amz-Credential` in its query asks for a presigned URL's, so that tenant's bucket's
//! rules decide it; an unknown key, an unknown bucket and a bucket without rules are told apart by nothing. One without says nothing of
//! whose bucket it means: it is answered alike for every name, and the real answer's headers, by the rules, decide what scripts see.

use super::auth;
use super::browsers::Browsers;
use super::guard::query::Query;
use super::guard::{bucket_named, framing};
use super::host::HostRules;
use crate::ops::cors::{self, CorsRequest, CorsRule, Rules};
use crate::ops::{Code, OpError};
use crate::tenants::{AccessKeyId, Authenticator, Caller};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use s3s::Body;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long browsers may keep the answer that is alike for every name, in seconds.
const ALIKE_FOR_S: &str = "600";

/// Header names that one preflight may ask for; browsers ask for those that a script has set.
const HEADERS_ASKED_MAX: usize = 100;

/// Preflights that look rules up at a time. Anybody can send them, so they get a small share of the catalog.
const LOOKUPS_MAX: usize = 8;

/// What an answer that depends on a rule depends on.
const VARY: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
);

/// Looks rules up and answers by them.
pub(super) struct CrossOrigin {
    browsers: Arc<dyn Browsers>,
    authenticator: Arc<dyn Authenticator>,
    deadline: Duration,
    lookups: Semaphore,
}

/// What a request says that its answer's headers depend on.
pub(super) struct Asked {
    origin: Option<String>,
    method: Method,
    bucket: String,
}

impl Asked {
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
        })
    }
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
            lookups: Semaphore::new(LOOKUPS_MAX),
        }
    }

    /// A bucket's rules for who says to have a key; `None` alike for an unknown key, an unknown bucket, one without rules, and when
    /// nobody can tell.
    async fn claimed(&self, key: &AccessKeyId, bucket: &str) -> Option<Arc<Rules>> {
        self.in_time(async {
            let _turn = self.lookups.acquire().await.map_err(OpError::internal)?;
            let resolved = auth::resolve(&*self.authenticator, key, self.deadline).await?;
            self.browsers.cors_rules(&resolved.caller, bucket).await
        })
        .await
    }

    async fn in_time(
        &self,
        looked_up: impl Future<Output = Result<Option<Arc<Rules>>, OpError>>,
    ) -> Option<Arc<Rules>> {
        match tokio::time::timeout(self.deadline, looked_up).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::debug!(%error, "no CORS rules");
                None
            }
            Err(_) => None,
        }
    }

    /// Adds what the bucket's rules say to the headers of a verified request's answer, whatever it is.
    pub(super) async fn decorate(&self, asked: &Asked, caller: &Caller, headers: &mut HeaderMap) {
        let looked_up = self.browsers.cors_rules(caller, &asked.bucket);
        let Some(rules) = self.in_time(looked_up).await else {
            return;
        };
        headers.append(header::VARY, VARY);
        let Some(origin) = &asked.origin else {
            return;
        };
        let request = CorsRequest {
            origin,
            method: asked.method.as_str(),
            headers: &[],
        };
        if let Some(verdict) = rules.decide(&request) {
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
        let rules = self.claimed(&key, &bucket).await.ok_or_else(forbidden)?;
        let names: Vec<&str> = asked.headers.iter().map(HeaderName::as_str).collect();
        let request = CorsRequest {
            origin: asked.origin,
            method: asked.method,
            headers: &names,
        };
        let verdict = rules.decide(&request).ok_or_else(forbidden)?;
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
    /// Each once.
    headers: Vec<HeaderName>,
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
        Ok(Self {
            origin,
            method,
            headers: Self::headers(sent)?,
        })
    }

    /// The names that are asked for. No rule allows more than [`HEADERS_ASKED_MAX`], as each costs a look at all of them.
    fn headers(sent: &HeaderMap) -> Result<Vec<HeaderName>, OpError> {
        let (mut seen, mut headers) = (HashSet::new(), Vec::new());
        for value in sent.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            let listed = value.to_str().map_err(|_| forbidden())?;
            for name in listed.split(',').map(str::trim).filter(|n| !n.is_empty()) {
                let name = HeaderName::try_from(name).map_err(|_| forbidden())?;
                if seen.insert(name.clone()) {
                    headers.push(name);
                }
                if headers.len() > HEADERS_ASKED_MAX {
                    return Err(forbidden());
                }
            }
        }
        Ok(headers)
    }

    fn allow_headers(&self, answered: &mut HeaderMap) {
        if !self.headers.is_empty() {
            let names: Vec<&str> = self.headers.iter().map(HeaderName::as_str).collect();
            set(
                answered,
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                &names.join(", "),
            );
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
