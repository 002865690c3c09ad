//! Several files as one: the outline of all of them, and theirs out of it again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::value::{Graph, Storage, StorageId};

use super::{
    Bound, Encoded, Extra, Format, FormatError, Limits, Outline, Part, Scanned, Span, StorageFacts, merge,
};

/// The list of members, which is the skeleton of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// In the order in which they lie behind each other.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    /// What the group calls it; a folder, its path.
    pub name: String,
    /// Length in bytes.
    pub bytes: u64,
    /// What it is.
    pub format: Format,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    /// How many of the group's extras are its own, its skeleton first.
    extras: u32,
    storages: u32,
    parts: u32,
}

/// Puts outlines together; `keys` of extras and storages begin with the member's name.
pub(super) fn compose(format: Format, members: Vec<(String, Outline)>) -> Outline {
    let mut group = Outline {
        format,
        skeleton: Vec::new(),
        attributes: BTreeMap::new(),
        extras: Vec::new(),
        storages: Vec::new(),
        parts: Vec::new(),
    };
    let mut manifest = Manifest::default();
    for (name, outline) in members {
        let (extras, storages) = (group.extras.len() as u32, group.storages.len() as u32);
        let part_bytes = |part: &Part| match part {
            Part::Literal(bytes) => bytes.len() as u64,
            Part::Skeleton => outline.skeleton.len() as u64,
            Part::Extra(place) => outline.extras[*place as usize].bytes.len() as u64,
            Part::Storage(id) => outline.storages[id.index()].bytes,
        };
        manifest.members.push(Member {
            name: name.clone(),
            bytes: outline.parts.iter().map(part_bytes).sum(),
            format: outline.format,
            attributes: outline.attributes,
            extras: outline.extras.len() as u32 + 1,
            storages: outline.storages.len() as u32,
            parts: outline.parts.len() as u32,
        });
        group.extras.push(Extra { name: name.clone(), bytes: outline.skeleton });
        let below = |key: &str| format!("{name}:{key}");
        group
            .extras
            .extend(outline.extras.into_iter().map(|extra| Extra { name: below(&extra.name), ..extra }));
        let storage = |storage: Storage| Storage { key: below(&storage.key), ..storage };
        group.storages.extend(outline.storages.into_iter().map(storage));
        group.parts.extend(outline.parts.into_iter().map(|part| match part {
            Part::Literal(bytes) => Part::Literal(bytes),
            Part::Skeleton => Part::Extra(extras),
            Part::Extra(place) => Part::Extra(extras + 1 + place),
            Part::Storage(id) => Part::Storage(StorageId(storages + id.0)),
        }));
    }
    group.skeleton = serde_json::to_vec(&manifest).expect("a list of members is plain data");
    group
}

/// Puts scanned members together that lie behind each other from `offset` on.
pub(super) fn compose_scanned(format: Format, members: Vec<(String, u64, Scanned)>) -> Scanned {
    let mut spans = Vec::new();
    let mut notes = Vec::new();
    let mut outlines = Vec::with_capacity(members.len());
    for (name, offset, scanned) in members {
        spans.extend(scanned.spans.into_iter().map(|span| Span { offset: span.offset + offset, ..span }));
        notes.extend(scanned.notes.into_iter().map(|mut note| {
            note.message = format!("{name}: {}", note.message);
            note
        }));
        outlines.push((name, scanned.outline));
    }
    Scanned { outline: compose(format, outlines), spans, notes }
}

/// One member taken out of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// What the group calls it.
    pub name: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Its own outline.
    pub outline: Outline,
    /// The number of its first storage in the group.
    pub first_storage: u32,
}

/// Takes a group apart.
pub(super) fn split(group: &Outline) -> Result<Vec<Unit>, FormatError> {
    let manifest: Manifest =
        serde_json::from_slice(&group.skeleton).map_err(|_| FormatError::Group("its list cannot be read"))?;
    let wrong = || FormatError::Group("its list does not fit what it holds");
    let (mut extra, mut storage, mut part) = (0usize, 0usize, 0usize);
    let mut out = Vec::with_capacity(manifest.members.len());
    for member in manifest.members {
        let take = |from: &mut usize, count: u32| {
            let range = *from..from.checked_add(count as usize)?;
            *from = range.end;
            Some(range)
        };
        let extras =
            take(&mut extra, member.extras).and_then(|range| Some((range.start, group.extras.get(range)?)));
        let (first_extra, extras) = extras.ok_or_else(wrong)?;
        let storages = take(&mut storage, member.storages);
        let storages = storages.and_then(|range| Some((range.start, group.storages.get(range)?)));
        let (first_storage, storages) = storages.ok_or_else(wrong)?;
        let parts =
            take(&mut part, member.parts).and_then(|range| group.parts.get(range)).ok_or_else(wrong)?;
        let (skeleton, extras) = extras.split_first().ok_or_else(wrong)?;
        let own = |key: &str| key.get(member.name.len() + 1..).unwrap_or_default().to_owned();
        let place = |place: u32, first: usize, count: usize| {
            let own = (place as usize).checked_sub(first).filter(|own| *own < count).ok_or_else(wrong)?;
            Ok::<u32, FormatError>(own as u32)
        };
        let parts = parts.iter().map(|part| {
            Ok(match part {
                Part::Literal(bytes) => Part::Literal(bytes.clone()),
                Part::Skeleton => return Err(wrong()),
                Part::Extra(index) if *index as usize == first_extra => Part::Skeleton,
                Part::Extra(index) => Part::Extra(place(*index, first_extra + 1, extras.len())?),
                Part::Storage(id) => Part::Storage(StorageId(place(id.0, first_storage, storages.len())?)),
            })
        });
        let outline = Outline {
            format: member.format,
            skeleton: skeleton.bytes.clone(),
            attributes: member.attributes.clone(),
            parts: parts.collect::<Result<_, FormatError>>()?,
            extras: extras.iter().map(|e| Extra { name: own(&e.name), bytes: e.bytes.clone() }).collect(),
            storages: storages.iter().map(|s| Storage { key: own(&s.key), bytes: s.bytes }).collect(),
        };
        out.push(Unit {
            name: member.name,
            bytes: member.bytes,
            outline,
            first_storage: first_storage as u32,
        });
    }
    if extra != group.extras.len() || storage != group.storages.len() || part != group.parts.len() {
        return Err(wrong());
    }
    Ok(out)
}

/// Decodes every member into one graph without a root of its own: where each member's value is, and what
/// the graph's storages are is the group's.
pub(super) fn decode(
    members: &[Unit],
    limits: &Limits,
) -> Result<(Graph, Vec<crate::value::NodeId>), FormatError> {
    let mut graph = Graph::new();
    let mut roots = Vec::with_capacity(members.len());
    for member in members {
        let part = super::decode(&member.outline, limits)?;
        let nodes = (graph.nodes.len() + part.nodes.len()) as u64;
        limits.check(Bound::Values, "the number of values", nodes)?;
        debug_assert_eq!(graph.storages.len(), member.first_storage as usize);
        roots.push(merge::append(&mut graph, part));
    }
    Ok((graph, roots))
}

/// A member that was laid out anew, or stays as it was.
pub(super) struct Laid {
    pub name: String,
    pub outline: Outline,
    /// For each storage, its id in the graph of the group.
    pub order: Vec<StorageId>,
}

impl Laid {
    /// A member as it was.
    pub fn unchanged(member: &Unit) -> Laid {
        let ids = 0..member.outline.storages.len() as u32;
        Laid {
            name: member.name.clone(),
            outline: member.outline.clone(),
            order: ids.map(|id| StorageId(member.first_storage + id)).collect(),
        }
    }

    /// A member laid out for a graph whose storages are the group's.
    pub fn anew(
        member: &Unit,
        mut graph: Graph,
        facts: &dyn Fn(StorageId) -> StorageFacts,
    ) -> Result<Laid, FormatError> {
        let own =
            member.first_storage as usize..member.first_storage as usize + member.outline.storages.len();
        for (place, storage) in graph.storages.iter_mut().enumerate() {
            // The names of other members' storages mean nothing to this one.
            if !own.contains(&place) {
                storage.key.clear();
            }
        }
        let encoded = super::encode(&graph, &member.outline, facts)?;
        Ok(Laid { name: member.name.clone(), outline: encoded.outline, order: encoded.order })
    }
}

/// Puts laid out members together.
pub(super) fn encode(format: Format, members: Vec<Laid>) -> Encoded {
    let mut order = Vec::new();
    let mut outlines = Vec::with_capacity(members.len());
    for member in members {
        order.extend(member.order);
        outlines.push((member.name, member.outline));
    }
    Encoded { outline: compose(format, outlines), order }
}
