//! Devices: the nodes that every container has (config-linux.md, "Default Devices"), those of the configuration, and
//! the links beside them. In a user namespace, the container's or the caller's, no node can be made, so the host's are bound instead.

use std::path::Path;

use oci_runtime_init::op::{Mode, MountAttr, NO_SLOT, Op, Slot};

use super::host_side::{bind_one, open_one};
use super::namespaces::Namespaces;
use super::text::{below_root, c, normal};
use crate::error::Result;
use crate::host::Host;
use crate::plan::Plan;
use crate::pointer::pointer;
use crate::spec::{Device, Linux, Mount, Spec};

/// Path, major, minor of the character devices that every container has, mode 0666.
const DEFAULT: &[(&str, u32, u32)] = &[
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// A link only where the kernel has what it leads to.
const CORE: &str = "/dev/core";

/// Path, target, and whether something else there gives way.
const LINKS: &[(&str, &str, bool)] = &[
    ("/dev/fd", "/proc/self/fd", false),
    ("/dev/stdin", "/proc/self/fd/0", false),
    ("/dev/stdout", "/proc/self/fd/1", false),
    ("/dev/stderr", "/proc/self/fd/2", false),
    (CORE, "/proc/kcore", false),
    ("/dev/ptmx", "pts/ptmx", true),
];

/// A node to be made, or to be bound from a slot.
struct Node {
    origin: String,
    path: String,
    mode: u32,
    major: u32,
    minor: u32,
    uid: u32,
    gid: u32,
}

/// Slots of host nodes to bind, one for each node, where none can be made.
pub(super) struct Sources(Option<Vec<Slot>>);

/// The host's /dev/null, with which paths are masked. The container's own might be anything.
pub(super) fn null_source(plan: &mut Plan, linux: &Linux<'_>) -> Result<Slot> {
    if linux.masked_paths.is_empty() {
        return Ok(NO_SLOT);
    }
    open_one(plan, "/linux/maskedPaths", Path::new("/dev/null"))
}

/// Opens the nodes of the host that have to be bound.
pub(super) fn sources(
    plan: &mut Plan,
    spec: &Spec<'_>,
    host: &Host,
    namespaces: &Namespaces,
) -> Result<Sources> {
    if !namespaces.other_user() && host.initial_user_namespace {
        return Ok(Sources(None));
    }
    let open = |node: &Node| open_one(plan, &node.origin, Path::new(&node.path));
    nodes(spec)
        .iter()
        .map(open)
        .collect::<Result<_>>()
        .map(|slots| Sources(Some(slots)))
}

/// Makes or binds all nodes, and links.
pub(super) fn make(plan: &mut Plan, spec: &Spec<'_>, host: &Host, sources: Sources) -> Result<()> {
    for (index, node) in nodes(spec).iter().enumerate() {
        let path = below_root(&node.origin, &node.path)?;
        match sources.0.as_ref().and_then(|slots| slots.get(index)) {
            Some(slot) => bind(plan, node, &path, *slot),
            None => {
                let Node {
                    mode,
                    major,
                    minor,
                    uid,
                    gid,
                    ..
                } = *node;
                plan.inner(
                    node.origin.clone(),
                    Op::Device {
                        path: &path,
                        mode: Mode(mode),
                        major,
                        minor,
                        uid,
                        gid,
                    },
                );
            }
        }
    }
    if has_own_dev(&spec.mounts) {
        for (path, target, replace) in LINKS.iter().filter(|link| host.kcore || link.0 != CORE) {
            let (path, target) = (below_root("", path)?, c("", *target)?);
            plan.inner(
                "",
                Op::Symlink {
                    path: &path,
                    target: &target,
                    replace: *replace,
                },
            );
        }
    }
    Ok(())
}

fn bind(plan: &mut Plan, node: &Node, path: &std::ffi::CStr, slot: Slot) {
    let set = MountAttr(libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC);
    bind_one(plan, &node.origin, path, slot, set);
}

/// All nodes: those of the configuration replace default ones of the same path. A /dev of the host's is left as it is.
fn nodes(spec: &Spec<'_>) -> Vec<Node> {
    let asked = &spec.linux.devices;
    let own_dev = has_own_dev(&spec.mounts);
    let replaced = |path: &str| asked.iter().any(|device| normal(&device.path) == path);
    let default = DEFAULT
        .iter()
        .filter(|(path, ..)| own_dev && !replaced(path) && !is_mounted(spec, path))
        .map(|(path, major, minor)| Node {
            origin: String::new(),
            path: (*path).to_owned(),
            mode: libc::S_IFCHR | 0o666,
            major: *major,
            minor: *minor,
            uid: 0,
            gid: 0,
        });
    let configured = asked
        .iter()
        .enumerate()
        .map(|(index, device)| configured(index, device));
    default
        .chain(configured.filter(|node| own_dev || !node.path.starts_with("/dev/")))
        .collect()
}

/// Whether the configuration mounts something there, which then is the device: `-v /dev/urandom:/dev/random`.
fn is_mounted(spec: &Spec<'_>, path: &str) -> bool {
    let mut places = spec.mounts.iter().map(|mount| &mount.destination);
    places.any(|place| place.contains("dev") && normal(place) == path)
}

fn configured(index: usize, device: &Device<'_>) -> Node {
    let kind = match &*device.kind {
        "b" => libc::S_IFBLK,
        "p" => libc::S_IFIFO,
        _ => libc::S_IFCHR,
    };
    Node {
        origin: pointer(&["linux".into(), "devices".into(), index.into()]),
        path: normal(&device.path),
        mode: kind | (device.file_mode.unwrap_or(0o666) & 0o7777),
        // Checked to be in range.
        major: u32::try_from(device.major).unwrap_or(0),
        minor: u32::try_from(device.minor).unwrap_or(0),
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    }
}

/// A /dev that is bound from the host has its nodes, and must not be changed.
fn has_own_dev(mounts: &[Mount<'_>]) -> bool {
    let is_dev = |mount: &&Mount<'_>| {
        let remount = mount.options.iter().any(|option| &**option == "remount");
        mount.destination.contains("dev") && normal(&mount.destination) == "/dev" && !remount
    };
    match mounts.iter().rev().find(is_dev) {
        Some(mount) => {
            let bind = mount
                .options
                .iter()
                .any(|option| matches!(&**option, "bind" | "rbind"));
            mount.kind != "bind" && !bind
        }
        None => true,
    }
}
