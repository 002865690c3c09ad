//! Behaviour of the whole program, one topic to a file.

mod fsck;
mod gc;
mod support;
