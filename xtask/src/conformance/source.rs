//! The suite's source: Debian's source package, fetched by apt with a source line, package lists and downloads of its own, so that
//! nothing of the machine's configuration changes. apt verifies what it fetches by Debian's archive key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::read;
use crate::error::{Error, Result, io_error};

const PACKAGE: &str = "golang-github-opencontainers-runtime-tools";
const LINE: &str = "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main\n";

/// The directory of the unpacked source, below `directory` and named for its version; what is there already will do, unless
/// it is to be fetched again.
pub fn source(directory: &Path, fetch: bool) -> Result<PathBuf> {
    if let (false, Some(unpacked)) = (fetch, find(directory, |name| name.starts_with("source-"))?) {
        return Ok(unpacked);
    }
    println!("fetching the source of {PACKAGE}");
    let apt = directory.join("apt");
    for folder in ["lists/partial", "archives/partial"] {
        let path = apt.join(folder);
        fs::create_dir_all(&path).map_err(io_error("make", &path))?;
    }
    let sources = apt.join("sources.list");
    fs::write(&sources, LINE).map_err(io_error("write", &sources))?;
    read(apt_get(&apt).arg("update"))?;
    let mut download = apt_get(&apt);
    read(download.args(["source", "--tar-only", "--download-only", PACKAGE]))?;
    let archive = find(&apt, |name| name.contains(".orig.tar."))?;
    let archive = archive.ok_or_else(|| Error::Unexpected {
        what: format!("apt-get source {PACKAGE} leaves an .orig.tar"),
        found: format!("none in {}", apt.display()),
    })?;
    unpack(&archive, directory)
}

fn apt_get(apt: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command.current_dir(apt).arg("-qq");
    let own = [
        ("Dir::Etc::sourcelist", "sources.list"),
        ("Dir::State::lists", "lists"),
        ("Dir::Cache", ""),
        ("Dir::Cache::archives", "archives"),
    ];
    for (option, name) in own {
        let value = apt.join(name);
        command
            .arg("-o")
            .arg(format!("{option}={}", value.display()));
    }
    // The directory may be one that apt's own user cannot reach.
    for option in ["Dir::Etc::sourceparts=/dev/null", "APT::Sandbox::User=root"] {
        command.args(["-o", option]);
    }
    command
}

fn unpack(archive: &Path, directory: &Path) -> Result<PathBuf> {
    let name = archive
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let version = name.split_once('_').map_or(name.as_str(), |(_, rest)| rest);
    let version = version
        .split_once(".orig.tar")
        .map_or(version, |(version, _)| version);
    let unpacked = directory.join(format!("source-{version}"));
    let unfinished = directory.join("unpacking");
    crate::rootfs::replace(&unfinished)?;
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(archive).arg("-C").arg(&unfinished);
    read(tar.arg("--strip-components=1"))?;
    crate::rootfs::replace(&unpacked)?;
    fs::rename(&unfinished, &unpacked).map_err(io_error("name", &unpacked))?;
    Ok(unpacked)
}

/// The last entry of `directory`, in the order of names, that is wanted.
fn find(directory: &Path, wanted: fn(&str) -> bool) -> Result<Option<PathBuf>> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(None);
    };
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error("read", directory))?;
        if entry.file_name().to_str().is_some_and(wanted) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found.pop())
}
