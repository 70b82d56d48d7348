use super::client::{Client, PART, given_up, plain};
use crate::catalog::{Fault as CatalogFault, FaultKind};
use crate::ops::error::Code;
use crate::ops::testing::Testbed;
use crate::region::faulty::{Fault, Op};

const FAULTS: [Fault; 6] = [
    Fault::Failed,
    Fault::Lost,
    Fault::FailedButPersisted,
    Fault::Hangs,
    Fault::HangsButPersisted,
    Fault::ClosesMidBody {
        after_bytes: 300_000,
    },
];

#[tokio::test]
async fn create_with_any_fault_leaves_no_open_upload_and_a_retry_works() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for fault in FAULTS {
        bed.store.fail_next(Op::CreateUpload, fault);
        let outcome = given_up(acme.create_with("k", None, None)).await;
        assert!(outcome.is_err(), "{fault:?}");
        let open = crate::ops::multipart::list_uploads(&acme.scope, "", None, 10);
        assert!(open.await.unwrap().uploads.is_empty(), "{fault:?}");
        acme.multipart("k", &[b"small"]).await;
        assert_eq!(acme.get("k").await.unwrap(), b"small");
    }
}

#[tokio::test]
async fn create_that_the_catalog_does_not_record_leaves_nothing_upstream() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    bed.catalog.inject(CatalogFault {
        operation: Some("open_upload"),
        after: 0,
        times: 1,
        kind: FaultKind::NotPersisted,
    });
    assert!(acme.create_with("k", None, None).await.is_err());
    assert_eq!(bed.store.calls(Op::AbortUpload), 1);
}

/// A first attempt is acknowledged, a second of other content meets the fault: Complete of the first gives the first or nothing.
async fn part_with(op: Op, bytes: usize) {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let (first, second) = (plain(1, bytes), plain(2, bytes));
    for (index, fault) in FAULTS.into_iter().enumerate() {
        let name = format!("k{index}");
        let upload = acme.create(&name).await;
        let listed = acme.part(&name, &upload, 1, &first).await.unwrap();
        bed.store.fail_next(op, fault);
        let outcome = given_up(acme.part(&name, &upload, 1, &second)).await;
        bed.store.heal();
        assert!(outcome.is_err(), "{op:?} {fault:?}");
        match acme.complete(&name, &upload, &[listed]).await {
            Ok(_) => assert_eq!(acme.get(&name).await.unwrap(), first, "{op:?} {fault:?}"),
            Err(error) => {
                assert_eq!(error.code(), Code::InvalidPart, "{op:?} {fault:?}");
                assert_eq!(acme.found(&name).await, None);
            }
        }
        let upload = acme.create(&name).await;
        bed.store.fail_next(op, fault);
        assert!(
            given_up(acme.part(&name, &upload, 1, &first))
                .await
                .is_err(),
            "{op:?} {fault:?}"
        );
        bed.store.heal();
        let listed = acme.part(&name, &upload, 1, &second).await.unwrap();
        acme.complete(&name, &upload, &[listed]).await.unwrap();
        assert_eq!(acme.get(&name).await.unwrap(), second);
    }
}

#[tokio::test]
async fn part_streamed_with_any_fault_never_mixes_attempts() {
    part_with(Op::UploadPart, PART).await;
}

#[tokio::test]
async fn part_spooled_with_any_fault_never_mixes_attempts() {
    part_with(Op::Put, 1000).await;
}

#[tokio::test]
async fn part_spooled_and_streamed_with_any_fault_never_mixes_attempts() {
    part_with(Op::Put, 2 << 20).await;
}

/// Complete meets the fault in this call; what it says is so, and repeating it gives the object.
async fn complete_with(op: Op, last: usize) {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let parts = [plain(1, PART), plain(2, last)];
    let whole = parts.concat();
    // A store that hangs has a deadline, and is then one whose answer was lost.
    let hangs = |fault: &Fault| matches!(fault, Fault::Hangs | Fault::HangsButPersisted);
    let faults = FAULTS.into_iter().filter(|fault| !hangs(fault));
    for (index, fault) in faults.enumerate() {
        let name = format!("k{index}");
        acme.put(&name, b"old").await.unwrap();
        let upload = acme.create(&name).await;
        let mut listed = Vec::new();
        for (number, body) in (1..).zip(&parts) {
            listed.push(acme.part(&name, &upload, number, body).await.unwrap());
        }
        bed.store.fail_next(op, fault);
        let outcome = acme.complete(&name, &upload, &listed).await;
        bed.store.heal();
        let found = acme.get(&name).await.unwrap();
        match outcome {
            Ok(_) => assert_eq!(found, whole, "{op:?} {fault:?}"),
            Err(_) => assert!(found == b"old" || found == whole, "{op:?} {fault:?}"),
        }
        acme.complete(&name, &upload, &listed).await.unwrap();
        assert_eq!(acme.get(&name).await.unwrap(), whole);
        assert_eq!(acme.spooled().await, 0);
    }
}

#[tokio::test]
async fn complete_with_any_fault_is_old_or_new_and_may_be_repeated() {
    complete_with(Op::CompleteUpload, 1).await;
}

#[tokio::test]
async fn tail_behind_a_spooled_part_with_any_fault_may_be_repeated() {
    complete_with(Op::UploadPart, 1000).await;
}

#[tokio::test]
async fn tail_of_its_own_with_any_fault_may_be_repeated() {
    complete_with(Op::UploadPart, PART).await;
}

#[tokio::test]
async fn spooled_part_that_breaks_off_on_its_way_back_may_be_repeated() {
    complete_with(Op::Get, 1000).await;
}

#[tokio::test]
async fn spooled_part_of_a_wrong_length_is_never_completed() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for by_bytes in [-1, 1, 5_000] {
        let upload = acme.create("k").await;
        let listed = acme.part("k", &upload, 1, b"small").await.unwrap();
        bed.store
            .fail_next(Op::Get, Fault::WrongLength { by_bytes });
        let sent = bed.store.calls(Op::UploadPart);
        let listed = [listed];
        assert!(acme.complete("k", &upload, &listed).await.is_err());
        assert_eq!(bed.store.calls(Op::UploadPart), sent, "it was sent on");
        acme.complete("k", &upload, &listed).await.unwrap();
        assert_eq!(acme.get("k").await.unwrap(), b"small");
    }
}

#[tokio::test]
async fn complete_with_any_catalog_fault_may_be_repeated() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let steps = [
        ("parts", FaultKind::NotPersisted),
        ("begin_complete", FaultKind::NotPersisted),
        ("fix_part_list", FaultKind::NotPersisted),
        ("fix_part_list", FaultKind::Persisted),
        ("part_number_max", FaultKind::NotPersisted),
        ("finish_complete", FaultKind::NotPersisted),
        ("finish_complete", FaultKind::Persisted),
    ];
    for (operation, kind) in steps {
        let upload = acme.create("k").await;
        let listed = [acme
            .part("k", &upload, 1, operation.as_bytes())
            .await
            .unwrap()];
        bed.catalog.inject(CatalogFault {
            operation: Some(operation),
            after: 0,
            times: 1,
            kind,
        });
        assert!(
            acme.complete("k", &upload, &listed).await.is_err(),
            "{operation} {kind:?}"
        );
        acme.complete("k", &upload, &listed).await.unwrap();
        assert_eq!(acme.get("k").await.unwrap(), operation.as_bytes());
    }
}

#[tokio::test]
async fn part_whose_record_was_lost_may_be_repeated() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for kind in [FaultKind::NotPersisted, FaultKind::Persisted] {
        for operation in ["begin_attempt", "finish_attempt"] {
            let upload = acme.create("k").await;
            bed.catalog.inject(CatalogFault {
                operation: Some(operation),
                after: 0,
                times: 1,
                kind,
            });
            assert!(acme.part("k", &upload, 1, b"lost").await.is_err());
            let listed = acme.part("k", &upload, 1, b"kept").await.unwrap();
            acme.complete("k", &upload, &[listed]).await.unwrap();
            assert_eq!(acme.get("k").await.unwrap(), b"kept");
            assert_eq!(acme.spooled().await, 0, "bodies of lost records too");
        }
    }
}

#[tokio::test]
async fn abort_with_any_fault_may_be_repeated_until_nothing_is_left() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for op in [Op::AbortUpload, Op::List, Op::Delete] {
        for fault in FAULTS {
            let upload = acme.create("k").await;
            acme.part("k", &upload, 1, b"small").await.unwrap();
            bed.store.fail_next(op, fault);
            let outcome = given_up(acme.abort("k", &upload)).await;
            bed.store.heal();
            assert!(outcome.is_err(), "{op:?} {fault:?}");
            let part = acme.part("k", &upload, 2, b"late").await;
            assert_eq!(part.err().map(|e| e.code()), Some(Code::NoSuchUpload));
            acme.abort("k", &upload).await.unwrap();
            assert_eq!(acme.spooled().await, 0);
            let again = acme.abort("k", &upload).await;
            assert_eq!(again.err().map(|e| e.code()), Some(Code::NoSuchUpload));
        }
    }
}
