//! Against OpenBao's own server.

use std::fs;
use std::sync::Arc;

use super::server::{Bao, DEADLINE, MOUNT};
use super::*;
use crate::root::suite::{self, OWNER, keys, wrap};

fn root(transit: &Arc<Transit>) -> OpenBaoRoot {
    OpenBaoRoot::new(transit.clone(), OWNER)
}

#[tokio::test]
async fn openbao_root_passes_the_suite() {
    let bao = Bao::dev();
    // A provider of its own each time: what is known must be in the server.
    suite::whole_suite(&|owner| Arc::new(OpenBaoRoot::new(bao.transit(), owner))).await;
}

#[tokio::test]
async fn openbao_root_with_one_token_for_all_passes_the_suite() {
    let bao = Bao::dev();
    let transit = bao.transit_as_root();
    suite::whole_suite(&|owner| Arc::new(OpenBaoRoot::new(transit.clone(), owner))).await;
}

#[tokio::test]
async fn openbao_key_is_made_and_destroyed_as_receipts_say() {
    let bao = Bao::dev();
    let root = root(&bao.transit());
    root.create_epoch(Epoch(1)).await.unwrap();
    let name = root.key_name(Epoch(1));
    let key = format!("{MOUNT}/keys/{name}");
    let read = bao.bao(&["read", "-format=json", &key]);
    let read: serde_json::Value = serde_json::from_str(&read).unwrap();
    for never in [
        "exportable",
        "allow_plaintext_backup",
        "derived",
        "imported_key",
    ] {
        assert_eq!(read["data"][never], false, "{never}");
    }
    assert!(bao.bao_fails(&["read", &format!("{MOUNT}/export/encryption-key/{name}")]));
    assert!(bao.bao_fails(&["read", &format!("{MOUNT}/backup/{name}")]));
    root.destroy_epoch(Epoch(1)).await.unwrap();
    assert!(bao.bao_fails(&["read", &key]));
    let said = root.destruction(Epoch(1));
    assert!(
        said.contains(&name) && said.contains("exportable=false"),
        "{said}"
    );
    assert_eq!(root.assurance().to_string(), "service");
}

#[tokio::test]
async fn openbao_key_that_someone_may_have_a_copy_of_is_refused() {
    let bao = Bao::dev();
    let root = root(&bao.transit());
    for (epoch, argument, word) in [
        (1, "exportable=true", "exportable"),
        (2, "allow_plaintext_backup=true", "plaintext backups"),
        (3, "type=chacha20-poly1305", "type"),
        (4, "derived=true", "derived"),
    ] {
        let epoch = Epoch(epoch);
        let key = format!("{MOUNT}/keys/{}", root.key_name(epoch));
        bao.bao(&["write", "-f", &key, argument]);
        let refused = root.create_epoch(epoch).await;
        assert!(
            matches!(&refused, Err(RootError::Unfit { reason, .. }) if reason.contains(word)),
            "{argument}: {refused:?}"
        );
        assert!(wrap(&root, epoch, &keys(1)).await.is_err(), "{argument}");
        // Destroying it is right all the same.
        root.destroy_epoch(epoch).await.unwrap();
        assert!(bao.bao_fails(&["read", &key]), "{argument}");
    }
}

#[tokio::test]
async fn openbao_key_rotated_or_softly_deleted_behind_our_back_is_named() {
    let bao = Bao::dev();
    let root = root(&bao.transit());
    root.create_epoch(Epoch(1)).await.unwrap();
    let wrapped = wrap(&root, Epoch(1), &keys(1)).await.unwrap();
    let key = format!("{MOUNT}/keys/{}", root.key_name(Epoch(1)));
    bao.bao(&["delete", &format!("{key}/soft-delete")]);
    let refused = root.unwrap(Epoch(1), &wrapped).await.err();
    assert!(
        matches!(refused, Some(RootError::Unfit { reason, .. }) if reason.contains("softly")),
        "{refused:?}"
    );
    // A soft deletion is none: the key can be had again, until it is destroyed.
    root.destroy_epoch(Epoch(1)).await.unwrap();
    assert!(bao.bao_fails(&["read", &key]));

    root.create_epoch(Epoch(2)).await.unwrap();
    let wrapped = wrap(&root, Epoch(2), &keys(1)).await.unwrap();
    let key = format!("{MOUNT}/keys/{}", root.key_name(Epoch(2)));
    bao.bao(&["write", "-f", &format!("{key}/rotate")]);
    assert!(root.unwrap(Epoch(2), &wrapped).await.is_ok());
    let refused = wrap(&root, Epoch(2), &keys(1)).await.err();
    assert!(
        matches!(refused, Some(RootError::Unfit { reason, .. }) if reason.contains("rotated")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn openbao_encryption_under_a_missing_key_makes_none() {
    let bao = Bao::dev();
    // By policy, even where the check before it has just been passed.
    let limited = root(&bao.transit());
    let node = keys(1);
    let nodes = [NodeToWrap {
        context: b"c".to_vec(),
        key: &node[0],
    }];
    let refused = limited.wrap_batch(Epoch(1), &nodes).await;
    assert!(matches!(refused, Err(RootError::Denied(_))), "{refused:?}");
    let key = format!("{MOUNT}/keys/{}", limited.key_name(Epoch(1)));
    assert!(bao.bao_fails(&["read", &key]));
    // By the check before it, where the policy would let it.
    let mighty = root(&bao.transit_as_root());
    assert!(matches!(
        mighty.wrap(Epoch(1), &nodes).await,
        Err(RootError::EpochMissing(Epoch(1)))
    ));
    assert!(bao.bao_fails(&["read", &key]));
    // By the engine, where its upsert is off.
    bao.bao(&[
        "write",
        &format!("{MOUNT}/config/keys"),
        "disable_upsert=true",
    ]);
    assert!(matches!(
        mighty.wrap_batch(Epoch(1), &nodes).await,
        Err(RootError::EpochMissing(Epoch(1)))
    ));
    assert!(bao.bao_fails(&["read", &key]));
}

#[tokio::test]
async fn openbao_token_that_opens_can_do_nothing_else() {
    let bao = Bao::dev();
    let control = root(&bao.transit());
    control.create_epoch(Epoch(1)).await.unwrap();
    control.check_control(Epoch(1)).await.unwrap();
    let wrapped = wrap(&control, Epoch(1), &keys(1)).await.unwrap();
    let mut config = bao.config();
    config.control_token_file = None;
    let opening = root(&Arc::new(Transit::new(&config, DEADLINE).unwrap()));
    assert!(opening.unwrap(Epoch(1), &wrapped).await.is_ok());
    for refused in [
        opening.create_epoch(Epoch(2)).await,
        opening.destroy_epoch(Epoch(1)).await,
        opening.check_control(Epoch(1)).await,
        wrap(&opening, Epoch(1), &keys(1)).await.map(|_| ()),
    ] {
        assert!(
            matches!(&refused, Err(RootError::Denied(why)) if why.contains("lethe-gateway.token")),
            "{refused:?}"
        );
    }
    assert!(opening.unwrap(Epoch(1), &wrapped).await.is_ok());
    // The other way round: the token for opening that could destroy is found out.
    config.token_file = bao.token_file("root");
    config.control_token_file = Some(bao.token_file("lethe-control"));
    let careless = root(&Arc::new(Transit::new(&config, DEADLINE).unwrap()));
    let refused = careless.check_control(Epoch(1)).await;
    assert!(
        matches!(&refused, Err(RootError::Denied(why)) if why.contains("only the control")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn openbao_token_is_read_again_and_a_missing_one_is_told_from_a_denied_one() {
    let bao = Bao::dev();
    let root = root(&bao.transit());
    root.create_epoch(Epoch(1)).await.unwrap();
    let wrapped = wrap(&root, Epoch(1), &keys(1)).await.unwrap();
    let file = bao.token_file("lethe-gateway");
    let good = fs::read(&file).unwrap();
    fs::write(&file, "s.revoked").unwrap();
    let denied = root.unwrap(Epoch(1), &wrapped).await.err();
    assert!(matches!(denied, Some(RootError::Denied(_))), "{denied:?}");
    for bad in [&b""[..], b"two words", b"\xff\xfe", &[b'x'; 5000]] {
        fs::write(&file, bad).unwrap();
        let refused = root.unwrap(Epoch(1), &wrapped).await.err();
        assert!(
            matches!(&refused, Some(RootError::Unavailable(why)) if why.contains("holds no token")),
            "{refused:?}"
        );
    }
    fs::remove_file(&file).unwrap();
    let missing = root.unwrap(Epoch(1), &wrapped).await.err();
    assert!(
        matches!(&missing, Some(RootError::Unavailable(why)) if why.contains("can't be read")),
        "{missing:?}"
    );
    fs::write(&file, good).unwrap();
    assert!(root.unwrap(Epoch(1), &wrapped).await.is_ok());
}

#[tokio::test]
async fn openbao_mount_or_server_that_is_not_there_is_no_destroyed_key() {
    let bao = Bao::dev();
    let right = root(&bao.transit());
    right.create_epoch(Epoch(1)).await.unwrap();
    let mut config = bao.config();
    config.token_file = bao.token_file("root");
    config.control_token_file = None;
    config.mount = "elsewhere".to_owned();
    let wrong_mount = config.clone();
    config.address = "http://127.0.0.1:1".to_owned();
    for config in [wrong_mount, config] {
        let root = root(&Arc::new(Transit::new(&config, DEADLINE).unwrap()));
        let refused = root.destroy_epoch(Epoch(1)).await;
        assert!(
            matches!(refused, Err(RootError::Unavailable(_))),
            "{refused:?}"
        );
    }
    assert!(wrap(&right, Epoch(1), &keys(1)).await.is_ok());
}

/// What `docs/threat-model.md` and `docs/operations.md` say of snapshots, as it is: whoever restores one that is older
/// than the destruction has the root key again. A receipt's `rootBackupHorizon` is when the last such snapshot ends.
#[tokio::test]
async fn openbao_snapshot_from_before_the_destruction_brings_the_key_back() {
    let mut bao = Bao::raft();
    let root = root(&bao.transit());
    for epoch in [Epoch(1), Epoch(2)] {
        root.create_epoch(epoch).await.unwrap();
    }
    let node = keys(1);
    let wrapped = wrap(&root, Epoch(1), &node).await.unwrap();
    let snapshot = bao.directory.path().join("snapshot");
    let snapshot = snapshot.to_str().unwrap();
    bao.bao(&["operator", "raft", "snapshot", "save", snapshot]);

    root.destroy_epoch(Epoch(1)).await.unwrap();
    assert!(matches!(
        root.unwrap(Epoch(1), &wrapped).await,
        Err(RootError::EpochMissing(Epoch(1)))
    ));
    let later = bao.directory.path().join("later");
    let later = later.to_str().unwrap();
    bao.bao(&["operator", "raft", "snapshot", "save", later]);

    let key = format!("{MOUNT}/keys/{}", root.key_name(Epoch(1)));
    bao.bao(&[
        "operator", "raft", "snapshot", "restore", "-force", snapshot,
    ]);
    bao.wait_until(&["read", &key]);
    let opened = root.unwrap(Epoch(1), &wrapped).await.unwrap();
    assert!(opened[0].0.same_as(&node[0].0));

    // A snapshot from after it holds the key no more.
    bao.bao(&["operator", "raft", "snapshot", "restore", "-force", later]);
    bao.wait_until(&["read", &format!("{MOUNT}/keys/{}", root.key_name(Epoch(2)))]);
    assert!(matches!(
        root.unwrap(Epoch(1), &wrapped).await,
        Err(RootError::EpochMissing(Epoch(1)))
    ));
}

#[tokio::test]
async fn openbao_certificate_of_another_ca_is_refused() {
    let bao = Bao::raft();
    let right = root(&bao.transit());
    right.create_epoch(Epoch(1)).await.unwrap();
    let other = bao.directory.path().join("other.pem");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(&other, made.cert.pem()).unwrap();
    let mut config = bao.config();
    config.ca = Some(other.clone());
    let wrong = root(&Arc::new(Transit::new(&config, DEADLINE).unwrap()));
    let refused = wrong.create_epoch(Epoch(1)).await;
    assert!(
        matches!(&refused, Err(RootError::Unavailable(why)) if why.contains("certificate")),
        "{refused:?}"
    );
    fs::write(&other, "no certificate").unwrap();
    assert!(Transit::new(&config, DEADLINE).is_err());
    config.address = config.address.replace("https", "http");
    config.ca = bao.config().ca;
    let plain = root(&Arc::new(Transit::new(&config, DEADLINE).unwrap()));
    assert!(matches!(
        plain.create_epoch(Epoch(1)).await,
        Err(RootError::Unavailable(_))
    ));
}
