//! The runtimes that are measured against the suite. Its programs call one by name and tell it nothing but the verb, so each gets
//! two scripts: one that adds a state root of its own, and one that makes the surroundings to run a program in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::read;
use crate::error::{Result, io_error};
use crate::{build, peers, rootfs, workspace};

/// A runtime and where it may leave things.
pub struct Runtime {
    pub name: &'static str,
    version: String,
    program: PathBuf,
}

/// This runtime, and its peers as far as they are here.
pub fn all() -> Result<Vec<Runtime>> {
    let mut runtimes = vec![ours()?];
    for name in ["runc", "crun", "youki"] {
        match peers::find(name) {
            Some(program) => runtimes.push(Runtime::at(name, &program)?),
            None => println!("{name}: not found, left out"),
        }
    }
    Ok(runtimes)
}

/// This runtime: `OCIRUN`, else the release binary.
pub fn ours() -> Result<Runtime> {
    let program = match std::env::var_os("OCIRUN") {
        Some(program) => program.into(),
        None => build::build()?,
    };
    build::need_built(&program)?;
    Runtime::at("ocirun", &program)
}

/// Where everything of the suite is kept.
pub fn directory() -> PathBuf {
    workspace::target().join("conformance")
}

impl Runtime {
    pub fn at(name: &'static str, program: &Path) -> Result<Runtime> {
        let program = fs::canonicalize(program).map_err(io_error("find", program))?;
        let version = peers::version(&program);
        Ok(Runtime {
            name,
            version,
            program,
        })
    }

    pub fn label(&self) -> String {
        format!("{} {}", self.name, self.version).trim_end().into()
    }

    /// Where it and what it runs leave things.
    pub fn place(&self) -> Place {
        Place(directory().join("run").join(self.name))
    }

    /// Makes its place anew, with both scripts.
    pub fn prepare(&self) -> Result<Place> {
        let place = self.place();
        place.tidy();
        for folder in [&place.0, &place.state(), &place.bundles()] {
            rootfs::replace(folder)?;
        }
        let (program, state) = (self.program.display(), place.state());
        let state = state.display();
        script(
            &place.runtime(),
            &format!("exec '{program}' --root '{state}' \"$@\"\n"),
        )?;
        script(&place.0.join("enter"), &surroundings(self.name)?)?;
        Ok(place)
    }
}

/// A mount namespace that ends with the program: in a container without one of its own, runtimes mount in the caller's. crun takes
/// a hybrid host for something else and refuses, unless there is no cgroup2.
fn surroundings(name: &str) -> Result<String> {
    let mut hide = String::new();
    if let ("crun", [_, ..], [v2, ..]) = (name, &mounted("cgroup")?[..], &mounted("cgroup2")?[..]) {
        let v2 = v2.display();
        // What is below is the host's tmpfs, in which crun would make directories that nobody removes.
        hide = format!("umount '{v2}'; mount -t tmpfs none '{v2}'; ");
    }
    Ok(format!(
        "exec unshare --mount --propagation private sh -c '{}exec \"$@\"' sh \"$@\"\n",
        hide.replace('\'', "'\\''")
    ))
}

fn script(path: &Path, text: &str) -> Result<()> {
    fs::write(path, format!("#!/bin/sh\n{text}")).map_err(io_error("write", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(io_error("set the mode of", path))
}

/// Where file systems of this type are mounted.
fn mounted(kind: &str) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/mounts").map_err(io_error("read", "/proc/mounts"))?;
    let fields = table.lines().map(|line| line.split(' '));
    Ok(fields
        .filter_map(|mut fields| Some((fields.nth(1)?, fields.next()?)))
        .filter(|(_, found)| *found == kind)
        .map(|(path, _)| path.into())
        .collect())
}

/// A runtime's directory, with the scripts that [`Runtime::prepare`] has put there.
pub struct Place(PathBuf);

impl Place {
    /// The runtime, as the suite's programs are to call it.
    pub fn runtime(&self) -> PathBuf {
        self.0.join("runtime")
    }

    fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    /// For temporary directories: the suite's programs make their bundles there.
    pub fn bundles(&self) -> PathBuf {
        self.0.join("bundles")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// `program` in its surroundings.
    pub fn enter(&self, program: &Path) -> Command {
        let mut command = Command::new(self.0.join("enter"));
        command.arg(program).stdin(Stdio::null());
        command
    }

    /// Ends and removes what programs have left, but for the outputs.
    pub fn tidy(&self) {
        for entry in fs::read_dir(self.state()).into_iter().flatten().flatten() {
            let mut delete = self.enter(&self.runtime());
            delete.args(["delete", "--force"]).arg(entry.file_name());
            // What the runtime cannot remove goes with the directory.
            let _ = read(&mut delete);
        }
        let _ = fs::remove_dir_all(self.state());
        let _ = fs::remove_dir_all(self.bundles());
        for kind in ["cgroup", "cgroup2"] {
            for hierarchy in mounted(kind).unwrap_or_default() {
                for path in CGROUPS {
                    let _ = fs::remove_dir(hierarchy.join(path));
                }
            }
        }
    }
}

/// The cgroups that the suite names, from the inside out.
const CGROUPS: &[&str] = &[
    "cgrouptest",
    "testdir/cgrouptest/container",
    "testdir/cgrouptest",
    "testdir",
];

/// After whatever end: all places.
pub fn tidy() {
    let places = fs::read_dir(directory().join("run"));
    for entry in places.into_iter().flatten().flatten() {
        Place(entry.path()).tidy();
    }
}
