//! Mounts of the configuration: for each, what has to be opened on the host's side, and the step that attaches it.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};

use oci_runtime_cgroups::Paths;
use oci_runtime_init::op::{List, MountAttr, Op, Propagation, Slot};

use super::cgroup_mount;
use super::host_side::open_tree;
use super::namespaces::{self, Namespaces};
use super::propagation::{MS_REC, bind_propagation};
use super::text::{below_root, c};
use crate::error::Result;
use crate::host::Host;
use crate::mount_options::{self, MountOptions};
use crate::plan::Plan;
use crate::pointer::pointer;
use crate::spec::{Mount, Spec};

/// What a mount needs from the host's side.
pub(super) enum Prepared {
    /// A new instance of a file system needs nothing.
    New,
    /// A bind mount's tree.
    Bind(Slot),
    /// The cgroup file systems.
    Cgroup(cgroup_mount::Prepared),
}

/// Opens the source of each mount, one for each in order. It happens in the caller's namespaces and with the caller's
/// privileges, so a source need not be reachable from within the container.
pub(super) fn sources(
    plan: &mut Plan,
    spec: &Spec<'_>,
    cgroup: &Paths,
    host: &Host,
    namespaces: &Namespaces,
    bundle: &Path,
) -> Result<Vec<Prepared>> {
    let prepare = |(index, mount): (usize, &Mount<'_>)| {
        let options = mount_options::parse(&mount.options);
        if let Some(recursive) = bind(mount, &options) {
            let origin = pointer(&["mounts".into(), index.into(), "source".into()]);
            let source = source_path(mount, bundle);
            return open_tree(plan, &origin, &source, recursive).map(Prepared::Bind);
        }
        if is_cgroup(mount) {
            let own_view = namespaces.all() & namespaces::CGROUP != 0;
            return cgroup_mount::sources(plan, index, cgroup, host, own_view)
                .map(Prepared::Cgroup);
        }
        Ok(Prepared::New)
    };
    spec.mounts.iter().enumerate().map(prepare).collect()
}

/// Whether a mount is a bind mount, and then whether a recursive one.
fn bind(mount: &Mount<'_>, options: &MountOptions<'_>) -> Option<bool> {
    options.bind.or((mount.kind == "bind").then_some(false))
}

fn is_cgroup(mount: &Mount<'_>) -> bool {
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
    prepared: Vec<Prepared>,
) -> Result<()> {
    for (index, (mount, prepared)) in spec.mounts.iter().zip(&prepared).enumerate() {
        let origin = pointer(&["mounts".into(), index.into()]);
        let target = below_root(&origin, &mount.destination)?;
        let options = mount_options::parse(&mount.options);
        match prepared {
            Prepared::Bind(slot) => attach_bind(plan, origin, &target, *slot, &options, spec),
            Prepared::Cgroup(prepared) => {
                cgroup_mount::mount(
                    plan,
                    &origin,
                    &mount.destination,
                    attributes(&options),
                    prepared,
                    host,
                )?;
            }
            Prepared::New => {
                let held_open = is_parent(spec, index) && options.attr_set & READONLY != 0;
                new_instance(plan, origin, &target, mount, &options, held_open)?;
            }
        }
    }
    close_parents(plan, spec)
}

const READONLY: u64 = libc::MOUNT_ATTR_RDONLY;

fn attach_bind(
    plan: &mut Plan,
    origin: String,
    target: &CStr,
    slot: Slot,
    options: &MountOptions<'_>,
    spec: &Spec<'_>,
) {
    let mut propagation = propagation(options);
    if propagation.is_empty() {
        propagation.extend(bind_propagation(&spec.linux));
    }
    plan.inner(
        origin,
        Op::MountBind {
            target,
            slot,
            set: MountAttr(options.attr_set),
            clear: MountAttr(options.attr_clr),
            set_recursive: MountAttr(options.recursive_attr_set),
            clear_recursive: MountAttr(options.recursive_attr_clr),
            propagation: List::Items(&propagation),
        },
    );
}

fn propagation(options: &MountOptions<'_>) -> Vec<Propagation> {
    let flags = |asked: &mount_options::Propagation| {
        Propagation(asked.flag | if asked.recursive { MS_REC } else { 0 })
    };
    options.propagation.iter().map(flags).collect()
}

fn new_instance(
    plan: &mut Plan,
    origin: String,
    target: &CStr,
    mount: &Mount<'_>,
    options: &MountOptions<'_>,
    held_open: bool,
) -> Result<()> {
    let mut set = attributes(options);
    let mut parameters: Vec<(CString, CString)> = Vec::new();
    for flag in options
        .sb_flags
        .iter()
        .filter(|flag| !(held_open && **flag == "ro"))
    {
        parameters.push((c(&origin, *flag)?, c(&origin, "")?));
    }
    for (key, value) in &options.data {
        parameters.push((c(&origin, *key)?, c(&origin, value.unwrap_or(""))?));
    }
    if held_open {
        set.0 &= !READONLY;
    }
    let parameters: Vec<(&CStr, &CStr)> = parameters
        .iter()
        .map(|(key, value)| (key.as_c_str(), value.as_c_str()))
        .collect();
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
            options: List::Items(&parameters),
            attributes: set,
            propagation: List::Items(&propagation),
        },
    );
    Ok(())
}

/// Attributes of a mount without a tree below it.
fn attributes(options: &MountOptions<'_>) -> MountAttr {
    MountAttr(options.attr_set | options.recursive_attr_set)
}

/// Whether a later mount, or a device, is to have its place inside of mount `index`.
fn is_parent(spec: &Spec<'_>, index: usize) -> bool {
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

fn normal(path: &str) -> Cow<'_, str> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    Cow::Owned(format!("/{}", parts.join("/")))
}

/// What had to stay writable for mounts inside of it becomes read-only. /dev waits for its devices: [`super::devices`]
/// come after this, so it is done by [`close_dev`].
fn close_parents(plan: &mut Plan, spec: &Spec<'_>) -> Result<()> {
    close(plan, spec, |place| place != "/dev")
}

/// Makes a /dev that was asked for as read-only so, once its devices are made.
pub(super) fn close_dev(plan: &mut Plan, spec: &Spec<'_>) -> Result<()> {
    close(plan, spec, |place| place == "/dev")
}

fn close(plan: &mut Plan, spec: &Spec<'_>, which: impl Fn(&str) -> bool) -> Result<()> {
    for (index, mount) in spec.mounts.iter().enumerate() {
        let options = mount_options::parse(&mount.options);
        let new = bind(mount, &options).is_none() && !is_cgroup(mount);
        let due = new && options.attr_set & READONLY != 0 && is_parent(spec, index);
        if due && which(&normal(&mount.destination)) {
            let origin = pointer(&["mounts".into(), index.into(), "options".into()]);
            let target = below_root(&origin, &mount.destination)?;
            plan.inner(
                origin,
                Op::Remount {
                    target: &target,
                    set: MountAttr(READONLY),
                    clear: MountAttr(0),
                    propagation: List::Items(&[]),
                },
            );
        }
    }
    Ok(())
}
