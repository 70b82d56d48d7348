use super::World;
use super::fixtures::{NOW, finished, new_bucket, tenant, tenant_with_upload};
use crate::catalog::database::Statement;
use crate::catalog::{CatalogError, JobKind};
use std::time::Duration;

/// What the calls are whole by: counts that would disagree after half a change.
const COUNTS: &str = "SELECT
    (SELECT CAST(SUM(bucket_count) AS BIGINT) FROM tenants) - (SELECT COUNT(*) FROM buckets) AS buckets,
    (SELECT revision FROM domain) - (SELECT COUNT(*) FROM changes) AS revisions,
    (SELECT CAST(SUM(attempts_begun) AS BIGINT) FROM uploads) - (SELECT COUNT(*) FROM attempts) AS begun,
    (SELECT CAST(SUM(attempts_finished) AS BIGINT) FROM uploads)
        - (SELECT COUNT(*) FROM attempts WHERE finished IS NOT NULL AND finish_order IS NOT NULL) AS finished";

pub(super) async fn transaction_dropped_in_the_middle_leaves_nothing(world: &World) {
    let acme = tenant(&world.catalog, "acme").await;
    let revision = world.catalog.revision().await.unwrap();
    world.sql.begin_and_drop(acme).await;
    // The next writer is not kept waiting by it.
    let new = new_bucket("docs");
    let bucket = world.catalog.begin_bucket(acme, &new, 1);
    tokio::time::timeout(Duration::from_secs(5), bucket)
        .await
        .unwrap()
        .unwrap();
    let now = world.catalog.revision().await.unwrap();
    assert_eq!(now.0, revision.0 + 1);
}

pub(super) async fn calls_dropped_at_any_moment_leave_whole_changes(world: &World) {
    let (acme, id) = tenant_with_upload(&world.catalog).await;
    let mut ended = 0u32;
    for round in 0..120u32 {
        let catalog = world.catalog.clone();
        let id = id.clone();
        // A part each: superseded attempts at one part would be pruned.
        let part = u16::try_from(round).unwrap() + 1;
        let call = tokio::spawn(async move {
            let new = new_bucket(&format!("bucket-{round}"));
            catalog.begin_bucket(acme, &new, 100).await?;
            let attempt = catalog.begin_attempt(acme, &id, part, NOW).await?;
            catalog
                .finish_attempt(acme, &id, attempt, &finished(1), NOW)
                .await?;
            catalog.enqueue(JobKind::FinishBucket, "b", NOW).await?;
            Ok::<(), CatalogError>(())
        });
        // From before the first statement to after the last commit.
        tokio::time::sleep(Duration::from_micros(u64::from(round) * 150)).await;
        call.abort();
        match call.await {
            Ok(outcome) => {
                ended += 1;
                if let Err(error) = outcome {
                    assert!(matches!(error, CatalogError::Quota { .. }), "{error}");
                }
            }
            Err(error) => assert!(error.is_cancelled()),
        }
        if ended > 20 {
            break;
        }
    }
    let counts = world.sql.run(vec![Statement::new(COUNTS)]).await;
    let row = &counts[0][0];
    for column in ["buckets", "revisions", "begun", "finished"] {
        assert_eq!(row.get::<i64>(column).unwrap(), 0, "{column}");
    }
}
