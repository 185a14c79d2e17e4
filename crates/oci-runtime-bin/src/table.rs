//! Everything that can be said on the command line, as data.
//!
//! A flag is known by its name and, where it has one, a letter; both may be written with one dash or two, and a value follows
//! as the next word or after `=`.

use crate::arguments::Arguments;
use crate::call::Call;
use crate::failure::{Failure, Misuse};
use crate::flag::{Flag, Role};
use crate::{
    create, delete, exec, features, kill, list, pause, plan, ps, run, spec, start, state, update,
};

/// Carries out a verb; answers the exit status.
pub(crate) type Run = fn(&Call) -> Result<u8, Failure>;

/// One verb.
#[derive(Debug)]
pub(crate) struct Verb {
    /// Its name.
    pub name: &'static str,
    /// Its arguments as the help shows them.
    pub usage: &'static str,
    /// How many arguments it takes, at least and at most.
    pub takes: (usize, usize),
    /// Whether flags end at the first argument.
    pub stops: bool,
    /// Its flags.
    pub flags: &'static [Flag],
    /// What its errors begin with.
    pub prefix: &'static str,
    /// The exit status of its errors.
    pub failure: u8,
    /// What it does.
    pub help: &'static str,
    /// The function that does it; `None` while there is none.
    pub run: Option<Run>,
}

impl Verb {
    /// Judges the number of arguments.
    pub fn count(&self, arguments: &Arguments) -> Result<(), Misuse> {
        let (least, most) = self.takes;
        let found = arguments.rest.len();
        // A process from a file brings its own arguments.
        let least = if arguments.text("process").is_some() {
            least.min(1)
        } else {
            least
        };
        if (least..=most).contains(&found) {
            return Ok(());
        }
        Err(Misuse::Count {
            verb: self.name,
            usage: self.usage,
            found,
        })
    }
}

const ANY: usize = usize::MAX;

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

/// Flags before the verb.
pub(crate) const GLOBALS: &[Flag] = &[
    value(
        "root",
        "",
        "DIR",
        "where containers are kept; /run/ocirun, or $XDG_RUNTIME_DIR/ocirun for a user",
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
const PIDFD_SOCKET: Flag = role(
    Role::NotYet,
    value("pidfd-socket", "", "SOCKET", "send a pidfd to this socket"),
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
const DETACH: Flag = switch("detach", "d", "do not wait for the end of the process");
const FORMAT: Flag = value("format", "f", "FORMAT", "table (the default) or json");

const NONE: &[Flag] = &[];

const CREATE: &[Flag] = &[
    BUNDLE,
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    PID_FILE,
    NO_PIVOT,
    NO_KEYRING,
    PRESERVE_FDS,
    role(Role::Ignored, DETACH),
];

const RUN: &[Flag] = &[
    BUNDLE,
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
];

const EXEC: &[Flag] = &[
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
    role(
        Role::NotYet,
        value("process-label", "", "LABEL", "SELinux label of the process"),
    ),
    role(
        Role::NotYet,
        value("apparmor", "", "PROFILE", "AppArmor profile of the process"),
    ),
    switch("no-new-privs", "", "let execve(2) grant no privileges"),
    value("cap", "c", "CAP", "one more capability (may be repeated)"),
    PRESERVE_FDS,
    role(
        Role::NotYet,
        value("cgroup", "", "PATH", "cgroup below the container's"),
    ),
    switch("ignore-paused", "", "join a paused container all the same"),
];

const DELETE: &[Flag] = &[switch(
    "force",
    "f",
    "kill what still runs; an unknown container is no error",
)];

const KILL: &[Flag] = &[role(
    Role::Hidden,
    switch("all", "a", "every process of the container"),
)];

const LIST: &[Flag] = &[FORMAT, switch("quiet", "q", "ids only")];

const PS: &[Flag] = &[FORMAT];

const UPDATE: &[Flag] = &[
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
    role(
        Role::NotYet,
        value("l3-cache-schema", "", "SCHEMA", "Intel RDT cache schema"),
    ),
    role(
        Role::NotYet,
        value("mem-bw-schema", "", "SCHEMA", "Intel RDT bandwidth schema"),
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

const SPEC: &[Flag] = &[
    BUNDLE,
    role(
        Role::NotYet,
        switch(
            "rootless",
            "",
            "for a user without privileges; not supported yet",
        ),
    ),
];

const PLAN: &[Flag] = &[
    BUNDLE,
    value("format", "f", "FORMAT", "text (the default) or json"),
];

const fn verb(
    name: &'static str,
    usage: &'static str,
    takes: (usize, usize),
    flags: &'static [Flag],
    run: Run,
    help: &'static str,
) -> Verb {
    Verb {
        name,
        usage,
        takes,
        stops: false,
        flags,
        prefix: "",
        failure: 1,
        help,
        run: Some(run),
    }
}

const fn unbuilt(name: &'static str, help: &'static str) -> Verb {
    let takes = (0, ANY);
    Verb {
        name,
        usage: "",
        takes,
        stops: true,
        flags: NONE,
        prefix: "",
        failure: 1,
        help,
        run: None,
    }
}

/// The verbs.
pub(crate) const VERBS: &[Verb] = &[
    Verb {
        stops: true,
        prefix: "ocirun create failed: ",
        ..verb(
            "create",
            "ID",
            (1, 1),
            CREATE,
            create::create,
            "make a container; its program waits for start",
        )
    },
    verb(
        "start",
        "ID",
        (1, 1),
        NONE,
        start::start,
        "start the program of a created container",
    ),
    Verb {
        stops: true,
        prefix: "ocirun run failed: ",
        ..verb(
            "run",
            "ID",
            (1, 1),
            RUN,
            run::run,
            "make a container, start its program and wait for its end",
        )
    },
    Verb {
        stops: true,
        prefix: "exec failed: ",
        failure: 255,
        ..verb(
            "exec",
            "ID COMMAND...",
            (2, ANY),
            EXEC,
            exec::exec,
            "start one more process in a container",
        )
    },
    verb(
        "state",
        "ID",
        (1, 1),
        NONE,
        state::state,
        "print the state of a container",
    ),
    Verb {
        stops: true,
        ..verb(
            "kill",
            "ID [SIGNAL]",
            (1, 2),
            KILL,
            kill::kill,
            "signal the first process; SIGTERM by default",
        )
    },
    verb(
        "delete",
        "ID",
        (1, 1),
        DELETE,
        delete::delete,
        "delete a container",
    ),
    verb("list", "", (0, 0), LIST, list::list, "list the containers"),
    verb(
        "spec",
        "",
        (0, 0),
        SPEC,
        spec::spec,
        "write a config.json to begin with",
    ),
    verb(
        "plan",
        "[ID]",
        (0, 1),
        PLAN,
        plan::plan,
        "print what create would do, without doing it",
    ),
    verb(
        "pause",
        "ID",
        (1, 1),
        NONE,
        pause::pause,
        "freeze all processes of a container",
    ),
    verb(
        "resume",
        "ID",
        (1, 1),
        NONE,
        pause::resume,
        "thaw a paused container",
    ),
    Verb {
        stops: true,
        ..verb(
            "ps",
            "ID [PS-OPTION...]",
            (1, usize::MAX),
            PS,
            ps::ps,
            "list the processes of a container",
        )
    },
    unbuilt("events", "print statistics and events of a container"),
    verb(
        "update",
        "ID",
        (1, 1),
        UPDATE,
        update::update,
        "change the limits of a container; what is not given stays",
    ),
    unbuilt("checkpoint", "write a running container to disk"),
    unbuilt("restore", "make a container from a checkpoint"),
    verb(
        "features",
        "",
        (0, 0),
        NONE,
        features::features,
        "print what this runtime can do",
    ),
];
