//! A domain of its own for each test: directories, configuration, clock and faults.

use std::sync::Arc;
use std::time::Duration;

use lethe_envelope::{Dek, DekContext, KekId, Kind, ObjectId, Suite, TenantId};
use lethe_keys::testing::{Faults, ManualClock};
use lethe_keys::{
    BackupDirectory, DestroyEvidence, Epoch, FenceScope, KeyService, KeyServiceConfig,
    KeyStoreIdentity, KeysError, RootConfig, Sequencing, StoreUrl,
};

pub const LEASE: Duration = Duration::from_secs(300);

pub struct Domain {
    pub directory: tempfile::TempDir,
    pub config: KeyServiceConfig,
    pub clock: Arc<ManualClock>,
    pub faults: Arc<Faults>,
}

impl Domain {
    /// Nothing is initialised yet.
    pub fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = StoreUrl::Sqlite {
            path: directory.path().join("keys/keys.db"),
        };
        Self::at(directory, store)
    }

    /// Root and clock are its own, the key store is `url`.
    pub fn on(url: StoreUrl) -> Self {
        Self::at(tempfile::tempdir().unwrap(), url)
    }

    fn at(directory: tempfile::TempDir, store: StoreUrl) -> Self {
        let root = RootConfig::File {
            dir: directory.path().join("root"),
        };
        let mut config = KeyServiceConfig::new("eu".parse().unwrap(), store, root);
        config.dev = true;
        config.log = Sequencing::None;
        config.lease = LEASE;
        config.deadline = Duration::from_secs(20);
        Self {
            directory,
            config,
            clock: Arc::default(),
            faults: Arc::default(),
        }
    }

    /// KEKs wait for the log.
    pub fn sequenced(mut self) -> Self {
        self.config.log = Sequencing::Required;
        self
    }

    pub async fn init(&self) -> Result<KeyStoreIdentity, KeysError> {
        let identity = KeyService::init_with_faults(&self.config, &self.faults).await?;
        // As `domain init` does it.
        std::fs::create_dir_all(self.directory.path().join("backups")).unwrap();
        self.backups().adopt(identity).await.unwrap();
        Ok(identity)
    }

    pub async fn open(&self, identity: KeyStoreIdentity) -> Result<Arc<KeyService>, KeysError> {
        KeyService::open_with_faults(&self.config, identity, self.clock.clone(), &self.faults).await
    }

    pub async fn ready(&self) -> Arc<KeyService> {
        let identity = self.init().await.unwrap();
        self.open(identity).await.unwrap()
    }

    /// Another gateway of the domain, with a clock and faults of its own.
    pub async fn another_gateway(
        &self,
        identity: KeyStoreIdentity,
    ) -> (Arc<KeyService>, Arc<ManualClock>, Arc<Faults>) {
        let (clock, faults) = (Arc::<ManualClock>::default(), Arc::<Faults>::default());
        let gateway = KeyService::open_with_faults(&self.config, identity, clock.clone(), &faults)
            .await
            .unwrap();
        (gateway, clock, faults)
    }

    pub fn backups(&self) -> BackupDirectory {
        BackupDirectory::new(&self.directory.path().join("backups"))
    }

    /// A KEK's wrap as the store holds it.
    pub async fn wrapped_of(&self, kek_id: KekId) -> Vec<u8> {
        sqlx::any::install_default_drivers();
        let StoreUrl::Sqlite { path } = &self.config.key_store else {
            panic!("only asked of SQLite");
        };
        let url = format!("sqlite://{}", path.display());
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        let wrapped = sqlx::query_scalar("SELECT wrapped FROM keks WHERE kek_id = $1")
            .bind(kek_id.as_bytes().to_vec())
            .fetch_one(&pool)
            .await
            .unwrap();
        pool.close().await;
        wrapped
    }

    /// Runs a statement on the key store behind everybody's back.
    pub async fn sql(&self, statement: &'static str) -> u64 {
        sqlx::any::install_default_drivers();
        let url = match &self.config.key_store {
            StoreUrl::Sqlite { path } => format!("sqlite://{}", path.display()),
            StoreUrl::Postgres { url } => url.to_string(),
        };
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        let done = sqlx::query(statement).execute(&pool).await.unwrap();
        pool.close().await;
        done.rows_affected()
    }
}

pub fn tenant() -> TenantId {
    TenantId::random().unwrap()
}

pub fn context(tenant: TenantId, kek_id: KekId) -> DekContext<'static> {
    DekContext {
        suite: Suite::Cobblestone256,
        tenant,
        domain: "eu",
        bucket: "docs",
        object_key: "a/b",
        object_id: ObjectId::from_bytes([3; 16]),
        kek_id,
        subject: None,
        kind: Kind::Single,
        plaintext_bytes: Some(11),
        bindings_sha256: [4; 32],
    }
}

/// A tenant with keys, and a DEK wrapped under them.
pub struct Object {
    pub tenant: TenantId,
    pub kek_id: KekId,
    pub dek: Dek,
    pub wrapped: [u8; 104],
}

impl Object {
    pub async fn new(keys: &KeyService) -> Self {
        Self::of(keys, tenant()).await
    }

    /// Under the tenant's sealing KEK; its first, when it has none.
    pub async fn of(keys: &KeyService, tenant: TenantId) -> Self {
        let kek_id = keys.create_tenant_keys(tenant).await.unwrap().kek_id;
        let dek = Dek::generate().unwrap();
        let wrapped = keys
            .wrap_dek(tenant, &kek_id, &dek, &context(tenant, kek_id))
            .await
            .unwrap();
        Self {
            tenant,
            kek_id,
            dek,
            wrapped,
        }
    }

    pub async fn open(&self, keys: &KeyService) -> Result<Dek, KeysError> {
        keys.unwrap_dek(
            self.tenant,
            &self.kek_id,
            &self.wrapped,
            &context(self.tenant, self.kek_id),
        )
        .await
    }

    pub async fn opens(&self, keys: &KeyService) -> bool {
        self.open(keys)
            .await
            .is_ok_and(|dek| dek.expose() == self.dek.expose())
    }
}

/// Fences a tenant and waits until this gateway has dropped its keys.
pub async fn fence(keys: &KeyService, tenant: TenantId) {
    keys.raise_fence(FenceScope::Tenant(tenant)).await.unwrap();
    for _ in 0..20_000 {
        if matches!(
            keys.sealing_kek(tenant).await,
            Err(KeysError::TenantFenced { .. })
        ) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never fenced");
}

/// Backs up, tries the backup and destroys the epoch that was left.
pub async fn finish_move(domain: &Domain, keys: &KeyService, from: Epoch) -> DestroyEvidence {
    let place = domain.backups();
    let backup = keys.backup(&place).await.unwrap();
    let tested = keys
        .test_restore(&place, &backup.name, domain.directory.path())
        .await
        .unwrap();
    assert_eq!(tested.sha256, backup.sha256);
    keys.destroy_epoch(from, &backup.sha256).await.unwrap()
}

/// Waits for what background tasks do after the clock was moved; how long is of no consequence to the outcome.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}
