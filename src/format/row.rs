//! Torch zips in a row: the shards that `torch.distributed.checkpoint` writes (`.distcp`).

use crate::value::{Graph, Kind, Tail};

use super::source::Window;
use super::{Format, FormatError, Limits, Outline, Scanned, Source, group, torch, zip};

/// Finds the zips; each must be one of torch.
pub(super) fn scan(source: &dyn Source, limits: &Limits) -> Result<Scanned, FormatError> {
    let ranges = zip::row(source, limits)?.ok_or(FormatError::Group("it is no row of zips"))?;
    let mut members = Vec::with_capacity(ranges.len());
    for (place, range) in ranges.into_iter().enumerate() {
        let window = Window::new(source, range.start, range.end - range.start);
        let scanned = torch::scan(&window, Format::TorchZip, limits)?;
        members.push((place.to_string(), range.start, scanned));
    }
    Ok(group::compose_scanned(Format::TorchRow, members))
}

/// A list of what each zip holds.
pub(super) fn decode(outline: &Outline, limits: &Limits) -> Result<Graph, FormatError> {
    let members = group::split(outline)?;
    let (mut graph, roots) = group::decode(&members, limits)?;
    let root = graph.root;
    graph.node_mut(root).kind = Kind::List;
    graph.node_mut(root).tail = roots.into_iter().map(Tail::Append).collect();
    Ok(graph)
}
