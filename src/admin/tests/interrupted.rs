use super::*;

/// Cuts `work` off at every call of every store, before and after the call took effect, and lets `check` look at each.
async fn cut_off_everywhere<W, C>(work: W, check: C)
where
    W: AsyncFn(&Bench) -> bool,
    C: AsyncFn(&Bench, String),
{
    let mut cuts = 0;
    for cut in Cut::ALL {
        for persisted in [false, true] {
            for calls in 0.. {
                let bench = Bench::open().await;
                bench.kill_at(cut, calls, persisted);
                let succeeded = work(&bench).await;
                bench.heal();
                if succeeded {
                    break;
                }
                cuts += 1;
                check(
                    &bench,
                    format!("{cut:?} call {calls}, persisted {persisted}"),
                )
                .await;
            }
        }
    }
    assert!(cuts >= 8, "only {cuts} cuts");
}

async fn assert_one_tenant(bench: &Bench, at: &str) {
    let tenants = bench.catalog.tenants(None, 10).await.unwrap();
    assert_eq!(tenants.len(), 1, "{at}");
    assert_eq!(tenants[0].state, TenantState::Active, "{at}");
    let keks = bench.keys.keks.lock().unwrap().clone();
    assert_eq!(keks, BTreeMap::from([(tenants[0].id, 1)]), "{at}");
}

#[tokio::test]
async fn tenant_creation_cut_off_at_every_step_is_finished_by_a_retry() {
    let create = async |bench: &Bench| {
        create_tenant(&bench.domain, &acme(), &eu(), None)
            .await
            .is_ok()
    };
    cut_off_everywhere(create, async |bench, at| {
        create_tenant(&bench.domain, &acme(), &eu(), None)
            .await
            .expect(&at);
        assert_one_tenant(bench, &at).await;
        bench.jobs_later().await;
        assert_one_tenant(bench, &at).await;
    })
    .await;
}

#[tokio::test]
async fn tenant_creation_cut_off_at_every_step_is_finished_by_the_job() {
    let create = async |bench: &Bench| {
        create_tenant(&bench.domain, &acme(), &eu(), None)
            .await
            .is_ok()
    };
    cut_off_everywhere(create, async |bench, at| {
        bench.jobs_later().await;
        // Where not even the row was written there is nothing to finish, and nothing else either.
        if bench.catalog.tenants(None, 10).await.unwrap().is_empty() {
            assert!(bench.keys.keks.lock().unwrap().is_empty(), "{at}");
        } else {
            assert_one_tenant(bench, &at).await;
        }
        for _ in 0..8 {
            bench.clock.advance_ms(3_600_000);
            bench.jobs_later().await;
        }
        assert_eq!(bench.jobs_left().await, Vec::<String>::new(), "{at}");
    })
    .await;
}

#[tokio::test]
async fn tenant_id_chosen_by_the_caller_is_refused() {
    let bench = Bench::open().await;
    for id in [[0; 16], [7; 16]] {
        let chosen = Some(lethe_envelope::TenantId::from_bytes(id));
        let refused = create_tenant(&bench.domain, &acme(), &eu(), chosen).await;
        assert_eq!(refused.unwrap_err().code(), "not_found");
    }
    let none = bench.domain.catalog.tenants(None, 10).await.unwrap();
    assert!(none.is_empty());
}

#[tokio::test]
async fn tenant_create_of_a_taken_name_is_a_conflict() {
    let bench = Bench::open().await;
    let first = create_tenant(&bench.domain, &acme(), &eu(), None)
        .await
        .unwrap();
    let again = create_tenant(&bench.domain, &acme(), &eu(), None)
        .await
        .unwrap();
    assert_eq!(first.id, again.id);
    let other_id = Some(lethe_envelope::TenantId::from_bytes([9; 16]));
    let refused = create_tenant(&bench.domain, &acme(), &eu(), other_id)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "conflict");
    let other_name: TenantName = "globex".parse().unwrap();
    let refused = create_tenant(&bench.domain, &other_name, &eu(), Some(first.id))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "conflict");
    let elsewhere = "us-east-1".parse().unwrap();
    let refused = create_tenant(&bench.domain, &other_name, &elsewhere, None)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "not_found");
}

async fn tenant(bench: &Bench) -> Option<Tenant> {
    create_tenant(&bench.domain, &acme(), &eu(), None)
        .await
        .ok()
}

async fn assert_imported(bench: &Bench, at: &str) {
    let (row, tenant) = bench.catalog.credential(&key_id()).await.unwrap();
    assert_eq!(
        (row.state, tenant.name.as_str()),
        (CredentialState::Active, "acme"),
        "{at}"
    );
    let owner = bench.domain.directory.domain_of(&key_id()).await.unwrap();
    assert_eq!(owner.as_ref(), Some(&bench.domain.name), "{at}");
}

#[tokio::test]
async fn credential_import_cut_off_at_every_step_is_finished_by_retry_and_by_job() {
    let import = async |bench: &Bench| match tenant(bench).await {
        None => false,
        Some(tenant) => import_credential(
            &bench.domain,
            &tenant,
            &key_id(),
            &secret(),
            GrantChange::default(),
        )
        .await
        .is_ok(),
    };
    cut_off_everywhere(import, async |bench, at| {
        bench.jobs_later().await;
        match bench.catalog.credential(&key_id()).await {
            Ok(_) => assert_imported(bench, &at).await,
            Err(CatalogError::NotFound { .. }) => {
                let owner = bench.domain.directory.domain_of(&key_id()).await.unwrap();
                assert_eq!(owner, None, "{at}");
            }
            Err(error) => panic!("{at}: {error}"),
        }
        let tenant = tenant(bench).await.expect(&at);
        import_credential(
            &bench.domain,
            &tenant,
            &key_id(),
            &secret(),
            GrantChange::default(),
        )
        .await
        .expect(&at);
        assert_imported(bench, &at).await;
    })
    .await;
}

#[tokio::test]
async fn credential_issue_cut_off_is_finished_by_the_same_request_with_its_id() {
    let issue = async |bench: &Bench| match tenant(bench).await {
        None => false,
        Some(tenant) => issue_credential(
            &bench.domain,
            &tenant,
            Some(key_id()),
            GrantChange::default(),
        )
        .await
        .is_ok(),
    };
    cut_off_everywhere(issue, async |bench, at| {
        let tenant = tenant(bench).await.expect(&at);
        match issue_credential(
            &bench.domain,
            &tenant,
            Some(key_id()),
            GrantChange::default(),
        )
        .await
        {
            Ok(issued) => {
                let (row, _) = bench.catalog.credential(&key_id()).await.unwrap();
                let keys = &bench.domain.keys;
                let opened = keys
                    .open_credential(&tenant.id, &row.id, &row.sealed_secret)
                    .await;
                assert_eq!(opened.unwrap().as_slice(), issued.secret.as_bytes(), "{at}");
            }
            // Only the answer was lost: the secret of an active credential is never shown a second time.
            Err(refused) => assert_eq!(refused.code(), "conflict", "{at}"),
        }
        assert_imported(bench, &at).await;
    })
    .await;
}

#[tokio::test]
async fn credential_of_another_domain_another_tenant_or_secret_is_refused() {
    let bench = Bench::open().await;
    let acme = create_tenant(&bench.domain, &acme(), &eu(), None)
        .await
        .unwrap();
    let globex = create_tenant(&bench.domain, &"globex".parse().unwrap(), &eu(), None)
        .await
        .unwrap();
    let elsewhere: AccessKeyId = "AKIAELSEWHERE".parse().unwrap();
    let us = "us".parse().unwrap();
    bench
        .domain
        .directory
        .register(&elsewhere, &us)
        .await
        .unwrap();
    let refused = |outcome: Result<(), ApiError>| outcome.unwrap_err().code();
    assert_eq!(
        refused(
            import_credential(
                &bench.domain,
                &acme,
                &elsewhere,
                &secret(),
                GrantChange::default()
            )
            .await
        ),
        "conflict"
    );
    let nothing = bench.catalog.credential(&elsewhere).await;
    assert!(matches!(nothing, Err(CatalogError::NotFound { .. })));
    import_credential(
        &bench.domain,
        &acme,
        &key_id(),
        &secret(),
        GrantChange::default(),
    )
    .await
    .unwrap();
    assert_eq!(
        refused(
            import_credential(
                &bench.domain,
                &globex,
                &key_id(),
                &secret(),
                GrantChange::default()
            )
            .await
        ),
        "conflict"
    );
    let other = Zeroizing::new("another-secret".to_owned());
    assert_eq!(
        refused(
            import_credential(
                &bench.domain,
                &acme,
                &key_id(),
                &other,
                GrantChange::default()
            )
            .await
        ),
        "conflict"
    );
    bench
        .catalog
        .revoke_credential(acme.id, &key_id())
        .await
        .unwrap();
    assert_eq!(
        refused(
            import_credential(
                &bench.domain,
                &acme,
                &key_id(),
                &secret(),
                GrantChange::default()
            )
            .await
        ),
        "conflict"
    );
    let short = Zeroizing::new("short".to_owned());
    assert_eq!(
        refused(
            import_credential(
                &bench.domain,
                &acme,
                &key_id(),
                &short,
                GrantChange::default()
            )
            .await
        ),
        "invalid_request"
    );
}
