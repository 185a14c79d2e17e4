//! What `init` reports in numbers, put back into words with the help of the plan.

use nix::errno::Errno;
use oci_runtime_init::op::Op;
use oci_runtime_init::report::{Part, Report};

use crate::error::{Cause, Described, Error, Refusal, StepFailure, not_executed, not_found};
use crate::plan::{Plan, Step};

/// What `report` says of a step of `plan`.
pub(crate) fn explain(plan: &Plan, report: Report) -> Error {
    let Some(step) = plan.steps().get(usize::from(report.step)) else {
        let attempt = "receive the plan".to_owned();
        let step = Described {
            number: report.step,
            op: "Plan".to_owned(),
            attempt,
            pointer: String::new(),
        };
        return explain_described(&step, report);
    };
    let described = describe_step(plan, report.step, step);
    match plan.op(step).and_then(|op| option(&op, report)) {
        Some(call) => failed(&described, report, call),
        None => explain_described(&described, report),
    }
}

/// The parameter of fsconfig(2) that was refused.
fn option(op: &Op<'_>, report: Report) -> Option<String> {
    let (Op::MountFs { options, .. } | Op::Remount { options, .. }) = op else {
        return None;
    };
    let index = usize::try_from(report.value).ok()?.checked_sub(1)?;
    let (key, value) = options
        .iter()
        .nth(index)
        .filter(|_| report.part == Part::Fsconfig)?;
    Some(format!(
        "fsconfig({}={})",
        key.to_string_lossy(),
        value.to_string_lossy()
    ))
}

/// What `report` says of a step whose description was kept.
pub(crate) fn explain_described(step: &Described, report: Report) -> Error {
    let errno = Errno::from_raw(report.errno);
    if let Some(refusal) = refusal(step, report, errno) {
        return Cause::Executable(refusal).into();
    }
    let call = match report.part {
        Part::HookStatus => format!("exit status {}", report.value),
        Part::HookTimeout => format!(
            "killed because it took longer than its timeout of {} ms",
            report.value
        ),
        part => part.text().to_owned(),
    };
    failed(step, report, call)
}

fn failed(step: &Described, report: Report, call: String) -> Error {
    let errno = Errno::from_raw(report.errno);
    Cause::Step(StepFailure {
        op: step.op.clone(),
        attempt: step.attempt.clone(),
        call,
        errno,
        pointer: step.pointer.clone(),
        hint: hint(step, report, errno),
    })
    .into()
}

fn refusal(step: &Described, report: Report, errno: Errno) -> Option<Refusal> {
    match step.op.as_str() {
        "LookupExe" => not_found(&step.attempt, report.part, errno, report.finding),
        "Exec" => Some(not_executed(&step.attempt, errno, report.finding)),
        _ => None,
    }
}

/// A step in words.
pub(crate) fn describe_step(plan: &Plan, number: u16, step: &Step) -> Described {
    let op = plan.op(step);
    Described {
        number,
        op: op.map_or("", |op| op.name()).to_owned(),
        attempt: op.map_or_else(
            || plan.describe(step),
            |op| attempt(&op).unwrap_or_else(|| plan.describe(step)),
        ),
        pointer: step.origin.clone().into_owned(),
    }
}

/// The attempt as a person would say it; `None` where the operation's own name and arguments do.
fn attempt(op: &Op<'_>) -> Option<String> {
    Some(match op {
        Op::MountFs { target, fstype, .. } => {
            format!("mount {} on /{}", show(fstype), show(target))
        }
        Op::MountBind { target, .. } => format!("bind mount on /{}", show(target)),
        Op::Remount { target, .. } => format!("remount /{}", show(target)),
        Op::UserNamespace { .. } => "make a user namespace without privileges".into(),
        Op::IdMapNamespace { .. } => "make a user namespace for the id maps of a mount".into(),
        Op::IdMapTree { .. } => "map the ids of a mount".into(),
        Op::OpenTree {
            path, directory, ..
        } => {
            let path = show(path);
            let named = path.strip_suffix('/').filter(|_| *directory);
            format!("take the mount source {}", named.unwrap_or(&path))
        }
        Op::Device {
            path, major, minor, ..
        } => format!("make the device /{} ({major}:{minor})", show(path)),
        Op::Symlink { path, target, .. } => format!("link /{} to {}", show(path), show(target)),
        Op::Mask { path, .. } => format!("mask /{}", show(path)),
        Op::Readonly { path } => format!("make /{} read-only", show(path)),
        Op::Cwd { path, .. } => {
            format!("chdir to cwd ({:?}) set in config.json failed", show(path))
        }
        Op::Sysctl { path, value } => format!(
            "set the kernel parameter {} to {:?}",
            show(path),
            show(value)
        ),
        Op::LsmLabel { file, text } => {
            format!("write {:?} to the attribute {}", show(text), show(file))
        }
        Op::Spawn { .. } => "start the first process in its new namespaces".into(),
        Op::Join { .. } => "join a namespace".into(),
        Op::Hook { path, .. } => format!("run the hook {}", show(path)),
        Op::LookupExe { name, .. } => show(name),
        Op::Exec { args, .. } => args.iter().next().map(show)?,
        _ => return None,
    })
}

fn show(text: &std::ffi::CStr) -> String {
    text.to_string_lossy().into_owned()
}

/// What is known to help, for the failures that people meet.
fn hint(step: &Described, report: Report, errno: Errno) -> &'static str {
    match (step.op.as_str(), report.part, errno) {
        ("Caps", Part::Capset, Errno::EPERM) => {
            "the caller itself lacks a capability that is asked for"
        }
        ("Rlimit", Part::Prlimit, Errno::EPERM) => {
            "raising a hard limit needs CAP_SYS_RESOURCE, which the caller lacks"
        }
        ("OomScoreAdj", Part::Write, Errno::EACCES) => {
            "lowering it needs CAP_SYS_RESOURCE, which the caller lacks"
        }
        ("MountFs", Part::Openat2, Errno::ELOOP)
            if ["mount proc ", "mount sysfs "]
                .iter()
                .any(|start| step.attempt.starts_with(start)) =>
        {
            "proc and sysfs are mounted on an ordinary directory only, never through a symbolic link"
        }
        ("MountFs", Part::Fsconfig, Errno::EINVAL) => {
            "the file system does not know the parameter or the value, or ids may be unmapped"
        }
        ("MountFs", Part::Fsopen, Errno::ENODEV) => "the kernel has no such type of file system",
        (_, Part::IdMapTree, Errno::EINVAL) => {
            "the file system cannot be idmapped, or the user namespace has no ids or is the file system's own"
        }
        (_, Part::IdMapTree, Errno::EPERM) => {
            "it needs CAP_SYS_ADMIN over the file system and over the user namespace"
        }
        ("Remount", _, Errno::EINVAL) => {
            "nothing is mounted at that path, or it does not know the parameter"
        }
        ("MountBind", Part::WrongNode, _) => "a symbolic link cannot be copied over something else",
        ("Mask" | "Device", Part::WrongNode, _) => "something else is at that path already",
        ("LsmLabel" | "Affinity" | "MemoryPolicy" | "Personality", part, errno) => {
            hint_of_execution(part, errno)
        }
        ("Console", Part::Openat2 | Part::WrongPlace, _) => {
            "a terminal needs devpts mounted on /dev/pts"
        }
        ("Ids", Part::Setresuid | Part::Setresgid | Part::Setgroups, Errno::EINVAL) => {
            "the id is not mapped in the user namespace"
        }
        ("Spawn", Part::Clone3, Errno::EBUSY | Errno::EOPNOTSUPP) => {
            "a cgroup v2 directory with controllers for its children, or below one with processes, cannot hold processes"
        }
        ("Spawn", Part::Clone3, Errno::ENOSPC) => "a limit on the number of namespaces is reached",
        ("Cwd", Part::Openat2, Errno::ELOOP) => {
            "a working directory behind a magic link of /proc is not followed"
        }
        ("Ids", Part::Mmap, Errno::ENOMEM) => {
            "the limits of the process leave it too little memory"
        }
        (_, Part::WrongPlace, _) => "the path does not lead to a place inside the container",
        _ => "",
    }
}

/// The same for what the payload is to keep.
fn hint_of_execution(part: Part, errno: Errno) -> &'static str {
    match (part, errno) {
        (Part::Write, Errno::ENOENT) => "no such profile is loaded",
        (Part::Write, Errno::EINVAL) => "the loaded policy does not know the label",
        (Part::Write, Errno::EPERM | Errno::EACCES) => {
            "the caller's own label does not allow the change"
        }
        (Part::Fsmount, Errno::EPERM) => {
            "in a user namespace a procfs can only be had where the container has one in full sight"
        }
        (Part::SchedSetaffinity, Errno::EINVAL) => {
            "none of these processors is there, or the cpuset has none of them"
        }
        (Part::SetMempolicy, Errno::EINVAL) => {
            "this kernel does not have the mode or the flag, or the cpuset has none of these nodes"
        }
        (Part::Personality, Errno::EINVAL) => "this processor does not have the domain",
        _ => "",
    }
}
