//! Everything that can be said on the command line, as data.
//!
//! A flag (they are in [`flags`](crate::flags)) is known by its name and, where it has one, a letter; both may be written with one dash or two, and a value follows
//! as the next word or after `=`.

use crate::arguments::Arguments;
use crate::call::Call;
use crate::failure::{Failure, Misuse};
use crate::flag::Flag;
use crate::flags::{
    CREATE, DELETE, EVENTS, EXEC, KILL, LIST, NONE, PLAN, PS, RUN, SECCOMP, SPEC, UPDATE,
};
use crate::{
    create, delete, events, exec, features, kill, list, pause, plan, ps, run, seccomp, spec, start,
    state, update,
};

/// Carries out a verb; answers the exit status.
pub(crate) type Run = fn(&Call) -> Result<u8, Failure>;

/// What carries a verb out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// A function.
    Run(Run),
    /// The table itself, as a script for a shell.
    Completion,
    /// The table itself, as pages of a manual.
    Manual,
    /// Nothing yet.
    NotBuiltIn,
}

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
    /// What carries it out.
    pub action: Action,
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
        action: Action::Run(run),
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
        action: Action::NotBuiltIn,
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
        "seccomp",
        "explain PROFILE [SYSCALL [ARGUMENT...]] | lint PROFILE",
        (2, 9),
        SECCOMP,
        seccomp::seccomp,
        "print what a seccomp profile means, or what is odd about it",
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
    verb(
        "events",
        "ID",
        (1, 1),
        EVENTS,
        events::events,
        "print statistics of a container, and when its memory runs out, as JSON",
    ),
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
    Verb {
        usage: "SHELL",
        takes: (1, 1),
        action: Action::Completion,
        ..unbuilt(
            "completion",
            "print a completion script for bash, zsh or fish",
        )
    },
    Verb {
        usage: "[COMMAND]",
        takes: (0, 1),
        action: Action::Manual,
        ..unbuilt("man", "print a manual page, of one command or of all")
    },
    verb(
        "features",
        "",
        (0, 0),
        NONE,
        features::features,
        "print what this runtime can do",
    ),
];
