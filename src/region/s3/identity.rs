//! A region's identity: 16 random bytes in the upstream itself, so that a store mistaken for another one is noticed.

use super::S3Store;
use super::errors::Call;
use crate::region::{
    Body, BodyError, GetRequest, HeadFields, Missing, ObjectRef, PutCondition, PutRequest,
    RegionError, UpstreamBucket,
};
use crate::tenants::ObjectKey;
use bytes::Bytes;
use futures::TryStreamExt;
use std::fmt;

const OBJECT: &str = "lethe-region-identity";
const IDENTITY_BYTES: usize = 16;

/// What tells one upstream from every other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RegionIdentity([u8; IDENTITY_BYTES]);

impl RegionIdentity {
    /// The 16 bytes, as the catalog keeps them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; IDENTITY_BYTES] {
        &self.0
    }

    /// Takes 16 bytes that the catalog kept.
    #[must_use]
    pub fn from_bytes(bytes: [u8; IDENTITY_BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for RegionIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegionIdentity({})", hex::encode(self.0))
    }
}

impl S3Store {
    /// The bucket that holds the identity.
    pub(super) fn identity_bucket(&self) -> UpstreamBucket {
        UpstreamBucket::from_catalog(format!("{}-identity", self.bucket_prefix))
    }

    fn identity_object(&self, call: Call) -> Result<ObjectRef, RegionError> {
        Ok(ObjectRef {
            bucket: self.identity_bucket(),
            key: ObjectKey::new(OBJECT).map_err(|_| call.refused(400, "KeyTooLongError"))?,
        })
    }

    /// Gives the upstream an identity, or returns the one that it has.
    ///
    /// # Errors
    /// [`RegionError`] as for a bucket's creation and a conditional put.
    pub async fn create_identity(&self) -> Result<RegionIdentity, RegionError> {
        let call = Call::write("create_identity", Missing::Bucket);
        if let Some(identity) = self.read_identity().await? {
            return Ok(identity);
        }
        self.make_bucket(&self.identity_bucket(), false).await?;
        let mut bytes = [0; IDENTITY_BYTES];
        getrandom::fill(&mut bytes).map_err(|_| call.unavailable("no randomness"))?;
        let request = PutRequest {
            head: HeadFields::default(),
            stored_bytes: IDENTITY_BYTES as u64,
            body: Body::Replayable(Bytes::copy_from_slice(&bytes)),
            condition: PutCondition::Absent,
        };
        match self.put_object(&self.identity_object(call)?, request).await {
            // Whoever was first has named the region; a store that ignores the condition shows by what it holds now.
            Ok(_) | Err(RegionError::PreconditionFailed { .. } | RegionError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        self.read_identity()
            .await?
            .ok_or_else(|| call.lying("the identity just written is not there"))
    }

    /// The upstream's identity, if it has one.
    ///
    /// # Errors
    /// [`RegionError::Lying`] when the object is no identity; else as for a get.
    pub async fn read_identity(&self) -> Result<Option<RegionIdentity>, RegionError> {
        let call = Call::read("read_identity", Missing::Object);
        let found = self
            .get_object(&self.identity_object(call)?, &GetRequest::default())
            .await;
        let object = match found {
            Ok(object) => object,
            Err(RegionError::NotFound { .. } | RegionError::DeleteMarker { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if object.body_bytes != IDENTITY_BYTES as u64 {
            return Err(call.lying("the identity has another length"));
        }
        let bytes: Vec<Bytes> = object
            .body
            .try_collect()
            .await
            .map_err(|error: BodyError| call.unavailable(error.to_string()))?;
        let identity = bytes.concat().try_into();
        let identity = identity.map_err(|_| call.lying("the identity has another length"))?;
        Ok(Some(RegionIdentity(identity)))
    }
}
