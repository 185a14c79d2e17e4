//! The plan of a process that joins a running container: enter all its namespaces at once, then the same tail as a new one.

use std::path::PathBuf;

use oci_runtime_cgroups::Paths;
use oci_runtime_init::op::{Namespaces, Op, Slot};

use super::{cgroup, execution, limits, namespaces, process, resctrl, seccomp};
use crate::error::Result;
use crate::host::Host;
use crate::plan::{Plan, Source};
use crate::spec::{Process, Spec, said};

/// What the process joins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Join<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Pid of its first process.
    pub pid: i32,
    /// `CLONE_NEW*` flags of its namespaces.
    pub namespaces: u64,
    /// Its cgroup.
    pub cgroup: &'a Paths,
    /// Whether it has a class of service.
    pub resctrl: bool,
    /// How many of the caller's fds from 3 on the process keeps.
    pub preserve_fds: u16,
    /// Whether it gets a session keyring of its own.
    pub keyring: bool,
    /// Whether its system calls are recorded.
    pub record: bool,
}

/// The plan of `process` in a container that was made from `spec`. Also answers what is done otherwise than asked.
pub(crate) fn exec(
    spec: &Spec<'_>,
    process: &Process<'_>,
    host: &Host,
    join: Join<'_>,
) -> Result<(Plan, Vec<String>)> {
    let mut plan = Plan::new(join.preserve_fds);
    let mut warnings = Vec::new();
    let streams = process::Streams::slots(&mut plan, process);
    let pidfd = plan.slot("", Source::Pidfd);
    let view = cgroup_namespace(&mut plan, join);
    let birthplace = cgroup::birthplace(&mut plan, join.cgroup);
    let filters = seccomp::compile(spec, process, host, join.record, &mut warnings)?;

    process::outer(&mut plan, process);
    let tasks = cgroup::open(&mut plan, join.cgroup)?;
    let (initial, last) = affinity(process);
    if !initial.is_empty() {
        let origin = "/process/execCPUAffinity/initial";
        execution::affinity(initial, |op| plan.outer(origin, op));
    }
    let namespaces = Namespaces(join.namespaces & !namespaces::CGROUP);
    plan.outer(
        "",
        Op::Join {
            slot: pidfd,
            namespaces,
        },
    );
    let namespaces = Namespaces(0);
    plan.outer(
        "",
        Op::Spawn {
            namespaces,
            cgroup: birthplace,
        },
    );
    plan.inner("", Op::Hello {});
    if join.namespaces & namespaces::USER != 0 {
        plan.inner("", Op::BecomeRoot {});
    }
    cgroup::join(&mut plan, &tasks);
    let origin = if last.is_empty() {
        ""
    } else {
        "/process/execCPUAffinity/final"
    };
    execution::affinity(last, |op| plan.inner(origin, op));
    if let Some(slot) = view {
        let namespaces = Namespaces(namespaces::CGROUP);
        plan.inner("", Op::Join { slot, namespaces });
    }
    if join.resctrl {
        resctrl::join(&mut plan);
    }
    process::session(&mut plan, process, join.id, join.keyring)?;
    streams.lower(&mut plan, process, false);
    execution::lower(&mut plan, process, &spec.linux, host)?;
    process::place(&mut plan, process, false)?;
    process::late_limits(&mut plan, process);
    process::identity(&mut plan, process, host, &filters);
    process::lookup(&mut plan, process, host, &filters)?;
    seccomp::install_before_ready(&mut plan, process, &filters);
    plan.inner("", Op::Ready {});
    process::become_payload(&mut plan, process, host, &filters)?;
    limits::check(&plan)?;
    Ok((plan, warnings))
}

/// The processors before the process is in the container's cgroup, and those after.
fn affinity<'p>(process: &'p Process<'_>) -> (&'p str, &'p str) {
    said(&process.exec_cpu_affinity)
        .map_or(("", ""), |affinity| (&*affinity.initial, &*affinity.last))
}

/// The container's cgroup namespace, if it has one of its own. It is entered last, from inside of the container's cgroup: where
/// cgroup2 is mounted with nsdelegate, nobody can be born into a cgroup that is not below the root of its namespace. If the pid
/// comes to mean another process meanwhile, joining the others by pidfd fails.
fn cgroup_namespace(plan: &mut Plan, join: Join<'_>) -> Option<Slot> {
    let path = PathBuf::from(format!("/proc/{}/ns/cgroup", join.pid));
    let own = join.namespaces & namespaces::CGROUP != 0;
    own.then(|| plan.slot("", Source::Namespace(path, namespaces::CGROUP)))
}
