//! Checks of the `process` object: its arguments, environment, ids, limits and capabilities.

use super::Fault;
use super::problem::Problems;
use crate::capabilities::{is_well_formed, number};
use crate::host::Host;
use crate::pointer::at;
use crate::rlimits;
use crate::spec::{Capabilities, ConsoleSize, Process, Rlimit, Str, User};

pub(super) fn check(problems: &mut Problems, process: &Process<'_>, host: &Host) {
    args(problems, &process.args);
    env(problems, &process.env);
    cwd(problems, &process.cwd);
    user(problems, &process.user);
    rlimits(problems, &process.rlimits);
    if let Some(capabilities) = &process.capabilities {
        check_capabilities(problems, capabilities, host);
    }
    if let Some(value) = process
        .oom_score_adj
        .filter(|value| !(-1000..=1000).contains(value))
    {
        problems.error(at!["oomScoreAdj"], Fault::OomScoreAdj(value));
    }
    // Without a terminal the size is to be ignored (config.md, "consoleSize").
    if let Some(size) = process.console_size.filter(|_| process.terminal) {
        console_size(problems, size);
    }
}

fn args(problems: &mut Problems, args: &[Str<'_>]) {
    // An empty name is one that is not found.
    if args.is_empty() {
        problems.error(at!["args"], Fault::Missing);
    }
    for (index, arg) in args.iter().enumerate() {
        problems.no_nul(at!["args", index], arg);
    }
}

fn env(problems: &mut Problems, env: &[Str<'_>]) {
    for (index, variable) in env.iter().enumerate() {
        match variable.find('=') {
            None => problems.error(
                at!["env", index],
                Fault::EnvWithoutValue(variable.to_string()),
            ),
            Some(0) => problems.error(
                at!["env", index],
                Fault::EnvWithoutName(variable.to_string()),
            ),
            Some(_) => problems.no_nul(at!["env", index], variable),
        }
    }
}

fn cwd(problems: &mut Problems, cwd: &str) {
    if cwd.is_empty() {
        problems.error(at!["cwd"], Fault::Missing);
    } else if !cwd.starts_with('/') {
        problems.error(at!["cwd"], Fault::RelativePath(cwd.into()));
    }
    problems.no_nul(at!["cwd"], cwd);
}

/// As many groups as a process can have (NGROUPS_MAX of linux/limits.h).
const GROUPS_MAX: usize = 65_536;

/// The highest number stands for "no id" in the kernel: setresuid(2) would leave the id as it is.
fn user(problems: &mut Problems, user: &User) {
    if let Some(mask) = user.umask.filter(|mask| *mask > 0o777) {
        problems.error(at!["user", "umask"], Fault::Umask(mask));
    }
    for (name, id) in [("uid", user.uid), ("gid", user.gid)] {
        if id == u32::MAX {
            problems.error(at!["user", name], Fault::InvalidId(id));
        }
    }
    if user.additional_gids.len() > GROUPS_MAX {
        let fault = Fault::TooManyGroups(user.additional_gids.len());
        problems.error(at!["user", "additionalGids"], fault);
    }
    for (index, gid) in user.additional_gids.iter().enumerate() {
        if *gid == u32::MAX {
            problems.error(at!["user", "additionalGids", index], Fault::InvalidId(*gid));
        }
    }
}

fn rlimits(problems: &mut Problems, list: &[Rlimit<'_>]) {
    for (index, Rlimit { kind, hard, soft }) in list.iter().enumerate() {
        if rlimits::number(kind).is_none() {
            problems.error(
                at!["rlimits", index, "type"],
                Fault::UnknownRlimit(kind.to_string()),
            );
        }
        if list[..index].iter().any(|other| other.kind == *kind) {
            problems.error(
                at!["rlimits", index, "type"],
                Fault::DuplicateRlimit(kind.to_string()),
            );
        }
        if soft > hard {
            problems.error(
                at!["rlimits", index, "soft"],
                Fault::RlimitOrder {
                    soft: *soft,
                    hard: *hard,
                },
            );
        }
    }
}

fn check_capabilities(problems: &mut Problems, sets: &Capabilities<'_>, host: &Host) {
    let all = [
        ("bounding", &sets.bounding),
        ("effective", &sets.effective),
        ("inheritable", &sets.inheritable),
        ("permitted", &sets.permitted),
        ("ambient", &sets.ambient),
    ];
    for (set, names) in all {
        for (index, name) in names.iter().enumerate() {
            let place = at!["capabilities", set, index];
            if !is_well_formed(name) {
                problems.error(place, Fault::NotACapability(name.to_string()));
            } else if number(name).is_none_or(|number| number > host.last_capability) {
                problems.warning(place, Fault::UnknownCapability(name.to_string()));
            } else if set != "bounding" && !can_give(name, host) {
                problems.warning(place, Fault::NotGrantable(name.to_string()));
            } else if set == "effective" && !sets.permitted.contains(name) {
                problems.error(place, Fault::EffectiveNotPermitted(name.to_string()));
            } else if set == "ambient"
                && !(sets.permitted.contains(name) && sets.inheritable.contains(name))
            {
                problems.warning(place, Fault::AmbientNotInheritable(name.to_string()));
            }
        }
    }
}

fn can_give(name: &str, host: &Host) -> bool {
    number(name).is_some_and(|number| host.grantable >> number & 1 == 1)
}

fn console_size(problems: &mut Problems, size: ConsoleSize) {
    for (name, value) in [("height", size.height), ("width", size.width)] {
        if value > u64::from(u16::MAX) {
            problems.error(at!["consoleSize", name], Fault::ConsoleSize(value));
        }
    }
}
