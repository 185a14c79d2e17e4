//! `cargo xtask record`: what engines really send. A wrapper stands in for the runtime of an engine and keeps what it is called
//! with; a record becomes part of the corpus once it is scrubbed of what belongs to one machine and one moment.

mod scrub;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::error::{Error, Result, io_error};
use crate::workspace;

pub const HELP: &str = "\
Usage: cargo xtask record DIRECTORY [--runtime PATH]
       cargo xtask record --scrub FILE --as NAME [--map FROM=TO]...

The first makes DIRECTORY and in it the script `runtime`, to be given to an engine as its runtime (dockerd --add-runtime,
ctr --runc-binary, podman --runtime, ...). It keeps each config.json and each process of `exec` in DIRECTORY, and then runs
the runtime at PATH (default: runc in PATH).

The second scrubs such a record and writes it to crates/oci-runtime/corpus/NAME.json; its golden plans are made by
UPDATE_GOLDEN=1 cargo test -p oci-runtime --lib corpus

  --map FROM=TO  a directory of the recording, and what it stands for
";

enum Request {
    Wrapper {
        directory: PathBuf,
        runtime: PathBuf,
    },
    Scrub {
        file: PathBuf,
        name: String,
        maps: Vec<(String, String)>,
    },
}

pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    match parse(arguments)? {
        Request::Wrapper { directory, runtime } => wrapper(&directory, &runtime)?,
        Request::Scrub { file, name, maps } => {
            let text = fs::read_to_string(&file).map_err(io_error("read", &file))?;
            let path = workspace::root()
                .join("crates/oci-runtime/corpus")
                .join(name + ".json");
            fs::write(&path, scrub::scrub(&text, &maps)).map_err(io_error("write", &path))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn wrapper(directory: &Path, runtime: &Path) -> Result<()> {
    fs::create_dir_all(directory).map_err(io_error("make", directory))?;
    let absolute = |path: &Path| fs::canonicalize(path).map_err(io_error("find", path));
    let (directory, runtime) = (absolute(directory)?, absolute(runtime)?);
    let text = include_str!("wrapper.sh")
        .replace("@RECORDS@", &directory.to_string_lossy())
        .replace("@RUNTIME@", &runtime.to_string_lossy());
    let path = directory.join("runtime");
    fs::write(&path, text).map_err(io_error("write", &path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .map_err(io_error("set the mode of", &path))?;
    println!("{}", path.display());
    Ok(())
}

fn parse(arguments: Vec<OsString>) -> Result<Request> {
    let (mut directory, mut runtime, mut file, mut name) = (None, None, None, None);
    let mut maps = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Value(value) if directory.is_none() => {
                directory = Some(PathBuf::from(value));
            }
            lexopt::Arg::Long("runtime") => runtime = Some(PathBuf::from(parser.value()?)),
            lexopt::Arg::Long("scrub") => file = Some(PathBuf::from(parser.value()?)),
            lexopt::Arg::Long("as") => name = Some(parser.value()?.to_string_lossy().into_owned()),
            lexopt::Arg::Long("map") => {
                let value = parser.value()?.to_string_lossy().into_owned();
                let pair = value
                    .split_once('=')
                    .map(|(from, to)| (from.into(), to.into()));
                maps.push(pair.ok_or_else(|| Error::UnknownValue {
                    option: "--map",
                    value: value.clone(),
                    known: "FROM=TO".to_owned(),
                })?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    match (directory, file, name) {
        (None, Some(file), Some(name)) => Ok(Request::Scrub { file, name, maps }),
        (Some(directory), None, None) => {
            let runtime = runtime.or_else(|| crate::peers::find("runc"));
            let runtime = runtime.ok_or_else(|| Error::Usage("there is no runc in PATH".into()))?;
            Ok(Request::Wrapper { directory, runtime })
        }
        _ => Err(Error::Usage(
            "either DIRECTORY, or --scrub with --as".into(),
        )),
    }
}
