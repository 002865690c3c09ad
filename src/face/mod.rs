//! What the faces share: how failures are told, and the documents around lists.

pub mod document;
pub mod failure;
