//! A dockerd of the test's own: in a network and a mount namespace of its own, with everything it keeps in a directory of the
//! case, and with the runtime as its default one, also for builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::host;
use crate::rootfs;
use crate::runtime::{Finished, eventually, spawn, tool, wait_child};

/// The image of busybox.
pub const IMAGE: &str = "busybox:case";

/// The client that comes with the daemon, whatever else is in PATH.
const CLIENT: &str = "/usr/bin/docker";

/// A running dockerd; ended, with its containerd and its shims, when it goes out of scope.
#[derive(Debug)]
pub struct Docker {
    child: Child,
    directory: PathBuf,
}

/// What dockerd is started by: interfaces of its own, and mounts that are shared so that volumes can be.
const SCRIPT: &str = "\
    mount --make-rshared / && mount --bind $SUBIDS /etc/subuid && mount --bind $SUBIDS /etc/subgid && \
    ip link set lo up && echo 1 > /proc/sys/net/ipv4/ip_forward && exec dockerd \"$@\"";

/// The name by which dockerd knows the runtime that it was started with.
pub const TESTED: &str = "tested";

/// Starts dockerd with `runtime`, in whose place `runc` stands in `path`.
///
/// # Panics
/// When it does not answer.
pub fn start(directory: &Path, runtime: &Path, path: Option<&Path>, flags: &[&str]) -> Docker {
    fs::create_dir_all(directory).expect("directory of dockerd");
    let subids = directory.join("subids");
    fs::write(&subids, "nobody:100000:65536\nnogroup:100000:65536\n").expect("ids to remap to");
    let log = fs::File::create(directory.join("log")).expect("dockerd's log");
    let mut command = Command::new("unshare");
    command.args([
        "--net",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        SCRIPT,
        "sh",
    ]);
    let place = |flag: &str, name: &str| format!("--{flag}={}", directory.join(name).display());
    command.args([
        place("data-root", "data"),
        place("exec-root", "exec"),
        place("pidfile", "pid"),
        format!("--host=unix://{}", directory.join("sock").display()),
        format!("--add-runtime={TESTED}={}", runtime.display()),
        format!("--default-runtime={TESTED}"),
    ]);
    command.args(flags).env("SUBIDS", &subids);
    if let Some(path) = path {
        let inherited = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{inherited}", path.display()));
    }
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("unshare (Debian's package util-linux)");
    let docker = Docker {
        child,
        directory: directory.to_owned(),
    };
    eventually("dockerd's answer", || {
        (docker.try_docker(&["version"]).code == 0).then_some(())
    });
    docker
}

impl Docker {
    /// Makes the image of busybox known.
    pub fn import_image(&self) {
        let archive = self.directory.join("busybox.tar").display().to_string();
        let root = rootfs::shared().display().to_string();
        tool("tar", &["-C", &root, "-cf", &archive, "."]);
        self.try_docker(&["import", "--change", "CMD [\"sh\"]", &archive, IMAGE])
            .ok();
        fs::remove_file(&archive).expect("removed");
    }

    /// Runs the client.
    #[track_caller]
    pub fn try_docker(&self, args: &[&str]) -> Finished {
        let mut command = Command::new(CLIENT);
        command.arg("--host").arg(self.host()).args(args);
        spawn(command, &self.directory, Stdio::null()).wait()
    }

    /// The same variables with a client that makes containers with `flags`: so one daemon serves to compare runtimes.
    ///
    /// # Panics
    /// When the client cannot be written.
    pub fn variables_with(&self, flags: &[&str]) -> Vec<(&'static str, String)> {
        let client = self.directory.join("client.sh");
        let flags = flags.join(" ");
        let text = format!(
            "case $1 in run | create) verb=$1; shift; set -- \"$verb\" {flags} \"$@\" ;; esac\n\
             exec {CLIENT} \"$@\"\n"
        );
        fs::write(&client, text).expect("the client");
        let mut variables = self.variables();
        variables.retain(|(name, _)| *name != "D");
        variables.push(("D", format!("sh {}", client.display())));
        variables
    }

    /// Variables for scripts: `D` is the client with this daemon, `I` the image, `NET` runs something in dockerd's network.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DOCKER_HOST", self.host()),
            ("D", CLIENT.to_owned()),
            ("I", IMAGE.to_owned()),
            (
                "NET",
                format!("nsenter --net=/proc/{}/ns/net", self.child.id()),
            ),
        ]
    }

    fn host(&self) -> String {
        format!("unix://{}", self.directory.join("sock").display())
    }

    /// The processes of this daemon that still live: they have its directory on their command lines.
    fn processes(&self) -> Vec<i32> {
        let needle = format!("{}/", self.directory.display());
        let ours = |pid: &i32| {
            let cmdline = fs::read(host::proc_path(*pid, "cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&cmdline).contains(&needle)
        };
        let pids = host::pids().into_iter().filter(ours);
        pids.filter(|pid| host::alive(*pid)).collect()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if let Ok(pid) = self.child.id().try_into() {
            host::signal(pid, Signal::TERM);
        }
        let _ = wait_child(&mut self.child, crate::runtime::PATIENCE);
        for pid in self.processes() {
            host::signal(pid, Signal::KILL);
            host::reap(pid);
        }
    }
}
