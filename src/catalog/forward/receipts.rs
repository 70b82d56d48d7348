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
                async fn receipt_logged(
                    &self,
                    tenant: TenantId,
                    receipt: ReceiptId,
                    index: u64,
                    proof: &str,
                    settled: bool,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "receipt_logged",
                        receipt_logged(tenant, receipt, index, proof, settled)
                    )
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
