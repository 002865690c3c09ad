//! Checking that everything is present and whole.
#[derive(Debug)]
pub struct Finding;
#[derive(Debug)]
pub struct FsckOptions;
#[derive(Debug)]
pub struct FsckReport;
