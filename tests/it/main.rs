//! Behaviour of the whole program, one topic to a file.

mod console;
mod reference;
