//! When jobs run, and whose they are.

use super::*;

#[tokio::test]
async fn job_that_fails_is_tried_again_later_and_says_why() {
    let bench = bench_with_tenant().await;
    begin_bucket(&bench).await;
    bench.catalog.inject(Fault {
        operation: Some("move_bucket"),
        after: 0,
        times: 1,
        kind: FaultKind::NotPersisted,
    });
    let runner = Runner::new(
        bench.domain.clone(),
        "one".to_owned(),
        RunnerSettings::default(),
    );
    runner.run_due().await.unwrap();
    let jobs = bench.catalog.jobs(10).await.unwrap();
    let job = jobs
        .iter()
        .find(|job| job.kind == JobKind::FinishBucket)
        .unwrap();
    assert!(
        job.due > NOW && job.last_error.as_deref().unwrap().contains("move_bucket"),
        "{job:?}"
    );
    // Not due yet: a second pass leaves it alone.
    runner.run_due().await.unwrap();
    let bucket = bench.catalog.bucket(TENANT, &bucket_name()).await.unwrap();
    assert_eq!(bucket.state, BucketState::Creating);
    bench.jobs_later().await;
    let bucket = bench.catalog.bucket(TENANT, &bucket_name()).await.unwrap();
    assert_eq!(bucket.state, BucketState::Active);
}

#[tokio::test]
async fn job_of_another_owner_is_left_alone_until_its_lease_ends() {
    let bench = bench_with_tenant().await;
    begin_bucket(&bench).await;
    let claimed = bench
        .catalog
        .claim("other", NOW, 60_000)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(claimed.kind, JobKind::FinishBucket);
    let runner = Runner::new(
        bench.domain.clone(),
        "one".to_owned(),
        RunnerSettings::default(),
    );
    runner.run_due().await.unwrap();
    let bucket = bench.catalog.bucket(TENANT, &bucket_name()).await.unwrap();
    assert_eq!(bucket.state, BucketState::Creating);
    bench.clock.advance_ms(61_000);
    let now = bench.domain.clock.now();
    let taken_over = bench
        .catalog
        .claim("one", now, 60_000)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken_over.id, claimed.id);
    assert!(taken_over.fence > claimed.fence);
    let late = bench.catalog.finish(claimed.id, claimed.fence).await;
    assert!(
        matches!(late, Err(CatalogError::Conflict { .. })),
        "a fenced owner finished the job"
    );
    bench.jobs_later().await;
    let bucket = bench.catalog.bucket(TENANT, &bucket_name()).await.unwrap();
    assert_eq!(bucket.state, BucketState::Active);
}

#[tokio::test]
async fn job_of_a_region_that_another_gateway_serves_is_left_to_it_without_backing_off() {
    let bench = bench_with_tenant().await;
    let new = NewBucket {
        name: bucket_name(),
        region: "eu-west-3".parse().unwrap(),
        upstream: upstream(),
        object_lock: false,
        created: NOW,
    };
    bench.catalog.begin_bucket(TENANT, &new, 100).await.unwrap();
    for _ in 0..20 {
        bench.jobs_later().await;
    }
    let jobs = bench.catalog.jobs(10).await.unwrap();
    let job = jobs.iter().find(|job| job.kind == JobKind::FinishBucket);
    let wait_ms = job.unwrap().due.0 - bench.domain.clock.now().0;
    assert!((0..=60_000).contains(&wait_ms), "{wait_ms} ms");
}

#[tokio::test]
async fn sweep_runs_every_quarter_of_an_hour_and_not_with_every_pass() {
    let bench = bench_with_tenant().await;
    let settings = RunnerSettings::default();
    let runner = Runner::new(bench.domain.clone(), "one".to_owned(), settings);
    for _ in 0..10 {
        runner.run_due().await.unwrap();
        bench.clock.advance_ms(2_000);
    }
    assert_eq!(bench.catalog.calls("stale_uploads"), 1);
    bench.clock.advance_ms(900_000);
    runner.run_due().await.unwrap();
    assert_eq!(bench.catalog.calls("stale_uploads"), 2);
}
