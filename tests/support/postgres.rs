//! A private PostgreSQL cluster for tests: in a temporary directory, on a Unix socket only, ended with the test process however that
//! ends.

use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Begins the server and ends it when its standard input ends, which the kernel sees to even when the test is killed.
const GUARD: &str = r#"
"$1" -D "$2" -c listen_addresses= -k "$2" -c fsync=off -c full_page_writes=off -c max_connections=100 </dev/null >"$2/log" 2>&1 &
server=$!
read -r _
kill -QUIT "$server"
wait "$server"
"#;

/// A running cluster. Dropped, it is stopped and its files go.
pub struct PostgresCluster {
    directory: tempfile::TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    guard: Option<Child>,
}

impl PostgresCluster {
    /// Makes and starts a cluster. `None` when this machine has no PostgreSQL and `required` is not set.
    ///
    /// # Panics
    /// When the cluster can't be made or started, or is required and PostgreSQL is not installed.
    pub fn start(required: bool) -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                !required,
                "these tests need PostgreSQL's initdb and postgres on PATH or in /usr/lib/postgresql"
            );
            eprintln!("no PostgreSQL on this machine: its half of the suite is skipped");
            return None;
        };
        let directory = tempfile::Builder::new()
            .prefix("lethe-pg-")
            .tempdir_in("/tmp")
            .unwrap();
        let user = unprivileged_user();
        if let Some((uid, gid)) = user {
            chown(directory.path(), Some(uid), Some(gid)).unwrap();
        }
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let mut cluster = Self {
            directory,
            programs,
            user,
            guard: None,
        };
        let data = cluster.data().to_path_buf();
        let made = cluster
            .command("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-U", "lethe", "-A", "trust", "-E", "UTF8", "--no-sync"])
            // A default collation that ignores punctuation, as many servers have: what relies on byte order shows.
            .args([
                "--locale=C.UTF-8",
                "--locale-provider=icu",
                "--icu-locale=en-u-ka-shifted",
            ])
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", text(&made));
        cluster.resume();
        Some(cluster)
    }

    fn data(&self) -> &Path {
        self.directory.path()
    }

    fn command(&self, program: &str) -> Command {
        let path = if program.starts_with('/') {
            PathBuf::from(program)
        } else {
            self.programs.join(program)
        };
        let mut command = Command::new(path);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        // The tests' own directory may be closed to that user.
        command.current_dir("/").env_remove("PGDATA");
        command
    }

    /// Starts the server (again) and waits until it answers.
    pub fn resume(&mut self) {
        let guard = self
            .command("/bin/sh")
            .args(["-c", GUARD, "sh"])
            .arg(self.programs.join("postgres"))
            .arg(self.data())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.guard = Some(guard);
        let patience = Instant::now() + Duration::from_secs(60);
        while let Err(error) = self.run_sql("postgres", "SELECT 1") {
            assert!(
                Instant::now() < patience,
                "PostgreSQL did not start: {error}\n{}",
                std::fs::read_to_string(self.data().join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops the server at once, as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
    }

    /// Makes an empty database and tells its URL.
    pub fn database(&self, name: &str) -> String {
        self.run_sql("postgres", &format!("CREATE DATABASE \"{name}\""))
            .unwrap();
        format!(
            "postgres:///{name}?host={}&user=lethe",
            self.data().display()
        )
    }

    fn run_sql(&self, database: &str, sql: &str) -> io::Result<()> {
        let beside = self.programs.join("psql");
        let psql = if beside.is_file() {
            beside
        } else {
            PathBuf::from("psql")
        };
        let done = Command::new(psql)
            .args(["-X", "-q", "-U", "lethe", "-d", database, "-h"])
            .arg(self.data())
            .args(["-c", sql])
            .output()?;
        if done.status.success() {
            Ok(())
        } else {
            Err(io::Error::other(text(&done)))
        }
    }
}

impl Drop for PostgresCluster {
    fn drop(&mut self) {
        self.stop();
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The directory of PostgreSQL's server programs.
fn programs() -> Option<PathBuf> {
    let holds = |directory: &PathBuf| {
        directory.join("initdb").is_file() && directory.join("postgres").is_file()
    };
    #[allow(clippy::disallowed_methods, reason = "a test finds its tools")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    std::env::split_paths(&path).chain(debian).find(holds)
}

/// PostgreSQL refuses to run as root: then it runs as `postgres`, else `nobody`.
fn unprivileged_user() -> Option<(u32, u32)> {
    let mut status = String::new();
    std::fs::File::open("/proc/self/status")
        .and_then(|mut file| file.read_to_string(&mut status))
        .ok()?;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))?
        .split_whitespace()
        .nth(1)?;
    if effective != "0" {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    ["postgres", "nobody"].iter().find_map(|wanted| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(wanted))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}
