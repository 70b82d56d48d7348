use super::World;
use super::fixtures::{assert_refused, key_id, new_credential, tenant};
use crate::catalog::CredentialState;
use crate::clock::UnixMs;
use crate::tenants::access::{Grant, GrantChange, Permission, Permissions, Scope};
use crate::tenants::{TenantId, TenantState};
use std::sync::Arc;

pub(super) async fn credential_goes_from_creating_to_active_to_revoked(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let id = key_id("AKIAACME");
    assert_refused!(catalog.credential(&id).await, NotFound);
    let new = new_credential(acme, "AKIAACME");
    catalog.begin_credential(&new).await.unwrap();
    catalog.begin_credential(&new).await.unwrap();
    let (credential, owner) = catalog.credential(&id).await.unwrap();
    assert_eq!(credential.state, CredentialState::Creating);
    assert_eq!(credential.sealed_secret, new.sealed_secret);
    assert_eq!(owner.id, acme);

    catalog.activate_credential(acme, &id).await.unwrap();
    catalog.activate_credential(acme, &id).await.unwrap();
    let (credential, _) = catalog.credential(&id).await.unwrap();
    assert_eq!(credential.state, CredentialState::Active);

    catalog.revoke_credential(acme, &id).await.unwrap();
    catalog.revoke_credential(acme, &id).await.unwrap();
    let (credential, _) = catalog.credential(&id).await.unwrap();
    assert_eq!(credential.state, CredentialState::Revoked);
    assert_refused!(catalog.activate_credential(acme, &id).await, Conflict);
    assert_refused!(catalog.begin_credential(&new).await, Conflict);
}

pub(super) async fn credential_id_of_another_tenant_is_taken(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let globex = tenant(catalog, "globex").await;
    let new = new_credential(acme, "AKIASHARED");
    catalog.begin_credential(&new).await.unwrap();
    let theirs = new_credential(globex, "AKIASHARED");
    assert_refused!(catalog.begin_credential(&theirs).await, Exists);
    let mut other_secret = new_credential(acme, "AKIASHARED");
    other_secret.sealed_secret = b"another".to_vec();
    assert_refused!(catalog.begin_credential(&other_secret).await, Exists);
    let nobodys = new_credential(TenantId::random().unwrap(), "AKIANOBODY");
    assert_refused!(catalog.begin_credential(&nobodys).await, NotFound);
}

pub(super) async fn credential_of_a_shredded_tenant_is_refused(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    catalog
        .move_tenant(acme, &[TenantState::Active], TenantState::Shredded)
        .await
        .unwrap();
    let new = new_credential(acme, "AKIAACME");
    assert_refused!(catalog.begin_credential(&new).await, Conflict);
    assert_refused!(catalog.credential(&key_id("AKIAACME")).await, NotFound);
}

fn permissions(text: &str) -> Permissions {
    text.parse().unwrap()
}

fn narrow() -> Grant {
    Grant {
        permissions: permissions("read,list"),
        scope: Scope::of(&["docs:re\u{0}p\"o\nrts/ü", "docs:a:b", "other"]).unwrap(),
        expires: Some(UnixMs(1_800_000_000_123)),
    }
}

pub(super) async fn grant_is_kept_as_it_is_and_changed_in_part(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let id = key_id("AKIAACME");
    let granted = async || catalog.credential(&id).await.unwrap().0.grant;
    let mut new = new_credential(acme, "AKIAACME");
    new.grant = Arc::new(narrow());
    catalog.begin_credential(&new).await.unwrap();
    catalog.begin_credential(&new).await.unwrap();
    catalog.activate_credential(acme, &id).await.unwrap();
    assert_eq!(*granted().await, narrow());
    assert_eq!(*catalog.credentials(acme).await.unwrap()[0].grant, narrow());
    let other = new_credential(acme, "AKIAACME");
    assert_refused!(catalog.begin_credential(&other).await, Exists);

    let change = GrantChange {
        expires: Some(None),
        ..GrantChange::default()
    };
    catalog.change_grant(acme, &id, &change).await.unwrap();
    let expected = change.clone().on(narrow());
    assert_eq!(*granted().await, expected);
    let change = GrantChange {
        scope: Some(Scope::Everything),
        ..GrantChange::default()
    };
    catalog.change_grant(acme, &id, &change).await.unwrap();
    let expected = change.clone().on(expected);
    assert_eq!(*granted().await, expected);
    let change = GrantChange {
        permissions: Some(permissions("admin")),
        scope: Some(Scope::of(&["docs"]).unwrap()),
        expires: Some(Some(UnixMs(5))),
    };
    catalog.change_grant(acme, &id, &change).await.unwrap();
    let expected = change.clone().on(expected);
    assert_eq!(*granted().await, expected);
    let nothing = GrantChange::default();
    catalog.change_grant(acme, &id, &nothing).await.unwrap();
    assert_eq!(*granted().await, expected);
}

pub(super) async fn grants_changed_in_a_race_keep_every_part(world: &World) {
    let (catalog, other) = (&world.catalog, &world.other);
    let acme = tenant(catalog, "acme").await;
    let id = key_id("AKIAACME");
    let new = new_credential(acme, "AKIAACME");
    catalog.begin_credential(&new).await.unwrap();
    catalog.activate_credential(acme, &id).await.unwrap();
    for round in 0..8 {
        let one = Permission::ALL[round % Permission::ALL.len()];
        let what = GrantChange {
            permissions: Some(Permissions::of([one]).unwrap()),
            ..GrantChange::default()
        };
        let place = GrantChange {
            scope: Some(Scope::of(&[format!("docs:{round}")]).unwrap()),
            ..GrantChange::default()
        };
        let (first, second) = tokio::join!(
            catalog.change_grant(acme, &id, &what),
            other.change_grant(acme, &id, &place)
        );
        first.unwrap();
        second.unwrap();
        let (row, _) = crate::catalog::CredentialStore::credential(&*world.sql, &id)
            .await
            .unwrap();
        assert_eq!(
            *row.grant,
            place.clone().on(what.clone().on(Grant::unrestricted()))
        );
    }
}

pub(super) async fn grant_of_anothers_or_a_revoked_credential_is_not_changed(world: &World) {
    let catalog = &world.catalog;
    let acme = tenant(catalog, "acme").await;
    let globex = tenant(catalog, "globex").await;
    let id = key_id("AKIAACME");
    let mut new = new_credential(acme, "AKIAACME");
    new.grant = Arc::new(narrow());
    catalog.begin_credential(&new).await.unwrap();
    let widen = GrantChange {
        permissions: Some(Permissions::ALL),
        scope: Some(Scope::Everything),
        expires: Some(None),
    };
    assert_refused!(catalog.change_grant(globex, &id, &widen).await, NotFound);
    let nobodys = key_id("AKIANOBODY");
    assert_refused!(catalog.change_grant(acme, &nobodys, &widen).await, NotFound);
    catalog.revoke_credential(acme, &id).await.unwrap();
    assert_refused!(catalog.change_grant(acme, &id, &widen).await, Conflict);
    let (row, _) = catalog.credential(&id).await.unwrap();
    assert_eq!(*row.grant, narrow());
}
