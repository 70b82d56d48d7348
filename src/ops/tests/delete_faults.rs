use super::client::{Client, given_up, key};
use crate::ops::conditions::WriteCondition;
use crate::ops::delete_object::{DeleteObject, delete_object};
use crate::ops::tagging;
use crate::ops::testing::Testbed;
use crate::region::faulty::{Fault, Op};

const FAULTS: [Fault; 5] = [
    Fault::Failed,
    Fault::Lost,
    Fault::FailedButPersisted,
    Fault::Hangs,
    Fault::HangsButPersisted,
];

fn delete(name: &str, condition: WriteCondition) -> DeleteObject {
    DeleteObject {
        key: key(name),
        version: None,
        condition,
        bypass_governance: false,
    }
}

#[tokio::test]
async fn delete_with_any_fault_once_or_twice_never_claims_what_is_not_so() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for fault in FAULTS {
        for calls in [1, 2] {
            acme.put("k", b"old").await.unwrap();
            let request = delete("k", WriteCondition::Always);
            bed.store.fail(Op::Delete, 1, calls, fault);
            let outcome = given_up(delete_object(&acme.scope, &request)).await;
            bed.store.heal();
            if outcome.is_ok() {
                assert_eq!(acme.found("k").await, None, "{fault:?}");
            }
            delete_object(&acme.scope, &request).await.unwrap();
            assert_eq!(acme.found("k").await, None);
        }
    }
}

#[tokio::test]
async fn delete_whose_answer_was_lost_is_repeated_but_a_conditional_one_is_not() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let put = acme.put("k", b"old").await.unwrap();
    bed.store.fail_next(Op::Delete, Fault::Lost);
    let conditional = delete("k", WriteCondition::Matches(put.etag));
    assert!(delete_object(&acme.scope, &conditional).await.is_err());
    assert_eq!(acme.found("k").await.unwrap(), b"old");
    bed.store.fail_next(Op::Delete, Fault::Lost);
    delete_object(&acme.scope, &delete("k", WriteCondition::Always))
        .await
        .unwrap();
    assert_eq!(acme.found("k").await, None);
}

#[tokio::test]
async fn tags_with_any_fault_are_old_or_new_and_a_retry_sets_them() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    acme.put("k", b"x").await.unwrap();
    let tags = |value: &str| vec![("a".to_owned(), value.to_owned())];
    let (old, new) = (tags("old"), tags("new"));
    let at = key("k");
    for fault in FAULTS {
        tagging::set_tags(&acme.scope, &at, None, &old)
            .await
            .unwrap();
        bed.store.fail_next(Op::SetTags, fault);
        let outcome = given_up(tagging::set_tags(&acme.scope, &at, None, &new)).await;
        let found = tagging::get_tags(&acme.scope, &at, None).await.unwrap();
        assert!(
            found == new || (outcome.is_err() && found == old),
            "{fault:?}"
        );
        tagging::set_tags(&acme.scope, &at, None, &new)
            .await
            .unwrap();
        let found = tagging::get_tags(&acme.scope, &at, None).await.unwrap();
        assert_eq!(found, new);
    }
    bed.store.fail_next(Op::SetTags, Fault::Lost);
    tagging::set_tags(&acme.scope, &at, None, &old)
        .await
        .unwrap();
    let found = tagging::get_tags(&acme.scope, &at, None).await.unwrap();
    assert_eq!(found, old);
}
