//! `ocirun`: the library `oci-runtime` behind a command line that engines take for runc's.
//!
//! One file a verb. What can be said is written in one table ([`table`]); the parser and the help walk it. A verb answers the
//! exit status or one [`Failure`](failure::Failure), and only here that becomes a line of text.

mod console;
mod create;
mod delete;
mod exec;
mod failure;
mod foreground;
mod help;
mod kill;
mod list;
mod parse;
mod passwd;
mod plan;
mod relay;
mod report;
mod root;
mod run;
mod signals;
mod spec;
mod start;
mod state;
mod sys;
mod table;
mod terminal;
mod user;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use failure::{Failure, Misuse};
use parse::Arguments;
use report::Report;
use table::{GLOBALS, VERBS, Verb};

/// What a verb gets.
#[derive(Debug)]
pub(crate) struct Call {
    /// Where containers are kept.
    pub root: oci_runtime::StateRoot,
    /// Whether every step is to be told.
    pub debug: bool,
    /// The verb's own flags and arguments.
    pub arguments: Arguments,
}

/// An unknown verb has a status of its own.
const UNKNOWN_VERB: u8 = 3;

fn main() -> ExitCode {
    // Whatever the caller has left open is no business of the container's.
    sys::close_on_exec_from(3);
    ExitCode::from(ocirun(std::env::args_os().skip(1).collect()))
}

fn ocirun(words: Vec<OsString>) -> u8 {
    let fallback = Report::to_stderr();
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
    let Some(run) = verb.run else {
        return Err(Misuse::NotBuiltIn(verb.name).into());
    };
    let arguments = parse::parse(verb.flags, verb.stops, words)?;
    if arguments.help {
        print(&help::of(verb))?;
        return Ok(0);
    }
    verb.count(&arguments)?;
    root::judge(globals)?;
    let root = oci_runtime::StateRoot::new(root::of(globals)?);
    run(&Call {
        root,
        debug: globals.switch("debug"),
        arguments,
    })
}

/// Writes to standard output. A reader that has gone is an error like any other.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|source| Failure::Io {
            action: "write to standard output",
            source,
        })
}
