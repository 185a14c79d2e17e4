//! Scheduling policy and priority of input and output, which the parent gives to the new process while that waits. In a user
//! namespace it could not do so itself: the kernel wants CAP_SYS_NICE of the first one.

use nix::errno::Errno;

use crate::error::{Error, StepFailure};
use crate::plan::ParentOp;
use crate::sys;

/// Carries out a step that is about this, and none that is not.
pub(crate) fn schedule(op: &ParentOp, pid: i32) -> Result<(), Error> {
    let (call, pointer, result) = match op {
        ParentOp::Scheduler { attributes } => (
            "sched_setattr",
            "/process/scheduler",
            sys::sched_setattr(pid, attributes),
        ),
        ParentOp::IoPriority { priority } => (
            "ioprio_set",
            "/process/ioPriority",
            sys::ioprio_set(pid, *priority),
        ),
        _ => return Ok(()),
    };
    result.map_err(|errno| {
        let failure = StepFailure {
            op: op.name().to_owned(),
            attempt: op.describe(),
            call: call.to_owned(),
            errno,
            pointer: pointer.to_owned(),
            hint: hint(call, errno),
        };
        Error::from(failure)
    })
}

fn hint(call: &str, errno: Errno) -> &'static str {
    match (call, errno) {
        ("sched_setattr", Errno::EINVAL) => {
            "this kernel does not have the policy, or its values do not go together"
        }
        ("sched_setattr", Errno::EOPNOTSUPP) => "this kernel has no utilization clamps",
        ("sched_setattr", Errno::EBUSY) => {
            "so much time is not left beside what is promised to others"
        }
        ("sched_setattr", Errno::EPERM) => {
            "it takes CAP_SYS_NICE; a real-time policy needs resources.cpu.realtimeRuntime on cgroup v1, SCHED_DEADLINE all processors"
        }
        (_, Errno::EPERM) => "the real-time class takes CAP_SYS_NICE",
        _ => "",
    }
}
