//! What `ocirun` does: the library `oci-runtime` behind a command line that engines take for runc's.
//!
//! One file a verb. What can be said is written in one table ([`table`]); the parser and the help walk it. A verb answers the
//! exit status or one [`Failure`](failure::Failure), and only here that becomes a line of text.

mod activation;
mod arguments;
mod blame;
mod call;
mod completion;
mod console;
mod create;
mod delete;
mod duration;
mod events;
mod exec;
mod failure;
mod features;
mod flag;
mod flags;
mod foreground;
mod help;
mod interruption;
mod kill;
mod list;
mod man;
mod notify;
mod parse;
mod passwd;
mod pause;
mod pidfd;
mod plan;
mod process;
mod ps;
mod record;
mod relay;
mod report;
mod root;
mod run;
mod seccomp;
mod selection;
mod signals;
mod size;
mod spec;
mod start;
mod state;
mod stdout;
mod sys;
mod table;
mod terminal;
mod update;
mod user;

use std::ffi::OsString;

use arguments::Arguments;
use call::Call;
use failure::{Failure, Misuse};
use flags::GLOBALS;
use report::Report;
use stdout::print;
use table::{Action, VERBS, Verb};

/// An unknown verb has a status of its own.
const UNKNOWN_VERB: u8 = 3;

/// Carries out a command line without its first word, the name of the program, and answers the exit status. It takes the
/// whole process for itself: standard streams, signals, file descriptors from 3 on.
pub fn ocirun(words: Vec<OsString>) -> u8 {
    let fallback = Report::to_stderr();
    if let Err(failure) = process::prepare() {
        return fallback.fail("", &failure, 1);
    }
    let globals = match parse::parse(GLOBALS, true, words) {
        Ok(globals) => globals,
        Err(misuse) => return fallback.fail("", &misuse.into(), 1),
    };
    let report = match Report::open(&globals) {
        Ok(report) => report,
        Err(failure) => return fallback.fail("", &failure, 1),
    };
    let report = report.install(&globals);
    match chosen(&globals) {
        Chosen::Text(text) => match print(&text) {
            Ok(()) => 0,
            Err(failure) => report.fail("", &failure, 1),
        },
        Chosen::Unknown(name) => report.fail("", &Misuse::UnknownVerb(name).into(), UNKNOWN_VERB),
        Chosen::Verb(verb, words) => match perform(verb, &globals, words) {
            Ok(status) => status,
            Err(failure @ Failure::Misuse(_)) => report.fail("", &failure, 1),
            Err(failure @ Failure::Interrupted { signal, .. }) => {
                // As shells have it; there are no more than 64.
                report.fail(verb.prefix, &failure, 128 + signal as u8)
            }
            Err(failure) => report.fail(verb.prefix, &failure, verb.failure),
        },
    }
}

enum Chosen {
    Text(String),
    Unknown(String),
    Verb(&'static Verb, Vec<OsString>),
}

fn chosen(globals: &Arguments) -> Chosen {
    let Some((name, words)) = globals.rest.split_first().filter(|_| !globals.help) else {
        let version = globals.switch("version") && !globals.help;
        return Chosen::Text(if version {
            help::version()
        } else {
            help::overview()
        });
    };
    if globals.switch("version") {
        return Chosen::Text(help::version());
    }
    let find = |name: &OsString| VERBS.iter().find(|verb| verb.name == name.as_os_str());
    match (find(name), words.first()) {
        (Some(verb), _) => Chosen::Verb(verb, words.to_vec()),
        (None, None) if name == "help" => Chosen::Text(help::overview()),
        (None, Some(topic)) if name == "help" => match find(topic) {
            Some(verb) => Chosen::Text(help::of(verb)),
            None => Chosen::Unknown(topic.to_string_lossy().into_owned()),
        },
        (None, _) => Chosen::Unknown(name.to_string_lossy().into_owned()),
    }
}

fn perform(verb: &Verb, globals: &Arguments, words: Vec<OsString>) -> Result<u8, Failure> {
    if let Action::NotBuiltIn = verb.action {
        return Err(Misuse::NotBuiltIn(verb.name).into());
    }
    let arguments = parse::parse(verb.flags, verb.stops, words)?;
    if arguments.help {
        print(&help::of(verb))?;
        return Ok(0);
    }
    verb.count(&arguments)?;
    root::judge(globals)?;
    let text = match verb.action {
        Action::Run(run) => {
            let cgroup_manager = root::cgroup_manager(globals)?;
            let root = oci_runtime::StateRoot::new(root::of(globals)?);
            let call = Call {
                root,
                cgroup_manager,
                debug: globals.switch("debug"),
                arguments,
            };
            return run(&call)
                .map_err(|failure| blame::file(failure, verb.flags, &call.arguments))
                .map_err(|failure| blame::file(failure, GLOBALS, globals));
        }
        Action::Completion => completion::script(&arguments.id())?,
        Action::Manual => man::page(&arguments.id())?,
        Action::NotBuiltIn => return Err(Misuse::NotBuiltIn(verb.name).into()),
    };
    print(&text)?;
    Ok(0)
}
