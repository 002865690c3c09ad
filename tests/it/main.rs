//! Behaviour of the whole program, one topic to a file.

mod bad_input;
mod bisect;
mod console;
mod convert;
mod corpus;
mod crash;
mod delta;
mod errors;
mod folders;
mod fsck;
mod fuzz;
mod gc;
mod inference;
mod large;
mod layering;
mod merge;
mod migration_order;
mod migration_simulate;
mod migration_verbs;
mod objects;
mod redo;
mod reference;
mod scan;
mod stores;
mod support;
mod train;
