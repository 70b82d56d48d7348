//! DEKs that are wrapped under a KEK and a customer key together.

use lethe_envelope::{CustomerCheck, CustomerKey, Dek, DekContext, KekId, Suite, TenantId};
use lethe_keys::{Epoch, KeyService, KeysError, Refusal};

use crate::domain::{Domain, context, fence, finish_move, tenant};

fn key(byte: u8) -> CustomerKey {
    CustomerKey::from_bytes(&[byte; 32])
}

fn customer_context(tenant: TenantId, kek_id: KekId) -> DekContext<'static> {
    DekContext {
        suite: Suite::Cobblestone256CustomerKey,
        ..context(tenant, kek_id)
    }
}

/// A tenant with keys, and a DEK wrapped under its KEK and customer key 1.
struct Object {
    tenant: TenantId,
    kek_id: KekId,
    dek: Dek,
    check: CustomerCheck,
    wrapped: [u8; 104],
}

impl Object {
    async fn new(keys: &KeyService) -> Self {
        let tenant = tenant();
        let kek_id = keys.create_tenant_keys(tenant).await.unwrap().kek_id;
        let dek = Dek::generate().unwrap();
        let context = customer_context(tenant, kek_id);
        let check = keys
            .customer_check(tenant, &kek_id, context.object_id, &key(1))
            .await
            .unwrap();
        let wrapped = keys
            .wrap_customer_dek(tenant, &kek_id, &dek, &key(1), &context)
            .await
            .unwrap();
        Self {
            tenant,
            kek_id,
            dek,
            check,
            wrapped,
        }
    }

    fn context(&self) -> DekContext<'static> {
        customer_context(self.tenant, self.kek_id)
    }

    async fn open(&self, keys: &KeyService, customer_key: &CustomerKey) -> Result<Dek, KeysError> {
        self.open_as(
            keys,
            customer_key,
            &self.check,
            &self.wrapped,
            self.context(),
        )
        .await
    }

    async fn open_as(
        &self,
        keys: &KeyService,
        customer_key: &CustomerKey,
        check: &CustomerCheck,
        wrapped: &[u8; 104],
        context: DekContext<'_>,
    ) -> Result<Dek, KeysError> {
        let customer = (customer_key, check);
        keys.unwrap_customer_dek(self.tenant, &self.kek_id, wrapped, customer, &context)
            .await
    }
}

#[tokio::test]
async fn customer_dek_opens_with_its_key_also_after_a_rotation() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    let opened = object.open(&keys, &key(1)).await.unwrap();
    assert_eq!(opened.expose(), object.dek.expose());
    keys.rotate(object.tenant).await.unwrap();
    let opened = object.open(&keys, &key(1)).await.unwrap();
    assert_eq!(opened.expose(), object.dek.expose());
    let (tenant, kek_id) = (object.tenant, object.kek_id);
    let refused = keys
        .wrap_customer_dek(tenant, &kek_id, &object.dek, &key(1), &object.context())
        .await;
    assert_eq!(refused, Err(KeysError::KekNotSealing { kek_id }));
}

#[tokio::test]
async fn wrong_customer_key_is_told_from_a_damaged_wrap() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    let wrong = object.open(&keys, &key(2)).await.unwrap_err();
    assert_eq!(wrong, KeysError::CustomerKeyWrong);
    for bit in 0..object.wrapped.len() * 8 {
        let mut flipped = object.wrapped;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let outcome = object
            .open_as(&keys, &key(1), &object.check, &flipped, object.context())
            .await;
        assert_eq!(outcome.unwrap_err(), KeysError::NotAuthentic, "bit {bit}");
    }
    for bit in 0..128 {
        let mut flipped = *object.check.as_bytes();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let check = CustomerCheck::from_bytes(flipped);
        let outcome = object
            .open_as(&keys, &key(1), &check, &object.wrapped, object.context())
            .await;
        assert_eq!(outcome.unwrap_err(), KeysError::CustomerKeyWrong);
    }
    let elsewhere = DekContext {
        object_key: "a/c",
        ..object.context()
    };
    let outcome = object
        .open_as(&keys, &key(1), &object.check, &object.wrapped, elsewhere)
        .await;
    assert_eq!(outcome.unwrap_err(), KeysError::NotAuthentic);
}

#[tokio::test]
async fn kek_alone_opens_no_customer_dek_and_the_other_way_round() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    let (tenant, kek_id) = (object.tenant, object.kek_id);
    let plain = context(tenant, kek_id);
    let stripped = keys
        .unwrap_dek(tenant, &kek_id, &object.wrapped, &plain)
        .await;
    assert_eq!(stripped.unwrap_err(), KeysError::NotAuthentic);
    let wrapped = keys
        .wrap_dek(tenant, &kek_id, &object.dek, &plain)
        .await
        .unwrap();
    let added = object
        .open_as(&keys, &key(1), &object.check, &wrapped, object.context())
        .await;
    assert_eq!(added.unwrap_err(), KeysError::NotAuthentic);
}

#[tokio::test]
async fn suite_of_the_context_must_be_the_calls() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    let (tenant, kek_id, dek) = (object.tenant, object.kek_id, &object.dek);
    let (plain, customer) = (context(tenant, kek_id), object.context());
    let outcomes = [
        keys.wrap_dek(tenant, &kek_id, dek, &customer).await.err(),
        keys.unwrap_dek(tenant, &kek_id, &object.wrapped, &customer)
            .await
            .err(),
        keys.wrap_customer_dek(tenant, &kek_id, dek, &key(1), &plain)
            .await
            .err(),
        object
            .open_as(&keys, &key(1), &object.check, &object.wrapped, plain)
            .await
            .err(),
    ];
    for outcome in outcomes {
        let reason = Refusal::ContextMismatch;
        assert_eq!(outcome, Some(KeysError::Refused { reason }));
    }
}

#[tokio::test]
async fn customer_key_opens_nothing_of_another_or_a_fenced_tenant() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let (mine, theirs) = (Object::new(&keys).await, Object::new(&keys).await);
    assert_ne!(mine.check, theirs.check, "one customer key, two tenants");
    let kek_id = theirs.kek_id;
    let context = customer_context(mine.tenant, kek_id);
    let customer = (&key(1), &theirs.check);
    let outcome = keys
        .unwrap_customer_dek(mine.tenant, &kek_id, &theirs.wrapped, customer, &context)
        .await;
    assert_eq!(outcome.unwrap_err(), KeysError::KekUnknown { kek_id });
    fence(&keys, mine.tenant).await;
    let outcome = mine.open(&keys, &key(1)).await.unwrap_err();
    let tenant = mine.tenant;
    assert!(
        matches!(outcome, KeysError::TenantFenced { .. }),
        "{tenant} {outcome:?}"
    );
    let object_id = mine.context().object_id;
    let outcome = keys
        .customer_check(tenant, &mine.kek_id, object_id, &key(1))
        .await;
    assert!(matches!(outcome, Err(KeysError::TenantFenced { .. })));
}

#[tokio::test]
async fn shredded_tenants_customer_deks_open_with_no_key() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let (victim, survivor) = (Object::new(&keys).await, Object::new(&keys).await);
    fence(&keys, victim.tenant).await;
    keys.rekey(&[victim.tenant], Epoch(1)).await.unwrap();
    finish_move(&domain, &keys, Epoch(1)).await;
    let outcome = victim.open(&keys, &key(1)).await.unwrap_err();
    let gone = matches!(
        outcome,
        KeysError::KekUnknown { .. } | KeysError::TenantFenced { .. }
    );
    assert!(gone, "{outcome:?}");
    let opened = survivor.open(&keys, &key(1)).await.unwrap();
    assert_eq!(opened.expose(), survivor.dek.expose());
}
