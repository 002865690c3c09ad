//! Behaviour of the whole program, one topic to a file.

mod crash;
mod fsck;
mod gc;
mod support;
