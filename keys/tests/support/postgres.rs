//! A private PostgreSQL cluster for tests: temporary directory, loopback port and unix socket, ended with its owner.
//!
//! Self-contained, to be `#[path]`-included by any crate's tests. The server binaries (`initdb`, `pg_ctl`) are looked
//! for in `LETHE_TEST_PG_BIN`, `PATH` and Debian's directories. PostgreSQL refuses to run as root; root runs it as the
//! user `nobody`. The server dies with the thread that started it (`setpriv --pdeathsig`), so a killed test leaves no
//! server behind: call [`Cluster::start`] in the test's own thread, not in a task of a pool. Without the binaries a test is skipped with a message, except under
//! `CI=true`, where it fails.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A running cluster; dropping it stops the server and removes its files.
pub struct Cluster {
    directory: tempfile::TempDir,
    binaries: PathBuf,
    port: u16,
    server: Option<Child>,
    databases: AtomicU32,
}

/// Ports that clusters listen on, one each.
const PORTS: std::ops::RangeInclusive<u16> = 15_400..=15_499;

impl Cluster {
    /// Starts a cluster; `None` when there is no PostgreSQL and the tests may do without it.
    pub fn start() -> Option<Self> {
        let Some(binaries) = find_binaries() else {
            let must = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(
                !must,
                "CI=true and no PostgreSQL server binaries (initdb, pg_ctl) were found"
            );
            eprintln!("skipped: no PostgreSQL server binaries (initdb, pg_ctl) were found");
            return None;
        };
        let directory = tempfile::Builder::new()
            .prefix("lethe-pg-")
            .tempdir()
            .unwrap();
        if running_as_root() {
            // `nobody` must reach and own it.
            run(Command::new("chown").arg("nobody").arg(directory.path()));
        }
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let mut cluster = Self {
            directory,
            binaries,
            port: 0,
            server: None,
            databases: AtomicU32::new(0),
        };
        run(cluster
            .server("initdb")
            .args([
                "--auth=trust",
                "--username=lethe",
                "--encoding=UTF8",
                "--no-sync",
                "--no-locale",
                "-D",
            ])
            .arg(cluster.data()));
        cluster.listen();
        Some(cluster)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// Another process may take a port between the look and the start, so several are tried.
    fn listen(&mut self) {
        let start = *PORTS.start() + u16::try_from(std::process::id() % 100).unwrap();
        let mut attempts = 0;
        for port in (start..=*PORTS.end()).chain(*PORTS.start()..start) {
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
                continue;
            }
            self.port = port;
            if self.serve() {
                return;
            }
            attempts += 1;
            assert!(
                attempts < 5,
                "PostgreSQL does not start: {}",
                fs::read_to_string(self.log()).unwrap_or_default()
            );
        }
        panic!("no free port for PostgreSQL in {PORTS:?}");
    }

    /// Starts the server; `false` when it ended instead of answering.
    fn serve(&mut self) -> bool {
        let log = fs::File::create(self.log()).unwrap();
        let socket = format!(
            "unix_socket_directories={}",
            self.directory.path().display()
        );
        let mut child = self
            .server("postgres")
            .arg("-D")
            .arg(self.data())
            .args([
                "-p",
                &self.port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                &socket,
            ])
            .args(["-c", "fsync=off", "-c", "max_connections=100"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let ready = self
                .server("pg_isready")
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if ready.unwrap().success() {
                self.server = Some(child);
                return true;
            }
            assert!(Instant::now() < deadline, "PostgreSQL does not answer");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Makes an empty database and answers its URL.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database, whether or not it exists.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://lethe@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs a statement as the cluster's superuser and answers what `psql` printed, unaligned.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let output = run(self
            .server("psql")
            .args([
                "-X",
                "-A",
                "-t",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                "127.0.0.1",
                "-U",
                "lethe",
            ])
            .args([
                "-p",
                &self.port.to_string(),
                "-d",
                database,
                "-c",
                statement,
            ]));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn server(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig=INT");
        if running_as_root() {
            command.args(["--reuid=nobody", "--regid=65534", "--clear-groups"]);
        }
        command.arg("--").arg(self.binaries.join(program));
        // The caller's directory may be closed to the server's user.
        command.current_dir("/");
        command
            .env_remove("PGHOST")
            .env_remove("PGPORT")
            .env_remove("PGUSER")
            .env_remove("PGDATABASE");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _stopped = self
            .server("pg_ctl")
            .args(["stop", "-s", "-m", "immediate", "-D"])
            .arg(self.data())
            .status();
        if let Some(mut server) = self.server.take() {
            let _ended = server.wait();
        }
    }
}

fn running_as_root() -> bool {
    // Not by /proc/self: a hardened process seems to be root's there.
    tempfile::tempfile().unwrap().metadata().unwrap().uid() == 0
}

fn find_binaries() -> Option<PathBuf> {
    let mut directories: Vec<PathBuf> = Vec::new();
    directories.extend(std::env::var_os("LETHE_TEST_PG_BIN").map(PathBuf::from));
    if let Some(path) = std::env::var_os("PATH") {
        // A wrapper in PATH may point elsewhere: what matters is the directory with the real program.
        directories.extend(
            std::env::split_paths(&path).filter_map(|directory| real_directory(&directory)),
        );
    }
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    directories.extend(versions.into_iter().rev());
    directories.into_iter().find(|directory| {
        ["initdb", "pg_ctl", "postgres", "psql"]
            .iter()
            .all(|name| directory.join(name).is_file())
    })
}

fn real_directory(directory: &Path) -> Option<PathBuf> {
    Some(
        directory
            .join("pg_ctl")
            .canonicalize()
            .ok()?
            .parent()?
            .to_path_buf(),
    )
}

fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
