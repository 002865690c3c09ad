//! Behaviour of the whole program, one topic to a file.

mod bad_input;
mod bad_migration;
mod bisect;
mod console;
mod convert;
mod crash;
mod declarative;
mod delta;
mod errors;
mod folders;
mod fsck;
mod gc;
mod inference;
mod layering;
mod merge;
mod migrate_ckpt;
mod migration_order;
mod migration_simulate;
mod migration_verbs;
mod objects;
mod real_python;
mod redo;
mod reference;
mod stores;
mod support;
mod train;
