//! The command line: one binary for the gateway and for those who operate it.

mod args;
mod client;
mod commands;
mod dev;
mod dev_file;
mod dev_text;
mod dev_tls;
mod doctor;
mod error;
mod files;
mod forgetting;
mod key_store;
mod local;
mod log_rebuild;
mod log_store;
mod log_verify;
mod logging;
mod logs;
mod open;
mod output;
mod pages;
mod receipts;
mod regions;
mod serve;
mod shredding;
mod shreds;
mod statements;
mod stores;
mod validate;
mod watch;
mod witness;

pub use args::Arguments;
pub use error::CommandError;

use crate::config::Environment;
use args::{Command, LogCommand, ReceiptCommand};
use dev::DevOptions;
use output::Format;
use std::process::ExitCode;

/// Runs one command to its end, and says on standard error what went wrong.
pub async fn run(arguments: Arguments, environment: &Environment) -> ExitCode {
    match dispatch(arguments, environment).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lethe: {error}");
            error.exit_code()
        }
    }
}

async fn dispatch(arguments: Arguments, environment: &Environment) -> Result<(), CommandError> {
    let format = arguments.output;
    let has_csv = matches!(
        arguments.command,
        Command::Receipt {
            command: ReceiptCommand::List { .. }
        }
    );
    if format == Format::Csv && !has_csv {
        return Err(CommandError::Usage(
            "-o csv is for `lethe receipt list`: take table or json".to_owned(),
        ));
    }
    match arguments.command {
        Command::Dev(dev) => {
            let options = DevOptions {
                dir: dev.dir,
                s3_listen: dev.s3_listen,
                admin_listen: dev.admin_listen,
                regions_file: dev.config,
            };
            dev::dev(&options, environment).await
        }
        Command::Serve { config } => serve::serve(&config, environment).await,
        Command::Doctor { config } => doctor::doctor(&config, environment, format).await,
        Command::Migrate { config } => local::migrate(&config, environment, format).await,
        Command::Domain { command } => {
            commands::domain(&arguments.api, command, environment, format).await
        }
        Command::Region { command } => {
            commands::region(&arguments.api, command, environment, format).await
        }
        Command::Tenant { command } => {
            commands::tenant(&arguments.api, command, environment, format).await
        }
        Command::Credential { command } => {
            commands::credential(&arguments.api, command, environment, format).await
        }
        Command::Key { command } => {
            commands::key(&arguments.api, command, environment, format).await
        }
        Command::Shred { command } => shreds::shred(&arguments.api, command, format).await,
        Command::Receipt { command } => receipts::receipt(&arguments.api, command, format).await,
        Command::KeyStore { command } => {
            key_store::key_store(&arguments.api, command, environment, format).await
        }
        Command::Log {
            command: LogCommand::Verify(verify),
        } => log_verify::verify(&arguments.api, verify, environment, format).await,
        Command::Log {
            command: LogCommand::Rebuild(rebuild),
        } => log_rebuild::rebuild(rebuild, environment, format).await,
        Command::Witness(witness) => witness::witness(witness, format).await,
        Command::Object { command } => {
            commands::object(&arguments.api, command, environment, format).await
        }
    }
}

#[cfg(test)]
mod tests;
