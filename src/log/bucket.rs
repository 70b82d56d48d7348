//! A log in a bucket of a store that has conditional writes.

use super::store::{
    Head, LogPath, LogReader, LogStore, LogStoreError, ReceiptId, Swap, Version, Versioned,
};
use crate::region::{
    Body, GetRequest, HeadFields, ListRequest, Missing, ObjectRef, PutCondition, PutRequest,
    RegionError, RegionStore, UpstreamBucket,
};
use crate::tenants::{DomainName, ObjectKey, TenantId};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use lethe_receipts::log::TilePath;
use std::fmt;
use std::sync::Arc;

/// The log is nobody's: region calls that want a tenant get this one, which no tenant has.
const NOBODY: TenantId = TenantId::from_bytes([0; 16]);
/// How often an answer that says nothing ("another write is in progress") is asked for again.
const CONFLICTS_MAX: u32 = 5;

/// A log's part of a bucket.
#[derive(Clone)]
pub struct BucketLog {
    store: Arc<dyn RegionStore>,
    bucket: UpstreamBucket,
    /// `<domain>/`.
    prefix: String,
}

impl fmt::Debug for BucketLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketLog({}/{})", self.bucket.as_str(), self.prefix)
    }
}

impl BucketLog {
    /// The log of `domain` in `bucket`, which is made where it is missing; refuses a store that ignores conditions.
    ///
    /// # Errors
    /// [`LogStoreError::Lying`] for a store without compare-and-swap, else as for its calls.
    pub async fn open(
        store: Arc<dyn RegionStore>,
        bucket: UpstreamBucket,
        domain: &DomainName,
    ) -> Result<Self, LogStoreError> {
        let log = Self::reader(store, bucket, domain);
        if !log.exists().await? {
            let made = log.store.create_bucket(NOBODY, &log.bucket).await;
            made.map_err(|error| LogStoreError::away("making", "the bucket", error))?;
        }
        log.probe().await?;
        Ok(log)
    }

    /// The log of `domain` in `bucket` for who only reads it: nothing is made or tried.
    #[must_use]
    pub fn reader(
        store: Arc<dyn RegionStore>,
        bucket: UpstreamBucket,
        domain: &DomainName,
    ) -> Self {
        Self {
            store,
            bucket,
            prefix: format!("{domain}/"),
        }
    }

    async fn exists(&self) -> Result<bool, LogStoreError> {
        let found = self.store.bucket_exists(NOBODY, &self.bucket).await;
        found.map_err(|error| LogStoreError::away("looking for", "the bucket", error))
    }

    /// A store that overwrites what a condition protects would lose the log: seen before anything is at stake.
    async fn probe(&self) -> Result<(), LogStoreError> {
        const PROBE: &str = "probe";
        let lying = |what| LogStoreError::lying("probing", PROBE, what);
        let first = Bytes::from_static(b"first");
        self.put(PROBE, first.clone(), PutCondition::Absent).await?;
        let second = Bytes::from_static(b"second");
        let absent = self
            .put(PROBE, second.clone(), PutCondition::Absent)
            .await?;
        let other = PutCondition::Matches("00000000000000000000000000000000".to_owned());
        let matches = self.put(PROBE, second, other).await?;
        if absent == Put::Stored || matches == Put::Stored {
            return Err(lying("the store ignores the conditions of writes"));
        }
        match self.get(PROBE, first.len()).await? {
            Some(held) if held.bytes == first => Ok(()),
            _ => Err(lying("the store does not hold what it stored")),
        }
    }

    fn object(&self, path: &str) -> Result<ObjectRef, LogStoreError> {
        let key = ObjectKey::new(format!("{}{path}", self.prefix))
            .map_err(|_| LogStoreError::lying("naming", path, "the path is no key"))?;
        Ok(ObjectRef {
            bucket: self.bucket.clone(),
            key,
        })
    }

    async fn get(&self, path: &str, max: usize) -> Result<Option<Versioned>, LogStoreError> {
        let away = |error: &dyn fmt::Display| LogStoreError::away("reading", path, error);
        let at = self.object(path)?;
        let object = match self.store.get(NOBODY, &at, &GetRequest::default()).await {
            Ok(object) => object,
            Err(
                RegionError::NotFound {
                    missing: Missing::Object,
                    ..
                }
                | RegionError::DeleteMarker { .. },
            ) => return Ok(None),
            Err(error) => return Err(away(&error)),
        };
        let too_long = || LogStoreError::lying("reading", path, "the object is too long");
        if object.body_bytes > max as u64 {
            return Err(too_long());
        }
        let mut bytes = BytesMut::new();
        let mut body = object.body;
        while let Some(chunk) = body.try_next().await.map_err(|error| away(&error))? {
            if bytes.len() + chunk.len() > max {
                return Err(too_long());
            }
            bytes.extend_from_slice(&chunk);
        }
        if bytes.len() as u64 != object.body_bytes {
            return Err(away(&"the object ended early"));
        }
        Ok(Some(Versioned {
            bytes: bytes.freeze(),
            version: Version(object.head.etag),
        }))
    }

    /// One conditional write whose outcome is known: where the answer was lost, what is stored now tells.
    async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        condition: PutCondition,
    ) -> Result<Put, LogStoreError> {
        let at = self.object(path)?;
        for _ in 0..CONFLICTS_MAX {
            let request = PutRequest {
                head: HeadFields::default(),
                stored_bytes: bytes.len() as u64,
                body: Body::Replayable(bytes.clone()),
                condition: condition.clone(),
            };
            match self.store.put(NOBODY, &at, request).await {
                Ok(_) => return Ok(Put::Stored),
                Err(RegionError::PreconditionFailed { .. }) => return Ok(Put::Refused),
                // A condition on an object that is not there.
                Err(RegionError::NotFound {
                    missing: Missing::Object,
                    ..
                }) => return Ok(Put::Refused),
                Err(RegionError::Conflict { .. }) => {}
                Err(error) => return Err(LogStoreError::away("writing", path, error)),
            }
        }
        Err(LogStoreError::away(
            "writing",
            path,
            "other writes are always in progress",
        ))
    }

    async fn write_once(&self, path: LogPath, bytes: Bytes) -> Result<(), LogStoreError> {
        let name = path.to_string();
        if self.put(&name, bytes.clone(), PutCondition::Absent).await? == Put::Stored {
            return Ok(());
        }
        match self.get(&name, path.bytes_max()).await? {
            Some(held) if held.bytes == bytes => Ok(()),
            Some(_) => Err(LogStoreError::Differs { path: name }),
            None => Err(LogStoreError::lying(
                "writing",
                &name,
                "it is there and not there",
            )),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    Stored,
    Refused,
}

#[async_trait]
impl LogReader for BucketLog {
    async fn read(&self, path: &LogPath) -> Result<Option<Bytes>, LogStoreError> {
        let found = self.get(&path.to_string(), path.bytes_max()).await?;
        Ok(found.map(|found| found.bytes))
    }

    async fn statements(
        &self,
        after: Option<ReceiptId>,
        max: usize,
    ) -> Result<Vec<ReceiptId>, LogStoreError> {
        let away = |error| LogStoreError::away("listing", "statements", error);
        let prefix = format!("{}statements/", self.prefix);
        let mut start_after = after.map(|id| format!("{prefix}{id}.json"));
        let mut ids = Vec::new();
        loop {
            let request = ListRequest {
                prefix: prefix.clone(),
                delimiter: None,
                start_after,
                keys_max: (max - ids.len()).clamp(1, 1000),
            };
            let listing = self
                .store
                .list(NOBODY, &self.bucket, &request)
                .await
                .map_err(away)?;
            let id = |key: &str| {
                key.strip_prefix(&prefix)?
                    .strip_suffix(".json")?
                    .parse::<ReceiptId>()
                    .ok()
            };
            ids.extend(listing.objects.iter().filter_map(|object| id(&object.key)));
            start_after = listing.next_start_after;
            if start_after.is_none() || ids.len() >= max {
                break;
            }
        }
        ids.truncate(max);
        ids.sort_unstable();
        Ok(ids)
    }
}

#[async_trait]
impl LogStore for BucketLog {
    async fn write_tile(&self, tile: &TilePath, bytes: Bytes) -> Result<(), LogStoreError> {
        self.write_once(LogPath::Tile(*tile), bytes).await
    }

    async fn put_statement(&self, id: ReceiptId, envelope: Bytes) -> Result<(), LogStoreError> {
        self.write_once(LogPath::Statement(id), envelope).await
    }

    async fn head(&self, head: Head) -> Result<Option<Versioned>, LogStoreError> {
        let path = LogPath::Head(head);
        self.get(&path.to_string(), path.bytes_max()).await
    }

    async fn swap(
        &self,
        head: Head,
        expected: Option<&Version>,
        bytes: Bytes,
    ) -> Result<Swap, LogStoreError> {
        let condition = match expected {
            None => PutCondition::Absent,
            Some(version) => PutCondition::Matches(version.0.clone()),
        };
        Ok(match self.put(&head.to_string(), bytes, condition).await? {
            Put::Stored => Swap::Done,
            Put::Refused => Swap::Lost,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::suite::{suite, whole_log};
    use super::*;
    use crate::region::embedded::EmbeddedStore;
    use crate::region::faulty::{Fault, FaultyStore, Op};
    use crate::region::testbed::{Testbed, full_profile};

    fn bucket() -> UpstreamBucket {
        UpstreamBucket::from_catalog("lethe-test-log".to_owned())
    }

    async fn open(store: &Arc<dyn RegionStore>, domain: &str) -> Result<BucketLog, LogStoreError> {
        BucketLog::open(store.clone(), bucket(), &domain.parse().unwrap()).await
    }

    async fn passes(store: Arc<dyn RegionStore>) {
        suite(Arc::new(open(&store, "eu").await.unwrap())).await;
        // Another domain in the same bucket has another log; opening one twice changes nothing.
        open(&store, "us").await.unwrap();
        whole_log(Arc::new(open(&store, "us").await.unwrap())).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bucket_of_an_embedded_store_passes_the_suite() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::create(&dir.path().join("region")).unwrap();
        passes(Arc::new(store)).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bucket_of_seaweedfs_passes_the_suite() {
        let testbed = Testbed::seaweed().await;
        passes(Arc::new(testbed.store(full_profile()).await)).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bucket_of_a_store_that_ignores_conditions_is_refused() {
        let testbed = Testbed::rclone().await;
        let store: Arc<dyn RegionStore> = Arc::new(testbed.store(full_profile()).await);
        let refused = open(&store, "eu").await;
        assert!(
            matches!(refused, Err(LogStoreError::Lying { .. })),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn lost_answer_of_a_swap_is_found_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::create(&dir.path().join("region")).unwrap();
        let faulty = Arc::new(FaultyStore::new(Arc::new(store)));
        let store: Arc<dyn RegionStore> = faulty.clone();
        let log = open(&store, "eu").await.unwrap();
        faulty.fail_next(Op::Put, Fault::FailedButPersisted);
        let lost = log
            .swap(Head::Checkpoint, None, Bytes::from_static(b"one"))
            .await;
        assert!(matches!(lost, Err(LogStoreError::Away { .. })), "{lost:?}");
        let again = log
            .swap(Head::Checkpoint, None, Bytes::from_static(b"one"))
            .await;
        assert_eq!(again.unwrap(), Swap::Lost);
        let held = log.head(Head::Checkpoint).await.unwrap().unwrap();
        assert_eq!(held.bytes, "one");
    }
}
