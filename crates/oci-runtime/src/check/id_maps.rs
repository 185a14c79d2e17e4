//! Checks of the id mappings of the user namespace, by the kernel's own rules (user_namespaces(7)): ranges that fit,
//! that do not overlap on either side, and that hold the ids of the process.

use super::Fault;
use super::problem::Problems;
use crate::pointer::{Part, at};
use crate::spec::{IdMapping, Spec};

/// The most lines a map can have (UID_GID_MAP_MAX_EXTENTS).
const MAPPINGS_MAX: usize = 340;

pub(super) fn check(problems: &mut Problems, spec: &Spec<'_>) {
    let namespace = spec.linux.namespace("user");
    let maps = [
        ("uidMappings", &spec.linux.uid_mappings),
        ("gidMappings", &spec.linux.gid_mappings),
    ];
    for (member, map) in maps {
        match namespace {
            None if !map.is_empty() => {
                problems.error(at!["linux", member], Fault::MappingsWithoutNamespace)
            }
            Some(namespace) if namespace.path.is_empty() && map.is_empty() => {
                problems.error(at!["linux", member], Fault::NamespaceWithoutMappings);
            }
            _ => check_map(problems, at!["linux", member], map),
        }
    }
    if namespace.is_some_and(|namespace| namespace.path.is_empty()) {
        process_ids(problems, spec);
    }
}

/// Checks the map that is a list at `place`.
pub(super) fn check_map(problems: &mut Problems, place: &[Part<'_>], map: &[IdMapping]) {
    for (index, member, fault) in faults(map) {
        let mut place = place.to_vec();
        place.extend(index.map(Part::from));
        place.extend(member.map(Part::from));
        problems.error(&place, fault);
    }
}

/// What is wrong with a map: with which range, and with which member of it, if it is not the whole.
type Located = (Option<usize>, Option<&'static str>, Fault);

pub(super) fn faults(map: &[IdMapping]) -> Vec<Located> {
    if map.len() > MAPPINGS_MAX {
        return vec![(None, None, Fault::TooManyMappings(map.len()))];
    }
    let mut found = Vec::new();
    for (index, mapping) in map.iter().enumerate() {
        let size = mapping.size;
        if size == 0 {
            found.push((Some(index), Some("size"), Fault::EmptyMapping));
        }
        for first in [mapping.container_id, mapping.host_id] {
            if first.checked_add(size).is_none() || first == u32::MAX {
                let fault = Fault::MappingOverflow { first, size };
                found.push((Some(index), None, fault));
            }
        }
        if let Some(other) = map[..index]
            .iter()
            .position(|other| overlap(other, mapping))
        {
            found.push((Some(index), None, Fault::MappingOverlap(other)));
        }
    }
    found
}

fn overlap(one: &IdMapping, other: &IdMapping) -> bool {
    let meet = |a: u32, b: u32| contains(a, one.size, b) || contains(b, other.size, a);
    meet(one.container_id, other.container_id) || meet(one.host_id, other.host_id)
}

fn contains(first: u32, size: u32, id: u32) -> bool {
    id >= first && id - first < size
}

/// A new namespace has no other ids than those mapped; setresuid(2) refuses the rest.
fn process_ids(problems: &mut Problems, spec: &Spec<'_>) {
    let Some(user) = spec.process.as_ref().map(|process| &process.user) else {
        return;
    };
    let (uids, gids) = (&spec.linux.uid_mappings, &spec.linux.gid_mappings);
    let mapped = |map: &[IdMapping], id| {
        map.iter()
            .any(|range| contains(range.container_id, range.size, id))
    };
    if !uids.is_empty() && !mapped(uids, user.uid) {
        problems.error(at!["process", "user", "uid"], Fault::UnmappedId(user.uid));
    }
    if gids.is_empty() {
        return;
    }
    if !mapped(gids, user.gid) {
        problems.error(at!["process", "user", "gid"], Fault::UnmappedId(user.gid));
    }
    for (index, gid) in user
        .additional_gids
        .iter()
        .enumerate()
        .filter(|(_, gid)| !mapped(gids, **gid))
    {
        problems.error(
            at!["process", "user", "additionalGids", index],
            Fault::UnmappedId(*gid),
        );
    }
}
