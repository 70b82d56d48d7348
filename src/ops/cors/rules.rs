//! A bucket's rules as requests are held against them: parsed once, and at a cost that is bounded, since who asks is not verified.

use super::{CorsRule, StoredRules, stored_rules};
use crate::catalog::Catalog;
use crate::ops::error::OpError;
use crate::tenants::{BucketName, TenantId};
use moka::sync::Cache;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Most bytes of rules that are kept parsed, as they are stored.
const CACHED_BYTES_MAX: u64 = 16 << 20;
/// What an entry costs beside its text, roughly.
const ENTRY_BYTES: usize = 512;

/// What a browser says of a request, or in a preflight of the one to come.
#[derive(Clone, Copy, Debug)]
pub struct CorsRequest<'a> {
    /// `Origin`.
    pub origin: &'a str,
    /// The method.
    pub method: &'a str,
    /// The header names that the preflight asks for, in lower case; none of a request itself.
    pub headers: &'a [&'a str],
}

/// What the browser is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsVerdict<'r> {
    /// The rule that decided.
    pub rule: &'r CorsRule,
    /// Whether the rule allows every origin: the answer is then the same for all of them, and credentials are not allowed.
    pub any_origin: bool,
}

/// A bucket's rules.
#[derive(Debug)]
pub struct Rules {
    stored: StoredRules,
    rules: Vec<ReadRule>,
}

#[derive(Debug)]
struct ReadRule {
    rule: CorsRule,
    headers: HeaderPatterns,
}

/// `AllowedHeaders` in lower case: header names know no case.
#[derive(Debug)]
struct HeaderPatterns {
    exact: HashSet<String>,
    /// What comes before and behind the `*`.
    wild: Vec<(String, String)>,
}

impl HeaderPatterns {
    fn of(patterns: &[String]) -> Self {
        let mut exact = HashSet::new();
        let mut wild = BTreeSet::new();
        for pattern in patterns {
            let pattern = pattern.to_ascii_lowercase();
            match pattern.split_once('*') {
                Some((before, after)) => {
                    wild.insert((before.to_owned(), after.to_owned()));
                }
                None => {
                    exact.insert(pattern);
                }
            }
        }
        Self {
            exact,
            wild: wild.into_iter().collect(),
        }
    }

    fn allow(&self, name: &str) -> bool {
        self.exact.contains(name)
            || self
                .wild
                .iter()
                .any(|(before, after)| is_between(name, before, after))
    }
}

fn is_between(text: &str, before: &str, after: &str) -> bool {
    text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
}

/// Whether a text is what a pattern with at most one `*` says.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => is_between(text, before, after),
    }
}

impl Rules {
    /// Parses rules.
    ///
    /// # Errors
    /// `InternalError` when they are none.
    pub fn of(stored: StoredRules) -> Result<Self, OpError> {
        let read = |rule: CorsRule| ReadRule {
            headers: HeaderPatterns::of(&rule.allowed_headers),
            rule,
        };
        let rules = stored.read()?.into_iter().map(read).collect();
        Ok(Self { stored, rules })
    }

    /// The first rule that allows a request.
    #[must_use]
    pub fn decide(&self, request: &CorsRequest<'_>) -> Option<CorsVerdict<'_>> {
        self.rules.iter().find_map(|ReadRule { rule, headers }| {
            let mut origins = rule.allowed_origins.iter();
            let origin = origins.find(|pattern| matches(pattern, request.origin))?;
            let is_allowed = rule.allowed_methods.iter().any(|m| m == request.method)
                && request.headers.iter().all(|name| headers.allow(name));
            is_allowed.then_some(CorsVerdict {
                rule,
                any_origin: origin == "*",
            })
        })
    }
}

/// Rules that were parsed before. What is asked of the catalog each time is whether they are still the ones.
pub struct RulesCache(Cache<(TenantId, BucketName), Arc<Rules>>);

impl Default for RulesCache {
    fn default() -> Self {
        let weigh = |_: &_, rules: &Arc<Rules>| {
            let bytes = rules.stored.0.len().saturating_add(ENTRY_BYTES);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder()
            .max_capacity(CACHED_BYTES_MAX)
            .weigher(weigh);
        Self(kept.build())
    }
}

impl RulesCache {
    /// A bucket's rules; `None` when it has none, or is not there.
    ///
    /// # Errors
    /// The catalog is away; `InternalError` when what it keeps are no rules.
    pub async fn rules(
        &self,
        catalog: &dyn Catalog,
        tenant: TenantId,
        bucket: &BucketName,
    ) -> Result<Option<Arc<Rules>>, OpError> {
        let Some(stored) = stored_rules(catalog, tenant, bucket).await? else {
            return Ok(None);
        };
        let key = (tenant, bucket.clone());
        let kept = self
            .0
            .get(&key)
            .filter(|kept| Arc::ptr_eq(&kept.stored.0, &stored.0) || kept.stored.0 == stored.0);
        if kept.is_some() {
            return Ok(kept);
        }
        let rules = Arc::new(Rules::of(stored)?);
        self.0.insert(key, Arc::clone(&rules));
        Ok(Some(rules))
    }
}
