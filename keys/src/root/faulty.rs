//! A root provider that goes wrong on demand.

use std::sync::Arc;

use async_trait::async_trait;

use super::{NodeToWrap, RootError, RootProvider, WrappedNode};
use crate::secret::{KeyBytes, NodeKey, NodeWrap};
use crate::testing::{Call, Faults};
use crate::tree::Epoch;
use crate::types::{Assurance, RootKind};

/// See the module's text.
pub(crate) struct FaultyRoot {
    inner: Arc<dyn RootProvider>,
    faults: Arc<Faults>,
}

impl FaultyRoot {
    pub(crate) fn new(inner: Arc<dyn RootProvider>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }
}

fn injected() -> RootError {
    RootError::Unavailable("injected fault".to_owned())
}

#[async_trait]
impl RootProvider for FaultyRoot {
    async fn create_epoch(&self, epoch: Epoch) -> Result<(), RootError> {
        self.faults
            .run(
                Call::RootCreateEpoch,
                injected,
                self.inner.create_epoch(epoch),
                |()| (),
            )
            .await
    }

    async fn wrap(
        &self,
        epoch: Epoch,
        nodes: &[NodeToWrap<'_>],
    ) -> Result<Vec<NodeWrap>, RootError> {
        let lie = |mut wrapped: Vec<NodeWrap>| {
            wrapped.iter_mut().for_each(|wrapped| wrapped[50] ^= 1);
            wrapped
        };
        self.faults
            .run(Call::RootWrap, injected, self.inner.wrap(epoch, nodes), lie)
            .await
    }

    async fn unwrap(&self, epoch: Epoch, nodes: &[WrappedNode]) -> Result<Vec<NodeKey>, RootError> {
        let lie = |keys: Vec<NodeKey>| {
            keys.into_iter()
                .map(|key| {
                    let mut wrong = *key.0.expose();
                    wrong[0] ^= 1;
                    KeyBytes::from_slice(&wrong).map_or(key, NodeKey)
                })
                .collect()
        };
        self.faults
            .run(
                Call::RootUnwrap,
                injected,
                self.inner.unwrap(epoch, nodes),
                lie,
            )
            .await
    }

    async fn destroy_epoch(&self, epoch: Epoch) -> Result<(), RootError> {
        if self.faults.pretends(Call::RootDestroyEpoch) {
            return Ok(());
        }
        let real = self.inner.destroy_epoch(epoch);
        self.faults
            .run(Call::RootDestroyEpoch, injected, real, |()| ())
            .await
    }

    async fn check_control(&self, epoch: Epoch) -> Result<(), RootError> {
        self.inner.check_control(epoch).await
    }

    fn kind(&self) -> RootKind {
        self.inner.kind()
    }

    fn destruction(&self, epoch: Epoch) -> String {
        self.inner.destruction(epoch)
    }

    fn assurance(&self) -> Assurance {
        self.inner.assurance()
    }
}
