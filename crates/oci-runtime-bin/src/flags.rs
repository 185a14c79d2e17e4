//! The flags of every verb, as data.

use crate::flag::{Flag, Role};

/// Flags before the verb.
pub(crate) const GLOBALS: &[Flag] = &[
    value(
        "root",
        "",
        "DIR",
        "where containers are kept; /run/runc, or $XDG_RUNTIME_DIR/runc for a user",
    ),
    value(
        "log",
        "",
        "FILE",
        "append messages to FILE instead of writing them to standard error",
    ),
    value("log-format", "", "FORMAT", "text (the default) or json"),
    switch("debug", "", "tell every step"),
    value(
        "rootless",
        "",
        "BOOL",
        "true, false or auto; taken for compatibility, the runtime finds out by itself",
    ),
    value(
        "criu",
        "",
        "FILE",
        "taken for compatibility; nothing here uses CRIU yet",
    ),
    switch("systemd-cgroup", "", "the same as --cgroup-manager systemd"),
    value(
        "cgroup-manager",
        "",
        "NAME",
        "who makes the cgroup: cgroupfs (the default), systemd or disabled",
    ),
    switch("version", "v", "print the version"),
];

const BUNDLE: Flag = value(
    "bundle",
    "b",
    "DIR",
    "directory with config.json; the current one without it",
);
const CONSOLE_SOCKET: Flag = value(
    "console-socket",
    "",
    "SOCKET",
    "send the master of the terminal to this socket",
);
const PIDFD_SOCKET: Flag = value(
    "pidfd-socket",
    "",
    "SOCKET",
    "send a pidfd of the process to this socket",
);
const CONFIG: Flag = value(
    "config",
    "f",
    "FILE",
    "take the configuration from FILE instead of the bundle's config.json",
);
const PID_FILE: Flag = value("pid-file", "", "FILE", "write the pid to FILE");
const NO_PIVOT: Flag = role(
    Role::Ignored,
    switch("no-pivot", "", "taken for compatibility, without effect"),
);
const NO_KEYRING: Flag = switch("no-new-keyring", "", "leave the caller's session keyring");
const PRESERVE_FDS: Flag = value(
    "preserve-fds",
    "",
    "N",
    "pass N more file descriptors, from 3 on",
);
const SECCOMP_RECORD: Flag = value(
    "seccomp-record",
    "",
    "FILE",
    "write a seccomp profile of the calls that are made to FILE, or add them to the one there",
);
const DETACH: Flag = switch("detach", "d", "do not wait for the end of the process");
const FORMAT: Flag = value("format", "f", "FORMAT", "table (the default) or json");

/// Of verbs without any.
pub(crate) const NONE: &[Flag] = &[];

const REGEX: Flag = switch(
    "regex",
    "r",
    "take ID for a regular expression, and every container whose id it matches",
);

/// Of the verb.
pub(crate) const CREATE: &[Flag] = &[
    BUNDLE,
    CONFIG,
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    PID_FILE,
    NO_PIVOT,
    NO_KEYRING,
    PRESERVE_FDS,
    role(Role::Ignored, DETACH),
];

/// Of the verb.
pub(crate) const RUN: &[Flag] = &[
    BUNDLE,
    CONFIG,
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    DETACH,
    switch("keep", "", "do not delete the container when it has ended"),
    PID_FILE,
    switch(
        "no-subreaper",
        "",
        "do not adopt processes that the container leaves behind",
    ),
    NO_PIVOT,
    NO_KEYRING,
    PRESERVE_FDS,
    SECCOMP_RECORD,
];

/// Of the verb.
pub(crate) const EXEC: &[Flag] = &[
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    value("cwd", "", "DIR", "working directory in the container"),
    value(
        "env",
        "e",
        "NAME=VALUE",
        "one more environment variable (may be repeated)",
    ),
    switch("tty", "t", "give the process a terminal"),
    value("user", "u", "UID[:GID]", "ids, in digits"),
    value(
        "additional-gids",
        "g",
        "GID",
        "one more group (may be repeated)",
    ),
    value(
        "process",
        "p",
        "FILE",
        "take the process from FILE, JSON as in config.json",
    ),
    DETACH,
    PID_FILE,
    value("process-label", "", "LABEL", "SELinux label of the process"),
    value("apparmor", "", "PROFILE", "AppArmor profile of the process"),
    switch("no-new-privs", "", "let execve(2) grant no privileges"),
    value("cap", "c", "CAP", "one more capability (may be repeated)"),
    PRESERVE_FDS,
    value(
        "cgroup",
        "",
        "[CONTROLLER,...:]PATH",
        "cgroup below the container's (may be repeated on v1)",
    ),
    switch("ignore-paused", "", "join a paused container all the same"),
    SECCOMP_RECORD,
];

/// Of the verb.
pub(crate) const DELETE: &[Flag] = &[
    switch(
        "force",
        "f",
        "kill what still runs, and end a creation that hangs; an unknown container is no error",
    ),
    REGEX,
];

/// Of the verb.
pub(crate) const KILL: &[Flag] = &[
    role(
        Role::Hidden,
        switch("all", "a", "every process of the container"),
    ),
    REGEX,
];

/// Of the verb.
pub(crate) const LIST: &[Flag] = &[FORMAT, switch("quiet", "q", "ids only")];

/// Of the verb.
pub(crate) const PS: &[Flag] = &[FORMAT];

/// Of the verb.
pub(crate) const EVENTS: &[Flag] = &[
    value(
        "interval",
        "",
        "TIME",
        "time between statistics, like 1m30s; 5s without it",
    ),
    switch("stats", "", "print statistics once, and that is all"),
];

/// Of the verb.
pub(crate) const UPDATE: &[Flag] = &[
    value(
        "resources",
        "r",
        "FILE",
        "take the limits from FILE, JSON as linux.resources; - is standard input; flags go before it",
    ),
    value("blkio-weight", "", "N", "weight of block I/O, 10 to 1000"),
    value(
        "cpu-period",
        "",
        "US",
        "length of a period, in microseconds",
    ),
    value(
        "cpu-quota",
        "",
        "US",
        "CPU time in a period; -1 is no limit",
    ),
    value("cpu-burst", "", "US", "CPU time that can be saved up"),
    value("cpu-share", "", "N", "weight of CPU time, 2 to 262144"),
    value(
        "cpu-rt-period",
        "",
        "US",
        "length of a real-time period, in microseconds",
    ),
    value("cpu-rt-runtime", "", "US", "real-time CPU time in a period"),
    value("cpuset-cpus", "", "LIST", "CPUs, like 0-3,7"),
    value("cpuset-mems", "", "LIST", "memory nodes"),
    value("cpu-idle", "", "0|1", "1 for the idle policy"),
    value("memory", "", "SIZE", "memory, like 512m; -1 is no limit"),
    value("memory-reservation", "", "SIZE", "soft limit of memory"),
    value(
        "memory-swap",
        "",
        "SIZE",
        "memory and swap together; -1 is no limit",
    ),
    value("pids-limit", "", "N", "number of tasks; -1 is no limit"),
    value(
        "l3-cache-schema",
        "",
        "SCHEMA",
        "other lines for caches in the container's class of resctrl, like L3:0=f",
    ),
    value(
        "mem-bw-schema",
        "",
        "SCHEMA",
        "other lines for memory bandwidth in it, like MB:0=20",
    ),
    role(
        Role::Hidden,
        value("kernel-memory", "", "SIZE", "without effect"),
    ),
    role(
        Role::Hidden,
        value("kernel-memory-tcp", "", "SIZE", "without effect"),
    ),
];

/// Of the verb.
pub(crate) const SPEC: &[Flag] = &[
    BUNDLE,
    switch(
        "rootless",
        "",
        "for a user without privileges: a user namespace in which the caller is root",
    ),
];

/// Of the verb.
pub(crate) const PLAN: &[Flag] = &[
    BUNDLE,
    value("format", "f", "FORMAT", "text (the default) or json"),
];

/// Of the verb.
pub(crate) const SECCOMP: &[Flag] = &[value(
    "format",
    "f",
    "FORMAT",
    "text (the default) or json; of a whole filter also bpf",
)];

const fn switch(name: &'static str, short: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        short,
        value: "",
        role: Role::Works,
        help,
    }
}

const fn value(
    name: &'static str,
    short: &'static str,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag {
        name,
        short,
        value,
        role: Role::Works,
        help,
    }
}

const fn role(role: Role, flag: Flag) -> Flag {
    Flag { role, ..flag }
}
