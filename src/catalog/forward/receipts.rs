//! [`crate::catalog::ReceiptStore`] forwarded.

macro_rules! forward_receipt_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl ReceiptStore for $type {
                async fn keep_receipt(
                    &self,
                    receipt: &ReceiptRow,
                ) -> Result<ReceiptRow, CatalogError> {
                    $call!(self, "keep_receipt", keep_receipt(receipt))
                }
                async fn receipts_logged(
                    &self,
                    tenant: TenantId,
                    proofs: &[ReceiptProof],
                ) -> Result<(), CatalogError> {
                    $call!(self, "receipts_logged", receipts_logged(tenant, proofs))
                }
                async fn unsettle_receipts(&self, wish: WitnessMark) -> Result<u64, CatalogError> {
                    $call!(self, "unsettle_receipts", unsettle_receipts(wish))
                }
                async fn receipts(
                    &self,
                    tenant: TenantId,
                ) -> Result<Vec<ReceiptRow>, CatalogError> {
                    $call!(self, "receipts", receipts(tenant))
                }
                async fn receipt(&self, receipt: ReceiptId) -> Result<ReceiptRow, CatalogError> {
                    $call!(self, "receipt", receipt(receipt))
                }
                async fn receipts_unlogged(
                    &self,
                    rows_max: u32,
                ) -> Result<Vec<ReceiptRow>, CatalogError> {
                    $call!(self, "receipts_unlogged", receipts_unlogged(rows_max))
                }
            }
        };
    };
}
pub(in crate::catalog) use forward_receipt_store;
