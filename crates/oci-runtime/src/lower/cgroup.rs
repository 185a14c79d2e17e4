//! The container's cgroup: made and limited by the parent, joined by the new process itself.
//!
//! On v2 the process is born in it (`CLONE_INTO_CGROUP`). On v1 it writes itself into each hierarchy, through files that the
//! outer lane has opened: moving another process would mean to wait for every fork in the system, in each hierarchy anew.

use oci_runtime_cgroups::{Paths, Resources};
use oci_runtime_init::op::{NO_SLOT, Op, Slot};

use super::host_side::later_slot;
use super::text::c;
use crate::error::{Error, LowerProblem, Result};
use crate::host::Host;
use crate::plan::{ParentOp, Plan, Source};
use crate::spec::Linux;

const PATH: &str = "/linux/cgroupsPath";
const RESOURCES: &str = "/linux/resources";

/// Where the container's cgroup is.
pub(super) fn paths(linux: &Linux<'_>, host: &Host, id: &str) -> Result<Paths> {
    let asked = (!linux.cgroups_path.is_empty()).then_some(&*linux.cgroups_path);
    oci_runtime_cgroups::resolve(&host.cgroups, asked, id)
        .map_err(|error| Error::lower(PATH, LowerProblem::Cgroup(error)))
}

/// The parent's steps that make it and limit it.
pub(super) fn make(
    plan: &mut Plan,
    linux: &Linux<'_>,
    host: &Host,
    paths: &Paths,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let nothing = Resources::default();
    let resources = linux.resources.as_ref().unwrap_or(&nothing);
    let limits = oci_runtime_cgroups::writes(resources, &host.cgroups, paths).map_err(|error| {
        let pointer = format!("{RESOURCES}{}", error.pointer().unwrap_or_default());
        Error::lower(pointer, LowerProblem::Cgroup(error))
    })?;
    let warning = |warning: &oci_runtime_cgroups::Warning| {
        format!("{RESOURCES}{}: {}", warning.origin, warning.reason)
    };
    warnings.extend(limits.warnings.iter().map(warning));
    plan.parent(
        PATH,
        ParentOp::CreateCgroup {
            paths: paths.clone(),
        },
    );
    plan.parent(RESOURCES, ParentOp::ApplyLimits { limits });
    Ok(())
}

/// A slot for the v2 directory, if there is one.
pub(super) fn birthplace(plan: &mut Plan, paths: &Paths) -> Slot {
    match paths.unified() {
        Some(_) => plan.slot(PATH, Source::CgroupDirectory),
        None => NO_SLOT,
    }
}

/// Steps of the outer lane that open what the process joins v1 directories by. Answers the slots.
pub(super) fn open(plan: &mut Plan, paths: &Paths) -> Result<Vec<Slot>> {
    use std::os::unix::ffi::OsStrExt;
    let v1 = paths
        .dirs()
        .into_iter()
        .filter(|directory| Some(*directory) != paths.unified());
    v1.map(|directory| {
        let path = c(PATH, directory.join("tasks").as_os_str().as_bytes())?;
        let slot = later_slot(plan, PATH)?;
        plan.outer(PATH, Op::OpenCgroup { path: &path, slot });
        Ok(slot)
    })
    .collect()
}

/// Steps of the inner lane that join them.
pub(super) fn join(plan: &mut Plan, slots: &[Slot]) {
    for slot in slots {
        plan.inner(PATH, Op::JoinCgroup { slot: *slot });
    }
    // The caller may be bound to some processors; the container is bound by its cpuset alone.
    plan.inner("", Op::ResetAffinity {});
}
