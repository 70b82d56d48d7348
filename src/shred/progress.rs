//! How far a purge is, and what it has counted: written down before each page is deleted, so that nothing is counted twice.

use super::evidence::{HeldVersion, PurgeCounts};
use super::inventory::hashed;
use crate::region::{ListedObject, VersionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Held versions that are listed; the rest are counted.
pub const HELD_MAX: usize = 1000;

/// Where a purge is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it was over.
    pub finished_ms: Option<i64>,
    /// What was deleted.
    pub counts: PurgeCounts,
    /// What the store holds on to.
    pub held: Vec<HeldVersion>,
    /// How much more it holds on to than `held` lists.
    pub held_more: u64,
    /// The page that is being deleted.
    pub(super) place: Option<Place>,
    /// What of that page is counted already.
    counted: BTreeSet<String>,
    /// Uploads of the page that is being dropped, which are counted already.
    #[serde(default)]
    pub(super) uploads_counted: BTreeSet<String>,
    /// What `held_more` counts, by the hash of the bucket.
    #[serde(default)]
    held_unlisted: BTreeMap<String, u64>,
    /// How far the last look at a bucket that holds something is.
    #[serde(default)]
    pub(super) check: Option<Check>,
    /// Buckets of which it has shown nothing but what is held.
    #[serde(default)]
    pub(super) only_held: BTreeSet<String>,
}

/// A fresh listing of a bucket that is not empty, up to behind a key, compared with what is known to be held in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    pub(super) bucket: String,
    pub(super) key: Option<String>,
    pub(super) version: Option<String>,
    /// Versions that are listed as held.
    pub(super) listed: u64,
    /// Versions that a lock holds and that are counted only.
    pub(super) unlisted: u64,
}

/// The page of a listing that begins behind a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    pub(super) bucket: String,
    pub(super) key: Option<String>,
    pub(super) version: Option<String>,
    /// Nothing is behind it: the bucket is done.
    #[serde(default)]
    pub(super) last: bool,
}

/// One thing to delete.
pub(super) struct Doomed {
    pub(super) object: ListedObject,
    pub(super) version: Option<VersionId>,
    pub(super) marker: bool,
}

impl Doomed {
    /// It as an entry of what the store holds on to.
    pub(super) fn held(&self, upstream: &str, until_ms: Option<i64>) -> HeldVersion {
        HeldVersion {
            bucket: hashed(upstream),
            key: hashed(&self.object.key),
            version: self.version.as_ref().map(|version| version.0.clone()),
            until_ms,
        }
    }

    fn mark(&self) -> String {
        let version = self.version.as_ref().map_or("", |version| &version.0);
        let digest = Sha256::new()
            .chain_update((self.object.key.len() as u64).to_be_bytes())
            .chain_update(&self.object.key)
            .chain_update(version)
            .finalize();
        hex::encode(digest.get(..16).unwrap_or_default())
    }
}

impl Progress {
    /// A purge that begins.
    #[must_use]
    pub fn begun(started_ms: i64) -> Self {
        Self {
            started_ms,
            ..Self::default()
        }
    }

    /// Counts a page that is about to be deleted.
    pub(super) fn count_page(&mut self, place: Place, doomed: &[Doomed]) {
        let marks = doomed.iter().map(Doomed::mark);
        // The same page again, of a purge that was cut off: what is left of it was counted then.
        let again = self.place.as_ref() == Some(&place);
        let known = if again {
            std::mem::take(&mut self.counted)
        } else {
            BTreeSet::new()
        };
        for one in doomed {
            if !known.contains(&one.mark()) {
                self.counts.add(one);
            }
        }
        self.counted = known;
        self.counted.extend(marks);
        self.place = Some(place);
    }

    /// The page is done, and the next one begins at `place`. What was held of it is counted: met again, it would be once more.
    pub(super) fn page_done(&mut self, place: Place) {
        self.counted.clear();
        self.place = Some(place);
    }

    /// Whether a bucket's last page is done.
    pub(super) fn is_done(&self, bucket: &str) -> bool {
        let place = self.place.as_ref();
        place.is_some_and(|place| place.last && place.bucket == bucket)
    }

    /// Takes back what was counted as deleted, and lists it. Its mark goes too, so that the page may come again.
    pub(super) fn hold(&mut self, one: &Doomed, held: HeldVersion) {
        self.counts.subtract(one);
        self.counted.remove(&one.mark());
        // A purge that was cut off meets it again, and the lock may have been set anew in between.
        if let Some(known) = self.held.iter_mut().find(|known| known.is_of(&held)) {
            known.until_ms = held.until_ms;
        } else if self.held.len() < HELD_MAX {
            self.held.push(held);
        } else {
            self.held_more = self.held_more.saturating_add(1);
            *self.held_unlisted.entry(held.bucket).or_default() += 1;
        }
    }

    /// Whether this version is listed as held.
    pub(super) fn lists(&self, held: &HeldVersion) -> bool {
        self.held.iter().any(|known| known.is_of(held))
    }

    /// How many versions of a bucket are held besides those that are listed.
    pub(super) fn unlisted(&self, upstream: &str) -> u64 {
        let unlisted = self.held_unlisted.get(&hashed(upstream));
        unlisted.copied().unwrap_or(0)
    }

    /// The next page is the first one again, of whatever bucket.
    pub(super) fn begin_again(&mut self) {
        self.place = None;
        self.check = None;
        self.only_held.clear();
        self.counted.clear();
    }

    /// What was held in a bucket is found anew.
    pub(super) fn forget_held(&mut self, upstream: &str) {
        let bucket = hashed(upstream);
        self.held.retain(|known| known.bucket != bucket);
        let unlisted = self.held_unlisted.remove(&bucket).unwrap_or(0);
        self.held_more = self.held_more.saturating_sub(unlisted);
    }
}

impl PurgeCounts {
    fn kind(&mut self, one: &Doomed) -> &mut u64 {
        match (&one.version, one.marker) {
            (Some(_), true) => &mut self.delete_markers,
            (Some(_), false) => &mut self.versions,
            (None, _) => &mut self.objects,
        }
    }

    fn add(&mut self, one: &Doomed) {
        *self.kind(one) += 1;
        self.bytes = self.bytes.saturating_add(one.object.stored_bytes);
    }

    fn subtract(&mut self, one: &Doomed) {
        let kind = self.kind(one);
        *kind = kind.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(one.object.stored_bytes);
    }
}

#[cfg(test)]
pub(super) fn tests_doomed(number: usize) -> Doomed {
    Doomed {
        object: ListedObject {
            key: format!("k{number}"),
            stored_bytes: 1,
            etag: String::new(),
            last_modified: crate::clock::UnixMs(0),
        },
        version: Some(VersionId("v".to_owned())),
        marker: false,
    }
}
