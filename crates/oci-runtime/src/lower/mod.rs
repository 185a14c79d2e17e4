//! Lowering: a configuration and the facts of the host become a [`Plan`]. A pure function; where a container starts is
//! answered here.
//!
//! [`create`] reads like the life of a container up to its payload. The order is what makes it safe, and golden
//! plans pin it: nothing of the container's is looked at before the namespaces are its own, nothing of the host's is
//! reachable when the root has changed, privileges go last, and the wait for `start` has nothing left to fail but the payload.

mod cgroup_mount;
mod devices;
mod exec;
mod host_side;
mod limits;
mod mounts;
mod namespaces;
mod process;
mod propagation;
mod seccomp;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};

use oci_runtime_cgroups::{Paths, Resources};
use oci_runtime_init::op::{NO_SLOT, Op, Propagation, Slot};

use crate::check;
use crate::error::{Error, LowerProblem, Result};
use crate::host::Host;
use crate::mount_options;
use crate::plan::{ParentOp, Plan, Source};
use crate::pointer::pointer;
use crate::spec::{Linux, Process, Spec};

pub(crate) use exec::{Join, exec};
use namespaces::Namespaces;
use propagation::{MS_REC, root_propagation};
use text::{below_root, c};

/// What a configuration does not say: how the caller wants its container made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Absolute path of the bundle; relative paths of the configuration start there.
    pub bundle: &'a Path,
    /// Whether the payload waits for `start`.
    pub gate: bool,
    /// How many of the caller's fds from 3 on the payload keeps.
    pub preserve_fds: u16,
    /// Whether the payload gets a session keyring of its own.
    pub keyring: bool,
}

/// A plan, and what the parent has to remember of the container.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub plan: Plan,
    pub cgroup: Paths,
    /// `CLONE_NEW*` flags of all namespaces that the configuration names.
    pub namespaces: u64,
    pub rootfs: PathBuf,
    /// What is done otherwise than asked, in words.
    pub warnings: Vec<String>,
}

/// The plan of a new container.
pub(crate) fn create(spec: &Spec<'_>, host: &Host, request: Request<'_>) -> Result<Lowered> {
    let process = spec
        .process
        .as_ref()
        .ok_or_else(|| Error::lower("/process", LowerProblem::Missing))?;
    let linux = &spec.linux;
    let rootfs = request
        .bundle
        .join(spec.root.as_ref().map_or("", |root| &*root.path));
    let namespaces = namespaces::read(linux);
    let mut plan = Plan::new(request.preserve_fds);
    let mut warnings = Vec::new();
    let slots = parent_slots(&mut plan, &namespaces, process, host, &rootfs, request.gate);

    let filter = seccomp::compile(spec, process, host, &mut warnings)?;
    let cgroup = cgroup(&mut plan, linux, host, request.id, &mut warnings)?;

    process::outer(&mut plan, process);
    let null = devices::null_source(&mut plan, linux)?;
    let sources = mounts::sources(&mut plan, spec, &cgroup, host, &namespaces, request.bundle)?;
    let nodes = devices::sources(&mut plan, spec, &namespaces)?;
    namespaces::join(&mut plan, &namespaces, &slots.namespaces);
    namespaces::time(&mut plan, linux, &namespaces)?;
    let born_in = slots.cgroup.unwrap_or(NO_SLOT);
    plan.outer(
        namespaces::ORIGIN,
        Op::Spawn {
            namespaces: namespaces.clone_flags(),
            cgroup: born_in,
        },
    );
    plan.inner("", Op::Yield {});

    namespaces::id_maps(&mut plan, linux, &namespaces);
    if slots.cgroup.is_none() {
        plan.parent(
            "/linux/cgroupsPath",
            ParentOp::AttachCgroup {
                paths: cgroup.clone(),
            },
        );
    }

    namespaces::inner(&mut plan, &namespaces);
    plan.inner("", Op::Session {});
    if request.keyring {
        process::keyring(&mut plan, request.id)?;
    }
    let propagation = root_propagation(linux);
    plan.inner(
        "/linux/rootfsPropagation",
        Op::Propagation { flags: propagation },
    );
    plan.inner(
        "/root/path",
        Op::AttachRoot {
            slot: slots.rootfs,
            propagation,
        },
    );
    mounts::mount(&mut plan, spec, host, sources)?;
    devices::make(&mut plan, spec, nodes)?;
    mounts::close_dev(&mut plan, spec)?;
    plan.inner("", Op::Pivot {});
    finish_root(&mut plan, linux);
    slots.streams.lower(&mut plan, process, true);
    finish_system(&mut plan, spec)?;
    mask(&mut plan, spec, null)?;

    process::identity(&mut plan, process, host, filter.as_ref(), false)?;
    process::ready(&mut plan, process)?;
    plan.parent("", ParentOp::SaveState);
    if let Some((gate, report)) = slots.gate {
        plan.inner("", Op::AwaitStart { gate, report });
    }
    process::become_payload(&mut plan, process, filter.as_ref())?;

    let namespaces = namespaces.all();
    limits::check(&plan)?;
    Ok(Lowered {
        plan,
        cgroup,
        namespaces,
        rootfs,
        warnings,
    })
}

/// Slots that the parent fills.
struct ParentSlots {
    streams: process::Streams,
    rootfs: Slot,
    gate: Option<(Slot, Slot)>,
    namespaces: Vec<Slot>,
    cgroup: Option<Slot>,
}

fn parent_slots(
    plan: &mut Plan,
    namespaces: &Namespaces,
    process: &Process<'_>,
    host: &Host,
    rootfs: &Path,
    gate: bool,
) -> ParentSlots {
    ParentSlots {
        streams: process::Streams::slots(plan, process),
        rootfs: plan.slot("/root/path", Source::Rootfs(rootfs.to_owned())),
        gate: gate.then(|| {
            (
                plan.slot("", Source::Gate),
                plan.slot("", Source::GateReport),
            )
        }),
        namespaces: namespaces.slots(plan),
        // Only cgroup v2 has a directory to be born in.
        cgroup: (host.cgroups.mode == oci_runtime_cgroups::Mode::V2)
            .then(|| plan.slot("/linux/cgroupsPath", Source::CgroupDirectory)),
    }
}

fn cgroup(
    plan: &mut Plan,
    linux: &Linux<'_>,
    host: &Host,
    id: &str,
    warnings: &mut Vec<String>,
) -> Result<Paths> {
    const PATH: &str = "/linux/cgroupsPath";
    const RESOURCES: &str = "/linux/resources";
    let asked = (!linux.cgroups_path.is_empty()).then_some(&*linux.cgroups_path);
    let paths = oci_runtime_cgroups::resolve(&host.cgroups, asked, id)
        .map_err(|error| Error::lower(PATH, LowerProblem::Cgroup(error)))?;
    let nothing = Resources::default();
    let resources = linux.resources.as_ref().unwrap_or(&nothing);
    let limits =
        oci_runtime_cgroups::writes(resources, &host.cgroups, &paths).map_err(|error| {
            let pointer = format!("{RESOURCES}{}", error.pointer().unwrap_or_default());
            Error::lower(pointer, LowerProblem::Cgroup(error))
        })?;
    warnings.extend(
        limits
            .warnings
            .iter()
            .map(|warning| format!("{RESOURCES}{}: {}", warning.origin, warning.reason)),
    );
    plan.parent(
        PATH,
        ParentOp::CreateCgroup {
            paths: paths.clone(),
        },
    );
    plan.parent(RESOURCES, ParentOp::ApplyLimits { limits });
    Ok(paths)
}

fn finish_root(plan: &mut Plan, linux: &Linux<'_>) {
    if let Some(asked) = mount_options::propagation(&linux.rootfs_propagation) {
        let flags = Propagation(asked.flag | if asked.recursive { MS_REC } else { 0 });
        plan.inner("/linux/rootfsPropagation", Op::RootPropagation { flags });
    }
}

fn finish_system(plan: &mut Plan, spec: &Spec<'_>) -> Result<()> {
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
    Ok(())
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
