//! User namespaces for idmapped mounts: one is made for each pair of maps, however many mounts share it.

use oci_runtime_init::op::{NO_SLOT, Op, Slot};

use super::host_side::later_slot;
use super::namespaces::lines;
use super::text::c;
use crate::error::{Error, LowerProblem, Result};
use crate::id_map::{self, IdMap};
use crate::mount_options::MountOptions;
use crate::plan::Plan;
use crate::spec::{Mount, Spec};

/// The namespaces that there are so far.
pub(super) struct IdMaps {
    /// The container's own, where it joins one.
    pub joined: Slot,
    made: Vec<(IdMap, Slot)>,
}

impl IdMaps {
    /// None yet but the one that the container joins, if it does.
    pub(super) fn new(joined: Option<Slot>) -> IdMaps {
        IdMaps {
            joined: joined.unwrap_or(NO_SLOT),
            made: Vec::new(),
        }
    }
}

/// The slot of the namespace that a mount takes its maps from, or [`NO_SLOT`]. The outer lane makes it if there is none yet.
pub(super) fn namespace(
    plan: &mut Plan,
    maps: &mut IdMaps,
    origin: &str,
    spec: &Spec<'_>,
    mount: &Mount<'_>,
    options: &MountOptions<'_>,
) -> Result<Slot> {
    let wanted = id_map::of(mount, options, &spec.linux)
        .map_err(|(_, why)| Error::lower(origin, LowerProblem::IdMap(why)))?;
    let Some(wanted) = wanted else {
        return Ok(NO_SLOT);
    };
    let IdMap::Maps(uids, gids) = &wanted else {
        return Ok(maps.joined);
    };
    if let Some((_, slot)) = maps.made.iter().find(|(made, _)| *made == wanted) {
        return Ok(*slot);
    }
    let slot = later_slot(plan, origin)?;
    let (uid_map, gid_map) = (c(origin, lines(uids))?, c(origin, lines(gids))?);
    plan.outer(
        origin.to_owned(),
        Op::IdMapNamespace {
            uid_map: &uid_map,
            gid_map: &gid_map,
            slot,
        },
    );
    maps.made.push((wanted, slot));
    Ok(slot)
}

/// Maps the ids of a tree that was just opened, where that is asked for.
pub(super) fn map_tree(
    plan: &mut Plan,
    origin: &str,
    slot: Slot,
    namespace: Slot,
    options: &MountOptions<'_>,
) {
    if namespace == NO_SLOT {
        return;
    }
    let recursive = options.idmap.is_some_and(|asked| asked.recursive);
    plan.outer(
        origin.to_owned(),
        Op::IdMapTree {
            slot,
            namespace,
            recursive,
        },
    );
}
