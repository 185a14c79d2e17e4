//! Lowering: a configuration and the facts of the host become a [`Plan`]. A pure function; where a container starts is
//! answered here.
//!
//! [`create`] reads like the life of a container up to its payload. The order is what makes it safe, and golden
//! plans pin it: nothing of the container's is looked at before the namespaces are its own, nothing of the host's is
//! reachable when the root has changed, privileges go last, and the wait for `start` has nothing left to fail but the payload.

mod cgroup;
mod cgroup_mount;
mod closing;
mod devices;
mod exec;
mod execution;
mod hooks;
mod host_side;
mod id_map;
mod limits;
mod locked;
mod mounts;
mod namespaces;
mod net_devices;
mod process;
mod propagation;
mod resctrl;
mod seccomp;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use oci_runtime_cgroups::Paths;
use oci_runtime_cgroups::systemd::Unit;
use oci_runtime_init::op::{NO_SLOT, Op, Propagation, Slot};

use crate::cgroup::CgroupManager;
use crate::check;
use crate::error::{Error, LowerProblem, Result};
use crate::hooks::Hook;
use crate::host::Host;
use crate::plan::{ParentOp, Plan, Source};
use crate::pointer::pointer;
use crate::spec::{Process, Spec};

pub(crate) use exec::{Join, exec};
use namespaces::Namespaces;
pub(crate) use namespaces::names as namespace_names;
use text::{below_root, c};

/// What a configuration does not say: how the caller wants its container made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Absolute path of the bundle; relative paths of the configuration start there.
    pub bundle: &'a Path,
    /// Absolute path of the container's state directory.
    pub state: &'a Path,
    /// Whether the payload waits for `start`.
    pub gate: bool,
    /// How many of the caller's fds from 3 on the payload keeps.
    pub preserve_fds: u16,
    /// Whether the payload gets a session keyring of its own.
    pub keyring: bool,
    /// Who makes the cgroup.
    pub cgroup_manager: CgroupManager,
    /// Whether the payload's system calls are recorded.
    pub record: bool,
}

/// A plan, and what the parent has to remember of the container.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub plan: Plan,
    pub cgroup: Paths,
    /// The cgroup's unit, where systemd makes it.
    pub unit: Option<Unit>,
    /// `CLONE_NEW*` flags of all namespaces that the configuration names.
    pub namespaces: u64,
    pub rootfs: PathBuf,
    /// Hooks for when the program runs.
    pub poststart: Vec<Hook>,
    /// Hooks for when the container is deleted.
    pub poststop: Vec<Hook>,
    /// What is done otherwise than asked, in words.
    pub warnings: Vec<String>,
}

/// The plan of a new container.
pub(crate) fn create(spec: &Spec<'_>, host: &Host, request: Request<'_>) -> Result<Lowered> {
    let process = &*payload(spec, request.gate)?;
    let linux = &spec.linux;
    let rootfs = rootfs(spec, request.bundle);
    let namespaces = namespaces::read_for(linux, host);
    let place = cgroup::place(spec, host, request.id, request.cgroup_manager)?;
    let cgroup = &place.paths;
    let mut warnings = Vec::new();
    let filters = seccomp::compile(spec, process, host, request.record, &mut warnings)?;
    let mut plan = Plan::new(request.preserve_fds);
    let mut slots = parent_slots(
        &mut plan,
        spec,
        &namespaces,
        process,
        cgroup,
        &rootfs,
        request.gate,
    );

    cgroup::make(&mut plan, spec, host, &place, &mut warnings)?;
    resctrl::make(&mut plan, linux, host, request.id);

    process::outer(&mut plan, process);
    if namespaces.early {
        namespaces::enter_user(&mut plan, linux, host)?;
        let whole = host_side::Clone {
            recursive: true,
            nofollow: true,
            directory: false,
            propagation: Propagation(0),
        };
        slots.rootfs = host_side::open_tree(&mut plan, "/root/path", &rootfs, whole)?;
    }
    let maps = id_map::IdMaps::new(namespaces.joined_user(&slots.namespaces));
    let with = mounts::Preparation {
        cgroup,
        host,
        namespaces: &namespaces,
        bundle: request.bundle,
    };
    let opened = open_on_host(&mut plan, spec, &with, maps)?;
    namespaces::time(&mut plan, linux, &namespaces)?;
    let locked = locked::lock(&mut plan, &namespaces, request.state)?;
    namespaces::join(&mut plan, &namespaces, &slots.namespaces);
    namespaces::spawn(&mut plan, &namespaces, slots.birthplace);

    plan.inner("", Op::Hello {});
    namespaces::become_root(&mut plan, linux, &namespaces);
    locked::take(&mut plan, &locked);
    cgroup::join(&mut plan, &opened.cgroup);
    // The caller may be bound to some processors; the container is bound by its cpuset alone.
    execution::affinity("", |op| plan.inner("", op));
    namespaces::inner(&mut plan, &namespaces, &slots.namespaces);
    net_devices::take(&mut plan, linux, slots.net);
    if linux.intel_rdt.is_some() {
        resctrl::join(&mut plan);
    }
    process::session(&mut plan, process, request.id, request.keyring)?;
    let place_of_root = hooks::place_of_root(spec, &rootfs)?;
    propagation::attach_root(&mut plan, linux, slots.rootfs, &place_of_root);
    mounts::mount(&mut plan, spec, host, &opened.mounts)?;
    closing::parents(&mut plan, spec, &opened.mounts)?;
    devices::make(&mut plan, spec, host, opened.devices)?;
    closing::dev(&mut plan, spec, &opened.mounts)?;
    hooks::create(&mut plan, spec, request.id, request.bundle)?;
    plan.inner("", Op::Pivot {});
    slots.streams.lower(&mut plan, process, true);
    finish_system(&mut plan, spec, opened.null)?;
    propagation::finish_root(&mut plan, linux);

    execution::lower(&mut plan, process, linux, host)?;
    process::place(&mut plan, process, true)?;
    let hooked = !spec.hooks.start_container.is_empty();
    if !hooked {
        process::late_limits(&mut plan, process);
    }
    process::identity(&mut plan, process, host, &filters);
    if spec.process.is_some() {
        process::lookup(&mut plan, process, host, &filters)?;
        seccomp::install_before_ready(&mut plan, process, &filters);
    }
    ready(&mut plan, slots.gate);
    if spec.process.is_some() {
        hooks::start(&mut plan, spec, request.id, request.bundle)?;
        if hooked {
            // They are the payload's: a hook may write more, or start more.
            process::late_limits(&mut plan, process);
        }
        process::become_payload(&mut plan, process, host, &filters)?;
    }

    limits::check(&plan)?;
    Ok(Lowered {
        plan,
        unit: place.unit(),
        cgroup: place.paths,
        namespaces: namespaces.all(),
        rootfs,
        poststart: hooks::of_parent("poststart", &spec.hooks.poststart),
        poststop: hooks::of_parent("poststop", &spec.hooks.poststop),
        warnings,
    })
}

/// All is set up. Without a gate the program begins at once, so its pid is saved before; with one it is saved meanwhile.
fn ready(plan: &mut Plan, gate: Option<(Slot, Slot)>) {
    match gate {
        Some((gate, report)) => {
            plan.inner("", Op::Ready {});
            plan.parent("", ParentOp::SaveState);
            plan.inner("", Op::AwaitStart { gate, report });
        }
        None => {
            plan.inner("", Op::Yield {});
            plan.parent("", ParentOp::SaveState);
            plan.inner("", Op::Ready {});
        }
    }
}

/// Without a process there is a container all the same, which nothing can start: `start` is what needs one (config.md, "Process").
/// What waits in it is as little as can be.
fn payload<'s, 'a>(spec: &'s Spec<'a>, gate: bool) -> Result<Cow<'s, Process<'a>>> {
    match &spec.process {
        Some(process) => Ok(Cow::Borrowed(process)),
        None if gate => Ok(Cow::Owned(Process {
            cwd: "/".into(),
            no_new_privileges: true,
            ..Process::default()
        })),
        None => Err(Error::lower("/process", LowerProblem::Missing)),
    }
}

/// A relative root starts at the bundle (config.md, "Root").
fn rootfs(spec: &Spec<'_>, bundle: &Path) -> PathBuf {
    bundle.join(spec.root.as_ref().map_or("", |root| &*root.path))
}

/// Slots that the parent fills.
struct ParentSlots {
    streams: process::Streams,
    rootfs: Slot,
    gate: Option<(Slot, Slot)>,
    namespaces: Vec<Slot>,
    birthplace: Slot,
    net: Slot,
}

fn parent_slots(
    plan: &mut Plan,
    spec: &Spec<'_>,
    namespaces: &Namespaces,
    process: &Process<'_>,
    cgroup: &Paths,
    rootfs: &Path,
    gate: bool,
) -> ParentSlots {
    ParentSlots {
        streams: process::Streams::slots(plan, process),
        rootfs: match namespaces.early {
            true => NO_SLOT,
            false => plan.slot("/root/path", Source::Rootfs(rootfs.to_owned())),
        },
        gate: gate.then(|| {
            (
                plan.slot("", Source::Gate),
                plan.slot("", Source::GateReport),
            )
        }),
        namespaces: namespaces.slots(plan),
        birthplace: cgroup::birthplace(plan, cgroup),
        net: net_devices::slot(plan, &spec.linux),
    }
}

/// Slots that the outer lane fills, while paths are still the host's.
struct Opened<'s> {
    cgroup: Vec<Slot>,
    null: Slot,
    mounts: Vec<mounts::Prepared<'s>>,
    devices: devices::Sources,
}

fn open_on_host<'s>(
    plan: &mut Plan,
    spec: &'s Spec<'_>,
    with: &mounts::Preparation<'_>,
    maps: id_map::IdMaps,
) -> Result<Opened<'s>> {
    Ok(Opened {
        cgroup: cgroup::open(plan, with.cgroup)?,
        null: devices::null_source(plan, &spec.linux)?,
        mounts: mounts::sources(plan, spec, with, maps)?,
        devices: devices::sources(plan, spec, with.host, with.namespaces)?,
    })
}

fn finish_system(plan: &mut Plan, spec: &Spec<'_>, null: Slot) -> Result<()> {
    for (name, value) in &spec.linux.sysctl {
        let origin = pointer(&["linux".into(), "sysctl".into(), (&**name).into()]);
        // Checked to be a name.
        let path = c(&origin, check::sysctl_path(name).unwrap_or_default())?;
        let value = c(&origin, &**value)?;
        plan.inner(
            origin,
            Op::Sysctl {
                path: &path,
                value: &value,
            },
        );
    }
    if !spec.hostname.is_empty() {
        let name = c("/hostname", &*spec.hostname)?;
        plan.inner("/hostname", Op::Hostname { name: &name });
    }
    if !spec.domainname.is_empty() {
        let name = c("/domainname", &*spec.domainname)?;
        plan.inner("/domainname", Op::Domainname { name: &name });
    }
    mask(plan, spec, null)
}

/// What must be out of reach: masked paths, read-only paths, and last the root itself.
fn mask(plan: &mut Plan, spec: &Spec<'_>, null: Slot) -> Result<()> {
    for (index, masked) in spec.linux.masked_paths.iter().enumerate() {
        let origin = pointer(&["linux".into(), "maskedPaths".into(), index.into()]);
        let path = below_root(&origin, masked)?;
        plan.inner(origin, Op::Mask { path: &path, null });
    }
    for (index, readonly) in spec.linux.readonly_paths.iter().enumerate() {
        let origin = pointer(&["linux".into(), "readonlyPaths".into(), index.into()]);
        let path = below_root(&origin, readonly)?;
        plan.inner(origin, Op::Readonly { path: &path });
    }
    if spec.root.as_ref().is_some_and(|root| root.readonly) {
        plan.inner("/root/readonly", Op::ReadonlyRoot {});
    }
    Ok(())
}
