//! What of a tenant's ciphertext there is before its keys go: counted by streaming listings, and never waited for.
//!
//! Every entry is hashed under a random key that the tenant gets and that the live catalog drops afterwards: whoever holds the
//! key and a listing can check the root, and nobody else can guess paths from it.

use super::evidence::Inventory;
use super::merkle::Tree;
use crate::catalog::{Bucket, CatalogError};
use crate::jobs::{JobDomain, JobRegion};
use crate::region::{
    ListRequest, ListedObject, Missing, ObjectRef, RegionError, VersionId, VersionListRequest,
    Versioning,
};
use crate::tenants::{ObjectKey, TenantId};
use futures::{FutureExt as _, StreamExt as _, stream};
use hmac::{Hmac, KeyInit as _, Mac as _};
use lethe_envelope::Header;
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Entries of one page of a listing.
const PAGE_KEYS: usize = 1000;
/// Heads that are read at once.
const HEADS_AT_ONCE: usize = 16;
/// Reasons that are kept; the rest are only counted.
const REASONS_MAX: usize = 50;

const ENTRY_LABEL: &[u8] = b"lethe/v1/inventory-entry";

/// The random key of one tenant's inventory.
pub struct InventoryKey(Zeroizing<[u8; 32]>);

impl InventoryKey {
    /// Draws a key; `None` when the system gives no randomness.
    #[must_use]
    pub fn random() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).ok()?;
        Some(Self(bytes))
    }

    /// Takes 32 bytes; `None` for any other number of them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes, to be sealed or shown to the tenant.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for InventoryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InventoryKey(redacted)")
    }
}

/// One object or version, as the inventory hashes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The tenant's bucket.
    pub bucket: &'a str,
    /// The object's key.
    pub key: &'a str,
    /// The version; empty in buckets without versions.
    pub version: &'a str,
    /// The stored length.
    pub stored_bytes: u64,
    /// The store's ETag.
    pub etag: &'a str,
    /// The commitment of the KEK that wraps its DEK; empty for an object that Lethe did not write.
    pub kek_commitment: &'a [u8],
}

/// The tree's entry: HMAC-SHA-256 over the label and every field with its length before it (`docs/receipts.md`).
#[must_use]
pub fn entry_hash(key: &InventoryKey, entry: &Entry<'_>) -> [u8; 32] {
    #[allow(
        clippy::expect_used,
        reason = "HMAC takes a key of any length (RFC 2104)"
    )]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes any key");
    mac.update(ENTRY_LABEL);
    let length = entry.stored_bytes.to_be_bytes();
    let fields: [&[u8]; 6] = [
        entry.bucket.as_bytes(),
        entry.key.as_bytes(),
        entry.version.as_bytes(),
        &length,
        entry.etag.as_bytes(),
        entry.kek_commitment,
    ];
    for field in fields {
        // Names are bounded far below 4 GiB.
        mac.update(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        mac.update(field);
    }
    mac.finalize().into_bytes().into()
}

/// A name that a receipt may show: its hash.
pub(super) fn hashed(name: &str) -> String {
    hex::encode(Sha256::digest(name.as_bytes()))
}

struct Count<'a> {
    domain: &'a JobDomain,
    tenant: TenantId,
    key: &'a InventoryKey,
    until: Instant,
    tree: Tree,
    found: Inventory,
    unsaid: u64,
}

/// Why the counting of one bucket ended early.
enum Stop {
    Time,
    Region(RegionError),
}

/// Counts a tenant's objects and versions for at most `time`.
///
/// # Errors
/// [`CatalogError`] when the tenant's buckets can't be read; whatever a region fails at is recorded instead.
pub async fn take(
    domain: &JobDomain,
    tenant: TenantId,
    key: &InventoryKey,
    time: Duration,
) -> Result<Inventory, CatalogError> {
    let mut count = Count {
        domain,
        tenant,
        key,
        until: Instant::now() + time,
        tree: Tree::default(),
        found: Inventory {
            complete: true,
            objects: 0,
            bytes: 0,
            root: None,
            uncounted: Vec::new(),
        },
        unsaid: 0,
    };
    for bucket in domain.catalog.buckets_in_any_state(tenant).await? {
        count.bucket(&bucket).await;
    }
    Ok(count.finish())
}

impl Count<'_> {
    fn finish(mut self) -> Inventory {
        if self.unsaid > 0 {
            let more = format!("{} more reasons", self.unsaid);
            self.found.uncounted.push(more);
        }
        self.found.complete = self.found.uncounted.is_empty();
        self.found.root = self.found.complete.then(|| hex::encode(self.tree.root()));
        self.found
    }

    fn uncounted(&mut self, bucket: &Bucket, why: &str) {
        if self.found.uncounted.len() < REASONS_MAX {
            let bucket = hashed(bucket.name.as_str());
            self.found.uncounted.push(format!("bucket {bucket}: {why}"));
        } else {
            self.unsaid += 1;
        }
    }

    async fn bucket(&mut self, bucket: &Bucket) {
        let Some(region) = self.domain.regions.get(&bucket.region).cloned() else {
            return self.uncounted(bucket, "its region is not served by this gateway");
        };
        match self.objects_of(bucket, &region).await {
            Ok(()) => {}
            Err(Stop::Time) => self.uncounted(bucket, "the time was up"),
            // It never came to be, or is gone already.
            Err(Stop::Region(RegionError::NotFound {
                missing: Missing::Bucket,
                ..
            })) => {}
            Err(Stop::Region(RegionError::Unsupported { .. })) => {
                self.uncounted(bucket, "its store does not list all of its versions");
            }
            Err(Stop::Region(error)) => {
                tracing::warn!(tenant = %self.tenant, op = "inventory", outcome = "partial", %error, "a bucket was not counted");
                self.uncounted(bucket, "its region failed");
            }
        }
    }

    async fn objects_of(&mut self, bucket: &Bucket, region: &JobRegion) -> Result<(), Stop> {
        if versioned(region, self.tenant, bucket)
            .await
            .map_err(Stop::Region)?
        {
            self.versions_of(bucket, region).await
        } else {
            self.current_of(bucket, region).await
        }
    }

    async fn current_of(&mut self, bucket: &Bucket, region: &JobRegion) -> Result<(), Stop> {
        let mut request = ListRequest {
            keys_max: PAGE_KEYS,
            ..ListRequest::default()
        };
        loop {
            self.in_time()?;
            let page = region.store.list(self.tenant, &bucket.upstream, &request);
            let page = page.await.map_err(Stop::Region)?;
            let objects = page.objects.into_iter().map(|object| (object, None));
            self.page(bucket, region, objects.collect()).await?;
            match page.next_start_after {
                Some(next) => request.start_after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn versions_of(&mut self, bucket: &Bucket, region: &JobRegion) -> Result<(), Stop> {
        let mut request = VersionListRequest {
            keys_max: PAGE_KEYS,
            ..VersionListRequest::default()
        };
        loop {
            self.in_time()?;
            let store = &region.store;
            let page = store.list_versions(self.tenant, &bucket.upstream, &request);
            let page = page.await.map_err(Stop::Region)?;
            let bodies = page.versions.into_iter().filter(|one| !one.delete_marker);
            let bodies = bodies.map(|one| (one.object, Some(one.version)));
            self.page(bucket, region, bodies.collect()).await?;
            if page.next_key_marker.is_none() {
                return Ok(());
            }
            request.key_marker = page.next_key_marker;
            request.version_marker = page.next_version_marker;
        }
    }

    fn in_time(&self) -> Result<(), Stop> {
        if Instant::now() < self.until {
            Ok(())
        } else {
            Err(Stop::Time)
        }
    }

    async fn page(
        &mut self,
        bucket: &Bucket,
        region: &JobRegion,
        listed: Vec<(ListedObject, Option<VersionId>)>,
    ) -> Result<(), Stop> {
        let tenant = self.tenant;
        let heads: Vec<_> = listed
            .into_iter()
            .map(|(object, version)| {
                async move {
                    let found = commitment(region, tenant, bucket, &object, version.as_ref());
                    let found = found.await;
                    (object, version, found)
                }
                .boxed()
            })
            .collect();
        let mut heads = stream::iter(heads).buffered(HEADS_AT_ONCE);
        while let Some((object, version, commitment)) = heads.next().await {
            let commitment = match commitment {
                Ok(Some(commitment)) => commitment,
                // Gone since it was listed: a lifecycle rule of the store's.
                Ok(None) => continue,
                Err(error) => return Err(Stop::Region(error)),
            };
            let entry = Entry {
                bucket: bucket.name.as_str(),
                key: &object.key,
                version: version.as_ref().map_or("", |version| &version.0),
                stored_bytes: object.stored_bytes,
                etag: &object.etag,
                kek_commitment: &commitment,
            };
            self.tree.push(&entry_hash(self.key, &entry));
            self.found.objects += 1;
            self.found.bytes = self.found.bytes.saturating_add(object.stored_bytes);
            self.in_time()?;
        }
        Ok(())
    }
}

/// Whether a bucket holds versions: asked of the store, since what the catalog knows may be older.
pub(super) async fn versioned(
    region: &JobRegion,
    tenant: TenantId,
    bucket: &Bucket,
) -> Result<bool, RegionError> {
    match region.store.versioning(tenant, &bucket.upstream).await {
        Ok(Versioning::Off) | Err(RegionError::Unsupported { .. }) => Ok(false),
        Ok(Versioning::Enabled | Versioning::Suspended) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The KEK commitment that an object's header names, empty without a header; `None` when the object is gone.
async fn commitment(
    region: &JobRegion,
    tenant: TenantId,
    bucket: &Bucket,
    object: &ListedObject,
    version: Option<&VersionId>,
) -> Result<Option<Vec<u8>>, RegionError> {
    let Ok(key) = ObjectKey::new(object.key.clone()) else {
        // A key that Lethe would not have written.
        return Ok(Some(Vec::new()));
    };
    let at = ObjectRef {
        bucket: bucket.upstream.clone(),
        key,
    };
    match region.store.head(tenant, &at, version).await {
        Ok(head) => {
            let mut values = head.fields.metadata.values();
            let header = values.find_map(|value| Header::decode(value).ok());
            Ok(Some(header.map_or_else(Vec::new, |header| {
                header.kek_commitment.to_vec()
            })))
        }
        Err(RegionError::NotFound { .. } | RegionError::DeleteMarker { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shred::merkle::Tree;

    #[test]
    fn entries_and_root_are_those_of_the_document() {
        let key = InventoryKey(Zeroizing::new(std::array::from_fn(|at| at as u8)));
        let entry = |bucket, key, version, stored_bytes, etag, kek_commitment| Entry {
            bucket,
            key,
            version,
            stored_bytes,
            etag,
            kek_commitment,
        };
        let entries = [
            entry(
                "archive",
                "a",
                "v2",
                100,
                "9e107d9d372bb6826bd81d3542a419d6",
                &[0x11; 32],
            ),
            entry(
                "archive",
                "a",
                "v1",
                1,
                "e4d909c290d0fb1ca068ffaddf22cbd0",
                &[0x22; 32],
            ),
            entry(
                "docs",
                "b/é",
                "",
                1_048_712,
                "d41d8cd98f00b204e9800998ecf8427e-2",
                &[],
            ),
        ];
        let document = include_str!("../../docs/receipts.md");
        let mut tree = Tree::default();
        for entry in &entries {
            let hash = entry_hash(&key, entry);
            assert!(document.contains(&hex::encode(hash)), "{entry:?}");
            tree.push(&hash);
        }
        let root = format!("have the root `{}`", hex::encode(tree.root()));
        assert!(document.contains(&root), "{root}");
    }
}
