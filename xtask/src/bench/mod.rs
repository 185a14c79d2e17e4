//! `cargo xtask bench`: the same container made by several runtimes and by the least work that is possible, in rounds:
//! every contender once a round, in an order that changes, so that a busy moment of the machine hits all alike and each
//! round gives a ratio of its own.

mod config;
mod contender;
mod host;
mod measure;
mod report;
mod statistics;
mod watched;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::command::check;
use crate::error::{Error, Result};
use crate::supervise::supervised;
use contender::Contender;
use measure::Subject;

use crate::{build, debian, workspace};

pub const HELP: &str = "\
Usage: cargo xtask bench [OPTION...]

Builds and measures ocirun, runc, crun, youki (where they are in PATH) and `limit`, a C program
without libc that does the same namespaces, cgroups, mounts, devices, masks and credentials and nothing else.
One config.json for all: five new namespaces, the default mounts and devices, memory, cpu and pids limits.
A contender that is not there or cannot run that container here is named and left out. Needs root.

  run        `run` of /bin/true until it has ended and everything is removed
  lifecycle  create, start, (the program ends), delete
  exec       `exec` of /bin/true in a running container
  mounts     what each bind mount adds to `run`: the slope over 10, 100, 500 and 1,000 of them (a fifth of the rounds).
             Every mount is to go from fd to fd, so `limit` does that here; `by-path` is the same program with mount(2)
             by path, as if no name in the root file system could lead elsewhere
  memory     of the first process of a created container, which waits
  lowering   of the library alone: the time from a parsed config.json like Docker's to the finished plan

  --runs N        rounds (default 100); one in which a contender hangs for half a minute is repeated
  --only WHAT     one of these (may be given more than once)
  --pause MS      between two measurements, for what the kernel tidies up later (default 5)
  --without NAME  leave out a contender (may be given more than once)
  --markdown      tables for the README instead of text

OCIRUN=/absolute/path in the environment measures another binary as ocirun.
";

/// What can be asked for.
#[derive(Clone, Copy)]
enum What {
    /// All contenders do the same.
    Contest(Subject),
    /// The library alone.
    Lowering,
}

const SUBJECTS: &[(&str, What)] = &[
    ("run", What::Contest(Subject::Run)),
    ("lifecycle", What::Contest(Subject::Lifecycle)),
    ("exec", What::Contest(Subject::Exec)),
    ("mounts", What::Contest(Subject::Mounts)),
    ("memory", What::Contest(Subject::Memory)),
    ("lowering", What::Lowering),
];

struct Options {
    rounds: usize,
    only: Vec<What>,
    without: Vec<String>,
    pause: Duration,
    markdown: bool,
}

pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    parse(arguments.clone())?;
    workspace::need_root("make containers with all their namespaces and cgroups")?;
    supervised(
        "bench",
        arguments,
        |arguments| bench(parse(arguments)?),
        tidy,
    )
}

fn bench(options: Options) -> Result<ExitCode> {
    let subjects: Vec<Subject> = options
        .only
        .iter()
        .filter_map(|what| what.subject())
        .collect();
    if subjects.len() < options.only.len() {
        lowering()?;
    }
    if !subjects.is_empty() {
        contest(&subjects, &options)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl What {
    fn subject(self) -> Option<Subject> {
        match self {
            What::Contest(subject) => Some(subject),
            What::Lowering => None,
        }
    }
}

/// Needs what is private to the library, so it is there, as a test that is run by name.
fn lowering() -> Result<()> {
    let mut cargo = Command::new(workspace::cargo());
    cargo.current_dir(workspace::root());
    let test = "test --release -q -p oci-runtime --lib print_the_times -- --ignored --nocapture";
    check(cargo.args(test.split(' ')))
}

fn contest(subjects: &[Subject], options: &Options) -> Result<()> {
    debian::install(&[debian::BUILD, debian::DEMO])?;
    if std::env::var_os("OCIRUN").is_none() {
        build::build()?;
    }
    let host = host::enter()?;
    tidy();
    host.make_parent_cgroups()?;
    let contenders = able(contender::prepare(&host, &directory(), &options.without)?);
    for subject in subjects.iter().copied() {
        let contenders = taking_part(subject, &contenders);
        let table = measure::measure(subject, contenders, options.rounds, options.pause)?;
        report::print(&table, contenders, options.markdown);
    }
    Ok(())
}

/// All, but for one that differs in bind mounts alone, where there are none. It is the last.
fn taking_part(subject: Subject, contenders: &[Contender]) -> &[Contender] {
    match contenders.split_last() {
        Some((last, others)) if last.is_by_path() && !matches!(subject, Subject::Mounts) => others,
        _ => contenders,
    }
}

/// Those that can run the bench's container on this host; says why others cannot.
fn able(contenders: Vec<Contender>) -> Vec<Contender> {
    let can = |contender: &Contender| match measure::try_out(contender) {
        Ok(()) => true,
        Err(error) => {
            println!(
                "{}: cannot run the bench's container here, left out: {error}",
                contender.name
            );
            false
        }
    };
    contenders.into_iter().filter(can).collect()
}

/// Ends and removes everything of a bench: called before, after, and after an interruption.
fn tidy() {
    contender::remove_all(&directory());
    host::remove_parent_cgroups();
}

fn directory() -> PathBuf {
    workspace::target().join("bench")
}

fn parse(arguments: Vec<OsString>) -> Result<Options> {
    let all = SUBJECTS.iter().map(|(_, subject)| *subject).collect();
    let mut options = Options {
        rounds: 100,
        only: Vec::new(),
        without: Vec::new(),
        pause: Duration::from_millis(5),
        markdown: false,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("runs") => {
                options.rounds = number("--runs", &parser.value()?)?.max(1)
            }
            lexopt::Arg::Long("pause") => {
                options.pause = Duration::from_millis(number("--pause", &parser.value()?)? as u64);
            }
            lexopt::Arg::Long("only") => options.only.push(subject(&parser.value()?)?),
            lexopt::Arg::Long("without") => options
                .without
                .push(parser.value()?.to_string_lossy().into_owned()),
            lexopt::Arg::Long("markdown") => options.markdown = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if options.only.is_empty() {
        options.only = all;
    }
    Ok(options)
}

fn number(option: &'static str, value: &OsString) -> Result<usize> {
    let text = value.to_string_lossy().into_owned();
    text.parse().map_err(|_| Error::UnknownValue {
        option,
        value: text,
        known: "whole numbers".to_owned(),
    })
}

fn subject(value: &OsString) -> Result<What> {
    let text = value.to_string_lossy().into_owned();
    let known = || {
        SUBJECTS
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let found = SUBJECTS.iter().find(|(name, _)| *name == text);
    found
        .map(|(_, subject)| *subject)
        .ok_or_else(|| Error::UnknownValue {
            option: "--only",
            value: text,
            known: known(),
        })
}
