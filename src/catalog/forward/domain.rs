//! [`crate::catalog::DomainStore`] forwarded.

macro_rules! forward_domain_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl DomainStore for $type {
                async fn identities(&self) -> Result<StoreIdentities, CatalogError> {
                    $call!(self, "identities", identities())
                }
                async fn record_identities(
                    &self,
                    identities: &StoreIdentities,
                ) -> Result<(), CatalogError> {
                    $call!(self, "record_identities", record_identities(identities))
                }
                async fn record_region(
                    &self,
                    region: &RegionName,
                    identity: [u8; 16],
                ) -> Result<(), CatalogError> {
                    $call!(self, "record_region", record_region(region, identity))
                }
                async fn region_identity(
                    &self,
                    region: &RegionName,
                ) -> Result<[u8; 16], CatalogError> {
                    $call!(self, "region_identity", region_identity(region))
                }
                async fn spool_bucket(
                    &self,
                    region: &RegionName,
                    proposed: &UpstreamBucket,
                ) -> Result<UpstreamBucket, CatalogError> {
                    $call!(self, "spool_bucket", spool_bucket(region, proposed))
                }
                async fn store_region_check(
                    &self,
                    region: &RegionName,
                    check: &RegionCheck,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "store_region_check",
                        store_region_check(region, check)
                    )
                }
                async fn region_check(
                    &self,
                    region: &RegionName,
                ) -> Result<RegionCheck, CatalogError> {
                    $call!(self, "region_check", region_check(region))
                }
                async fn revision(&self) -> Result<Revision, CatalogError> {
                    $call!(self, "revision", revision())
                }
                async fn changes_since(
                    &self,
                    since: Revision,
                ) -> Result<Option<Vec<Change>>, CatalogError> {
                    $call!(self, "changes_since", changes_since(since))
                }
                async fn ping(&self) -> Result<(), CatalogError> {
                    $call!(self, "ping", ping())
                }
            }
        };
    };
}
pub(in crate::catalog) use forward_domain_store;
