//! Starting other programs: three ways to look at one (what it says, that it works, how long it takes), each with an
//! error that shows the command line.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Runs `command` with our own output and input, and fails unless it succeeds.
pub fn check(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(spawn_error(command))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::Failed {
            command: line(command),
            status,
            output: String::new(),
        }),
    }
}

/// Runs `command`, and gives its standard output when it succeeds; else what it wrote to both.
pub fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(spawn_error(command))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(command, &output)),
    }
}

/// [`read`], with the time from start to end.
pub fn timed(command: &mut Command) -> Result<(String, Duration)> {
    let start = Instant::now();
    let text = read(command)?;
    Ok((text, start.elapsed()))
}

/// The error of a `command` that could not be started.
pub fn spawn_error(command: &Command) -> impl FnOnce(std::io::Error) -> Error {
    let program = command.get_program().to_string_lossy().into_owned();
    move |source| Error::Spawn { program, source }
}

/// The error of a `command` that ran and failed with this output.
pub fn failed(command: &Command, output: &Output) -> Error {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    Error::Failed {
        command: line(command),
        status: output.status,
        output: String::from_utf8_lossy(&both).into_owned(),
    }
}

/// The command line as a reader would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
