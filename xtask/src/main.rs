//! The project's own commands, called as `cargo xtask COMMAND`: `build` makes the static release binary, `demo` shows
//! it on a real root file system, `test` runs everything that has to pass, `bench` measures it against its peers. One
//! file (or folder) a command; the other modules hold what two commands share.

mod bench;
mod build;
mod command;
mod conformance;
mod debian;
mod demo;
mod error;
mod peers;
mod record;
mod rootfs;
mod source;
mod supervise;
mod tally;
mod test;
mod vm;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use error::{Error, Result};

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let name = match arguments.is_empty() {
        true => "help".into(),
        false => arguments.remove(0).to_string_lossy().into_owned(),
    };
    match run(&name, arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A command: its name, one line for the list, its full help, and what it does with its arguments.
struct Command {
    name: &'static str,
    summary: &'static str,
    help: &'static str,
    run: fn(Vec<OsString>) -> Result<ExitCode>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "build",
        summary: "build target/release/ocirun, static and non-PIE",
        help: build::HELP,
        run: build::run,
    },
    Command {
        name: "demo",
        summary: "run a container step by step on a real root file system (root)",
        help: demo::HELP,
        run: demo::run,
    },
    Command {
        name: "test",
        summary: "everything that has to pass: format, lints, unit and integration tests (root)",
        help: test::HELP,
        run: test::run,
    },
    Command {
        name: "bench",
        summary: "measure ocirun, runc, crun, youki and the least work that is possible (root)",
        help: bench::HELP,
        run: bench::run,
    },
    Command {
        name: "conformance",
        summary: "the validation suite of the OCI runtime-tools, alone or against runc, crun and youki (root)",
        help: conformance::HELP,
        run: conformance::run,
    },
    Command {
        name: "record",
        summary: "keep what engines send to a runtime, and scrub it for the corpus",
        help: record::HELP,
        run: record::run,
    },
    Command {
        name: "vm",
        summary: "the integration tests in a guest with systemd and cgroup v2 alone (root)",
        help: vm::HELP,
        run: vm::run,
    },
];

fn run(name: &str, arguments: Vec<OsString>) -> Result<ExitCode> {
    if matches!(name, "help" | "--help" | "-h") {
        println!("Usage: cargo xtask COMMAND [OPTION...]\n");
        for command in COMMANDS {
            println!("  {:<11}  {}", command.name, command.summary);
        }
        println!("\n`cargo xtask COMMAND --help` says more.");
        return Ok(ExitCode::SUCCESS);
    }
    let command = COMMANDS
        .iter()
        .find(|command| command.name == name)
        .ok_or(Error::UnknownCommand)?;
    if arguments
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        print!("{}", command.help);
        return Ok(ExitCode::SUCCESS);
    }
    (command.run)(arguments)
}
