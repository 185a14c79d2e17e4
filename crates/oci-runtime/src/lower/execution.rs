//! How the payload is executed: by which scheduler and on which processors, with memory from which nodes, in which execution
//! domain, under which label. The payload and all that comes of it keep that.

use oci_runtime_init::op::{List, Op};

use super::text::c;
use crate::error::Result;
use crate::host::Host;
use crate::plan::{ParentOp, Plan};
use crate::spec::{Linux, Process, said};
use crate::{memory_policy, personality, ranges, scheduling};

/// All of it but the processors. It comes before the first thing that takes a privilege away.
pub(super) fn lower(
    plan: &mut Plan,
    process: &Process<'_>,
    linux: &Linux<'_>,
    host: &Host,
) -> Result<()> {
    schedule(plan, process);
    if let Some(asked) = said(&linux.personality) {
        let persona = personality::number(asked);
        plan.inner("/linux/personality", Op::Personality { persona });
    }
    if let Some(asked) = said(&linux.memory_policy) {
        let nodes = list(&asked.nodes, memory_policy::LAST_NODE);
        let (mode, nodes) = (memory_policy::number(asked), List::Items(&nodes));
        plan.inner("/linux/memoryPolicy", Op::MemoryPolicy { mode, nodes });
    }
    label(plan, process, host)
}

/// Two steps of the parent's, for which the new process waits.
fn schedule(plan: &mut Plan, process: &Process<'_>) {
    const SCHEDULER: &str = "/process/scheduler";
    const IO_PRIORITY: &str = "/process/ioPriority";
    let scheduler = said(&process.scheduler).map(scheduling::attributes);
    let priority = said(&process.io_priority).map(scheduling::io_priority);
    if scheduler.is_none() && priority.is_none() {
        return;
    }
    let origin = scheduler.map_or(IO_PRIORITY, |_| SCHEDULER);
    plan.inner(origin, Op::Yield {});
    if let Some(attributes) = scheduler {
        plan.parent(SCHEDULER, ParentOp::Scheduler { attributes });
    }
    if let Some(priority) = priority {
        plan.parent(IO_PRIORITY, ParentOp::IoPriority { priority });
    }
}

/// The label comes into force with execve(2).
fn label(plan: &mut Plan, process: &Process<'_>, host: &Host) -> Result<()> {
    const PROFILE: &str = "/process/apparmorProfile";
    let profile = &process.apparmor_profile;
    if !profile.is_empty() && host.modules.apparmor {
        // A process that is confined itself and gives up new privileges can only add to what confines it.
        let stack = host.modules.confined && process.no_new_privileges;
        let command = if stack { "stack" } else { "exec" };
        let text = c(PROFILE, format!("{command} {profile}"))?;
        let file = c"apparmor/exec";
        plan.inner(PROFILE, Op::LsmLabel { file, text: &text });
    }
    if !process.selinux_label.is_empty() {
        let text = c(SELINUX, &*process.selinux_label)?;
        let file = c"exec";
        plan.inner(SELINUX, Op::LsmLabel { file, text: &text });
    }
    Ok(())
}

const SELINUX: &str = "/process/selinuxLabel";

/// A session keyring has the label that its owner is going to have; what is made after it has its own again.
pub(super) fn keyring(plan: &mut Plan, process: &Process<'_>, name: &std::ffi::CStr) -> Result<()> {
    let label = c(SELINUX, &*process.selinux_label)?;
    let file = c"keycreate";
    if !label.is_empty() {
        plan.inner(SELINUX, Op::LsmLabel { file, text: &label });
    }
    plan.inner("", Op::Keyring { name });
    if !label.is_empty() {
        plan.inner(SELINUX, Op::LsmLabel { file, text: c"" });
    }
    Ok(())
}

/// A step of either lane that binds the process to processors. Without a list, to all that its cpuset has.
pub(super) fn affinity(cpus: &str, bind: impl FnOnce(Op<'_>)) {
    let cpus = list(cpus, ranges::LAST_CPU);
    let cpus = List::Items(&cpus);
    bind(Op::Affinity { cpus });
}

/// Ranges of a list that was checked.
fn list(text: &str, highest: u32) -> Vec<(u32, u32)> {
    ranges::parse(text, highest).unwrap_or_default()
}
