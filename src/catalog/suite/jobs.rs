use super::World;
use super::fixtures::{NOW, assert_refused};
use crate::catalog::{JobFence, JobKind};
use futures::future::join_all;
use std::collections::BTreeSet;

pub(super) async fn job_enqueued_twice_is_one(world: &World) {
    let catalog = &world.catalog;
    let kind = JobKind::FinishBucket;
    let first = catalog.enqueue(kind, "a", NOW.plus_ms(50)).await.unwrap();
    let again = catalog.enqueue(kind, "a", NOW.plus_ms(10)).await.unwrap();
    let later = catalog.enqueue(kind, "a", NOW.plus_ms(90)).await.unwrap();
    assert!(first == again && again == later);
    let tenant = JobKind::FinishTenant;
    let other = catalog.enqueue(tenant, "a", NOW).await.unwrap();
    assert_ne!(first, other);
    let jobs = catalog.jobs(10).await.unwrap();
    assert_eq!(jobs.len(), 2);
    assert_eq!((jobs[0].id, jobs[0].due), (first, NOW.plus_ms(10)));
    assert_eq!((jobs[1].kind, jobs[1].subject.as_str()), (tenant, "a"));
    assert_eq!(catalog.jobs(1).await.unwrap().len(), 1);
}

pub(super) async fn jobs_are_claimed_once_in_a_race(world: &World) {
    for number in 0..12 {
        let subject = format!("bucket-{number}");
        let kind = JobKind::FinishBucket;
        world.catalog.enqueue(kind, &subject, NOW).await.unwrap();
    }
    let future = NOW.plus_ms(1);
    let kind = JobKind::SweepUploads;
    world.catalog.enqueue(kind, "", future).await.unwrap();
    let claimers = (0..4).map(|number| {
        let catalog = if number % 2 == 0 {
            world.catalog.clone()
        } else {
            world.other.clone()
        };
        async move {
            let owner = format!("gateway-{number}");
            let mut claimed = Vec::new();
            while let Some(job) = catalog.claim(&owner, NOW, 1_000).await.unwrap() {
                claimed.push(job.id.0);
            }
            claimed
        }
    });
    let claimed: Vec<_> = join_all(claimers).await.into_iter().flatten().collect();
    let distinct: BTreeSet<_> = claimed.iter().collect();
    assert_eq!(claimed.len(), distinct.len(), "a job was claimed twice");
    // A claimer may give up while others race it for the last ones.
    let left = world.catalog.claim("last", NOW, 1_000).await.unwrap();
    assert!(
        claimed.len() == 12 && left.is_none(),
        "{claimed:?} {left:?}"
    );
}

pub(super) async fn job_taken_over_refuses_the_old_fence(world: &World) {
    let (catalog, other) = (&world.catalog, &world.other);
    let kind = JobKind::FinishTenant;
    let id = catalog.enqueue(kind, "t", NOW).await.unwrap();
    let old = catalog.claim("one", NOW, 1_000).await.unwrap().unwrap();
    assert_eq!((old.id, old.attempts), (id, 1));
    let until = NOW.plus_ms(2_000);
    catalog.renew(id, old.fence, until).await.unwrap();
    let early = other.claim("two", NOW.plus_ms(1_500), 1_000).await.unwrap();
    assert!(early.is_none());
    let new = other.claim("two", until, 1_000).await.unwrap().unwrap();
    assert_eq!((new.id, new.attempts), (id, 2));
    assert!(new.fence > old.fence);

    assert_refused!(catalog.renew(id, old.fence, until).await, Conflict);
    assert_refused!(catalog.finish(id, old.fence).await, Conflict);
    let retried = catalog.retry(id, old.fence, NOW, "why").await;
    assert_refused!(retried, Conflict);
    other.finish(id, new.fence).await.unwrap();
    other.finish(id, new.fence).await.unwrap();
    assert!(catalog.jobs(10).await.unwrap().is_empty());
    assert_refused!(catalog.renew(id, new.fence, until).await, NotFound);
    let again = catalog.enqueue(kind, "t", NOW).await.unwrap();
    assert_ne!(again, id, "an id that an old owner holds is not used again");
}

pub(super) async fn job_enqueued_while_running_runs_again(world: &World) {
    let catalog = &world.catalog;
    let kind = JobKind::FinishBucket;
    let id = catalog.enqueue(kind, "b", NOW).await.unwrap();
    let running = catalog.claim("one", NOW, 1_000).await.unwrap().unwrap();
    assert_eq!(catalog.enqueue(kind, "b", NOW).await.unwrap(), id);
    let held = catalog.claim("two", NOW, 1_000).await.unwrap();
    assert!(held.is_none());
    catalog.finish(id, running.fence).await.unwrap();
    let again = catalog.claim("two", NOW, 1_000).await.unwrap().unwrap();
    assert_eq!(again.id, id);
    assert_refused!(catalog.finish(id, running.fence).await, Conflict);
    catalog.finish(id, again.fence).await.unwrap();
    assert!(catalog.jobs(10).await.unwrap().is_empty());
}

pub(super) async fn job_retried_is_due_later_with_its_reason(world: &World) {
    let catalog = &world.catalog;
    let kind = JobKind::FinishCredential;
    let id = catalog.enqueue(kind, "c", NOW).await.unwrap();
    let job = catalog.claim("one", NOW, 1_000).await.unwrap().unwrap();
    let later = NOW.plus_ms(500);
    let long = format!("away\0{}", "é".repeat(2_000));
    catalog.retry(id, job.fence, later, &long).await.unwrap();
    assert!(catalog.claim("one", NOW, 1_000).await.unwrap().is_none());
    let refused = catalog.retry(id, job.fence, NOW, "again").await;
    assert_refused!(refused, Conflict);
    let again = catalog.claim("one", later, 1_000).await.unwrap().unwrap();
    assert_eq!(again.attempts, 2);
    let reason = again.last_error.unwrap();
    assert!(reason.starts_with("awayé") && reason.len() <= 1024);
    assert_refused!(catalog.finish(id, JobFence(0)).await, Conflict);
}
