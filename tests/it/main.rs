//! Behaviour of the whole program, one topic to a file.

mod console;
mod fsck;
mod gc;
mod reference;
mod support;
