//! The look at a bucket that could not be removed: is what is in it all held?

use super::super::inventory::versioned;
use super::super::locks::{Holding, lock_on};
use super::super::progress::{Check, Doomed};
use super::{DELETES_AT_ONCE, Purge};
use crate::catalog::Bucket;
use crate::jobs::{FinishError, JobRegion};
use crate::region::ObjectRef;
use crate::tenants::ObjectKey;
use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::time::Instant;

impl Purge<'_> {
    /// Whether a fresh listing of a bucket shows something, and nothing but what this purge has found to be held in it; `None` when the
    /// time is up before that is known, a page further at least.
    pub(super) async fn shows_only_held(
        &mut self,
        bucket: &Bucket,
        region: &JobRegion,
    ) -> Result<Option<bool>, FinishError> {
        let upstream = bucket.upstream.as_str();
        if self.progress.only_held.contains(upstream) {
            return Ok(Some(true));
        }
        let versions = versioned(region, self.tenant, bucket).await?;
        let begun = self
            .progress
            .check
            .take_if(|check| check.bucket == upstream);
        let mut check = begun.unwrap_or_else(|| Check {
            bucket: upstream.to_owned(),
            ..Check::default()
        });
        loop {
            let at = (check.key.take(), check.version.take());
            let page = self.page(bucket, region, versions, at).await?;
            let is_listed = |one: &&Doomed| self.progress.lists(&one.held(upstream, None));
            let (listed, others): (Vec<_>, Vec<_>) = page.doomed.iter().partition(is_listed);
            if !self.are_locked(bucket, region, &others).await? {
                return Ok(Some(false));
            }
            check.listed = check.listed.saturating_add(listed.len() as u64);
            check.unlisted = check.unlisted.saturating_add(others.len() as u64);
            let Some(next) = page.next else {
                break;
            };
            (check.key, check.version) = next;
            if Instant::now() >= self.until {
                self.progress.check = Some(check);
                return Ok(None);
            }
        }
        let something = check.listed > 0 || check.unlisted > 0;
        let only_held = something && check.unlisted == self.progress.unlisted(upstream);
        if only_held {
            self.progress.only_held.insert(upstream.to_owned());
        }
        Ok(Some(only_held))
    }

    async fn are_locked(
        &self,
        bucket: &Bucket,
        region: &JobRegion,
        versions: &[&Doomed],
    ) -> Result<bool, FinishError> {
        let asked: Vec<_> = versions
            .iter()
            .map(|one| self.is_locked(bucket, region, one).boxed())
            .collect();
        let mut asked = stream::iter(asked).buffer_unordered(DELETES_AT_ONCE);
        while let Some(locked) = asked.next().await {
            if !locked? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the store says that a lock is on what the progress has no room to list.
    async fn is_locked(
        &self,
        bucket: &Bucket,
        region: &JobRegion,
        one: &Doomed,
    ) -> Result<bool, FinishError> {
        if self.progress.unlisted(bucket.upstream.as_str()) == 0 {
            return Ok(false);
        }
        let Ok(key) = ObjectKey::new(one.object.key.clone()) else {
            return Ok(true);
        };
        let at = ObjectRef {
            bucket: bucket.upstream.clone(),
            key,
        };
        let (store, now) = (&*region.store, self.domain.clock.now());
        let holding = lock_on(store, self.tenant, &at, one.version.as_ref(), now).await?;
        Ok(holding != Holding::Nothing)
    }
}
