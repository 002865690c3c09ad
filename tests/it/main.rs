//! Behaviour of the whole program, one topic to a file.

mod bad_input;
mod console;
mod crash;
mod fsck;
mod gc;
mod reference;
mod support;
