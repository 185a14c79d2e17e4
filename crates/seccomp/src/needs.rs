//! What it takes to start a program, as measured: a program that writes one word from a second thread was run once for
//! each call that it makes, with nothing forbidden but that call. A call is needed if the program failed both with
//! `EPERM` and with `ENOSYS`; it is probed if it failed with `EPERM` only. Calls it did without in both cases are not
//! here. `execve` is left out: without it there is no program. The machine was an x86_64; calls that an architecture
//! does not have are passed over there.

/// A C library or a language.
pub(crate) struct Runtime {
    /// With the version that was measured.
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [&'static str],
    pub(crate) probes: &'static [&'static str],
}

pub(crate) const RUNTIMES: &[Runtime] = &[
    Runtime {
        name: "glibc 2.36",
        needs: &[
            "arch_prctl",
            "close",
            "exit",
            "mmap",
            "mprotect",
            "newfstatat",
            "openat",
            "pread64",
            "read",
            "rt_sigaction",
            "write",
        ],
        probes: &["clone3"],
    },
    Runtime {
        name: "musl 1.2.3",
        needs: &["arch_prctl", "clone", "exit", "mmap", "mprotect", "writev"],
        probes: &[],
    },
    Runtime {
        name: "Go 1.19",
        needs: &[
            "arch_prctl",
            "clone",
            "exit_group",
            "futex",
            "mmap",
            "rt_sigaction",
            "rt_sigprocmask",
            "sigaltstack",
            "write",
        ],
        probes: &[],
    },
];
