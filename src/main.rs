//! The `ckstore` command.

fn main() {}
