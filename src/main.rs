//! The `ckstore` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == ckstore::migration::engine::WORKER_ARGUMENT) {
        ckstore::migration::engine::worker_main();
    }
    ckstore::cli::run()
}
