//! A mount of type `cgroup`: the view of its cgroups that a container gets.
//!
//! On cgroup v2 it is one file system. On v1 and hybrid hosts it is a tmpfs with a directory for each hierarchy, named as on the
//! host, and links for controllers that share one. In a cgroup namespace each is mounted anew, which shows only what is below the
//! container. Without one, what the host has is bound: of a v1 or hybrid host the container's own directories; of cgroup v2 the whole, in
//! which `/proc/PID/cgroup` says where the container is. Mounting that anew would be a change of the host's own: in the first
//! cgroup namespace the options of the new mount (none) become those of the hierarchy, which so loses `nsdelegate` and
//! `memory_recursiveprot`.

use std::ffi::{CStr, CString};
use std::path::Path;

use oci_runtime_cgroups::{Hierarchy, Mode, Paths};
use oci_runtime_init::op::{List, MountAttr, NO_SLOT, Op, Slot};

use super::host_side::{bind_one, open_one};
use super::text::{below_root, c};
use crate::error::{Error, LowerProblem, Result};
use crate::host::Host;
use crate::plan::Plan;
use crate::pointer::pointer;

/// How each hierarchy of the host is shown.
pub(super) enum Prepared {
    /// Mounted anew.
    OwnView,
    /// Bound from these, in the order of the host's hierarchies.
    Bound(Vec<Slot>),
}

/// Opens what has to be bound.
pub(super) fn sources(
    plan: &mut Plan,
    mount: usize,
    paths: &Paths,
    host: &Host,
    own_view: bool,
) -> Result<Prepared> {
    if own_view {
        return Ok(Prepared::OwnView);
    }
    let origin = pointer(&["mounts".into(), mount.into()]);
    let open = |hierarchy: &Hierarchy| {
        if host.cgroups.mode == Mode::V2 {
            return open_one(plan, &origin, &hierarchy.mount_point);
        }
        match directory(hierarchy, paths) {
            Some(directory) => open_one(plan, &origin, directory),
            // Without a cgroup of its own it stays in the caller's.
            None => {
                let own = hierarchy.own_dir();
                let own =
                    own.map_err(|error| Error::lower(&origin, LowerProblem::Cgroup(error)))?;
                open_one(plan, &origin, &own)
            }
        }
    };
    host.cgroups
        .hierarchies
        .iter()
        .map(open)
        .collect::<Result<_>>()
        .map(Prepared::Bound)
}

fn directory<'p>(hierarchy: &Hierarchy, paths: &'p Paths) -> Option<&'p Path> {
    if hierarchy.v2 {
        return paths.unified();
    }
    hierarchy
        .controllers
        .iter()
        .find_map(|controller| paths.dir(controller))
}

/// The steps that mount all hierarchies at `destination`.
pub(super) fn mount(
    plan: &mut Plan,
    origin: &str,
    destination: &str,
    attributes: MountAttr,
    prepared: &Prepared,
    host: &Host,
    label: &str,
) -> Result<()> {
    let hierarchies = &host.cgroups.hierarchies;
    if host.cgroups.mode == Mode::V2 {
        let target = below_root(origin, destination)?;
        return hierarchies
            .iter()
            .enumerate()
            .try_for_each(|(index, hierarchy)| {
                one(
                    plan,
                    origin,
                    &target,
                    attributes,
                    hierarchy,
                    slot(prepared, index),
                )
            });
    }
    tmpfs(plan, origin, destination, attributes, label)?;
    for (index, hierarchy) in hierarchies.iter().enumerate() {
        let Some(name) = hierarchy
            .mount_point
            .file_name()
            .and_then(|name| name.to_str())
        else {
            continue;
        };
        let target = below_root(origin, &format!("{destination}/{name}"))?;
        one(
            plan,
            origin,
            &target,
            attributes,
            hierarchy,
            slot(prepared, index),
        )?;
        links(plan, origin, destination, name, hierarchy)?;
    }
    if attributes.0 & libc::MOUNT_ATTR_RDONLY != 0 {
        let target = below_root(origin, destination)?;
        let (set, clear) = (MountAttr(libc::MOUNT_ATTR_RDONLY), MountAttr(0));
        plan.inner(
            origin.to_owned(),
            Op::Remount {
                target: &target,
                options: List::Items(&[]),
                set,
                clear,
                propagation: List::Items(&[]),
            },
        );
    }
    Ok(())
}

fn slot(prepared: &Prepared, index: usize) -> Option<Slot> {
    match prepared {
        Prepared::OwnView => None,
        Prepared::Bound(slots) => slots.get(index).copied(),
    }
}

/// The directory of directories; it becomes read-only when they are in it.
fn tmpfs(
    plan: &mut Plan,
    origin: &str,
    destination: &str,
    attributes: MountAttr,
    label: &str,
) -> Result<()> {
    let target = below_root(origin, destination)?;
    let label = c(origin, label)?;
    let mut options = vec![(c"mode", c"755")];
    if !label.is_empty() {
        options.push((c"context", &label));
    }
    plan.inner(
        origin.to_owned(),
        Op::MountFs {
            target: &target,
            fstype: c"tmpfs",
            source: c"tmpfs",
            options: List::Items(&options),
            attributes: MountAttr(attributes.0 & !libc::MOUNT_ATTR_RDONLY),
            id_map: NO_SLOT,
            copy_up: false,
            propagation: List::Items(&[]),
        },
    );
    Ok(())
}

fn one(
    plan: &mut Plan,
    origin: &str,
    target: &CStr,
    attributes: MountAttr,
    hierarchy: &Hierarchy,
    bound: Option<Slot>,
) -> Result<()> {
    if let Some(slot) = bound {
        bind_one(plan, origin, target, slot, attributes);
        return Ok(());
    }
    let options = parameters(origin, hierarchy)?;
    let options: Vec<(&CStr, &CStr)> = options
        .iter()
        .map(|(key, value)| (key.as_c_str(), value.as_c_str()))
        .collect();
    let fstype = if hierarchy.v2 { c"cgroup2" } else { c"cgroup" };
    plan.inner(
        origin.to_owned(),
        Op::MountFs {
            target,
            fstype,
            source: c"cgroup",
            options: List::Items(&options),
            attributes,
            id_map: NO_SLOT,
            copy_up: false,
            propagation: List::Items(&[]),
        },
    );
    Ok(())
}

/// A v1 hierarchy is asked for by its controllers, or by its name when it has none (cgroups(7)).
fn parameters(origin: &str, hierarchy: &Hierarchy) -> Result<Vec<(CString, CString)>> {
    if hierarchy.v2 {
        return Ok(Vec::new());
    }
    let mut parameters = Vec::new();
    for controller in &hierarchy.controllers {
        match controller.strip_prefix("name=") {
            Some(name) => {
                parameters.push((c(origin, "none")?, c(origin, "")?));
                parameters.push((c(origin, "name")?, c(origin, name)?));
            }
            None => parameters.push((c(origin, controller.as_str())?, c(origin, "")?)),
        }
    }
    Ok(parameters)
}

/// Controllers that share a hierarchy are also found by their own names.
fn links(
    plan: &mut Plan,
    origin: &str,
    destination: &str,
    name: &str,
    hierarchy: &Hierarchy,
) -> Result<()> {
    if hierarchy.controllers.len() < 2 || hierarchy.v2 {
        return Ok(());
    }
    for controller in hierarchy
        .controllers
        .iter()
        .filter(|controller| *controller != name)
    {
        let path = below_root(origin, &format!("{destination}/{controller}"))?;
        let target = c(origin, name)?;
        plan.inner(
            origin.to_owned(),
            Op::Symlink {
                path: &path,
                target: &target,
                replace: false,
            },
        );
    }
    Ok(())
}
