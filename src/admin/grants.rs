//! What a request says of a credential's grant, and how a grant is shown.

use super::error::ApiError;
use crate::catalog::{CredentialRow, CredentialState};
use crate::clock::UnixMs;
use crate::tenants::access::{
    GrantChange, GrantError, Permission, Permissions, SCOPE_ENTRIES_MAX, Scope,
};

/// How a grant is written that never expires.
const NEVER: &str = "never";

/// What a request says of a grant.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked<'a> {
    pub(super) allow: Option<&'a [String]>,
    pub(super) scope: Option<&'a [String]>,
    pub(super) expires: Option<&'a str>,
}

impl Asked<'_> {
    /// What it comes to.
    ///
    /// # Errors
    /// [`ApiError`] that says what to write instead.
    pub(super) fn change(self, now: UnixMs) -> Result<GrantChange, ApiError> {
        Ok(GrantChange {
            permissions: self.allow.map(permissions).transpose()?,
            scope: self.scope.map(scope).transpose()?,
            expires: self.expires.map(|text| expiry(text, now)).transpose()?,
        })
    }
}

fn permissions(names: &[String]) -> Result<Permissions, ApiError> {
    let named = names.iter().map(|name| {
        name.parse::<Permission>()
            .map_err(|error| invalid(format!("allow: {name:?}: {error}"), &allow_hint()))
    });
    let named: Vec<Permission> = named.collect::<Result<_, _>>()?;
    Permissions::of(named).map_err(|error| invalid(format!("allow: {error}"), &allow_hint()))
}

fn allow_hint() -> String {
    let all: Vec<&str> = Permission::ALL.iter().map(|one| one.as_str()).collect();
    format!(
        "name one or more of {}; all of them are meant when it is left out for a new credential",
        all.join(", ")
    )
}

fn scope(texts: &[String]) -> Result<Scope, ApiError> {
    if texts.len() > SCOPE_ENTRIES_MAX {
        return Err(refused_scope(None, GrantError::TooManyEntries));
    }
    // One by one first, so that the answer names the one that is wrong.
    for text in texts.iter().filter(|_| texts.len() > 1) {
        if let Err(error) = Scope::of(std::slice::from_ref(text)) {
            return Err(refused_scope(Some(text), error));
        }
    }
    Scope::of(texts).map_err(|error| {
        let only = texts.first().filter(|_| texts.len() == 1);
        refused_scope(only.map(String::as_str), error)
    })
}

fn refused_scope(text: Option<&str>, error: GrantError) -> ApiError {
    let message = match text {
        Some(text) => format!("scope: {text:?}: {error}"),
        None => format!("scope: {error}"),
    };
    let hint = match error {
        GrantError::EmptyPrefix => {
            "write BUCKET alone for the whole bucket, or BUCKET:PREFIX for the keys that begin with PREFIX"
        }
        GrantError::TooManyEntries => {
            "name whole buckets or shorter prefixes, or use several credentials"
        }
        _ => {
            "write BUCKET for a bucket, BUCKET:PREFIX for its keys that begin with PREFIX (docs:reports/), or * for everything"
        }
    };
    invalid(message, hint)
}

fn expiry(text: &str, now: UnixMs) -> Result<Option<UnixMs>, ApiError> {
    if text == NEVER {
        return Ok(None);
    }
    let hint = "write a time of RFC 3339 such as 2027-01-01T00:00:00Z, or never";
    let at: jiff::Timestamp = text
        .parse()
        .map_err(|_| invalid(format!("expires: {text:?} is no time"), hint))?;
    let at = UnixMs(at.as_millisecond());
    match at > now {
        true => Ok(Some(at)),
        false => Err(invalid(
            format!("expires: {text} is not in the future"),
            "write a later time, or revoke the credential to end it now",
        )),
    }
}

fn invalid(message: String, hint: &str) -> ApiError {
    ApiError::invalid(message, hint)
}

/// A credential's permissions, by name.
pub(super) fn allow(row: &CredentialRow) -> Vec<String> {
    let permissions = row.grant.permissions.iter();
    permissions.map(|one| one.as_str().to_owned()).collect()
}

/// When a credential expires, in RFC 3339.
pub(super) fn expires(row: &CredentialRow) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(row.grant.expires?.0).ok()?;
    Some(at.to_string())
}

/// A credential's state, as it is at a time.
pub(super) fn state(row: &CredentialRow, now: UnixMs) -> &'static str {
    match row.state {
        CredentialState::Creating => "creating",
        CredentialState::Revoked => "revoked",
        CredentialState::Active if row.grant.expired(now).is_some() => "expired",
        CredentialState::Active => "active",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::access::Grant;

    const NOW: UnixMs = UnixMs(1_760_000_000_000);

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn change(
        allow: Option<&[&str]>,
        scope: Option<&[&str]>,
        expires: Option<&str>,
    ) -> Result<GrantChange, ApiError> {
        let (allow, scope) = (allow.map(texts), scope.map(texts));
        let asked = Asked {
            allow: allow.as_deref(),
            scope: scope.as_deref(),
            expires,
        };
        asked.change(NOW)
    }

    #[test]
    fn grant_that_is_asked_for_is_the_one_that_comes_of_it() {
        assert!(change(None, None, None).unwrap().is_empty());
        let asked = change(
            Some(&["list", "read"]),
            Some(&["docs:b/", "docs:a/", "docs:a/"]),
            Some("2027-01-01T01:00:00+01:00"),
        );
        let grant = asked.unwrap().on(Grant::unrestricted());
        assert_eq!(grant.permissions.to_string(), "read,list");
        assert_eq!(grant.scope.texts(), ["docs:a/", "docs:b/"]);
        assert_eq!(grant.expires, Some(UnixMs(1_798_761_600_000)));
        let widened = change(None, Some(&["*"]), Some("never")).unwrap().on(grant);
        assert_eq!(widened.permissions.to_string(), "read,list");
        assert_eq!((widened.scope, widened.expires), (Scope::Everything, None));
    }

    #[test]
    fn grant_that_makes_no_sense_is_refused_with_what_to_write() {
        let long = format!("docs:{}", "x".repeat(1025));
        let many: Vec<String> = (0..101).map(|n| format!("docs:{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (asked, says) in [
            (change(Some(&["reed"]), None, None), "\"reed\""),
            (change(Some(&[]), None, None), "allow"),
            (change(Some(&["read,list"]), None, None), "\"read,list\""),
            (change(None, Some(&[]), None), "scope"),
            (change(None, Some(&["docs:"]), None), "docs:"),
            (change(None, Some(&["docs", "Docs:x"]), None), "\"Docs:x\""),
            (change(None, Some(&["docs", "*"]), None), "*"),
            (change(None, Some(&[&long]), None), "1,024"),
            (change(None, Some(&many), None), "100"),
            (change(None, None, Some("tomorrow")), "\"tomorrow\""),
            (change(None, None, Some("2027-01-01")), "2027-01-01"),
            (change(None, None, Some("2025-10-09T08:53:20Z")), "future"),
        ] {
            let refused = asked.expect_err(says);
            assert_eq!(refused.code(), "invalid_request");
            assert!(refused.to_string().contains(says), "{refused}");
        }
    }
}
