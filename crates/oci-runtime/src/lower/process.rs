//! The payload: its streams, limits, identity and last steps. New containers and `exec` share all of it.

use std::collections::HashSet;
use std::ffi::{CStr, CString};

use oci_runtime_init::op::{CapSet, List, Op, Slot};

use super::execution;
use super::seccomp::{self, Filters};
use super::text::c;
use crate::capabilities;
use crate::error::Result;
use crate::host::Host;
use crate::plan::{Plan, Source};
use crate::pointer::pointer;
use crate::rlimits;
use crate::spec::{Capabilities, Process, Str};

/// Where the payload's standard streams come from.
pub(super) enum Streams {
    Console(Slot),
    Stdio([Slot; 3]),
}

impl Streams {
    /// Asks for their slots.
    pub(super) fn slots(plan: &mut Plan, process: &Process<'_>) -> Streams {
        if process.terminal {
            Streams::Console(plan.slot("/process/terminal", Source::ConsoleSocket))
        } else {
            Streams::Stdio([0, 1, 2].map(|stream| plan.slot("", Source::Stdio(stream))))
        }
    }

    /// The step that sets them up. `mount` binds the terminal on /dev/console.
    pub(super) fn lower(&self, plan: &mut Plan, process: &Process<'_>, mount: bool) {
        let uid = process.user.uid;
        match *self {
            Streams::Console(slot) => {
                let size = process.console_size.unwrap_or_default();
                // Checked to fit.
                let [width, height] =
                    [size.width, size.height].map(|cells| u16::try_from(cells).unwrap_or(0));
                plan.inner(
                    "/process/terminal",
                    Op::Console {
                        slot,
                        width,
                        height,
                        mount,
                        uid,
                    },
                );
            }
            Streams::Stdio([stdin, stdout, stderr]) => plan.inner(
                "",
                Op::Stdio {
                    stdin,
                    stdout,
                    stderr,
                    uid,
                },
            ),
        }
    }
}

/// What needs the caller's privileges, before any namespace.
pub(super) fn outer(plan: &mut Plan, process: &Process<'_>) {
    if let Some(value) = process.oom_score_adj {
        plan.outer("/process/oomScoreAdj", Op::OomScoreAdj { value });
    }
    for (origin, resource, soft, hard) in limits(process) {
        if hinders(resource) {
            plan.outer(origin, Op::RaiseLimit { resource, hard });
        } else {
            plan.outer(
                origin,
                Op::Rlimit {
                    resource,
                    soft,
                    hard,
                },
            );
        }
    }
}

/// A session of its own, and a session keyring by the name that runc gives it.
pub(super) fn session(
    plan: &mut Plan,
    process: &Process<'_>,
    id: &str,
    keyring: bool,
) -> Result<()> {
    plan.inner("", Op::Session {});
    if keyring {
        let name = c("", format!("_ses.{id}"))?;
        execution::keyring(plan, process, &name)?;
    }
    Ok(())
}

fn limits(process: &Process<'_>) -> impl Iterator<Item = (String, u32, u64, u64)> {
    process
        .rlimits
        .iter()
        .enumerate()
        .filter_map(|(index, limit)| {
            let origin = pointer(&["process".into(), "rlimits".into(), index.into()]);
            Some((
                origin,
                rlimits::number(&limit.kind)?,
                limit.soft,
                limit.hard,
            ))
        })
}

/// Whether setting the container up, or a hook in it, could fail by a limit; it is then set last. Its hard limit is raised where that is needed
/// before, because in a user namespace the privilege for it is gone.
fn hinders(resource: u32) -> bool {
    const LATE: [&str; 8] = [
        "RLIMIT_NOFILE",
        "RLIMIT_NPROC",
        "RLIMIT_FSIZE",
        "RLIMIT_AS",
        "RLIMIT_DATA",
        "RLIMIT_STACK",
        "RLIMIT_CPU",
        "RLIMIT_SIGPENDING",
    ];
    LATE.iter()
        .any(|name| rlimits::number(name) == Some(resource))
}

/// Where the payload is: its directory, its home, and the caller's number of open files.
pub(super) fn place(plan: &mut Plan, process: &Process<'_>, make_cwd: bool) -> Result<()> {
    let cwd = c("/process/cwd", &*process.cwd)?;
    plan.inner(
        "/process/cwd",
        Op::Cwd {
            path: &cwd,
            make: make_cwd,
        },
    );
    if !process.env.iter().any(|entry| is_home(entry)) {
        let uid = process.user.uid;
        plan.inner("/process/env", Op::Home { uid });
    }
    plan.inner("", Op::OpenFiles {});
    Ok(())
}

/// The limits that hinder. To lower takes no privilege, and higher than this they have not been raised.
pub(super) fn late_limits(plan: &mut Plan, process: &Process<'_>) {
    for (origin, resource, soft, hard) in
        limits(process).filter(|(_, resource, ..)| hinders(*resource))
    {
        plan.inner(
            origin,
            Op::Rlimit {
                resource,
                soft,
                hard,
            },
        );
    }
}

/// Who the payload is. Privileges only ever shrink here.
pub(super) fn identity(plan: &mut Plan, process: &Process<'_>, host: &Host, filters: &Filters) {
    let user = &process.user;
    plan.inner(
        "/process/user/umask",
        Op::Umask {
            mask: user.umask.unwrap_or(0o022),
        },
    );
    seccomp::install_early(plan, process, filters);
    let groups = List::Items(&user.additional_gids);
    let (uid, gid) = (user.uid, user.gid);
    plan.inner("/process/user", Op::Ids { uid, gid, groups });
    caps(
        plan,
        process.capabilities.as_ref(),
        seccomp::held(process, filters),
        host,
    );
    if process.no_new_privileges {
        plan.inner("/process/noNewPrivileges", Op::NoNewPrivs {});
    }
}

/// An empty HOME is none.
fn is_home(entry: &str) -> bool {
    entry
        .strip_prefix("HOME=")
        .is_some_and(|home| !home.is_empty())
}

/// No capabilities at all where the configuration names none.
fn caps(plan: &mut Plan, capabilities: Option<&Capabilities<'_>>, held: CapSet, host: &Host) {
    let nothing = Capabilities::default();
    let sets = capabilities::masks(
        capabilities.unwrap_or(&nothing),
        host.last_capability,
        host.grantable,
    );
    plan.inner(
        "/process/capabilities",
        Op::Caps {
            bounding: CapSet(sets.bounding),
            effective: CapSet(sets.effective),
            inheritable: CapSet(sets.inheritable),
            permitted: CapSet(sets.permitted),
            ambient: CapSet(sets.ambient),
            held,
            last: u32::from(host.last_capability),
        },
    );
}

/// Finds the program, so that its absence is an error of create.
pub(super) fn lookup(
    plan: &mut Plan,
    process: &Process<'_>,
    host: &Host,
    filters: &Filters,
) -> Result<()> {
    /// What shells search when nobody has set PATH.
    const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let name = c(
        "/process/args/0",
        process.args.first().map_or("", |name| &**name),
    )?;
    let search = process
        .env
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix("PATH="));
    let search = c("/process/env", search.unwrap_or(DEFAULT_PATH))?;
    plan.inner(
        "/process/args/0",
        Op::LookupExe {
            name: &name,
            search: &search,
            explain: !filters.early(process) || seccomp::may_explain(filters, host),
        },
    );
    Ok(())
}

/// The last steps.
pub(super) fn become_payload(
    plan: &mut Plan,
    process: &Process<'_>,
    host: &Host,
    filters: &Filters,
) -> Result<()> {
    plan.inner("", Op::CloseFds {});
    seccomp::install_last(plan, process, filters);
    let args = strings("args", process.args.iter())?;
    let env = strings("env", last_of_each(&process.env).into_iter())?;
    let (args, env) = (borrow(&args), borrow(&env));
    plan.inner(
        "/process/args",
        Op::Exec {
            args: List::Items(&args),
            env: List::Items(&env),
            explain: seccomp::may_explain(filters, host),
        },
    );
    Ok(())
}

/// An environment has each name once: the last entry counts. An empty HOME gives way to the one of the container's passwd.
fn last_of_each<'e, 'a>(env: &'e [Str<'a>]) -> Vec<&'e Str<'a>> {
    let name = |entry: &'e str| entry.split_once('=').map_or(entry, |(name, _)| name);
    let mut seen = HashSet::new();
    let last = env.iter().rev().filter(|entry| seen.insert(name(entry)));
    let mut kept: Vec<_> = last.filter(|entry| **entry != "HOME=").collect();
    kept.reverse();
    kept
}

fn strings<'e, 'a: 'e>(
    field: &str,
    list: impl Iterator<Item = &'e Str<'a>>,
) -> Result<Vec<CString>> {
    let origin = |index: usize| pointer(&["process".into(), field.into(), index.into()]);
    list.enumerate()
        .map(|(index, text)| c(&origin(index), &**text))
        .collect()
}

fn borrow(list: &[CString]) -> Vec<&CStr> {
    list.iter().map(CString::as_c_str).collect()
}
