//! [`crate::catalog::CredentialStore`] forwarded.

macro_rules! forward_credential_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl CredentialStore for $type {
                async fn begin_credential(&self, new: &NewCredential) -> Result<(), CatalogError> {
                    $call!(self, "begin_credential", begin_credential(new))
                }
                async fn activate_credential(
                    &self,
                    tenant: TenantId,
                    id: &AccessKeyId,
                ) -> Result<(), CatalogError> {
                    $call!(self, "activate_credential", activate_credential(tenant, id))
                }
                async fn revoke_credential(
                    &self,
                    tenant: TenantId,
                    id: &AccessKeyId,
                ) -> Result<(), CatalogError> {
                    $call!(self, "revoke_credential", revoke_credential(tenant, id))
                }
                async fn change_grant(
                    &self,
                    tenant: TenantId,
                    id: &AccessKeyId,
                    change: &GrantChange,
                ) -> Result<(), CatalogError> {
                    $call!(self, "change_grant", change_grant(tenant, id, change))
                }
                async fn credential(
                    &self,
                    id: &AccessKeyId,
                ) -> Result<(CredentialRow, Tenant), CatalogError> {
                    $call!(self, "credential", credential(id))
                }
                async fn credentials(
                    &self,
                    tenant: TenantId,
                ) -> Result<Vec<CredentialRow>, CatalogError> {
                    $call!(self, "credentials", credentials(tenant))
                }
            }
        };
    };
}
pub(in crate::catalog) use forward_credential_store;
