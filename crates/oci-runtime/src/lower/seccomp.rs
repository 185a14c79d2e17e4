//! The system call filters: compiled here, so that what is wrong with a profile is known before anything is done.
//!
//! Where a filter is installed is visible in the plan, because it has to allow all that is still to be done after it:
//!
//! | noNewPrivileges | listener | place |
//! |---|---|---|
//! | either | no | the last step before execve(2); where that needs CAP_SYS_ADMIN, it is held permitted so long |
//! | no | yes | before the ids and capabilities go, because installing it needs CAP_SYS_ADMIN, followed by the hand-over of the listener |
//! | yes | yes | before `Ready`, while there is a parent that can take the listener, followed by the hand-over |
//!
//! A filter that records calls is one with a listener, which the parent keeps. It comes before the container's own.

use oci_runtime_init::op::{CapSet, Op};
use oci_runtime_seccomp::{
    Action, Arch, Filter, SockFilter, compile as compile_profile, may_call, number,
    possible_returns, recording_filter,
};

use crate::error::{Error, LowerProblem, Result};
use crate::host::Host;
use crate::plan::{ParentOp, Plan};
use crate::spec::{Process, Profile, Spec};

const ORIGIN: &str = "/linux/seccomp";
const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// What is installed for one process.
#[derive(Default)]
pub(super) struct Filters {
    /// The configuration's.
    own: Option<Filter>,
    /// Where the listener of the configuration's goes, if it has one.
    agent: Option<ParentOp>,
    /// One that tells of every call.
    recording: Option<(Filter, ParentOp)>,
}

/// The filters of a process: the configuration's, if it has one, and one that records, if that is wanted.
pub(super) fn compile(
    spec: &Spec<'_>,
    process: &Process<'_>,
    host: &Host,
    record: bool,
    warnings: &mut Vec<String>,
) -> Result<Filters> {
    let profile = spec.linux.seccomp.as_ref();
    let profile = profile.filter(|profile| !profile.is_empty());
    if profile.is_none() && !record {
        return Ok(Filters::default());
    }
    let arch =
        native(host).ok_or_else(|| Error::lower(ORIGIN, LowerProblem::Architecture(host.arch)))?;
    let mut filters = Filters::default();
    if let Some(profile) = profile {
        let filter = own(profile, spec, process, arch, warnings)?;
        filters.agent = filter.needs_listener.then(|| agent(profile));
        filters.own = Some(filter);
    }
    if record {
        if filters.agent.is_some() {
            return Err(Error::lower(ORIGIN, LowerProblem::TwoListeners));
        }
        let op = ParentOp::RecordCalls {
            always: calls_to_come(spec, process, false)
                .filter(|call| *call != "clone3")
                .collect(),
        };
        filters.recording = Some((recording_filter(arch, host.kernel >= WAIT_KILLABLE), op));
    }
    Ok(filters)
}

fn own(
    profile: &Profile<'_>,
    spec: &Spec<'_>,
    process: &Process<'_>,
    arch: Arch,
    warnings: &mut Vec<String>,
) -> Result<Filter> {
    let filter = compile_profile(profile, arch).map_err(|error| {
        let pointer = format!("{ORIGIN}{}", error.pointer());
        Error::lower(pointer, LowerProblem::Seccomp(error))
    })?;
    let odd = filter.warnings.iter();
    warnings.extend(odd.map(|warning| format!("{ORIGIN}{warning}")));
    let blocked = |call: &&str| !may_go_on(&filter, arch, call);
    if let Some(call) = calls_to_come(spec, process, filter.needs_listener).find(blocked) {
        let when = match (process.no_new_privileges, filter.needs_listener) {
            (_, false) => "",
            (true, true) => {
                ", because with a listener the filter is in force before the runtime is done"
            }
            (false, true) => {
                ", because without noNewPrivileges the filter is in force before the privileges go"
            }
        };
        return Err(Error::lower(
            ORIGIN,
            LowerProblem::FilterTooStrict { call, when },
        ));
    }
    if blocked(&"write") {
        warnings.push(format!(
            "{ORIGIN}: without write the failure of the last execve cannot be reported"
        ));
    }
    Ok(filter)
}

/// Whether a call gets through whatever its arguments, be it with the consent of who listens. `write` hands the listener
/// over, and the compiler lets nobody be asked about that one.
fn may_go_on(filter: &Filter, arch: Arch, call: &str) -> bool {
    let permits = |value: &u32| {
        let action = Action::from_return(*value);
        let refused = matches!(action, Action::Errno(EPERM | ENOSYS));
        action.permits() || action == Action::Notify || (call == "clone3" && refused)
    };
    number(arch, call).is_some_and(|number| {
        possible_returns(&filter.program, arch, number)
            .is_ok_and(|returns| returns.iter().all(permits))
    })
}

/// The hand-over. That there is a path was checked with the rules that notify.
fn agent(profile: &Profile<'_>) -> ParentOp {
    let text = |text: &oci_runtime_seccomp::Text<'_>| text.to_string();
    ParentOp::SendListener {
        path: profile
            .listener_path
            .as_deref()
            .unwrap_or_default()
            .to_owned()
            .into(),
        metadata: profile.listener_metadata.as_ref().map(text),
    }
}

impl Filters {
    /// Whether a filter of the configuration is in force before the program is looked for.
    pub(super) fn early(&self, process: &Process<'_>) -> bool {
        self.agent.is_some() && !process.no_new_privileges
    }
}

/// Whether init may look into why a program cannot be executed once the filter is in force.
pub(super) fn may_explain(filters: &Filters, host: &Host) -> bool {
    let Some(filter) = &filters.own else {
        return true;
    };
    let allowed = |arch, call: &&str| {
        number(arch, call).is_some_and(|number| may_call(&filter.program, arch, number))
    };
    native(host).is_some_and(|arch| EXPLAINING_CALLS.iter().all(|call| allowed(arch, call)))
}

/// What explaining takes.
const EXPLAINING_CALLS: &[&str] = &[
    "openat",
    "read",
    "pread64",
    "close",
    "statx",
    "fstatfs",
    "faccessat2",
];

fn native(host: &Host) -> Option<Arch> {
    match host.arch {
        "x86_64" => Some(Arch::X86_64),
        "aarch64" => Some(Arch::Aarch64),
        _ => None,
    }
}

/// What `init` still calls after the filter of the configuration.
fn calls_to_come(
    spec: &Spec<'_>,
    process: &Process<'_>,
    listener: bool,
) -> impl Iterator<Item = &'static str> {
    let (calls, hooks) = match (process.no_new_privileges, listener) {
        (_, false) => (LAST_CALLS, false),
        (true, true) => (CALLS_FROM_READY, true),
        (false, true) => (LATE_CALLS, true),
    };
    let of_hooks = if hooks && !spec.hooks.start_container.is_empty() {
        HOOK_CALLS
    } else {
        &[]
    };
    calls.iter().chain(of_hooks).copied()
}

/// The first kernel with `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`.
const WAIT_KILLABLE: (u32, u32) = (5, 19);

/// What comes after a filter that is installed last.
const LAST_CALLS: &[&str] = &["execve"];

/// What comes after a filter that is installed before `Ready`.
const CALLS_FROM_READY: &[&str] = &["write", "read", "close_range", "execve"];

/// What comes after a filter that is installed before the privileges go.
const LATE_CALLS: &[&str] = &[
    "prctl",
    "setgroups",
    "getgroups",
    "setresgid",
    "setresuid",
    "getresuid",
    "getresgid",
    "capget",
    "capset",
    "statx",
    "faccessat2",
    "write",
    "read",
    "close_range",
    "mmap",
    "execve",
];

/// What else it takes to run hooks behind such a filter. Who may not clone3 uses clone.
const HOOK_CALLS: &[&str] = &[
    "mmap",
    "dup3",
    "close",
    "clone3",
    "memfd_create",
    "pwrite64",
    "getpid",
    "pipe2",
    "clone",
    "setpgid",
    "ppoll",
    "waitid",
    "kill",
    "umask",
    // The limits that come after them.
    "prlimit64",
];

/// Without no_new_privs: the filters that somebody listens to, now, while there is the privilege to.
pub(super) fn install_early(plan: &mut Plan, process: &Process<'_>, filters: &Filters) {
    if !process.no_new_privileges {
        install_heard(plan, filters);
    }
}

/// With no_new_privs: the filters whose listener somebody has to take.
pub(super) fn install_before_ready(plan: &mut Plan, process: &Process<'_>, filters: &Filters) {
    if process.no_new_privileges {
        install_heard(plan, filters);
    }
}

/// The filters that somebody listens to, each handed over as soon as it is in force.
fn install_heard(plan: &mut Plan, filters: &Filters) {
    if let Some((filter, op)) = &filters.recording {
        install(plan, "", filter);
        hand_over(plan, "", op);
    }
    if let (Some(filter), Some(agent)) = (&filters.own, &filters.agent) {
        install(plan, ORIGIN, filter);
        hand_over(plan, ORIGIN, agent);
    }
}

/// The filter of the configuration where nobody listens, which so has to allow nothing but execve(2).
pub(super) fn install_last(plan: &mut Plan, process: &Process<'_>, filters: &Filters) {
    if let (Some(filter), None) = (&filters.own, &filters.agent) {
        install_as(plan, ORIGIN, filter, !process.no_new_privileges);
    }
}

/// What [`install_last`] takes and the payload may not have: without no_new_privs, CAP_SYS_ADMIN. It stays permitted until
/// execve(2), which takes it, so that ids and capabilities are set, hooks run and the program is found before the filter
/// is in force.
pub(super) fn held(process: &Process<'_>, filters: &Filters) -> CapSet {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let late = filters.own.is_some() && filters.agent.is_none();
    CapSet(if late && !process.no_new_privileges {
        CAP_SYS_ADMIN
    } else {
        0
    })
}

/// Where there is the privilege, or no_new_privs.
fn install(plan: &mut Plan, origin: &'static str, filter: &Filter) {
    install_as(plan, origin, filter, false);
}

fn install_as(plan: &mut Plan, origin: &'static str, filter: &Filter, privileged: bool) {
    let program: Vec<u8> = filter.program.iter().flat_map(encode).collect();
    plan.inner(
        origin,
        Op::Seccomp {
            program: &program,
            flags: filter.flags.bits(),
            privileged,
        },
    );
}

fn hand_over(plan: &mut Plan, origin: &'static str, op: &ParentOp) {
    plan.inner(origin, Op::Yield {});
    plan.parent(origin, op.clone());
}

/// `struct sock_filter` of linux/filter.h, in the machine's byte order.
fn encode(instruction: &SockFilter) -> [u8; 8] {
    let [code_low, code_high] = instruction.code.to_ne_bytes();
    let [k0, k1, k2, k3] = instruction.k.to_ne_bytes();
    [
        code_low,
        code_high,
        instruction.jt,
        instruction.jf,
        k0,
        k1,
        k2,
        k3,
    ]
}
