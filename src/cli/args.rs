//! The command line's words.

use super::output::Format;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The S3 gateway that can prove it forgot.
#[derive(Debug, Parser)]
#[command(name = "lethe", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) api: ApiArguments,
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub(super) output: Format,
}

/// Where the admin API is, and who asks. Left out, `dev.json` of a development gateway tells.
#[derive(Debug, Args)]
pub(super) struct ApiArguments {
    /// The admin API, such as http://127.0.0.1:9444.
    #[arg(long, global = true, env = "LETHE_ADMIN_ENDPOINT", value_name = "URL")]
    pub(super) admin_endpoint: Option<String>,
    /// A file that holds the principal's token.
    #[arg(
        long,
        global = true,
        env = "LETHE_ADMIN_TOKEN_FILE",
        value_name = "FILE"
    )]
    pub(super) admin_token_file: Option<PathBuf>,
    /// Certificates that the admin endpoint is trusted by.
    #[arg(long, global = true, env = "LETHE_ADMIN_CA", value_name = "FILE")]
    pub(super) admin_ca: Option<PathBuf>,
    /// The development directory whose dev.json is read where the three above are left out.
    #[arg(
        long,
        global = true,
        env = "LETHE_DEV_DIR",
        value_name = "DIR",
        default_value = "./lethe-dev"
    )]
    pub(super) dev_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a development gateway: everything embedded, TLS, two jurisdictions, demo tenants.
    Dev(DevArguments),
    /// Run a production gateway.
    Serve {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Jurisdictions.
    Domain {
        #[command(subcommand)]
        command: DomainCommand,
    },
    /// Tenants.
    Tenant {
        #[command(subcommand)]
        command: TenantCommand,
    },
    /// Access keys of tenants.
    Credential {
        #[command(subcommand)]
        command: CredentialCommand,
    },
    /// Region stores.
    Region {
        #[command(subcommand)]
        command: RegionCommand,
    },
    /// Keys of tenants.
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Transparency logs.
    Log {
        #[command(subcommand)]
        command: LogCommand,
    },
    /// Run a witness: it cosigns a log's checkpoints that continue what it has seen.
    Witness(WitnessArguments),
    /// Stored objects.
    Object {
        #[command(subcommand)]
        command: ObjectCommand,
    },
    /// Shreds.
    Shred {
        #[command(subcommand)]
        command: ShredCommand,
    },
    /// Receipts, and who is trusted for them.
    Receipt {
        #[command(subcommand)]
        command: ReceiptCommand,
    },
    /// Key stores and their backups.
    KeyStore {
        #[command(subcommand)]
        command: KeyStoreCommand,
    },
    /// Look for what keeps a gateway from serving, and say how to mend it.
    Doctor {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Bring the stores to this version's schema.
    Migrate {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct DevArguments {
    /// Where everything is kept.
    #[arg(long, value_name = "DIR", default_value = "./lethe-dev")]
    pub(super) dir: PathBuf,
    /// Where S3 listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9443")]
    pub(super) s3_listen: SocketAddr,
    /// Where the admin API listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9444")]
    pub(super) admin_listen: SocketAddr,
    /// A file whose sections [regions.*] and [limits] replace the embedded regions.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum DomainCommand {
    /// Make a domain's catalog, key store, root and embedded regions.
    Init {
        /// The domain.
        name: String,
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Show one domain, or all that the gateway serves.
    Show {
        /// The domain.
        name: Option<String>,
    },
}

/// A tenant, by id or name.
#[derive(Debug, Args)]
pub(super) struct TenantReference {
    /// The tenant's id or name.
    pub(super) tenant: String,
    /// Its domain; needed where several have a tenant of that name.
    #[arg(long)]
    pub(super) domain: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant, or finish creating it.
    Create {
        /// Its name.
        name: String,
        /// Its region.
        #[arg(long)]
        region: String,
        /// An id from an earlier try, to repeat exactly that.
        #[arg(long)]
        id: Option<String>,
    },
    /// List tenants.
    List {
        /// Of one domain only.
        #[arg(long)]
        domain: Option<String>,
        /// Only names after this one.
        #[arg(long)]
        after: Option<String>,
        /// At most so many of each domain.
        #[arg(long)]
        limit: Option<u32>,
        /// Those that are to be terminated, with when and what is missing.
        #[arg(long)]
        due: bool,
    },
    /// Show a tenant.
    Show(TenantReference),
    /// Serve nothing of a tenant's until it is resumed.
    Suspend(TenantReference),
    /// Serve a suspended tenant again.
    Resume(TenantReference),
    /// Ask for a tenant's termination: it is read-only from here on, and shredded after the grace once others approve.
    Terminate {
        #[command(flatten)]
        of: TenantReference,
        /// Days until the shred may run; at least the domain's.
        #[arg(long)]
        grace_days: Option<u32>,
    },
    /// Approve a tenant's termination.
    Approve(TenantReference),
    /// Call a tenant's termination off.
    Cancel(TenantReference),
}

/// Whether a command stays until what it shows is over.
#[derive(Debug, Args)]
pub(super) struct Waiting {
    /// Stay until the shreds are over, and tell each state; exit 4 when they are not over in time.
    #[arg(long)]
    pub(super) wait: bool,
    /// How long at most. The shreds go on in any case.
    #[arg(long, value_name = "MINUTES", default_value_t = 60, requires = "wait")]
    pub(super) wait_minutes: u32,
}

#[derive(Debug, Subcommand)]
pub(super) enum ShredCommand {
    /// Show shreds and how far they are.
    Status {
        /// Of one domain only.
        #[arg(long)]
        domain: Option<String>,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Shred what is due now, without waiting for the daily window.
    Run {
        /// Of one domain only.
        #[arg(long)]
        domain: Option<String>,
        /// A tenant that must be among them.
        #[arg(long)]
        tenant: Option<String>,
        /// Do not wait for the daily window.
        #[arg(long, required = true)]
        now: bool,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Let shreds that wait after a failure go on at once.
    Resume {
        /// Of one domain only.
        #[arg(long)]
        domain: Option<String>,
        #[command(flatten)]
        waiting: Waiting,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ReceiptCommand {
    /// List a period's terminations with due date, shred date, receipts and exceptions.
    List {
        /// The domain; needed where there are several.
        #[arg(long)]
        domain: Option<String>,
        /// Requested on this day or later, such as 2026-01-01 (UTC).
        #[arg(long)]
        from: Option<String>,
        /// Requested before this day (UTC).
        #[arg(long)]
        to: Option<String>,
        /// Print CSV.
        #[arg(long)]
        csv: bool,
    },
    /// Fetch a tenant's receipt file.
    Get {
        #[command(flatten)]
        of: TenantReference,
        /// Where to write it; standard output when left out.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Check a receipt file offline: exit 0 verified, 3 invalid, 4 valid but not yet complete.
    Verify {
        /// The receipt file.
        file: PathBuf,
        /// Whom to trust.
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// What `object inspect -o json` printed of an object: its header must name a destroyed KEK.
        #[arg(long, value_name = "FILE")]
        object: Option<PathBuf>,
    },
    /// Sign a verified receipt file as a second party, whose key the trust file names.
    ///
    /// A receipt that lacks more than validators' signatures (a place in the log, cosignatures, the erasure) is refused: exit 4.
    Validate {
        /// The receipt file; the signed one replaces it.
        file: PathBuf,
        /// Whom to trust.
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// The validator's own secret key (PKCS#8 PEM, Ed25519).
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Sign what is valid but incomplete all the same.
        #[arg(long)]
        incomplete: bool,
    },
    /// Fetch a domain's trust file, or make a new issuer key.
    Trust {
        /// The domain.
        domain: String,
        /// Where to write it; standard output when left out.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Make a new issuer key first.
        #[arg(long)]
        rotate: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyStoreCommand {
    /// Back a domain's key store up, and try the backup out.
    Backup {
        /// The domain.
        domain: String,
    },
    /// Try a backup out: every key in it is opened and compared with its commitment.
    TestRestore {
        /// The domain.
        domain: String,
        /// The backup's name.
        file: String,
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Mark the directory that key_backup names as the place for this domain's backups: a new one, or one of an older version.
    AdoptBackupPlace {
        /// The domain.
        domain: String,
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Restore a backup into an empty key store; refused when it is behind the log.
    Restore {
        /// The domain.
        domain: String,
        /// The backup's name.
        file: String,
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Restore although it is behind the log, for this reason; the log keeps it.
        #[arg(long, value_name = "REASON")]
        accept_behind: Option<String>,
        /// Forget this tenant, by name or id, although the catalog has it as not erased; may be repeated.
        #[arg(long, value_name = "TENANT")]
        forget: Vec<String>,
    },
}

/// What an access key may do. A new one may do everything that is left out here.
#[derive(Debug, Args)]
pub(super) struct GrantArguments {
    /// What: any of read, write, list, delete, admin, with commas.
    #[arg(long, value_name = "PERMISSIONS", value_delimiter = ',')]
    pub(super) allow: Option<Vec<String>>,
    /// Where: BUCKET, or BUCKET:PREFIX for its keys that begin with PREFIX; may be repeated. '*' is everything.
    #[arg(long, value_name = "BUCKET[:PREFIX]")]
    pub(super) scope: Option<Vec<String>>,
    /// Until when, such as 2027-01-01T00:00:00Z, or never.
    #[arg(long, value_name = "TIME")]
    pub(super) expires: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum CredentialCommand {
    /// Create an access key; its secret is shown this once.
    Create {
        #[command(flatten)]
        of: TenantReference,
        /// The access-key id of an earlier try that failed, to finish it.
        #[arg(long)]
        access_key_id: Option<String>,
        #[command(flatten)]
        grant: GrantArguments,
    },
    /// Take over an access key that applications use already.
    Import {
        #[command(flatten)]
        of: TenantReference,
        /// The access-key id.
        #[arg(long)]
        access_key_id: String,
        /// A file that holds the secret access key.
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
        #[command(flatten)]
        grant: GrantArguments,
    },
    /// Change what an access key may do; what is left out stays. Returns when every gateway goes by it.
    Update {
        #[command(flatten)]
        of: TenantReference,
        /// The access-key id.
        access_key_id: String,
        #[command(flatten)]
        grant: GrantArguments,
    },
    /// List a tenant's access keys.
    List(TenantReference),
    /// Revoke an access key for good.
    Revoke {
        #[command(flatten)]
        of: TenantReference,
        /// The access-key id.
        access_key_id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum RegionCommand {
    /// List regions with their last check.
    List,
    /// Probe a region's store and keep the outcome that the gateway acts on.
    Check {
        /// The region.
        name: String,
        /// Check from here by this configuration, without a running gateway.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Recompute a whole log and compare everything with everything.
    Verify(LogVerifyArguments),
    /// Write a log that was lost again, from the key store's entries and the catalog's receipts. Its gateways are stopped.
    Rebuild(LogRebuildArguments),
}

/// Which log is written again.
#[derive(Debug, Args)]
pub(super) struct LogRebuildArguments {
    /// The domain.
    #[arg(long)]
    pub(super) domain: String,
    /// The configuration that names its stores.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Go on though a witness does not answer: it may have seen another log.
    #[arg(long)]
    pub(super) without_silent_witnesses: bool,
}

/// Which log, and what it is compared with.
#[derive(Debug, Args)]
pub(super) struct LogVerifyArguments {
    /// The domain whose log the admin API serves, or the configuration names.
    #[arg(long)]
    pub(super) domain: Option<String>,
    /// A log's directory.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["url", "config"])]
    pub(super) dir: Option<PathBuf>,
    /// A log's URL, of any server that speaks C2SP tlog-tiles.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub(super) url: Option<String>,
    /// Read the log from where this configuration has it, without a running gateway.
    #[arg(long, value_name = "FILE", requires = "domain")]
    pub(super) config: Option<PathBuf>,
    /// Certificates to trust for --url.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) ca: Option<PathBuf>,
    /// A key of the log, `<origin>+<id>+<key>`; may be repeated.
    #[arg(long, value_name = "KEY")]
    pub(super) log_key: Vec<String>,
    /// A witness's key, `<name>+<id>+<key>`; may be repeated.
    #[arg(long, value_name = "KEY")]
    pub(super) witness_key: Vec<String>,
    /// How many of these witnesses must have cosigned the newest checkpoint; all unless given.
    #[arg(long, value_name = "NUMBER")]
    pub(super) witness_threshold: Option<usize>,
    /// Take the log's and the witnesses' keys and their threshold from this trust file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["log_key", "witness_key", "witness_threshold"])]
    pub(super) trust: Option<PathBuf>,
    /// A checkpoint seen elsewhere, such as a witness's newest: the log must continue it. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(super) seen: Vec<PathBuf>,
}

/// A witness, or its key.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct WitnessArguments {
    #[command(subcommand)]
    pub(super) command: Option<WitnessCommand>,
    /// Where it listens, such as 127.0.0.1:9450.
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(super) listen: Option<SocketAddr>,
    /// Where it remembers what it cosigned; losing this directory means a new key.
    #[arg(long, value_name = "DIR", required = true)]
    pub(super) state: Option<PathBuf>,
    /// Its private key, as `lethe witness key` writes it.
    #[arg(long, value_name = "FILE", required = true)]
    pub(super) key: Option<PathBuf>,
    /// A log that it cosigns; may be repeated.
    #[arg(long, required = true)]
    pub(super) origin: Vec<String>,
    /// A key of such a log, `<origin>+<id>+<key>`; may be repeated.
    #[arg(long, value_name = "KEY", required = true)]
    pub(super) log_key: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum WitnessCommand {
    /// Make a witness's private key and print its public one.
    Key {
        /// The witness's name, such as witness.example/w1.
        #[arg(long)]
        name: String,
        /// The file to write; it must not exist.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// List a tenant's keys.
    List(TenantReference),
    /// Make a new key version; older ones open what they sealed.
    Rotate(TenantReference),
}

#[derive(Debug, Subcommand)]
pub(super) enum ObjectCommand {
    /// Show what an object's header says, without opening it.
    Inspect {
        #[command(flatten)]
        of: TenantReference,
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The version; the newest when left out.
        #[arg(long)]
        version: Option<String>,
    },
}
