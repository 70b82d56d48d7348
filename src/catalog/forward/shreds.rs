//! [`crate::catalog::ShredStore`] forwarded.

macro_rules! forward_shred_store {
    ($type:ty, $call:ident) => {
        const _: () = {
            use $crate::catalog::forward::names::*;

            #[async_trait::async_trait]
            impl ShredStore for $type {
                async fn begin_termination(
                    &self,
                    new: &NewTermination,
                ) -> Result<(), CatalogError> {
                    $call!(self, "begin_termination", begin_termination(new))
                }
                async fn approve_termination(
                    &self,
                    tenant: TenantId,
                    termination: TerminationId,
                    approval: &Approval,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "approve_termination",
                        approve_termination(tenant, termination, approval)
                    )
                }
                async fn cancel_termination(
                    &self,
                    tenant: TenantId,
                    termination: TerminationId,
                    by: &Approval,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "cancel_termination",
                        cancel_termination(tenant, termination, by)
                    )
                }
                async fn termination(&self, tenant: TenantId) -> Result<Termination, CatalogError> {
                    $call!(self, "termination", termination(tenant))
                }
                async fn open_terminations(
                    &self,
                    after: Option<(UnixMs, TerminationId)>,
                    rows_max: u32,
                ) -> Result<Vec<Termination>, CatalogError> {
                    $call!(
                        self,
                        "open_terminations",
                        open_terminations(after, rows_max)
                    )
                }
                async fn is_termination_due(&self, due: UnixMs) -> Result<bool, CatalogError> {
                    $call!(self, "is_termination_due", is_termination_due(due))
                }
                async fn terminations_between(
                    &self,
                    from: UnixMs,
                    to: UnixMs,
                    after: Option<(UnixMs, TerminationId)>,
                    rows_max: u32,
                ) -> Result<Vec<Termination>, CatalogError> {
                    $call!(
                        self,
                        "terminations_between",
                        terminations_between(from, to, after, rows_max)
                    )
                }
                async fn database_now(&self) -> Result<Option<UnixMs>, CatalogError> {
                    $call!(self, "database_now", database_now())
                }
                async fn due_terminations(
                    &self,
                    due: UnixMs,
                    rows_max: u32,
                ) -> Result<Vec<Termination>, CatalogError> {
                    $call!(self, "due_terminations", due_terminations(due, rows_max))
                }
                async fn begin_shred(
                    &self,
                    id: ShredId,
                    epoch_from: u64,
                    terminations: &[TerminationId],
                    now: UnixMs,
                ) -> Result<Option<Shred>, CatalogError> {
                    $call!(
                        self,
                        "begin_shred",
                        begin_shred(id, epoch_from, terminations, now)
                    )
                }
                async fn claim_shred(
                    &self,
                    owner: &str,
                    now: UnixMs,
                    lease_ms: i64,
                ) -> Result<Option<Shred>, CatalogError> {
                    $call!(self, "claim_shred", claim_shred(owner, now, lease_ms))
                }
                async fn move_shred_from(
                    &self,
                    shred: ShredId,
                    fence: ShredFence,
                    epoch_from: u64,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "move_shred_from",
                        move_shred_from(shred, fence, epoch_from)
                    )
                }
                async fn renew_shred(
                    &self,
                    shred: ShredId,
                    fence: ShredFence,
                    until: UnixMs,
                ) -> Result<(), CatalogError> {
                    $call!(self, "renew_shred", renew_shred(shred, fence, until))
                }
                async fn release_shred(
                    &self,
                    shred: ShredId,
                    fence: ShredFence,
                    retry_at: UnixMs,
                    reason: Option<&str>,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "release_shred",
                        release_shred(shred, fence, retry_at, reason)
                    )
                }
                async fn hurry_shreds(&self) -> Result<(), CatalogError> {
                    $call!(self, "hurry_shreds", hurry_shreds())
                }
                async fn take_shreds_back(&self) -> Result<(), CatalogError> {
                    $call!(self, "take_shreds_back", take_shreds_back())
                }
                async fn advance_shred(
                    &self,
                    shred: ShredId,
                    fence: ShredFence,
                    from: ShredState,
                    evidence: &[Evidence],
                    now: UnixMs,
                ) -> Result<(), CatalogError> {
                    $call!(
                        self,
                        "advance_shred",
                        advance_shred(shred, fence, from, evidence, now)
                    )
                }
                async fn note_evidence(
                    &self,
                    shred: ShredId,
                    fence: ShredFence,
                    evidence: &Evidence,
                ) -> Result<(), CatalogError> {
                    $call!(self, "note_evidence", note_evidence(shred, fence, evidence))
                }
                async fn evidence(&self, shred: ShredId) -> Result<Vec<Evidence>, CatalogError> {
                    $call!(self, "evidence", evidence(shred))
                }
                async fn evidence_of(
                    &self,
                    shred: ShredId,
                    state: ShredState,
                    tenant: Option<TenantId>,
                ) -> Result<Option<Evidence>, CatalogError> {
                    $call!(self, "evidence_of", evidence_of(shred, state, tenant))
                }
                async fn shred(&self, shred: ShredId) -> Result<Shred, CatalogError> {
                    $call!(self, "shred", shred(shred))
                }
                async fn shreds(&self, rows_max: u32) -> Result<Vec<Shred>, CatalogError> {
                    $call!(self, "shreds", shreds(rows_max))
                }
                async fn buckets_in_any_state(
                    &self,
                    tenant: TenantId,
                ) -> Result<Vec<Bucket>, CatalogError> {
                    $call!(self, "buckets_in_any_state", buckets_in_any_state(tenant))
                }
                async fn uploads_in_any_state(
                    &self,
                    tenant: TenantId,
                    rows_max: u32,
                ) -> Result<Vec<Upload>, CatalogError> {
                    $call!(
                        self,
                        "uploads_in_any_state",
                        uploads_in_any_state(tenant, rows_max)
                    )
                }
                async fn end_uploads(&self, tenant: TenantId) -> Result<(), CatalogError> {
                    $call!(self, "end_uploads", end_uploads(tenant))
                }
                async fn shred_terminations(
                    &self,
                    shred: ShredId,
                ) -> Result<Vec<Termination>, CatalogError> {
                    $call!(self, "shred_terminations", shred_terminations(shred))
                }
            }
        };
    };
}
pub(in crate::catalog) use forward_shred_store;
