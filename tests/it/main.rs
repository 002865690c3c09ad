//! Behaviour of the whole program, one topic to a file.

mod console;
mod fsck;
mod gc;
mod merge;
mod reference;
mod support;
mod train;
