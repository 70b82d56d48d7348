//! Spooled bodies whose upload nobody knows: its row was forgotten while one was on its way, or the catalog is an older copy.

use super::domain::{JobDomain, JobRegion};
use super::finish::FinishError;
use crate::clock::UnixMs;
use crate::region::{SpooledBody, delete_spooled, spooled_after};
use crate::tenants::UploadId;
use std::collections::HashMap;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How much longer than an upload may be idle a body stays that no row names: so long a newer copy of the catalog may still be put back,
/// and so far the store's clock may be from this one's.
const SPARE_DAYS: u32 = 7;
/// Pages of a spool that one sweep lists at most.
const PAGES_MAX: u32 = 10;
/// Uploads that one sweep of a spool asks the catalog about at most.
const QUESTIONS_MAX: usize = 100;

/// One walk through a spool.
struct Walk<'a> {
    region: &'a JobRegion,
    /// Bodies from before this are looked at.
    before: UnixMs,
    /// Uploads that the catalog was asked about, and whether it knows them.
    known: HashMap<UploadId, bool>,
    deleted: u64,
}

impl JobDomain {
    /// Deletes the old bodies in a region's spool whose upload has no row, and answers how many. It begins anywhere, so that sweeps which
    /// see only a part of a spool come by everything, whichever gateway makes them.
    pub(super) async fn sweep_spool(
        &self,
        region: &JobRegion,
        now: UnixMs,
    ) -> Result<u64, FinishError> {
        let days = self.upload_idle_days.saturating_add(SPARE_DAYS);
        let mut walk = Walk {
            region,
            before: now.plus_ms(-i64::from(days).saturating_mul(DAY_MS)),
            known: HashMap::new(),
            deleted: 0,
        };
        let mut start = [0; 16];
        // Without randomness it begins at the first.
        let _ = getrandom::fill(&mut start);
        let start = hex::encode(start);
        let mut after = Some(start.clone());
        let mut is_around = false;
        for _ in 0..PAGES_MAX {
            let (store, spool) = (region.store.as_ref(), &region.spool);
            let (bodies, next) = spooled_after(store, spool, after.take()).await?;
            let is_back = is_around
                && bodies
                    .last()
                    .is_some_and(|body| body.key.as_str() > start.as_str());
            if !self.drop_orphans(&mut walk, bodies).await? || is_back {
                break;
            }
            match next {
                Some(next) => after = Some(next),
                None if is_around => break,
                None => is_around = true,
            }
        }
        Ok(walk.deleted)
    }

    /// Whether the walk may go on. The spool was listed before the catalog is asked, and an upload's row is there before its first body.
    async fn drop_orphans(
        &self,
        walk: &mut Walk<'_>,
        bodies: Vec<SpooledBody>,
    ) -> Result<bool, FinishError> {
        for body in bodies.into_iter().filter(|b| b.written < walk.before) {
            let is_known = match walk.known.get(&body.upload) {
                Some(is_known) => *is_known,
                None if walk.known.len() == QUESTIONS_MAX => return Ok(false),
                None => {
                    let is_known = self.catalog.has_upload(&body.upload).await?;
                    walk.known.insert(body.upload.clone(), is_known);
                    is_known
                }
            };
            if !is_known {
                let region = walk.region;
                delete_spooled(region.store.as_ref(), &region.spool, body.key).await?;
                walk.deleted += 1;
            }
        }
        Ok(true)
    }
}
