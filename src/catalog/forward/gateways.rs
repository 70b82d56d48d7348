//! [`crate::catalog::GatewayStore`] forwarded.

macro_rules! forward_gateway_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl GatewayStore for $type {
                async fn renew_gateway(
                    &self,
                    renewal: &GatewayRenewal,
                ) -> Result<(), CatalogError> {
                    $call!(self, "renew_gateway", renew_gateway(renewal))
                }
                async fn gateways(&self) -> Result<Vec<GatewayRow>, CatalogError> {
                    $call!(self, "gateways", gateways())
                }
                async fn forget_gateway(
                    &self,
                    gateway: GatewayId,
                    renewals: i64,
                ) -> Result<(), CatalogError> {
                    $call!(self, "forget_gateway", forget_gateway(gateway, renewals))
                }
            }
        };
    };
}
pub(in crate::catalog) use forward_gateway_store;
