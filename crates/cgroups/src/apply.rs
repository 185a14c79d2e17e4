//! The one writer: makes [`Limits`] real, in order, and says which file refused which value.

use crate::bpf;
use crate::error::{Error, Result, errno_of};
use crate::files::{self, read_number, write_once};
use crate::limits::write::{Check, Limits, OnRefusal, Write};
use crate::undo::{Former, take_back};
use nix::fcntl::OFlag;
use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the checks, then the writes, then attaches the device program.
///
/// It stops at the first error; what was written before stays. For a new cgroup the caller removes it then.
pub fn apply(limits: &Limits) -> Result<()> {
    limits.checks.iter().try_for_each(make)?;
    carry_out(limits, &mut |_, _| ())
}

/// The same for a running cgroup, all or nothing: on an error the files written before get back what they held. An
/// [`Error::Update`] says what was refused, and which files could not be given back their value, if any.
pub fn update(limits: &Limits) -> Result<()> {
    limits.checks.iter().try_for_each(make)?;
    let mut formers = Vec::new();
    let mut remember = |file: &Path, value: &str| formers.push(Former::of(file, value));
    carry_out(limits, &mut remember).map_err(|cause| Error::Update {
        cause: Box::new(cause),
        left: take_back(formers),
    })
}

/// `before` is told of every write that is about to be made.
fn carry_out(limits: &Limits, before: &mut dyn FnMut(&Path, &str)) -> Result<()> {
    let mut open = None;
    let mut again = Vec::new();
    for write in &limits.writes {
        before(&write.file, &write.value);
        match attempt(&mut open, &write.file, &write.value) {
            Ok(()) => {}
            Err(e) => match (&write.on_refusal, errno_of(&e)) {
                (OnRefusal::RetryLast, libc::EINVAL) => again.push(write),
                (OnRefusal::SkipIfMissing, libc::ENOENT) => {}
                (OnRefusal::Instead { file, value }, libc::ENOENT) => {
                    before(file, value);
                    attempt(&mut open, file, value).map_err(|e| refused(file, value, write, &e))?;
                }
                _ => return Err(refused(&write.file, &write.value, write, &e)),
            },
        }
    }
    for write in again {
        attempt(&mut open, &write.file, &write.value)
            .map_err(|e| refused(&write.file, &write.value, write, &e))?;
    }
    match &limits.device_program {
        Some(program) if program.replaces => bpf::replace(program),
        Some(program) => bpf::attach(program),
        None => Ok(()),
    }
}

fn make(check: &Check) -> Result<()> {
    let usage = read_number(&check.file)?;
    if usage <= check.at_most {
        return Ok(());
    }
    Err(Error::Usage {
        pointer: check.origin.to_string(),
        file: check.file.clone(),
        usage,
        limit: check.at_most,
    })
}

/// One write(2). The file stays open for the next one, because device lists go line by line to the same file.
fn attempt<'a>(open: &mut Option<(&'a Path, File)>, path: &'a Path, value: &str) -> io::Result<()> {
    let file = match open {
        Some((same, file)) if *same == path => file,
        _ => {
            let file = files::open(path, OFlag::O_WRONLY)?;
            &mut open.insert((path, file)).1
        }
    };
    write_once(file, value)
}

fn refused(file: &Path, value: &str, write: &Write, error: &io::Error) -> Error {
    Error::Write {
        file: file.to_path_buf(),
        value: value.to_owned(),
        pointer: write.origin.to_string(),
        errno: errno_of(error),
    }
}
