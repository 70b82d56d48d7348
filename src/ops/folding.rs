//! Folding of listings in the gateway, for stores that list out of byte order: they walk a tree of directories and fold at its slashes
//! only. Their order keeps together what one common prefix folds, since names that begin alike are neighbours in a directory.

use crate::ops::error::OpError;
use crate::ops::scope::BucketScope;
use crate::region::{ListRequest, Listing, VersionListRequest, VersionListing};
use std::collections::BTreeSet;

/// How much of the store one page of ours may read. A prefix that folds more goes on in the next page.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Entries of one page of the store.
    pub page_max: usize,
    /// Pages of the store.
    pub pages_max: usize,
}

pub(super) const BOUNDS: Bounds = Bounds {
    page_max: 1000,
    pages_max: 20,
};

enum Place {
    /// Listed as it is.
    Entry,
    /// The first that this prefix folds.
    Prefix(String),
    /// Folded into a prefix that this page or the one before has.
    Given,
    /// The page is full: this one begins the next.
    Full,
}

struct Fold<'a> {
    prefix: &'a str,
    delimiter: &'a str,
    given: BTreeSet<String>,
    left: usize,
}

impl<'a> Fold<'a> {
    /// `after` is where the page before ended: the prefix that it is in has been given.
    fn new(prefix: &'a str, delimiter: &'a str, after: Option<&str>, left: usize) -> Self {
        let mut fold = Self {
            prefix,
            delimiter,
            given: BTreeSet::new(),
            left,
        };
        let passed = after.and_then(|after| fold.folded(after));
        fold.given.extend(passed);
        fold
    }

    fn folded(&self, key: &str) -> Option<String> {
        let rest = key.strip_prefix(self.prefix)?;
        let end = rest.find(self.delimiter)? + self.delimiter.len();
        Some(format!("{}{}", self.prefix, &rest[..end]))
    }

    fn place(&mut self, key: &str) -> Place {
        let folded = self.folded(key);
        if folded.as_ref().is_some_and(|p| self.given.contains(p)) {
            return Place::Given;
        }
        if self.left == 0 {
            return Place::Full;
        }
        self.left -= 1;
        match folded {
            None => Place::Entry,
            Some(prefix) => {
                self.given.insert(prefix.clone());
                Place::Prefix(prefix)
            }
        }
    }
}

/// One page of current objects, folded at any delimiter.
pub(super) async fn objects(
    scope: &BucketScope,
    request: &ListRequest,
    delimiter: &str,
    bounds: Bounds,
) -> Result<Listing, OpError> {
    let after = request.start_after.as_deref();
    let mut fold = Fold::new(&request.prefix, delimiter, after, request.keys_max);
    let mut page = Listing::default();
    let mut unfolded = ListRequest {
        delimiter: None,
        keys_max: bounds.page_max,
        ..request.clone()
    };
    let (store, upstream) = (&scope.region.store, &scope.bucket.upstream);
    for _ in 0..bounds.pages_max {
        let listed = store.list(scope.tenant, upstream, &unfolded).await?;
        for object in listed.objects {
            let key = object.key.clone();
            match fold.place(&key) {
                Place::Entry => page.objects.push(object),
                Place::Prefix(prefix) => page.common_prefixes.push(prefix),
                Place::Given => {}
                Place::Full => {
                    page.next_start_after = unfolded.start_after;
                    return Ok(page);
                }
            }
            unfolded.start_after = Some(key);
        }
        match listed.next_start_after {
            None => return Ok(page),
            next => unfolded.start_after = next,
        }
    }
    page.next_start_after = unfolded.start_after;
    Ok(page)
}

/// One page of versions and delete markers, folded at any delimiter.
pub(super) async fn versions(
    scope: &BucketScope,
    request: &VersionListRequest,
    delimiter: &str,
    bounds: Bounds,
) -> Result<VersionListing, OpError> {
    let after = request.key_marker.as_deref();
    let mut fold = Fold::new(&request.prefix, delimiter, after, request.keys_max);
    let mut page = VersionListing::default();
    let mut unfolded = VersionListRequest {
        delimiter: None,
        keys_max: bounds.page_max,
        ..request.clone()
    };
    let (store, upstream) = (&scope.region.store, &scope.bucket.upstream);
    for _ in 0..bounds.pages_max {
        let listed = store
            .list_versions(scope.tenant, upstream, &unfolded)
            .await?;
        for version in listed.versions {
            let at = (version.object.key.clone(), version.version.clone());
            match fold.place(&at.0) {
                Place::Entry => page.versions.push(version),
                Place::Prefix(prefix) => page.common_prefixes.push(prefix),
                Place::Given => {}
                Place::Full => {
                    page.next_key_marker = unfolded.key_marker;
                    page.next_version_marker = unfolded.version_marker;
                    return Ok(page);
                }
            }
            (unfolded.key_marker, unfolded.version_marker) = (Some(at.0), Some(at.1));
        }
        if listed.next_key_marker.is_none() {
            return Ok(page);
        }
        unfolded.key_marker = listed.next_key_marker;
        unfolded.version_marker = listed.next_version_marker;
    }
    page.next_key_marker = unfolded.key_marker;
    page.next_version_marker = unfolded.version_marker;
    Ok(page)
}
