//! Behaviour of the whole program, one topic to a file.

mod bad_input;
mod bisect;
mod console;
mod crash;
mod delta;
mod documents;
mod errors;
mod folders;
mod fsck;
mod gc;
mod layering;
mod merge;
mod migration_order;
mod migration_simulate;
mod migration_verbs;
mod redo;
mod reference;
mod stores;
mod support;
mod sweep;
mod train;
