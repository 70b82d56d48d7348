//! Listings of versioned buckets in stores that keep an object's versions in a folder `NAME.versions` beside the folder `NAME`
//! (SeaweedFS). Such a store comes to `a` behind `a/…`, `a!` and `a-`; but told to begin behind one of those, it takes `a` for passed.
//! So the objects that a page's start may have made it pass over are asked for one by one, and put where they belong.

use super::S3Store;
use super::errors::Call;
use super::lists::{LAST_CHARACTER, Page, folded, segment_order};
use crate::region::{
    ListRequest, ListedObject, Listing, ObjectRef, RegionError, UpstreamBucket, VERSIONS,
    Versioning,
};
use crate::tenants::ObjectKey;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::BTreeSet;

/// Objects of a page that are asked for at once: a page's start may have a thousand names to ask for, and so may its end.
const ASKED_AT_ONCE: usize = 16;

/// Where a page begins.
struct Start {
    /// As the store is told.
    position: Option<String>,
    /// What the store may take for passed.
    passed: Vec<ListedObject>,
}

impl S3Store {
    /// Whether the bucket's objects may come behind what their names begin.
    pub(super) async fn lists_late(&self, bucket: &UpstreamBucket) -> Result<bool, RegionError> {
        let rules = &self.profile.keys;
        if rules.byte_order || rules.housekeeping_names || !self.profile.versioning {
            return Ok(false);
        }
        Ok(self.bucket_versioning(bucket).await? != Versioning::Off)
    }

    /// The object, if the store comes to it behind something whose name begins as its own.
    async fn late(
        &self,
        call: Call,
        bucket: &UpstreamBucket,
        name: &str,
    ) -> Result<Option<ListedObject>, RegionError> {
        let Ok(key) = ObjectKey::new(name) else {
            return Ok(None);
        };
        let at = ObjectRef {
            bucket: bucket.clone(),
            key,
        };
        let head = match self.head_object(&self.stored(&at), None).await {
            Ok(head) => head,
            Err(RegionError::NotFound { .. } | RegionError::DeleteMarker { .. }) => {
                return Ok(None);
            }
            Err(failed) => return Err(failed),
        };
        let from_it = ListRequest {
            prefix: name.to_owned(),
            ..ListRequest::default()
        };
        let listed = self.asked(call, bucket, &from_it, None, 1).await?;
        let is_first = listed.objects.first().is_some_and(|one| one.key == name);
        Ok((!is_first).then(|| ListedObject {
            key: name.to_owned(),
            stored_bytes: head.stored_bytes,
            etag: head.etag,
            last_modified: head.last_modified,
        }))
    }

    async fn late_start(
        &self,
        call: Call,
        bucket: &UpstreamBucket,
        request: &ListRequest,
    ) -> Result<Start, RegionError> {
        let (prefix, delimiter) = (request.prefix.as_str(), request.delimiter.as_deref());
        let Some(start) = request.start_after.as_deref() else {
            return Ok(Start {
                position: None,
                passed: Vec::new(),
            });
        };
        let position = if folded(start, prefix, delimiter) == Some(start) {
            format!("{start}{LAST_CHARACTER}")
        } else if self.late(call, bucket, start).await?.is_some() {
            format!("{}{VERSIONS}", self.stored_start(start))
        } else {
            self.starting_point(start, prefix, delimiter)
        };
        // What sorts before `.versions`, and so may come before the object whose name ends there.
        let ends = start
            .char_indices()
            .filter(|(_, next)| *next == '/' || *next < '.');
        let names = ends.filter_map(|(end, _)| start.get(..end)).filter(|name| {
            !name.is_empty()
                && !name.ends_with('/')
                && name.starts_with(prefix)
                && folded(name, prefix, delimiter).is_none()
        });
        let names: Vec<String> = names.map(str::to_owned).collect();
        let passed = self.late_of(call, bucket, &names).await?;
        Ok(Start {
            position: Some(position),
            passed: passed.into_iter().flatten().collect(),
        })
    }

    /// [`Self::late`] of each, all within the deadline of one call.
    async fn late_of(
        &self,
        call: Call,
        bucket: &UpstreamBucket,
        names: &[String],
    ) -> Result<Vec<Option<ListedObject>>, RegionError> {
        // By value: a closure over borrowed names has no future that can be sent.
        let each = names
            .iter()
            .cloned()
            .map(|name| async move { self.late(call, bucket, &name).await });
        let all = stream::iter(each).buffered(ASKED_AT_ONCE).try_collect();
        tokio::time::timeout(self.transport.deadlines.small_call(), all)
            .await
            .map_err(|_| call.unavailable("asking for the objects of a page took too long"))?
    }

    pub(super) async fn list_late(
        &self,
        call: Call,
        bucket: &UpstreamBucket,
        request: &ListRequest,
        keys_max: usize,
    ) -> Result<Listing, RegionError> {
        let start = self.late_start(call, bucket, request).await?;
        let asked_max = keys_max.saturating_sub(start.passed.len()).max(1);
        let position = start.position.clone();
        let mut page = self
            .asked(call, bucket, request, position, asked_max)
            .await?;
        let token = page.token.take().filter(|_| page.truncated);
        let is_full = page.objects.len() + page.prefixes.len() >= asked_max;
        let ends_here = !page.truncated;
        page.truncated = false;
        let mut listing = self.listing(call, page, request, usize::MAX)?;
        for late in start.passed {
            let position = format!("{}{VERSIONS}", self.stored_start(&late.key));
            let is_reached = match &token {
                Some(token) => segment_order(&position, token).is_le(),
                None => ends_here,
            };
            if is_reached && !listing.objects.iter().any(|one| one.key == late.key) {
                listing.objects.push(late);
            }
        }
        if listing.objects.len() + listing.common_prefixes.len() > keys_max {
            self.cut(call, bucket, &mut listing, keys_max).await?;
        } else if !ends_here {
            let token = token.ok_or_else(|| call.lying("a page without a token for the next"))?;
            let last = token.strip_suffix(VERSIONS).unwrap_or(&token).to_owned();
            let last = self.listed_key(last);
            if request.start_after.as_ref() == Some(&last) {
                return Err(call.lying("a page that does not advance"));
            }
            listing.next_start_after = Some(last);
        } else if is_full {
            listing.next_start_after = self.early_end(call, bucket, request, &listing).await?;
        }
        Ok(listing)
    }

    /// As `doubtful_end`, for an object that is older than the bucket's versioning and so comes before its folder.
    async fn early_end(
        &self,
        call: Call,
        bucket: &UpstreamBucket,
        request: &ListRequest,
        listing: &Listing,
    ) -> Result<Option<String>, RegionError> {
        let keys = listing.objects.iter().map(|object| &object.key);
        let Some(last) = keys.clone().max_by(|a, b| segment_order(a, b)) else {
            return Ok(None);
        };
        let below = format!("{last}/");
        let is_listed = listing.common_prefixes.contains(&below)
            || keys.clone().any(|key| key.starts_with(&below));
        if last.ends_with('/') || is_listed || request.start_after.as_ref() == Some(last) {
            return Ok(None);
        }
        let found = self.anything_below(call, bucket, below).await?;
        Ok(found.then(|| last.clone()))
    }

    /// Keeps what the store comes to first.
    async fn cut(
        &self,
        call: Call,
        bucket: &UpstreamBucket,
        listing: &mut Listing,
        keys_max: usize,
    ) -> Result<(), RegionError> {
        let mut names: Vec<(String, String)> = Vec::new();
        let keys: Vec<String> = listing.objects.iter().map(|one| one.key.clone()).collect();
        let late = self.late_of(call, bucket, &keys).await?;
        for (key, late) in keys.into_iter().zip(late) {
            let suffix = if late.is_some() { VERSIONS } else { "" };
            names.push((format!("{}{suffix}", self.stored_start(&key)), key));
        }
        for prefix in &listing.common_prefixes {
            names.push((prefix.trim_end_matches('/').to_owned(), prefix.clone()));
        }
        names.sort_by(|a, b| segment_order(&a.0, &b.0).then_with(|| a.1.cmp(&b.1)));
        names.truncate(keys_max);
        listing.next_start_after = names.last().map(|(_, name)| name.clone());
        let kept: BTreeSet<String> = names.into_iter().map(|(_, name)| name).collect();
        listing.objects.retain(|object| kept.contains(&object.key));
        listing
            .common_prefixes
            .retain(|prefix| kept.contains(prefix));
        Ok(())
    }

    /// Whether the page begins behind an object that comes behind its folder, which was in an earlier page then.
    pub(super) async fn is_late_start(
        &self,
        call: Call,
        bucket: &UpstreamBucket,
        request: &ListRequest,
    ) -> Result<bool, RegionError> {
        match request.start_after.as_deref() {
            Some(start) => Ok(self.late(call, bucket, start).await?.is_some()),
            None => Ok(false),
        }
    }

    pub(super) async fn anything_below(
        &self,
        call: Call,
        bucket: &UpstreamBucket,
        prefix: String,
    ) -> Result<bool, RegionError> {
        let one = ListRequest {
            prefix,
            ..ListRequest::default()
        };
        let found: Page = self.asked(call, bucket, &one, None, 1).await?;
        Ok(!found.objects.is_empty())
    }
}
