//! `--seccomp-record FILE`: the profile of what a container really calls. What FILE allows already stays allowed, so that the
//! recordings of several runs add up.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use oci_runtime::Recorder;
use oci_runtime_seccomp::{Arch, Calls, Profile};

use crate::arguments::Arguments;
use crate::failure::{Failure, Misuse};

const FLAG: &str = "seccomp-record";

/// Where a recording goes to.
#[derive(Debug)]
pub(crate) struct Recording {
    path: PathBuf,
}

/// What the command line asks for. Whether the file can be added to is known before anything is run.
pub(crate) fn recording(arguments: &Arguments) -> Result<Option<Recording>, Failure> {
    let Some(path) = arguments.text(FLAG) else {
        return Ok(None);
    };
    if arguments.switch("detach") {
        let reason =
            "every call waits for the runtime that records it, so it cannot go with --detach";
        return Err(Misuse::bad(FLAG, path, reason).into());
    }
    let recording = Recording { path: path.into() };
    recording.merged(&Calls::default())?;
    let directory = recording.path.parent().unwrap_or(Path::new(""));
    let place = fs::metadata(directory.join("."));
    place.map_err(|source| recording.failed("write", source))?;
    Ok(Some(recording))
}

impl Recording {
    /// Writes what was recorded and what the file had before, all at once or not at all.
    pub fn save(&self, recorder: &Recorder) -> Result<(), Failure> {
        let profile = self.merged(recorder.calls())?;
        for (arch, number) in recorder.calls().nameless() {
            log::warn!(
                "no name is known for call {number} of architecture {arch:#x}: it is left out"
            );
        }
        let mut text = serde_json::to_vec_pretty(&profile)?;
        text.push(b'\n');
        let new = beside(&self.path);
        let written = write_new(&new, &text).and_then(|()| fs::rename(&new, &self.path));
        written.map_err(|source| {
            let _ = fs::remove_file(&new);
            self.failed("write", source)
        })
    }

    fn merged(&self, calls: &Calls) -> Result<Profile<'static>, Failure> {
        let native = Arch::native().ok_or(Failure::NoRecording)?;
        let mut calls = calls.clone();
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(calls.profile(native)),
            Err(error) => return Err(self.failed("read", error)),
        };
        let earlier = self.earlier(&text)?;
        let odd = |source| self.failed("add to", io::Error::new(ErrorKind::InvalidData, source));
        calls.add_profile(&earlier).map_err(odd)?;
        Ok(calls.profile(native))
    }

    /// What the file has, if that is a profile and nothing else: the rest would be lost.
    fn earlier<'t>(&self, text: &'t [u8]) -> Result<Profile<'t>, Failure> {
        let odd = |source: serde_json::Error| self.failed("add to", source.into());
        let earlier: Profile<'t> = serde_json::from_slice(text).map_err(odd)?;
        let all: serde_json::Value = serde_json::from_slice(text).map_err(odd)?;
        if serde_json::to_value(&earlier)? != all {
            let why = "it has more in it than a recorded profile";
            return Err(self.failed("add to", io::Error::new(ErrorKind::InvalidData, why)));
        }
        Ok(earlier)
    }

    fn failed(&self, action: &'static str, source: io::Error) -> Failure {
        Failure::File {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

/// The directory may be anybody's to write to: the file is one that was not there before, and no link leads us to another.
fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::File::create_new(path)?.write_all(text)
}

/// A name for the new file in the same directory, which nobody else uses.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsStr::new(".").to_owned();
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}
