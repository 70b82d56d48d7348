use super::World;
use super::fixtures::{assert_refused, key_id, new_credential, tenant};
use crate::catalog::CredentialState;
use crate::tenants::{TenantId, TenantState};

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
