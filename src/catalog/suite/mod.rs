//! What every catalog must do, on SQLite, on PostgreSQL, and behind the cache and the fault injector.

mod away;
mod buckets;
mod completion;
mod credentials;
mod domain;
mod fixtures;
mod gateways;
mod interrupted;
mod isolation;
mod jobs;
mod listings;
mod opening;
mod shreds;
mod tenants;
mod terminations;
mod uploads;

use super::{
    CacheOptions, CachedCatalog, Catalog, FaultyCatalog, SqlCatalog, StoreOptions, StoreUrl,
};
use crate::clock::SystemClock;
use lethe_keys::GatewayId;
use postgres::PostgresCluster;
use std::sync::Arc;
use std::time::Duration;

#[path = "../../../tests/support/postgres.rs"]
pub(crate) mod postgres;

/// A catalog to test, as two gateways have it, and the database below.
struct World {
    catalog: Arc<dyn Catalog>,
    other: Arc<dyn Catalog>,
    sql: Arc<SqlCatalog>,
    _directory: Option<tempfile::TempDir>,
}

fn options() -> StoreOptions {
    StoreOptions {
        deadline: Duration::from_secs(20),
        connections_max: 8,
    }
}

impl World {
    async fn on(url: &StoreUrl, directory: Option<tempfile::TempDir>) -> Self {
        let sql = Arc::new(SqlCatalog::create(url, &options()).await.unwrap());
        let other = Arc::new(SqlCatalog::open(url, &options()).await.unwrap());
        Self {
            catalog: sql.clone(),
            other,
            sql,
            _directory: directory,
        }
    }

    async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = StoreUrl::Sqlite(directory.path().join("catalog.db"));
        Self::on(&url, Some(directory)).await
    }

    async fn postgres(cluster: &PostgresCluster, name: &str) -> Self {
        let name = name.get(..60).unwrap_or(name);
        Self::on(&cluster.database(name).parse().unwrap(), None).await
    }

    async fn cached() -> Self {
        let below = Self::sqlite().await;
        let cached = CachedCatalog::start(
            below.catalog.clone(),
            Arc::new(SystemClock),
            GatewayId::from_bytes([1; 16]),
            CacheOptions::default(),
        );
        let cached = Arc::new(cached.await.unwrap());
        Self {
            catalog: cached.clone(),
            other: cached,
            ..below
        }
    }

    async fn faulty() -> Self {
        let below = Self::sqlite().await;
        Self {
            catalog: Arc::new(FaultyCatalog::new(below.catalog.clone())),
            ..below
        }
    }
}

/// In CI a missing PostgreSQL is a failure, elsewhere its tests are skipped with a word.
pub(crate) fn cluster() -> Option<PostgresCluster> {
    #[allow(
        clippy::disallowed_methods,
        reason = "CI says that nothing may be skipped"
    )]
    let required = std::env::var_os("CI").is_some_and(|value| value == "true");
    PostgresCluster::start(required)
}

macro_rules! suite {
    ($($module:ident::$case:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$module::$case(&super::World::sqlite().await).await;
            })+
        }
        /// One test, because each one would have to start a cluster of its own.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn catalog_on_postgres_passes_the_suite() {
            let Some(cluster) = cluster() else { return };
            $(
                eprintln!("on PostgreSQL: {}", stringify!($case));
                $module::$case(&World::postgres(&cluster, stringify!($case)).await).await;
            )+
        }
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn catalog_behind_the_cache_passes_the_suite() {
            $(
                eprintln!("behind the cache: {}", stringify!($case));
                $module::$case(&World::cached().await).await;
            )+
        }
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn catalog_behind_the_fault_injector_passes_the_suite() {
            $(
                eprintln!("behind the fault injector: {}", stringify!($case));
                $module::$case(&World::faulty().await).await;
            )+
        }
    };
}

suite!(
    tenants::tenant_begun_twice_is_one_and_its_name_is_taken,
    tenants::tenant_moved_from_another_state_conflicts,
    tenants::tenants_are_listed_in_byte_order_by_pages,
    tenants::tenant_name_is_free_again_after_shredding,
    credentials::credential_goes_from_creating_to_active_to_revoked,
    credentials::credential_id_of_another_tenant_is_taken,
    credentials::credential_of_a_shredded_tenant_is_refused,
    credentials::grant_is_kept_as_it_is_and_changed_in_part,
    credentials::grants_changed_in_a_race_keep_every_part,
    credentials::grant_of_anothers_or_a_revoked_credential_is_not_changed,
    buckets::bucket_begun_twice_is_the_first,
    buckets::bucket_begun_brings_the_job_that_finishes_it,
    buckets::bucket_quota_holds_in_a_race,
    buckets::bucket_forgotten_gives_its_place_back,
    buckets::bucket_forgotten_aborts_its_uploads,
    buckets::bucket_of_a_name_used_again_is_another,
    buckets::bucket_being_deleted_takes_no_upload,
    buckets::bucket_settings_are_each_their_own_and_go_with_the_bucket,
    isolation::another_tenant_finds_nothing,
    uploads::upload_is_opened_once,
    uploads::last_finished_attempt_is_current,
    uploads::highest_part_number_counts_unfinished_attempts,
    uploads::attempts_finished_in_a_race_leave_one_current,
    uploads::attempt_after_the_upload_left_open_is_refused,
    uploads::superseded_attempts_are_bounded,
    uploads::spooled_attempts_are_known_until_the_upload_is_forgotten,
    listings::uploads_are_paged_by_key_and_id,
    listings::uploads_with_odd_prefixes_match_exactly,
    listings::ten_thousand_parts_are_listed,
    listings::stale_uploads_are_those_past_their_times,
    listings::stale_uploads_are_paged_past_those_that_stay,
    listings::upstream_uploads_have_the_owner_that_a_row_names,
    completion::completion_is_taken_by_one_of_two,
    completion::completion_taken_over_refuses_the_old_fence,
    completion::different_part_list_is_refused,
    completion::completion_renewed_is_kept_and_one_taken_over_is_not_renewed,
    completion::completion_given_back_can_be_taken_at_once,
    completion::upload_reopened_takes_parts_and_another_list,
    completion::completed_upload_repeats_its_answer,
    completion::abort_waits_for_nobody_and_yields_to_completion,
    jobs::job_enqueued_twice_is_one,
    jobs::jobs_are_claimed_once_in_a_race,
    jobs::job_taken_over_refuses_the_old_fence,
    jobs::job_enqueued_while_running_runs_again,
    jobs::job_retried_is_due_later_with_its_reason,
    domain::identities_are_recorded_once,
    domain::region_identity_and_spool_bucket_are_recorded_once,
    domain::region_check_is_replaced,
    domain::every_change_is_in_the_revision,
    domain::changes_of_long_ago_are_pruned,
    gateways::gateway_renewed_acknowledges_what_the_catalog_has_reached,
    gateways::gateway_forgotten_is_one_that_did_not_renew,
    terminations::termination_is_approved_by_two_different_principals,
    terminations::approvals_in_a_race_are_all_counted,
    terminations::termination_needs_an_active_or_suspended_tenant,
    terminations::termination_cancelled_gives_the_state_back,
    terminations::terminations_are_listed_by_period_in_pages,
    shreds::shred_takes_what_is_due_and_only_that,
    shreds::shred_begun_in_a_race_is_one,
    shreds::shred_taken_over_refuses_the_old_fence,
    shreds::shred_is_taken_from_a_clock_that_was_ahead_and_by_hand,
    shreds::clock_of_a_server_is_told,
    shreds::shred_goes_through_its_states_in_order,
    shreds::shred_that_purges_lets_the_next_begin_and_go_first,
    shreds::uploads_end_with_a_shredded_tenant_only,
    shreds::receipt_of_a_stage_is_the_first,
    interrupted::transaction_dropped_in_the_middle_leaves_nothing,
    interrupted::calls_dropped_at_any_moment_leave_whole_changes,
);
