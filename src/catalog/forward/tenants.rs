//! [`crate::catalog::TenantStore`] forwarded.

macro_rules! forward_tenant_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl TenantStore for $type {
                async fn begin_tenant(&self, new: &NewTenant) -> Result<(), CatalogError> {
                    $call!(self, "begin_tenant", begin_tenant(new))
                }
                async fn move_tenant(
                    &self,
                    tenant: TenantId,
                    from: &[TenantState],
                    to: TenantState,
                ) -> Result<(), CatalogError> {
                    $call!(self, "move_tenant", move_tenant(tenant, from, to))
                }
                async fn tenant(&self, tenant: TenantId) -> Result<Tenant, CatalogError> {
                    $call!(self, "tenant", tenant(tenant))
                }
                async fn tenant_named(&self, name: &TenantName) -> Result<Tenant, CatalogError> {
                    $call!(self, "tenant_named", tenant_named(name))
                }
                async fn tenants(
                    &self,
                    after: Option<&TenantName>,
                    rows_max: u32,
                ) -> Result<Vec<Tenant>, CatalogError> {
                    $call!(self, "tenants", tenants(after, rows_max))
                }
            }
        };
    };
}
pub(in crate::catalog) use forward_tenant_store;
