//! Files without anything in them, in whose manner new ones are laid out.

use std::collections::BTreeMap;

use crate::value::{Graph, Kind};

use super::super::{Extra, Format, Outline, Part};
use super::METADATA;

/// An empty file of a format; `None` for formats that nothing is converted to.
pub fn blank(format: Format) -> Option<Outline> {
    let mut outline = Outline {
        format,
        skeleton: Vec::new(),
        attributes: BTreeMap::new(),
        extras: Vec::new(),
        storages: Vec::new(),
        parts: vec![Part::Skeleton],
    };
    match format {
        Format::TorchZip => {
            outline.skeleton = b"\x80\x02}q\x00.".to_vec();
            outline.attributes = [("prefix", "archive"), ("alignment", "64")]
                .map(|(key, value)| (key.into(), value.into()))
                .into();
            let extra = |name: &str, text: &str| Extra { name: name.into(), bytes: text.into() };
            outline.extras = vec![extra("byteorder", "little"), extra("version", "3\n")];
        }
        Format::Safetensors => outline.skeleton = b"{}".to_vec(),
        // Version 3, no tensors, no keys.
        Format::Gguf => outline.skeleton = [&b"GGUF\x03\0\0\0"[..], &[0; 16]].concat(),
        Format::Json => {
            outline.attributes =
                [("indent", "  "), ("comma", ","), ("colon", ": "), ("end", "\n"), ("ascii", "true")]
                    .map(|(key, value)| (key.into(), value.into()))
                    .into();
        }
        Format::Npy | Format::Npz => {}
        _ => return None,
    }
    Some(outline)
}

/// The one key that readers of GGUF look for.
pub fn blank_gguf_metadata(graph: &mut Graph) {
    let metadata = graph.add(Kind::Dict);
    let value = graph.add_str("unknown");
    graph.set(metadata, "general.architecture", value);
    let root = graph.root;
    graph.set(root, METADATA, metadata);
}
