use super::*;
use lethe_keys::RootConfig;
use std::path::PathBuf;

const MINIMAL: &str = r#"[s3]
listen = "127.0.0.1:9443"
[admin]
listen = "127.0.0.1:9444"
[gateway]
serves = ["eu-central-1"]
[directory]
url = "sqlite:directory.db"
[domains.eu]
jurisdiction = "EU"
public_endpoint = "https://s3.eu.example.com"
catalog = "sqlite:eu/catalog.db"
key_store = "sqlite:eu-keys/keys.db"
root = { kind = "file", path = "root/eu" }
[domains.us]
jurisdiction = "US"
public_endpoint = "https://s3.us.example.com"
catalog = "sqlite:us/catalog.db"
key_store = "sqlite:us-keys/keys.db"
root = { kind = "file", path = "root/us" }
[regions.eu-central-1]
domain = "eu"
pair = "eu-west-3"
backend = { kind = "s3", endpoint = "https://s3.invalid", credentials_file = "c.json" }
[regions.eu-west-3]
domain = "eu"
[regions.us-east-1]
domain = "us"
backend = { kind = "embedded", path = "regions/us-east-1" }
"#;

fn read(text: &str) -> Result<Config, ConfigError> {
    parse(
        Path::new("/etc/lethe/lethe.toml"),
        text,
        &Environment::default(),
    )
}

fn with(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from), "{from:?} is not in the text");
    MINIMAL.replacen(from, to, 1)
}

#[test]
fn config_minimal_has_documented_defaults_and_resolved_paths() {
    let config = read(MINIMAL).unwrap();
    assert_eq!(config.limits, Limits::default());
    assert!(config.roles.data && config.roles.control);
    let eu = &config.domains[&"eu".parse().unwrap()];
    let stores = eu.stores.as_ref().unwrap();
    assert_eq!(stores.lease.as_secs(), 300);
    let RootConfig::File { dir } = &stores.root else {
        panic!("not a file root");
    };
    assert_eq!(*dir, PathBuf::from("/etc/lethe/root/eu"));
    assert_eq!(
        stores.catalog.to_string(),
        "sqlite:/etc/lethe/eu/catalog.db"
    );
    let Some(Backend::S3(backend)) = &config.regions[&"eu-central-1".parse().unwrap()].backend
    else {
        panic!("not an s3 backend");
    };
    assert_eq!(backend.credentials_file, PathBuf::from("/etc/lethe/c.json"));
    assert_eq!(
        (backend.region.as_str(), backend.bucket_prefix.as_str()),
        ("us-east-1", "lethe")
    );
}

#[test]
fn config_openbao_root_has_documented_defaults_and_resolved_paths() {
    let root = "kind = \"openbao\", address = \"https://bao.example:8200/\", token_file = \"t\"";
    let read_root = |root: &str| {
        let config = read(&with("kind = \"file\", path = \"root/eu\"", root)).unwrap();
        let stores = config.domains[&"eu".parse().unwrap()].stores.as_ref();
        match &stores.unwrap().root {
            RootConfig::OpenBao(openbao) => openbao.clone(),
            RootConfig::File { .. } => panic!("not openbao"),
        }
    };
    let expected = lethe_keys::OpenBaoConfig {
        address: "https://bao.example:8200".to_owned(),
        allow_plain_http: false,
        mount: "transit".to_owned(),
        namespace: None,
        token_file: PathBuf::from("/etc/lethe/t"),
        control_token_file: None,
        ca: None,
    };
    assert_eq!(read_root(root), expected);
    let all = format!(
        "{}, mount = \"a/b\", namespace = \"eu\", control_token_file = \"/c\", ca = \"ca.pem\", allow_plain_http = true",
        root.replace("https://", "http://")
    );
    let expected = lethe_keys::OpenBaoConfig {
        address: "http://bao.example:8200".to_owned(),
        allow_plain_http: true,
        mount: "a/b".to_owned(),
        namespace: Some("eu".to_owned()),
        control_token_file: Some(PathBuf::from("/c")),
        ca: Some(PathBuf::from("/etc/lethe/ca.pem")),
        ..expected
    };
    assert_eq!(read_root(&all), expected);
}

/// What is wrong → the line and key that the message names, and a word of how to mend it.
#[test]
fn config_refusals_name_file_line_key_and_mending() {
    let table = [
        (
            "listen = \"127.0.0.1:9443\"",
            "listn = \"127.0.0.1:9443\"",
            2,
            "s3.listn",
            "listen",
        ),
        (
            "listen = \"127.0.0.1:9443\"",
            "listen = 9443",
            2,
            "s3.listen",
            "lethe.example.toml",
        ),
        (
            "listen = \"127.0.0.1:9443\"",
            "listen = \"localhost\"",
            2,
            "s3.listen",
            "IP:PORT",
        ),
        (
            "listen = \"127.0.0.1:9443\"",
            "listen = \"0.0.0.0:9443\"",
            2,
            "s3.listen",
            "tls",
        ),
        (
            "listen = \"127.0.0.1:9444\"",
            "listen = \"0.0.0.0:9444\"",
            4,
            "admin.listen",
            "tls",
        ),
        (
            "serves = [\"eu-central-1\"]",
            "serves = [\"eu-central-2\"]",
            6,
            "gateway.serves",
            "[regions.eu-central-2]",
        ),
        (
            "serves = [\"eu-central-1\"]",
            "serves = []",
            6,
            "gateway.serves",
            "name the regions",
        ),
        (
            "serves = [\"eu-central-1\"]",
            "serves = [\"eu-central-1\", \"us-east-1\"]",
            6,
            "gateway.serves",
            "one jurisdiction",
        ),
        (
            "serves = [\"eu-central-1\"]",
            "serves = [\"eu-west-3\"]",
            6,
            "gateway.serves",
            "backend",
        ),
        (
            "sqlite:directory.db",
            "mysql://x",
            8,
            "directory.url",
            "postgres://",
        ),
        (
            "sqlite:eu/catalog.db",
            "postgres://u:secret@h/d",
            12,
            "domains.eu.catalog",
            "password_file",
        ),
        (
            "jurisdiction = \"EU\"",
            "jurisdiction = \"EU\"\nlease_s = 10",
            11,
            "domains.eu.lease_s",
            "30 to 900",
        ),
        (
            "kind = \"file\", path = \"root/eu\"",
            "kind = \"pkcs11\", path = \"x\"",
            14,
            "domains.eu.root.kind",
            "file or openbao",
        ),
        (
            "kind = \"file\", path = \"root/eu\"",
            "kind = \"openbao\", path = \"x\"",
            14,
            "domains.eu.root.path",
            "remove",
        ),
        (
            "kind = \"file\", path = \"root/eu\"",
            "kind = \"file\", path = \"root/eu\", ca = \"x\"",
            14,
            "domains.eu.root.ca",
            "remove",
        ),
        (
            "kind = \"file\", path = \"root/eu\"",
            "kind = \"openbao\", token_file = \"t\"",
            14,
            "domains.eu.root",
            "address",
        ),
        (
            "kind = \"file\", path = \"root/eu\"",
            "kind = \"openbao\", address = \"https://bao\"",
            14,
            "domains.eu.root",
            "token_file",
        ),
        (
            "kind = \"file\", path = \"root/eu\"",
            "kind = \"openbao\", token_file = \"t\", address = \"http://127.0.0.1:8200\"",
            14,
            "domains.eu.root.address",
            "allow_plain_http",
        ),
        (
            "kind = \"file\", path = \"root/eu\"",
            "kind = \"openbao\", token_file = \"t\", address = \"https://bao/v1\"",
            14,
            "domains.eu.root.address",
            "without a path",
        ),
        (
            "kind = \"file\", path = \"root/eu\"",
            "kind = \"openbao\", token_file = \"t\", address = \"https://bao\", mount = \"a/../b\"",
            14,
            "domains.eu.root.mount",
            "names of letters",
        ),
        (
            "kind = \"file\", path = \"root/eu\"",
            "kind = \"openbao\", token_file = \"t\", address = \"https://bao\", control_token_file = \"t\"",
            14,
            "domains.eu.root.control_token_file",
            "of its own",
        ),
        (
            "kind = \"file\", path = \"root/eu\"",
            "kind = \"openbao\", token_file = \"t\", address = \"https://bao\", token = \"s.x\"",
            14,
            "domains.eu.root.token",
            "token_file",
        ),
        (
            "catalog = \"sqlite:eu/catalog.db\"\n",
            "",
            9,
            "domains.eu",
            "catalog",
        ),
        (
            "https://s3.eu.example.com",
            "http://s3.eu.example.com",
            11,
            "domains.eu.public_endpoint",
            "https",
        ),
        (
            "pair = \"eu-west-3\"",
            "pair = \"us-east-1\"",
            23,
            "regions.eu-central-1.pair",
            "domain eu",
        ),
        (
            "pair = \"eu-west-3\"",
            "pair = \"eu-central-1\"",
            23,
            "regions.eu-central-1.pair",
            "another region",
        ),
        (
            "pair = \"eu-west-3\"",
            "pair = \"eu-west-4\"",
            23,
            "regions.eu-central-1.pair",
            "[regions.eu-west-4]",
        ),
        (
            "domain = \"eu\"\npair",
            "domain = \"de\"\npair",
            22,
            "regions.eu-central-1.domain",
            "[domains.de]",
        ),
        (
            "endpoint = \"https://s3.invalid\"",
            "endpoint = \"http://s3.invalid\"",
            24,
            "regions.eu-central-1.backend.endpoint",
            "allow_plain_http",
        ),
        (
            "endpoint = \"https://s3.invalid\", ",
            "",
            24,
            "regions.eu-central-1.backend",
            "s3",
        ),
        (
            "kind = \"embedded\", path",
            "kind = \"embedded\", ca = \"x\", path",
            29,
            "regions.us-east-1.backend.ca",
            "remove",
        ),
        (
            "kind = \"embedded\", path",
            "kind = \"embeded\", path",
            29,
            "regions.us-east-1.backend.kind",
            "s3 or embedded",
        ),
        (
            "[regions.us-east-1]",
            "[limits]\nbuckets_max = 0\n[regions.us-east-1]",
            28,
            "limits.buckets_max",
            "1 to 10000",
        ),
        (
            "[regions.us-east-1]",
            "[limit]\nbuckets_max = 1\n[regions.us-east-1]",
            27,
            "limit",
            "limits",
        ),
        (
            "[regions.us-east-1]",
            "[log]\nlevel = \"a=b=c\"\n[regions.us-east-1]",
            28,
            "log.level",
            "info",
        ),
    ];
    for (from, to, line, key, mending) in table {
        let error = read(&with(from, to)).unwrap_err();
        assert_eq!(
            (&error.place, error.key.as_str()),
            (&Place::Line(line), key),
            "{to}: {error}"
        );
        let shown = error.to_string();
        assert!(
            shown.starts_with(&format!("/etc/lethe/lethe.toml:{line}: {key}: ")),
            "{shown}"
        );
        assert!(
            error.hint.contains(mending) || error.problem.contains(mending),
            "{to}: {error}"
        );
        assert!(
            !shown.contains("secret@"),
            "a refusal shows a password: {shown}"
        );
    }
}

#[test]
fn config_principal_refusals_name_the_field() {
    let digest = "a".repeat(64);
    let principals = |name: &str, role: &str, digest: &str| {
        with(
            "[gateway]",
            &format!(
                "[[admin.principals]]\nname = {name:?}\nrole = {role:?}\ntoken_sha256 = {digest:?}\n[gateway]"
            ),
        )
    };
    assert_eq!(
        read(&principals("alice", "auditor", &digest))
            .unwrap()
            .principals
            .len(),
        1
    );
    for (name, role, digest, key) in [
        ("", "auditor", digest.as_str(), "admin.principals.0.name"),
        ("alice", "root", digest.as_str(), "admin.principals.0.role"),
        ("alice", "auditor", "abc", "admin.principals.0.token_sha256"),
    ] {
        assert_eq!(read(&principals(name, role, digest)).unwrap_err().key, key);
    }
}

#[test]
fn config_syntax_error_names_the_line() {
    let error = read("[s3]\nlisten = \n").unwrap_err();
    assert_eq!(error.place, Place::Line(2));
}

#[test]
fn config_plain_http_upstream_with_permission_is_accepted() {
    let text = with(
        "endpoint = \"https://s3.invalid\"",
        "endpoint = \"http://s3.invalid:8333\", allow_plain_http = true",
    );
    read(&text).unwrap();
}

#[test]
fn environment_overrides_values_lists_and_dashed_names() {
    let environment = Environment::of(&[
        ("LETHE_S3__LISTEN", "127.0.0.1:1"),
        ("LETHE_LIMITS__BUCKETS_MAX", "7"),
        ("LETHE_GATEWAY__SERVES", "[\"us-east-1\"]"),
        ("LETHE_REGIONS__US_EAST_1__BACKEND__PATH", "/data"),
        ("LETHE_ADMIN_TOKEN_FILE", "not ours"),
    ]);
    let config = parse(Path::new("/x/lethe.toml"), MINIMAL, &environment).unwrap();
    assert_eq!(config.s3.listen.port(), 1);
    assert_eq!(config.limits.buckets_max, 7);
    let us: RegionName = "us-east-1".parse().unwrap();
    assert_eq!(config.serves, std::slice::from_ref(&us));
    let path = PathBuf::from("/data");
    assert_eq!(
        config.regions[&us].backend,
        Some(Backend::Embedded { path })
    );
}

#[test]
fn environment_bad_override_is_blamed_by_name() {
    for (name, value, key) in [
        ("LETHE_S3__LISTEN", "nowhere", "s3.listen"),
        ("LETHE_S3__LISTNE", "127.0.0.1:1", "s3.listne"),
        ("LETHE_LIMITS__BUCKETS_MAX", "many", "limits.buckets_max"),
        ("LETHE_S3__LISTEN__PORT", "1", "s3.listen.port"),
    ] {
        let environment = Environment::of(&[(name, value)]);
        let error = parse(Path::new("l.toml"), MINIMAL, &environment).unwrap_err();
        assert_eq!(error.place, Place::Variable(name.to_owned()), "{error}");
        assert_eq!(error.key, key, "{error}");
    }
}

#[test]
fn store_url_password_comes_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pw"), "p@ss:w/rd\n").unwrap();
    let text = with(
        "key_store = \"sqlite:eu-keys/keys.db\"",
        "key_store = \"postgres://lethe@db/eu\"\nkey_store_password_file = \"pw\"",
    );
    let file = dir.path().join("lethe.toml");
    let config = parse(&file, &text, &Environment::default()).unwrap();
    let stores = config.domains[&"eu".parse().unwrap()]
        .stores
        .as_ref()
        .unwrap();
    let lethe_keys::StoreUrl::Postgres { url } = &stores.key_store else {
        panic!("not postgres");
    };
    assert_eq!(url.as_str(), "postgres://lethe:p%40ss%3Aw%2Frd@db/eu");
    assert!(!format!("{config:?}").contains("p%40ss"));
}

#[test]
fn store_url_missing_password_file_is_refused() {
    let text = with(
        "catalog = \"sqlite:eu/catalog.db\"",
        "catalog = \"postgres://lethe@db/eu\"\ncatalog_password_file = \"missing\"",
    );
    let error = read(&text).unwrap_err();
    assert_eq!(error.key, "domains.eu.catalog");
    assert!(error.problem.contains("can't be read"), "{error}");
}

#[test]
fn config_file_missing_or_huge_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lethe.toml");
    assert!(
        load(&file, &Environment::default())
            .unwrap_err()
            .hint
            .contains("--config")
    );
    std::fs::write(&file, vec![b'#'; (FILE_BYTES_MAX + 1) as usize]).unwrap();
    assert!(
        load(&file, &Environment::default())
            .unwrap_err()
            .hint
            .contains("1 MiB")
    );
}

#[test]
fn dev_file_takes_regions_and_refuses_misspelt_sections() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("regions.toml");
    let domains = ["eu".parse().unwrap(), "us".parse().unwrap()];
    let regions = "[regions.eu-central-1]\ndomain = \"eu\"\nbackend = { kind = \"embedded\", path = \"r\" }\n";
    std::fs::write(&file, regions).unwrap();
    let read = || load_for_dev(&file, &Environment::default(), &domains);
    assert_eq!(read().unwrap().regions.len(), 1);
    std::fs::write(&file, regions.replace("regions.", "region.")).unwrap();
    assert_eq!(read().unwrap_err().problem, "unknown key `region`");
    std::fs::write(&file, "[regions.eu-central-1]\ndomain = \"eu\"\n").unwrap();
    assert_eq!(read().unwrap_err().key, "regions.eu-central-1");
}

/// The example is what the documentation points to: every line of it, commented ones included, must be true.
#[test]
fn example_file_is_accepted_and_states_the_defaults() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("lethe.example.toml")).unwrap();
    let as_written = read(&text).unwrap();
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix("#: ") {
            Some(setting) => format!("{setting}\n"),
            None => format!("{line}\n"),
        })
        .collect();
    assert!(uncommented != text);
    let spelled_out = read(&uncommented).unwrap();
    assert_eq!(spelled_out.limits, Limits::default());
    assert_eq!(spelled_out.limits, as_written.limits);
    assert_eq!(spelled_out.log, as_written.log);
    assert_eq!(spelled_out.roles, as_written.roles);
    assert_eq!(spelled_out.regions, as_written.regions);
}
