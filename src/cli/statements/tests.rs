//! What lies beside a log and is none of its statements.

use super::*;
use crate::jobs::testing::NOW;
use crate::log::DirLog;
use crate::shred::testing::World;
use crate::signing::Signing;
use std::path::PathBuf;

const OTHER: [u8; 16] = [0xab; 16];

/// A log with the statements of one shred.
struct Site {
    world: World,
    published: PublishedLog,
    /// The statement `erased`.
    erased: (PathBuf, String),
}

impl Site {
    async fn new() -> Self {
        let world = World::open(1).await;
        world.doom().await;
        world.finish("a shred").await;
        let mut erased = None;
        for entry in std::fs::read_dir(world.dir.path().join("log/statements")).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let envelope = Envelope::from_json(text.as_bytes()).unwrap();
            let statement = Statement::from_envelope(&envelope).unwrap();
            if statement.body().predicate.stage == Stage::Erased {
                erased = Some((path, text));
            }
        }
        Self {
            published: world.domain.signing.published_log().clone(),
            erased: erased.unwrap(),
            world,
        }
    }

    fn put(&self, id: [u8; 16], text: &str) {
        let name = format!("log/statements/{}.json", ReceiptId(id));
        std::fs::write(self.world.dir.path().join(name), text).unwrap();
    }

    async fn look_as(&self, domain: &str) -> Erased {
        let reader = DirLog::new(self.world.dir.path().join("log"));
        let witnesses = &self.world.log_witnesses();
        let head = witnesses.newest(&reader).await.unwrap().log;
        let beside = Beside {
            domain: &domain.parse().unwrap(),
            reader: &reader,
            published: &self.published,
            head,
        };
        beside.erased().await.unwrap()
    }

    async fn look(&self) -> Erased {
        self.look_as(self.world.bench.domain.name.as_str()).await
    }

    /// That the victim is erased and nobody else, and that one file was passed over, for a reason.
    async fn passes_over(&self, why: &str) {
        let found = self.look().await;
        assert_eq!(found.tenants, self.world.victims, "{why}");
        assert_eq!(found.passed_over.len(), 1, "{:?}", found.passed_over);
        assert!(
            found.passed_over[0].contains(why),
            "{:?}",
            found.passed_over
        );
    }

    /// The statement `erased`, of somebody else and under another id.
    fn changed(&self) -> String {
        let envelope = Envelope::from_json(self.erased.1.as_bytes()).unwrap();
        let statement = Statement::from_envelope(&envelope).unwrap();
        let predicate = &statement.body().predicate;
        let payload = String::from_utf8(envelope.payload().to_vec()).unwrap();
        payload
            .replace(&predicate.tenant.id.to_string(), &hex::encode([0xee; 16]))
            .replace(&predicate.receipt_id.to_string(), &hex::encode(OTHER))
    }

    fn with_payload(&self, payload: &str) -> String {
        let mut envelope: serde_json::Value = serde_json::from_str(&self.erased.1).unwrap();
        let payload = lethe_receipts::text::Base64Bytes(payload.as_bytes().to_vec());
        envelope["payload"] = serde_json::to_value(payload).unwrap();
        serde_json::to_string(&envelope).unwrap()
    }
}

#[tokio::test]
async fn statement_of_the_log_names_whom_it_erased_and_nothing_is_passed_over() {
    let site = Site::new().await;
    let found = site.look().await;
    assert_eq!(found.tenants, site.world.victims);
    assert!(
        found.unlogged.is_empty() && found.passed_over.is_empty(),
        "{found:?}"
    );
    let found = site.look_as("us").await;
    assert!(found.tenants.is_empty());
    assert!(
        found.passed_over[0].contains("another domain's"),
        "{found:?}"
    );
}

#[tokio::test]
async fn statement_with_another_tenant_and_the_old_signature_is_passed_over() {
    let site = Site::new().await;
    site.put(OTHER, &site.with_payload(&site.changed()));
    site.passes_over("its signature does not hold").await;
}

#[tokio::test]
async fn statement_that_another_issuer_signed_is_passed_over() {
    let site = Site::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let signing = Signing::create(elsewhere.path(), &site.world.bench.domain.name, NOW).unwrap();
    let envelope = Envelope::from_json(site.with_payload(&site.changed()).as_bytes()).unwrap();
    let statement = Statement::from_envelope(&envelope).unwrap();
    let issued = Envelope::issue(&statement, &signing.issuer().unwrap());
    site.put(OTHER, &issued.to_json().unwrap());
    site.passes_over("not signed by an issuer of this domain")
        .await;
}

#[tokio::test]
async fn statement_that_is_signed_and_not_in_the_log_is_told_and_forgets_nobody() {
    let site = Site::new().await;
    let envelope = Envelope::from_json(site.with_payload(&site.changed()).as_bytes()).unwrap();
    let statement = Statement::from_envelope(&envelope).unwrap();
    let issued = Envelope::issue(&statement, &site.world.domain.signing.issuer().unwrap());
    site.put(OTHER, &issued.to_json().unwrap());
    site.passes_over("is not in the log").await;
    assert_eq!(site.look().await.unlogged, [site.world.stays]);
}

#[tokio::test]
async fn files_that_are_no_statements_are_passed_over() {
    let site = Site::new().await;
    // What is no file at all is not even opened.
    let statements = site.world.dir.path().join("log/statements");
    std::fs::create_dir(statements.join(format!("{}.json", ReceiptId([1; 16])))).unwrap();
    site.put(OTHER, "{");
    site.passes_over(&format!("{}.json: ", ReceiptId(OTHER)))
        .await;
    site.put(OTHER, &"x".repeat(crate::log::STATEMENT_BYTES_MAX + 1));
    site.passes_over("too long").await;
    site.put(OTHER, &site.erased.1);
    site.passes_over("another receipt than its name says").await;
}

#[tokio::test]
async fn log_whose_entries_are_not_those_of_its_checkpoint_is_an_error() {
    let site = Site::new().await;
    let mut stack = vec![site.world.dir.path().join("log/tile/entries")];
    let mut changed = 0;
    while let Some(at) = stack.pop() {
        if at.is_dir() {
            stack.extend(
                std::fs::read_dir(&at)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let mut bytes = std::fs::read(&at).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&at, bytes).unwrap();
        changed += 1;
    }
    assert!(changed > 0);
    let reader = DirLog::new(site.world.dir.path().join("log"));
    let newest = site.world.log_witnesses().newest(&reader).await.unwrap();
    let beside = Beside {
        domain: &site.world.bench.domain.name,
        reader: &reader,
        published: &site.published,
        head: newest.log,
    };
    let error = beside.erased().await.unwrap_err().to_string();
    assert!(error.contains("do not lead to the tree head"), "{error}");
}
