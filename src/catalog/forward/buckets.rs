//! [`crate::catalog::BucketStore`] forwarded.

macro_rules! forward_bucket_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl BucketStore for $type {
                async fn begin_bucket(
                    &self,
                    tenant: TenantId,
                    new: &NewBucket,
                    buckets_max: u32,
                ) -> Result<Bucket, CatalogError> {
                    $call!(self, "begin_bucket", begin_bucket(tenant, new, buckets_max))
                }
                async fn move_bucket(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                    upstream: &UpstreamBucket,
                    from: &[BucketState],
                    to: BucketState,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "move_bucket",
                        move_bucket(tenant, name, upstream, from, to)
                    )
                }
                async fn set_bucket_versioning(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                    versioning: BucketVersioning,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "set_bucket_versioning",
                        set_bucket_versioning(tenant, name, versioning)
                    )
                }
                async fn set_bucket_object_lock(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "set_bucket_object_lock",
                        set_bucket_object_lock(tenant, name)
                    )
                }
                async fn set_bucket_setting(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                    setting: BucketSetting,
                    value: Option<&str>,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "set_bucket_setting",
                        set_bucket_setting(tenant, name, setting, value)
                    )
                }
                async fn bucket_setting(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                    setting: BucketSetting,
                ) -> Result<Option<Arc<str>>, CatalogError> {
                    $call!(
                        self,
                        "bucket_setting",
                        bucket_setting(tenant, name, setting)
                    )
                }
                async fn forget_bucket(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                    upstream: &UpstreamBucket,
                ) -> Result<(), CatalogError> {
                    $call!(self, "forget_bucket", forget_bucket(tenant, name, upstream))
                }
                async fn bucket(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                ) -> Result<Bucket, CatalogError> {
                    $call!(self, "bucket", bucket(tenant, name))
                }
                async fn buckets(&self, tenant: TenantId) -> Result<Vec<Bucket>, CatalogError> {
                    $call!(self, "buckets", buckets(tenant))
                }
                async fn bucket_has_uploads(
                    &self,
                    tenant: TenantId,
                    name: &BucketName,
                ) -> Result<bool, CatalogError> {
                    $call!(self, "bucket_has_uploads", bucket_has_uploads(tenant, name))
                }
            }
        };
    };
}
pub(in crate::catalog) use forward_bucket_store;
