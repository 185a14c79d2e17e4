//! The contenders: where each is found, its bundles, and the command lines of its verbs. A runtime is told everything
//! by `--root` and `--bundle`; `limit` gets on its command line what the others read from config.json.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::config::config;
use super::host::{Host, PARENT, mount_tmpfs};
use crate::command::{check, read};
use crate::error::{Result, io_error};
use crate::{peers, rootfs, workspace};

/// A runtime and its two bundles.
pub struct Contender {
    pub name: &'static str,
    pub version: String,
    program: PathBuf,
    /// Its state and bundles; the root file system is shared.
    directory: PathBuf,
    rootfs: PathBuf,
    /// Mount points, for `limit` only.
    hierarchies: Vec<PathBuf>,
}

/// What the container runs: something that ends at once, or a process for `exec` to join.
#[derive(Clone, Copy)]
pub enum Payload {
    Ends,
    Stays,
}

const ENDS: &[&str] = &["/bin/true"];
/// How many bind mounts `run` has, more and more, for what each of them takes.
pub const MOUNTS: [usize; 4] = [10, 100, 500, 1000];
const STAYS: &[&str] = &["/bin/sleep", "100000"];

/// All that may take part.
const CONTENDERS: &[&str] = &["ocirun", "crun", "runc", "youki", LIMIT, BY_PATH];

const LIMIT: &str = "limit";

/// The same program, whose bind mounts go by path: less than what is asked of a runtime, and the least the kernel can be asked for.
const BY_PATH: &str = "by-path";

/// Makes root file system and bundles in `directory`, and gives the contenders that are there.
pub fn prepare(host: &Host, directory: &Path, without: &[String]) -> Result<Vec<Contender>> {
    rootfs::replace(directory)?;
    let rootfs = directory.join("rootfs");
    rootfs::make(&rootfs)?;
    make_mount_points(&rootfs)?;
    let limit = compile_limit(directory)?;
    let mut contenders = Vec::new();
    for name in CONTENDERS
        .iter()
        .filter(|name| !without.iter().any(|other| other == *name))
    {
        let program = match *name {
            "ocirun" => Some(std::env::var_os("OCIRUN").map_or_else(workspace::ocirun, Into::into)),
            LIMIT | BY_PATH => Some(limit.clone()),
            _ => peers::find(name),
        };
        let Some(program) = program.filter(|program| program.exists()) else {
            println!("{name}: not found, left out");
            continue;
        };
        let contender = Contender {
            name,
            version: match *name {
                LIMIT | BY_PATH => String::new(),
                _ => peers::version(&program),
            },
            program,
            directory: directory.join(name),
            rootfs: rootfs.clone(),
            hierarchies: host.hierarchies.clone(),
        };
        contender.make_bundles()?;
        contenders.push(contender);
    }
    Ok(contenders)
}

/// Removes the containers that any contender may have left in `directory`.
pub fn remove_all(directory: &Path) {
    let limits = [LIMIT, BY_PATH];
    for name in CONTENDERS.iter().filter(|name| !limits.contains(name)) {
        let state = directory.join(name).join("state");
        let program = match *name {
            "ocirun" => Some(std::env::var_os("OCIRUN").map_or_else(workspace::ocirun, Into::into)),
            _ => peers::find(name),
        };
        for entry in fs::read_dir(&state).into_iter().flatten().flatten() {
            if let Some(program) = &program {
                let mut delete = Command::new(program);
                delete
                    .arg("--root")
                    .arg(&state)
                    .args(["delete", "--force"])
                    .arg(entry.file_name());
                // What it cannot remove goes with its cgroup and with the directory.
                let _ = read(&mut delete);
            }
        }
    }
}

impl Contender {
    /// `run`, which returns when the container has ended and is gone.
    pub fn run(&self) -> Command {
        match self.is_limit() {
            true => self.limit("run", ENDS),
            false => self.runtime("run", |command| {
                command
                    .arg("--bundle")
                    .arg(self.bundle(Payload::Ends))
                    .arg("bench");
            }),
        }
    }

    /// `run` with so many bind mounts more, one of [`MOUNTS`].
    pub fn run_with_mounts(&self, count: usize) -> Command {
        match self.is_limit() {
            true => {
                let verb = if self.is_by_path() { "paths" } else { "mounts" };
                self.limit(verb, &[&[&*count.to_string()], ENDS].concat())
            }
            false => self.runtime("run", |command| {
                command
                    .arg("--bundle")
                    .arg(self.bundle_with_mounts(count))
                    .arg("bench");
            }),
        }
    }

    /// `create`; the process id is in [`Self::pid_file`] afterwards.
    pub fn create(&self, payload: Payload) -> Command {
        match self.is_limit() {
            true => self.limit("create", args(payload)),
            false => self.runtime("create", |command| {
                command
                    .arg("--bundle")
                    .arg(self.bundle(payload))
                    .arg("--pid-file")
                    .arg(self.pid_file())
                    .arg("bench");
            }),
        }
    }

    pub fn start(&self) -> Command {
        match self.is_limit() {
            true => self.limit("start", ENDS),
            false => self.runtime("start", |command| {
                command.arg("bench");
            }),
        }
    }

    pub fn exec(&self) -> Command {
        match self.is_limit() {
            true => self.limit("exec", ENDS),
            false => self.runtime("exec", |command| {
                command.arg("bench").args(ENDS);
            }),
        }
    }

    pub fn delete(&self) -> Command {
        match self.is_limit() {
            true => self.limit("delete", ENDS),
            false => self.runtime("delete", |command| {
                command.args(["--force", "bench"]);
            }),
        }
    }

    pub fn pid_file(&self) -> PathBuf {
        self.directory
            .join(if self.is_limit() { "state/pid" } else { "pid" })
    }

    /// What the last program that was measured said on its standard error.
    pub fn messages(&self) -> PathBuf {
        self.directory.join("messages")
    }

    fn is_limit(&self) -> bool {
        self.name == LIMIT || self.is_by_path()
    }

    /// Whether it differs from another contender in bind mounts alone.
    pub fn is_by_path(&self) -> bool {
        self.name == BY_PATH
    }

    fn runtime(&self, verb: &str, arguments: impl FnOnce(&mut Command)) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--root")
            .arg(self.directory.join("state"))
            .arg(verb);
        arguments(&mut command);
        command
    }

    fn limit(&self, verb: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(verb)
            .arg(self.directory.join("state"))
            .arg(&self.rootfs)
            .arg(self.cgroup());
        command.args(&self.hierarchies).arg("--").args(args);
        command
    }

    fn bundle(&self, payload: Payload) -> PathBuf {
        self.directory.join(match payload {
            Payload::Ends => "ends",
            Payload::Stays => "stays",
        })
    }

    fn bundle_with_mounts(&self, count: usize) -> PathBuf {
        self.directory.join(format!("mounts-{count}"))
    }

    /// Its path in every hierarchy.
    pub fn cgroup(&self) -> String {
        format!("{PARENT}/{}", self.name)
    }

    fn make_bundles(&self) -> Result<()> {
        let state = self.directory.join("state");
        rootfs::replace(&state)?;
        mount_tmpfs(&state)?;
        for payload in [Payload::Ends, Payload::Stays] {
            self.make_bundle(&self.bundle(payload), args(payload), 0)?;
        }
        for count in MOUNTS {
            self.make_bundle(&self.bundle_with_mounts(count), ENDS, count)?;
        }
        Ok(())
    }

    fn make_bundle(&self, bundle: &Path, args: &[&str], binds: usize) -> Result<()> {
        rootfs::replace(bundle)?;
        let file = bundle.join("config.json");
        let source = self.directory.join("state");
        let text = config(&self.rootfs, &self.cgroup(), args, (binds, &source));
        fs::write(&file, text).map_err(io_error("write", &file))
    }
}

/// Those of the bind mounts are there, so that none is made while time is taken.
fn make_mount_points(rootfs: &Path) -> Result<()> {
    (0..MOUNTS.into_iter().max().unwrap_or(0)).try_for_each(|number| {
        let point = rootfs.join(format!("mnt/{number}"));
        fs::create_dir_all(&point).map_err(io_error("make", &point))
    })
}

fn args(payload: Payload) -> &'static [&'static str] {
    match payload {
        Payload::Ends => ENDS,
        Payload::Stays => STAYS,
    }
}

fn compile_limit(directory: &Path) -> Result<PathBuf> {
    const FLAGS: &str = "-O2 -Wall -Wextra -Werror -static -nostdlib -ffreestanding -fno-stack-protector -fno-pie -no-pie";
    let program = directory.join("limit-program");
    let source = workspace::root().join("integration/limit/limit.c");
    check(
        Command::new("gcc")
            .args(FLAGS.split(' '))
            .arg(source)
            .arg("-o")
            .arg(&program),
    )?;
    Ok(program)
}
