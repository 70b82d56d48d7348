use super::World;
use super::fixtures::{assert_refused, new_tenant, tenant};
use crate::tenants::{TenantId, TenantName, TenantState};

pub(super) async fn tenant_begun_twice_is_one_and_its_name_is_taken(world: &World) {
    let new = new_tenant("acme");
    world.catalog.begin_tenant(&new).await.unwrap();
    world.other.begin_tenant(&new).await.unwrap();
    let found = world.catalog.tenant(new.id).await.unwrap();
    assert_eq!((found.id, &found.name), (new.id, &new.name));
    assert_eq!(found.state, TenantState::Creating);
    assert_eq!(world.catalog.tenant_named(&new.name).await.unwrap(), found);

    assert_refused!(world.other.begin_tenant(&new_tenant("acme")).await, Exists);
    let mut renamed = new.clone();
    renamed.name = TenantName::new("acme-2").unwrap();
    assert_refused!(world.catalog.begin_tenant(&renamed).await, Exists);
    let stranger = TenantId::random().unwrap();
    assert_refused!(world.catalog.tenant(stranger).await, NotFound);
}

pub(super) async fn tenant_moved_from_another_state_conflicts(world: &World) {
    use TenantState::{Active, Creating, Suspended, Terminating};
    let id = tenant(&world.catalog, "acme").await;
    let catalog = &world.catalog;
    catalog.move_tenant(id, &[Creating], Active).await.unwrap();
    assert_refused!(
        catalog.move_tenant(id, &[Suspended], Terminating).await,
        Conflict
    );
    assert_eq!(catalog.tenant(id).await.unwrap().state, Active);
    catalog
        .move_tenant(id, &[Active, Suspended], Terminating)
        .await
        .unwrap();
    assert_eq!(catalog.tenant(id).await.unwrap().state, Terminating);
    let stranger = TenantId::random().unwrap();
    assert_refused!(
        catalog.move_tenant(stranger, &[Creating], Active).await,
        NotFound
    );
}

pub(super) async fn tenants_are_listed_in_byte_order_by_pages(world: &World) {
    // A collation of a language would not put `a-c` before `a1` before `ab`.
    let names = ["a1", "ab", "a-c", "b", "a"];
    for name in names {
        tenant(&world.catalog, name).await;
    }
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = world.catalog.tenants(after.as_ref(), 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        listed.extend(page.into_iter().map(|tenant| tenant.name.to_string()));
    }
    assert_eq!(listed, ["a", "a-c", "a1", "ab", "b"]);
}

pub(super) async fn tenant_name_is_free_again_after_shredding(world: &World) {
    let catalog = &world.catalog;
    let first = tenant(catalog, "acme").await;
    catalog
        .move_tenant(first, &[TenantState::Active], TenantState::Shredded)
        .await
        .unwrap();
    let second = tenant(catalog, "acme").await;
    assert_ne!(first, second);
    let name = TenantName::new("acme").unwrap();
    assert_eq!(catalog.tenant_named(&name).await.unwrap().id, second);
    tenant(catalog, "aaa").await;
    // A page of two would end between the two of one name.
    let page = catalog.tenants(None, 2).await.unwrap();
    assert_eq!(page.len(), 1);
    let rest = catalog.tenants(Some(&page[0].name), 2).await.unwrap();
    assert_eq!(rest.len(), 2);
}
