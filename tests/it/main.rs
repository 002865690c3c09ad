//! Behaviour of the whole program, one topic to a file.

mod bad_input;
mod console;
mod crash;
mod errors;
mod fsck;
mod gc;
mod layering;
mod merge;
mod redo;
mod reference;
mod scan;
mod support;
mod train;
