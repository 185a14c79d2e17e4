//! Mounts of the configuration: for each, what has to be opened on the host's side, and the step that attaches it.

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};

use oci_runtime_cgroups::Paths;
use oci_runtime_init::op::{List, MountAttr, Op, Propagation, Slot};

use super::cgroup_mount;
use super::host_side::{Clone, open_tree};
use super::id_map::{self, IdMaps};
use super::namespaces::{self, Namespaces};
use super::propagation::{MS_REC, bind_propagation};
use super::text::{below_root, c, normal};
use crate::error::Result;
use crate::host::Host;
use crate::mount_options::{self, ATIME, Extras, MountOptions, has_no_acl_parameter, is_acl};
use crate::plan::Plan;
use crate::pointer::pointer;
use crate::spec::{Mount, Spec};

/// A mount of the configuration, ready to be made.
pub(super) struct Prepared<'s> {
    /// Its options, read once.
    pub options: MountOptions<'s>,
    /// Its mount point.
    target: CString,
    /// Whether it may be attached by its name in its directory: a bind mount for which a link there means what it usually does.
    in_directory: bool,
    source: Source,
}

/// What a mount needs from the host's side.
enum Source {
    /// A new instance of a file system needs nothing but a user namespace, where its ids are mapped.
    New(Slot),
    /// What is mounted already.
    Remount,
    /// A bind mount's tree.
    Bind(Tree),
    /// The cgroup file systems.
    Cgroup(cgroup_mount::Prepared),
}

/// A tree that is to be attached.
struct Tree {
    slot: Slot,
    /// Whether the mount before, and the one after, go to the same directory.
    beside: [bool; 2],
    /// What is left to change after what it was cloned with.
    propagation: Vec<Propagation>,
}

/// What all mounts are prepared with.
pub(super) struct Preparation<'p> {
    pub cgroup: &'p Paths,
    pub host: &'p Host,
    pub namespaces: &'p Namespaces,
    pub bundle: &'p Path,
}

/// Opens the source of each mount, one for each in order. It happens in the caller's namespaces and with the caller's
/// privileges, so a source need not be reachable from within the container.
pub(super) fn sources<'s>(
    plan: &mut Plan,
    spec: &'s Spec<'_>,
    with: &Preparation<'_>,
    mut maps: IdMaps,
) -> Result<Vec<Prepared<'s>>> {
    let mut all = Vec::with_capacity(spec.mounts.len());
    for (index, mount) in spec.mounts.iter().enumerate() {
        let options = mount_options::parse(&mount.options);
        all.push(Prepared {
            target: below_root(&origin(index), &mount.destination)?,
            in_directory: !options.remount
                && bind(mount, &options).is_some()
                && !options.extras.intersects(LINKS),
            options,
            source: Source::Remount,
        });
    }
    let mut any_shared = false;
    for index in 0..all.len() {
        let beside = beside(&all, index);
        let options = &all[index].options;
        let changes = match any_shared {
            true => changes_in_shared(options, spec),
            false => changes(options, spec),
        };
        any_shared |= is_shared(options);
        let tree = (beside, changes);
        let source = source(plan, spec, (index, options), tree, with, &mut maps)?;
        all[index].source = source;
    }
    Ok(all)
}

fn origin(index: usize) -> String {
    pointer(&["mounts".into(), index.into()])
}

fn source(
    plan: &mut Plan,
    spec: &Spec<'_>,
    (index, options): (usize, &MountOptions<'_>),
    (beside, (at_once, propagation)): ([bool; 2], (Propagation, Vec<Propagation>)),
    with: &Preparation<'_>,
    maps: &mut IdMaps,
) -> Result<Source> {
    let mount = &spec.mounts[index];
    if options.remount {
        return Ok(Source::Remount);
    }
    let recursive = bind(mount, options);
    if is_cgroup(mount) && recursive.is_none() {
        let own_view = with.namespaces.all() & namespaces::CGROUP != 0;
        return cgroup_mount::sources(plan, index, with.cgroup, with.host, own_view)
            .map(Source::Cgroup);
    }
    let origin = origin(index);
    let namespace = id_map::namespace(plan, maps, &origin, spec, mount, options)?;
    let Some(recursive) = recursive else {
        return Ok(Source::New(namespace));
    };
    let nofollow = options
        .extras
        .intersects(Extras::COPY_SYMLINK | Extras::SRC_NOFOLLOW);
    let clone = Clone {
        recursive,
        nofollow,
        directory: beside != [false; 2] && !nofollow,
        propagation: at_once,
    };
    let source = source_path(mount, with.bundle);
    let slot = open_tree(plan, &(origin.clone() + "/source"), &source, clone)?;
    id_map::map_tree(plan, &origin, slot, namespace, options);
    Ok(Source::Bind(Tree {
        slot,
        beside,
        propagation,
    }))
}

/// Whether a mount is a bind mount, and then whether a recursive one.
pub(super) fn bind(mount: &Mount<'_>, options: &MountOptions<'_>) -> Option<bool> {
    options.bind.or((mount.kind == "bind").then_some(false))
}

pub(super) fn is_cgroup(mount: &Mount<'_>) -> bool {
    mount.kind == "cgroup" || mount.kind == "cgroup2"
}

/// A relative source starts at the bundle (config.md, "Mounts").
fn source_path(mount: &Mount<'_>, bundle: &Path) -> PathBuf {
    bundle.join(&*mount.source)
}

/// The steps that mount all, in order.
pub(super) fn mount(
    plan: &mut Plan,
    spec: &Spec<'_>,
    host: &Host,
    all: &[Prepared<'_>],
) -> Result<()> {
    for (index, (mount, prepared)) in spec.mounts.iter().zip(all).enumerate() {
        let origin = origin(index);
        let Prepared {
            target, options, ..
        } = prepared;
        match &prepared.source {
            Source::Bind(tree) => attach_bind(plan, origin, target, tree, options),
            Source::Cgroup(prepared) => {
                cgroup_mount::mount(
                    plan,
                    &origin,
                    &mount.destination,
                    attributes(options),
                    prepared,
                    host,
                    &spec.linux.mount_label,
                )?;
                if options.propagation.iter().any(is_no_default) {
                    of_all_below(plan, origin, target, options);
                }
            }
            Source::Remount => {
                remount(plan, origin, target, mount, options)?;
            }
            Source::New(id_map) => {
                let new = New {
                    mount,
                    options,
                    id_map: *id_map,
                    held_open: options.attr_set & READONLY != 0 && is_parent(spec, index),
                    label: &spec.linux.mount_label,
                };
                new_instance(plan, origin, target, &new)?;
            }
        }
    }
    Ok(())
}

/// For these, a link is looked at.
const LINKS: Extras = Extras::COPY_SYMLINK.union(Extras::DEST_NOFOLLOW);

/// Whether the mount before, and the one after, go to the same directory.
fn beside(all: &[Prepared<'_>], index: usize) -> [bool; 2] {
    let directory = |index: usize| {
        let mount = all.get(index).filter(|mount| mount.in_directory)?;
        let path = mount.target.to_bytes();
        // The root itself has no name.
        let name = path
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |at| at + 1);
        (!path.is_empty()).then(|| &path[..name])
    };
    let same = |other: Option<usize>| {
        let (here, there) = (directory(index), other.and_then(directory));
        here.is_some() && here == there
    };
    [same(index.checked_sub(1)), same(index.checked_add(1))]
}

pub(super) const READONLY: u64 = libc::MOUNT_ATTR_RDONLY;

fn attach_bind(
    plan: &mut Plan,
    origin: String,
    target: &CStr,
    tree: &Tree,
    options: &MountOptions<'_>,
) {
    plan.inner(
        origin,
        Op::MountBind {
            target,
            slot: tree.slot,
            copy_symlink: options.extras.contains(Extras::COPY_SYMLINK),
            nofollow: options.extras.contains(Extras::DEST_NOFOLLOW),
            beside_previous: tree.beside[0],
            beside_next: tree.beside[1],
            set: MountAttr(options.attr_set),
            clear: MountAttr(options.attr_clr),
            set_recursive: MountAttr(options.recursive_attr_set),
            clear_recursive: MountAttr(options.recursive_attr_clr),
            propagation: List::Items(&tree.propagation),
        },
    );
}

/// The propagation that a bind mount's tree is cloned with, or 0, and the changes after that.
///
/// First the whole tree is cut off from the caller's, whatever a part of it is to become; not twice. Only what stays as it is
/// while a user namespace of the container's takes the tree over can be done at once: shared trees become slaves then, and
/// unbindable ones cannot be cloned again.
fn changes(options: &MountOptions<'_>, spec: &Spec<'_>) -> (Propagation, Vec<Propagation>) {
    let mut all = propagation(options);
    if let Some(first) = bind_propagation(&spec.linux)
        && !all.first().is_some_and(|asked| {
            *asked == first
                || CUTS_OFF.contains(&Propagation(asked.0 & !MS_REC)) && asked.0 & MS_REC != 0
        })
    {
        all.insert(0, first);
    }
    match all.first() {
        Some(Propagation(AT_ONCE_PRIVATE | AT_ONCE_SLAVE)) => (all.remove(0), all),
        _ => (Propagation(0), all),
    }
}

fn is_shared(options: &MountOptions<'_>) -> bool {
    let asked = &options.propagation;
    asked.iter().any(|asked| asked.flag == libc::MS_SHARED)
}

/// The same where an earlier mount is shared: inside of it, what is asked for counts once the mount is attached, and only then.
fn changes_in_shared(
    options: &MountOptions<'_>,
    spec: &Spec<'_>,
) -> (Propagation, Vec<Propagation>) {
    let first = bind_propagation(&spec.linux).unwrap_or(Propagation(0));
    (first, propagation(options))
}

const AT_ONCE_PRIVATE: u64 = libc::MS_PRIVATE | MS_REC;
const AT_ONCE_SLAVE: u64 = libc::MS_SLAVE | MS_REC;

/// What leaves nothing of a propagation that was there before.
const CUTS_OFF: [Propagation; 2] = [
    Propagation(libc::MS_PRIVATE),
    Propagation(libc::MS_UNBINDABLE),
];

fn propagation(options: &MountOptions<'_>) -> Vec<Propagation> {
    let flags = |asked: &mount_options::Propagation| {
        Propagation(asked.flag | if asked.recursive { MS_REC } else { 0 })
    };
    options.propagation.iter().map(flags).collect()
}

/// What is mounted anew is private, and the slave of nothing, anyhow.
fn is_no_default(asked: &mount_options::Propagation) -> bool {
    matches!(asked.flag, libc::MS_SHARED | libc::MS_UNBINDABLE)
}

/// Changes the propagation of what is mounted at and below `target`.
fn of_all_below(plan: &mut Plan, origin: String, target: &CStr, options: &MountOptions<'_>) {
    let mut propagation = propagation(options);
    propagation.iter_mut().for_each(|change| change.0 |= MS_REC);
    plan.inner(
        origin,
        Op::Remount {
            target,
            options: List::Items(&[]),
            set: MountAttr(0),
            clear: MountAttr(0),
            propagation: List::Items(&propagation),
        },
    );
}

/// What makes a new instance of a file system.
struct New<'n> {
    mount: &'n Mount<'n>,
    options: &'n MountOptions<'n>,
    id_map: Slot,
    /// Whether it has to stay writable for what is mounted inside of it later.
    held_open: bool,
    /// `linux.mountLabel`
    label: &'n str,
}

fn new_instance(plan: &mut Plan, origin: String, target: &CStr, new: &New<'_>) -> Result<()> {
    let (mount, options) = (new.mount, new.options);
    let mut set = attributes(options);
    if new.held_open {
        set.0 &= !READONLY;
    }
    let copy_up = options.extras.contains(Extras::TMPCOPYUP);
    let flags = options.sb_flags.iter();
    let mut parameters = flags
        .filter(|flag| !(**flag == "ro" && (new.held_open || copy_up)))
        .map(|flag| Ok((c(&origin, *flag)?, c(&origin, "")?)))
        .collect::<Result<Vec<_>>>()?;
    data(&origin, mount, options, &mut parameters)?;
    if !new.label.is_empty() && !UNLABELED.contains(&&*mount.kind) {
        parameters.push((c(&origin, "context")?, c(&origin, new.label)?));
    }
    let fstype = c(&origin, &*mount.kind)?;
    let source = if mount.source.is_empty() {
        &mount.kind
    } else {
        &mount.source
    };
    let source = c(&origin, &**source)?;
    let propagation = propagation(options);
    plan.inner(
        origin,
        Op::MountFs {
            target,
            fstype: &fstype,
            source: &source,
            options: List::Items(&borrowed(&parameters)),
            attributes: set,
            id_map: new.id_map,
            copy_up,
            propagation: List::Items(&propagation),
        },
    );
    Ok(())
}

/// File systems whose files have labels of their own.
const UNLABELED: &[&str] = &["proc", "sysfs"];

/// A key and its value.
type Parameter = (CString, CString);

/// What a step takes of parameters.
fn borrowed(parameters: &[Parameter]) -> Vec<(&CStr, &CStr)> {
    parameters
        .iter()
        .map(|(key, value)| (key.as_c_str(), value.as_c_str()))
        .collect()
}

/// Appends what belongs to the file system.
fn data(
    origin: &str,
    mount: &Mount<'_>,
    options: &MountOptions<'_>,
    parameters: &mut Vec<Parameter>,
) -> Result<()> {
    let taken = |key: &str| is_acl(key) && has_no_acl_parameter(&mount.kind);
    for (key, value) in options.data.iter().filter(|(key, _)| !taken(key)) {
        parameters.push((c(origin, *key)?, c(origin, value.unwrap_or(""))?));
    }
    Ok(())
}

/// Attributes of a mount without a tree below it.
fn attributes(options: &MountOptions<'_>) -> MountAttr {
    MountAttr(options.attr_set | options.recursive_attr_set)
}

/// A mount with `remount`. As with mount(2) the flags that are given replace those that were there, but access times stay as they
/// are where none is given; without `bind` the superblock changes as well.
fn remount(
    plan: &mut Plan,
    origin: String,
    target: &CStr,
    mount: &Mount<'_>,
    options: &MountOptions<'_>,
) -> Result<()> {
    let set = options.attr_set | options.recursive_attr_set;
    let given = set | options.attr_clr | options.recursive_attr_clr;
    let times = given & (ATIME | libc::MOUNT_ATTR_NODIRATIME) != 0;
    let replaced = if times {
        FLAGS | libc::MOUNT_ATTR_NODIRATIME
    } else {
        FLAGS
    };
    let clear = (options.attr_clr & ATIME) | replaced & !set;
    let mut parameters = Vec::new();
    if bind(mount, options).is_none() {
        for (on, off) in SUPERBLOCK {
            let flag = if options.sb_flags.contains(on) {
                on
            } else {
                off
            };
            parameters.push((c(&origin, *flag)?, c(&origin, "")?));
        }
        data(&origin, mount, options, &mut parameters)?;
    }
    let propagation = propagation(options);
    plan.inner(
        origin,
        Op::Remount {
            target,
            options: List::Items(&borrowed(&parameters)),
            set: MountAttr(set),
            clear: MountAttr(clear),
            propagation: List::Items(&propagation),
        },
    );
    Ok(())
}

/// Attributes that remounting replaces.
const FLAGS: u64 = libc::MOUNT_ATTR_RDONLY
    | libc::MOUNT_ATTR_NOSUID
    | libc::MOUNT_ATTR_NODEV
    | libc::MOUNT_ATTR_NOEXEC
    | libc::MOUNT_ATTR_NOSYMFOLLOW;

/// Flags of the superblock that remounting replaces, and their opposites.
const SUPERBLOCK: &[(&str, &str)] = &[
    ("ro", "rw"),
    ("sync", "async"),
    ("lazytime", "nolazytime"),
    ("mand", "nomand"),
];

/// Whether a later mount, or a device, is to have its place inside of mount `index`.
pub(super) fn is_parent(spec: &Spec<'_>, index: usize) -> bool {
    let place = normal(&spec.mounts[index].destination);
    let inside = |path: &str| {
        normal(path)
            .strip_prefix(&*place)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    place == "/dev"
        || spec.mounts[index + 1..]
            .iter()
            .any(|mount| inside(&mount.destination))
        || spec.linux.devices.iter().any(|device| inside(&device.path))
}
