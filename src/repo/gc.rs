//! Removing what nothing needs.
#[derive(Debug)]
pub struct GcPlan;
#[derive(Debug)]
pub struct GcReport;
