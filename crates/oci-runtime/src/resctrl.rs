//! The resctrl file system: classes of service for caches and memory bandwidth, a directory each, and groups in them whose use
//! is measured (config-linux.md, "IntelRdt"; Documentation/filesystems/resctrl.rst of the kernel).
//!
//! A class that the configuration names is shared: it stays when the container goes. One that has the container's id is the
//! container's own, and so is a group for monitoring; both are removed with it if they were made for it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::warn;
use nix::errno::Errno;
use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use crate::error::{Cause, Error, Result};
use crate::lock;

/// What a container asks of resctrl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResctrlClass {
    /// The root of the file system.
    pub root: PathBuf,
    /// The directory of the class.
    pub directory: PathBuf,
    /// Whether it is the container's own, by its id.
    pub own: bool,
    /// Lines that a new class gets and one that is there must have: `l3CacheSchema` and `memBwSchema`.
    pub schemas: Vec<String>,
    /// Lines that are written in any case, after those.
    pub schemata: Vec<String>,
    /// A group for monitoring, if one is wanted.
    pub monitoring: Option<PathBuf>,
}

/// The part of resctrl that a container is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    /// The directory of the class.
    class: PathBuf,
    /// That of the group for monitoring.
    monitoring: Option<PathBuf>,
    /// What was made for the container alone, to be removed with it.
    own: Vec<PathBuf>,
}

/// Makes what is missing of `class`, and writes or compares what it is to share out. Nothing is left of what fails.
///
/// # Errors
/// A class that is named and asked nothing of does not exist; one that exists differs; or the kernel refuses.
pub(crate) fn make(class: &ResctrlClass) -> Result<Membership> {
    let _lock = lock(&class.root)?;
    let mut made = Vec::new();
    match make_noting(class, &mut made) {
        Ok(()) => {
            // A class by a name of its own is everybody's from here on.
            made.retain(|directory| class.own || *directory != class.directory);
            Ok(Membership {
                class: class.directory.clone(),
                monitoring: class.monitoring.clone(),
                own: made,
            })
        }
        Err(error) => {
            remove_all(&made);
            Err(error)
        }
    }
}

fn make_noting(class: &ResctrlClass, made: &mut Vec<PathBuf>) -> Result<()> {
    let directory = &class.directory;
    let may_make = class.own || !class.schemas.is_empty() || !class.schemata.is_empty();
    if may_make && make_directory(directory, made)? {
        write_schemata(directory, &class.schemas)?;
    } else {
        compare(directory, &class.schemas)?;
    }
    write_schemata(directory, &class.schemata)?;
    if let Some(group) = &class.monitoring {
        make_directory(group, made)?;
    }
    Ok(())
}

/// How long others may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A class is made and then written to, and whoever finds it in between would take it for another one. The lock is the one that
/// resctrl.rst asks all programs to take ("Resctrl filesystem locking").
fn lock(root: &Path) -> Result<Flock<File>> {
    let action = "lock the resctrl file system at";
    let failed = |error| Error::file(action, root, error);
    let file = File::open(root).map_err(failed)?;
    lock::within(file, PATIENCE)
        .and_then(|lock| lock.ok_or(Errno::EWOULDBLOCK))
        .map_err(|errno| failed(errno.into()))
}

/// Whether it was made; one that is there is fine.
fn make_directory(directory: &Path, made: &mut Vec<PathBuf>) -> Result<bool> {
    match fs::create_dir(directory) {
        Ok(()) => {
            made.push(directory.to_owned());
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(refused("make the resctrl group", directory, error)),
    }
}

/// One write for all lines: the kernel takes them together or not at all.
fn write_schemata(directory: &Path, lines: &[String]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let file = directory.join("schemata");
    let text = lines.join("\n") + "\n";
    write(&file, &text).map_err(|error| refused("write the resctrl schemata", &file, error))
}

/// Whether a class that exists shares out what is asked of it.
fn compare(directory: &Path, schemas: &[String]) -> Result<()> {
    let file = directory.join("schemata");
    let present = fs::read_to_string(&file)
        .map_err(|error| Error::file("read the resctrl schemata", &file, error))?;
    let present: Vec<_> = present.lines().filter_map(domains).collect();
    for line in schemas.iter().flat_map(|schema| schema.lines()) {
        let agrees = domains(line).is_some_and(|(resource, asked)| {
            let of_resource = present.iter().filter(|(name, _)| *name == resource);
            let present: Vec<_> = of_resource.flat_map(|(_, domains)| domains).collect();
            asked.iter().all(|domain| present.contains(&domain))
        });
        if !agrees {
            return Err(Cause::Resctrl {
                file,
                line: line.to_owned(),
            }
            .into());
        }
    }
    Ok(())
}

/// A line of schemata: the resource, and for each domain its number and value in their shortest form.
fn domains(line: &str) -> Option<(&str, Vec<(String, String)>)> {
    let (resource, list) = line.trim().split_once(':')?;
    let short = |text: &str| {
        let text = text.trim().trim_start_matches('0').to_ascii_lowercase();
        if text.is_empty() {
            "0".to_owned()
        } else {
            text
        }
    };
    let list = list
        .split(';')
        .map(|domain| {
            domain
                .split_once('=')
                .map(|(id, value)| (short(id), short(value)))
        })
        .collect::<Option<_>>()?;
    Some((resource.trim(), list))
}

impl Membership {
    /// Makes a process, and so all that it starts, a member.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn join(&self, pid: i32) -> Result<()> {
        // A group for monitoring takes members of its own class only.
        for directory in std::iter::once(&self.class).chain(&self.monitoring) {
            let file = directory.join("tasks");
            write(&file, &pid.to_string())
                .map_err(|error| refused("join the resctrl group by", &file, error))?;
        }
        Ok(())
    }

    /// Writes other lines of schemata to the class, all or none.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn share_out(&self, lines: &[String]) -> Result<()> {
        write_schemata(&self.class, lines)
    }

    /// Removes what is the container's own.
    pub(crate) fn remove(&self) {
        remove_all(&self.own);
    }
}

/// The last one first: a group is inside of its class. The kernel's files in it go along.
fn remove_all(directories: &[PathBuf]) {
    for directory in directories.iter().rev() {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(
                    "cannot remove the resctrl group {}: {error}",
                    directory.display()
                );
            }
            _ => {}
        }
    }
}

/// No file is made: those that count are the kernel's.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(file)?;
    file.write_all(text.as_bytes())
}

/// What the kernel refuses it explains in a file of its own.
fn refused(action: &'static str, path: &Path, error: io::Error) -> Error {
    let status = path.ancestors().find_map(|directory| {
        let text = fs::read_to_string(directory.join("info/last_cmd_status")).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty() && text != "ok")
    });
    let Some(status) = status else {
        return Error::file(action, path, error);
    };
    let words = io::Error::new(error.kind(), format!("{error}: {status}"));
    Error::file(action, path, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_compared_by_what_they_say() {
        assert_eq!(domains("  L3:0=FFF;1=00f"), domains("L3:00=fff; 1=f "));
        assert_ne!(domains("L3:0=fff"), domains("L3:0=ff"));
        assert_eq!(
            domains("MB:0=0"),
            Some(("MB", vec![("0".into(), "0".into())]))
        );
        for none in ["", "L3", "L3:0", "L3:0=1;"] {
            assert_eq!(domains(none), None, "{none}");
        }
    }
}
