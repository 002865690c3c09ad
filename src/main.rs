//! The `ckstore` command.

use ckstore::migration::engine;

fn main() {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == engine::WORKER_ARGUMENT) {
        engine::worker_main();
    }
}
