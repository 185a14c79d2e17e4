//! The plan of a process that joins a running container: enter all its namespaces at once, then the same tail as a new one.

use oci_runtime_cgroups::Paths;
use oci_runtime_init::op::{Namespaces, Op};

use super::{cgroup, limits, namespaces, process, seccomp};
use crate::error::Result;
use crate::host::Host;
use crate::plan::{Plan, Source};
use crate::spec::{Process, Spec};

/// What the process joins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Join<'a> {
    /// The container's id.
    pub id: &'a str,
    /// `CLONE_NEW*` flags of its namespaces.
    pub namespaces: u64,
    /// Its cgroup.
    pub cgroup: &'a Paths,
    /// How many of the caller's fds from 3 on the process keeps.
    pub preserve_fds: u16,
    /// Whether it gets a session keyring of its own.
    pub keyring: bool,
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
    let birthplace = cgroup::birthplace(&mut plan, join.cgroup);
    let filter = seccomp::compile(spec, process, host, &mut warnings)?;

    process::outer(&mut plan, process);
    let tasks = cgroup::open(&mut plan, join.cgroup)?;
    let (all, none) = (Namespaces(join.namespaces), Namespaces(0));
    plan.outer(
        "",
        Op::Join {
            slot: pidfd,
            namespaces: all,
        },
    );
    plan.outer(
        "",
        Op::Spawn {
            namespaces: none,
            cgroup: birthplace,
        },
    );
    plan.inner("", Op::Hello {});
    if join.namespaces & namespaces::USER != 0 {
        plan.inner("", Op::BecomeRoot {});
    }
    cgroup::join(&mut plan, &tasks);
    process::session(&mut plan, join.id, join.keyring)?;
    streams.lower(&mut plan, process, false);
    process::identity(&mut plan, process, host, filter.as_ref(), false)?;
    process::ready(&mut plan, process)?;
    process::become_payload(&mut plan, process, filter.as_ref())?;
    limits::check(&plan)?;
    Ok((plan, warnings))
}
