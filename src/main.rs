//! The gateway and its command line: wiring only.

use clap::Parser as _;
use lethe::cli::{self, Arguments};
use lethe::config::Environment;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; everything else is 1 here, where clap would say 2. A closed pipe changes nothing.
            let _closed = error.print();
            return if error.use_stderr() {
                ExitCode::from(1)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let environment = Environment::of_process();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(cli::run(arguments, &environment)),
        Err(error) => {
            eprintln!("lethe: the runtime can't start: {error}");
            ExitCode::from(2)
        }
    }
}
