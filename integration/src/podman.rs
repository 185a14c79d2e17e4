//! A place for podman of the test's own: storage, state and network configuration in a directory of the case, and a network
//! and a mount namespace that a process holds open.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::host;
use crate::rootfs;
use crate::runtime::{eventually, tool};

/// The image of busybox.
pub const IMAGE: &str = "localhost/busybox:case";

/// Namespaces, and the words that stand for podman in them. Its locks are in /dev/shm, whatever its directories are.
#[derive(Debug)]
pub struct Podman {
    holder: Child,
    podman: String,
    directory: String,
}

const HOLD: &str = "mount --make-rshared / && mount --bind $SUBIDS /etc/subuid && mount --bind $SUBIDS /etc/subgid && \
                    mount -t tmpfs none /dev/shm && ip link set lo up && echo ready && exec sleep 100000";

/// The limits are lower than podman's own, which not every machine may raise.
const CONFIGURATION: &str = "[containers]\n\
    default_ulimits = [\"nofile=1000:1000\", \"nproc=1000:1000\"]\n\
    [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";

/// Makes the place.
///
/// # Panics
/// When a namespace cannot be made.
pub fn start(directory: &Path, runtime: &Path) -> Podman {
    fs::create_dir_all(directory).expect("a directory");
    let subids = directory.join("subids");
    fs::write(&subids, "containers:200000:1000000\n").expect("ids for containers");
    fs::write(directory.join("containers.conf"), CONFIGURATION).expect("containers.conf");
    let ready = directory.join("ready");
    let holder = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            HOLD,
        ])
        .env("SUBIDS", &subids)
        .stdin(Stdio::null())
        .stdout(fs::File::create(&ready).expect("a file"))
        .spawn()
        .expect("unshare (Debian's package util-linux)");
    eventually("the namespaces", || {
        (fs::read_to_string(&ready).ok()? == "ready\n").then_some(())
    });
    let directory = directory.display().to_string();
    let podman = format!(
        "podman --root {directory}/root --runroot {directory}/run --tmpdir {directory}/tmp --storage-driver vfs \
         --network-config-dir {directory}/net --runtime {}",
        runtime.display()
    );
    Podman {
        holder,
        podman,
        directory,
    }
}

impl Podman {
    /// Makes the image of busybox known.
    pub fn import_image(&self) {
        let archive = format!("{}/busybox.tar", self.directory);
        let root = rootfs::shared().display().to_string();
        tool("tar", &["-C", &root, "-cf", &archive, "."]);
        let line = format!(
            "{} import -q --change CMD=sh {archive} {IMAGE}",
            self.podman
        );
        let enter = self.enter();
        let mut words: Vec<_> = enter[1..].iter().map(String::as_str).collect();
        words.extend(["sh", "-c", &line]);
        tool(&enter[0], &words);
        fs::remove_file(&archive).expect("removed");
    }

    /// Words that have a command start in the namespaces.
    pub fn enter(&self) -> Vec<String> {
        let pid = self.holder.id();
        ["nsenter".to_owned()]
            .into_iter()
            .chain(["net", "mnt"].map(|kind| match kind {
                "net" => format!("--net=/proc/{pid}/ns/net"),
                _ => format!("--mount=/proc/{pid}/ns/mnt"),
            }))
            .chain(["env".to_owned(), format!("--chdir={}", self.directory)])
            .collect()
    }

    /// Variables for scripts: `P` is podman, `B` buildah with the same storage, `I` the image.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let directory = &self.directory;
        let buildah = format!(
            "buildah --root {directory}/root --runroot {directory}/run --storage-driver vfs"
        );
        vec![
            ("P", self.podman.clone()),
            ("B", buildah),
            (
                "R",
                self.podman
                    .rsplit(' ')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            ),
            ("I", IMAGE.to_owned()),
            ("CONTAINERS_CONF", format!("{directory}/containers.conf")),
        ]
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // What a failed script has left: it has the directory on its command line.
        let needle = format!("{}/", self.directory);
        for pid in host::pids() {
            let cmdline = fs::read(host::proc_path(pid, "cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&cmdline).contains(&needle) && host::alive(pid) {
                host::signal(pid, Signal::KILL);
                host::reap(pid);
            }
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
