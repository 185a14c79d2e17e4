//! Checks of how the process is scheduled. The kernel narrows a nice value in silence and ignores what a policy does not
//! have, so those are found here; whether a policy exists and its values go together, the kernel says itself.

use super::Fault;
use super::problem::Problems;
use crate::pointer::{Part, at};
use crate::ranges;
use crate::scheduling::{FLAGS, IO_CLASSES, Kind, find};
use crate::spec::{IoPriority, Process, Scheduler, said};

pub(super) fn check(problems: &mut Problems, process: &Process<'_>) {
    if let Some(scheduler) = said(&process.scheduler) {
        check_scheduler(problems, scheduler);
    }
    if let Some(priority) = said(&process.io_priority) {
        io_priority(problems, priority);
    }
    if let Some(affinity) = said(&process.exec_cpu_affinity) {
        for (name, list) in [("initial", &affinity.initial), ("final", &affinity.last)] {
            if list.is_empty() {
                continue;
            }
            if let Err(fault) = ranges::parse(list, ranges::LAST_CPU) {
                problems.error(at!["execCPUAffinity", name], Fault::Ranges(fault));
            }
        }
    }
}

fn check_scheduler(problems: &mut Problems, scheduler: &Scheduler<'_>) {
    for (index, flag) in scheduler.flags.iter().enumerate() {
        if !FLAGS.iter().any(|(name, _)| flag == name) {
            let fault = Fault::NoSuch("scheduling flag", flag.to_string());
            problems.error(at!["scheduler", "flags", index], fault);
        }
    }
    range(problems, at!["scheduler", "nice"], scheduler.nice, -20, 19);
    range(
        problems,
        at!["scheduler", "priority"],
        scheduler.priority,
        0,
        99,
    );
    let place = at!["scheduler", "policy"];
    match find(&scheduler.policy) {
        Some(policy) => kind(problems, scheduler, policy.kind),
        None if scheduler.policy.is_empty() => problems.error(place, Fault::Missing),
        None => {
            let fault = Fault::NoSuch("scheduling policy", scheduler.policy.to_string());
            problems.error(place, fault);
        }
    }
}

/// Values that the policy does not have.
fn kind(problems: &mut Problems, scheduler: &Scheduler<'_>, kind: Kind) {
    if scheduler.nice != 0 && kind != Kind::Nice {
        let fault = Fault::WithoutEffect(scheduler.policy.to_string());
        problems.warning(at!["scheduler", "nice"], fault);
    }
    if scheduler.priority != 0 && kind != Kind::Priority {
        let fault = Fault::OnlyOf("SCHED_FIFO and SCHED_RR");
        problems.error(at!["scheduler", "priority"], fault);
    }
    for (name, value) in [
        ("runtime", scheduler.runtime),
        ("deadline", scheduler.deadline),
        ("period", scheduler.period),
    ] {
        if value != 0 && kind != Kind::Deadline {
            problems.error(at!["scheduler", name], Fault::OnlyOf("SCHED_DEADLINE"));
        }
    }
}

fn io_priority(problems: &mut Problems, priority: &IoPriority<'_>) {
    let place = at!["ioPriority", "class"];
    if priority.class.is_empty() {
        problems.error(place, Fault::Missing);
    } else if !IO_CLASSES.iter().any(|(name, _)| priority.class == *name) {
        let fault = Fault::NoSuch("class of input and output", priority.class.to_string());
        problems.error(place, fault);
    }
    range(
        problems,
        at!["ioPriority", "priority"],
        priority.priority,
        0,
        7,
    );
}

fn range(problems: &mut Problems, place: &[Part<'_>], value: i32, least: i32, most: i32) {
    if !(least..=most).contains(&value) {
        problems.error(place, Fault::OutOfRange(value, least, most));
    }
}
