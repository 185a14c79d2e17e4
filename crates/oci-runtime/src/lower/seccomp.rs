//! The system call filter: compiled here, so that what is wrong with a profile is known before anything is done.
//!
//! Two lowerings, visibly different: with no_new_privs the filter is the last step before execve(2); without, installing it
//! needs CAP_SYS_ADMIN, so it comes before the capabilities go, and has to allow all that is still to be done.

use oci_runtime_init::op::Op;
use oci_runtime_seccomp::{Arch, Filter, SockFilter, compile as compile_profile, may_call, number};

use crate::error::{Error, LowerProblem, Result};
use crate::host::Host;
use crate::plan::Plan;
use crate::spec::{Process, Spec};

const ORIGIN: &str = "/linux/seccomp";

/// The filter of a configuration, if it has one.
pub(super) fn compile(
    spec: &Spec<'_>,
    process: &Process<'_>,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<Option<Filter>> {
    let Some(profile) = spec
        .linux
        .seccomp
        .as_ref()
        .filter(|profile| !profile.is_empty())
    else {
        return Ok(None);
    };
    let arch =
        native(host).ok_or_else(|| Error::lower(ORIGIN, LowerProblem::Architecture(host.arch)))?;
    let filter = compile_profile(profile, arch).map_err(|error| {
        let pointer = format!("{ORIGIN}{}", error.pointer());
        Error::lower(pointer, LowerProblem::Seccomp(error))
    })?;
    warnings.extend(
        filter
            .warnings
            .iter()
            .map(|warning| format!("{ORIGIN}{warning}")),
    );
    let hooks = if spec.hooks.start_container.is_empty() {
        &[]
    } else {
        HOOK_CALLS
    };
    let (calls, when) = if process.no_new_privileges {
        (LAST_CALLS.to_vec(), "")
    } else {
        (
            [LATE_CALLS, hooks].concat(),
            ", because without noNewPrivileges the filter is in force before the privileges go",
        )
    };
    let blocked = |call: &&str| {
        !number(arch, call).is_some_and(|number| may_call(&filter.program, arch, number))
    };
    if let Some(call) = calls.iter().copied().find(blocked) {
        return Err(Error::lower(
            ORIGIN,
            LowerProblem::FilterTooStrict { call, when },
        ));
    }
    let mute = |call: &&&str| {
        !number(arch, call).is_some_and(|number| may_call(&filter.program, arch, number))
    };
    if let Some(call) = ["write", "sendmsg"].iter().find(mute) {
        warnings.push(format!(
            "{ORIGIN}: without {call} the failure of the last execve cannot be reported"
        ));
    }
    Ok(Some(filter))
}

/// Whether init may look into why a program cannot be executed once the filter is in force.
pub(super) fn may_explain(filter: Option<&Filter>, host: &Host) -> bool {
    let Some(filter) = filter else {
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

/// What comes after a filter that is installed last.
const LAST_CALLS: &[&str] = &["execve"];

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
    "sendmsg",
    "write",
    "read",
    "close_range",
    "mmap",
    "execve",
];

/// What else it takes to run hooks behind such a filter.
const HOOK_CALLS: &[&str] = &[
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
];

/// The step that installs it.
pub(super) fn install(plan: &mut Plan, filter: Option<&Filter>) {
    if let Some(filter) = filter {
        let program: Vec<u8> = filter.program.iter().flat_map(encode).collect();
        plan.inner(
            ORIGIN,
            Op::Seccomp {
                program: &program,
                flags: filter.flags.bits(),
            },
        );
    }
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
