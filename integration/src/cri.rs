//! A containerd of the test's own that serves Kubernetes' Container Runtime Interface, in a network and a mount namespace of
//! its own, with everything it keeps in a directory of the case. Its pods get addresses of a bridge there. The client for
//! scripts is `cri/client.sh`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::cgroup;
use crate::containerd;
use crate::host;
use crate::rootfs;
use crate::runtime::{Finished, PATIENCE, binary, eventually, spawn, tool};

/// The image of busybox, also of the pods' own first processes.
pub const IMAGE: &str = "example.org/busybox:case";

/// A running containerd; ended, with its shims, when it goes out of scope.
#[derive(Debug)]
pub struct Cri {
    supervisor: Child,
    directory: PathBuf,
    cgroup: String,
}

/// Mounts that are shared so that binds can be, a place for what the network's plugins keep, and a containerd that another one
/// follows when it ends.
const SCRIPT: &str = "\
    mount --make-rshared / && mount -t tmpfs lib /var/lib && ip link set lo up && \
    while :; do containerd --config $1/config.toml >> $1/log 2>&1 & echo $! > $1/pid; wait; done";

/// What the client is made of, so that it can be where the sources are not.
const CLIENT: [(&str, &str); 2] = [
    ("client.sh", include_str!("cri/client.sh")),
    ("api.proto", include_str!("cri/api.proto")),
];

/// Who makes the cgroups of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The runtime itself; the pods' parent is a path.
    Cgroupfs,
    /// Systemd (`SystemdCgroup = true`); the pods' parent is the path of a slice.
    Systemd,
}

/// Starts containerd with `runtime` as its default; with the runtime under test also as the handler `ocirun`. Pods are made
/// below the cgroup `cgroup`.
///
/// # Panics
/// When it does not answer.
pub fn start(directory: &Path, runtime: &Path, cgroup: &str, driver: Driver) -> Cri {
    let network = directory.join("network");
    for name in ["network", "calls", "pods", "client"] {
        fs::create_dir_all(directory.join(name)).expect("directory of containerd");
    }
    for (name, text) in CLIENT {
        fs::write(directory.join("client").join(name), text).expect("the client");
    }
    fs::write(
        directory.join("config.toml"),
        configuration(directory, runtime, driver),
    )
    .expect("config.toml");
    fs::write(network.join("10-case.conflist"), bridge(directory)).expect("the network");
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--propagation", "private"]);
    command.args(["sh", "-c", SCRIPT, "sh"]).arg(directory);
    let supervisor = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(directory.join("errors")).expect("a file"))
        .spawn()
        .expect("unshare (Debian's package util-linux)");
    let cri = Cri {
        supervisor,
        directory: directory.to_owned(),
        cgroup: cgroup.to_owned(),
    };
    eventually("containerd's answer", || {
        let status = cri.client(&["call", "Status"]).stdout;
        let is = |name| status.contains(&format!("type: \"{name}\"\n    status: true"));
        ["RuntimeReady", "NetworkReady"]
            .into_iter()
            .all(is)
            .then_some(())
    });
    cri
}

fn configuration(directory: &Path, runtime: &Path, driver: Driver) -> String {
    let tested = binary().canonicalize().expect("the runtime's path");
    let handler = |name: &str, runtime: &Path| {
        let table = format!(
            "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.{name}]\n\
             runtime_type = \"io.containerd.runc.v2\"\n"
        );
        let options = table.lines().next().unwrap_or_default().replace("]", "");
        format!(
            "{table}{options}.options]\n\
             BinaryName = \"{}\"\n\
             Root = \"{}/{name}\"\n\
             SystemdCgroup = {}\n",
            runtime.display(),
            directory.display(),
            driver == Driver::Systemd
        )
    };
    let handlers = handler("default", runtime) + &handler("ocirun", &tested);
    let all = containerd::configuration(directory, &[]);
    let directory = directory.display();
    format!(
        "{all}\
         [plugins.\"io.containerd.grpc.v1.cri\"]\n\
         sandbox_image = \"{IMAGE}\"\n\
         restrict_oom_score_adj = true\n\
         netns_mounts_under_state_dir = true\n\
         stream_server_address = \"127.0.0.1\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\".cni]\n\
         bin_dir = \"/usr/lib/cni\"\n\
         conf_dir = \"{directory}/network\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n\
         default_runtime_name = \"default\"\n\
         {handlers}"
    )
}

fn bridge(directory: &Path) -> String {
    let addresses = json!({
        "type": "host-local",
        "dataDir": directory.join("addresses"),
        "ranges": [[{ "subnet": "10.88.0.0/16" }]],
    });
    let plugin =
        json!({ "type": "bridge", "bridge": "case0", "isGateway": true, "ipam": addresses });
    json!({ "cniVersion": "0.4.0", "name": "case", "plugins": [plugin] }).to_string()
}

impl Cri {
    /// Makes the image of busybox known, in the form that `docker save` writes.
    ///
    /// # Panics
    /// When containerd does not take it.
    pub fn import_image(&self) {
        let place = self.directory.join("image");
        fs::create_dir(&place).expect("a directory");
        let file = |name: &str| place.join(name).display().to_string();
        let root = rootfs::shared().display().to_string();
        tool("tar", &["-C", &root, "-cf", &file("layer.tar"), "."]);
        let digest = tool("sha256sum", &[&file("layer.tar")]);
        let layer = format!("sha256:{}", digest.split(' ').next().unwrap_or_default());
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": { "Env": ["PATH=/bin"], "Cmd": ["sleep", "1000000"] },
            "rootfs": { "type": "layers", "diff_ids": [layer] },
        });
        let manifest =
            json!([{ "Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]);
        fs::write(file("config.json"), config.to_string()).expect("the image's configuration");
        fs::write(file("manifest.json"), manifest.to_string()).expect("the image's manifest");
        let archive = self.directory.join("image.tar").display().to_string();
        tool("tar", &["-C", &file(""), "-cf", &archive, "."]);
        let mut ctr = Command::new("ctr");
        ctr.arg("--address").arg(self.socket()).args([
            "--namespace",
            "k8s.io",
            "images",
            "import",
            &archive,
        ]);
        spawn(ctr, &self.directory, Stdio::null()).wait().ok();
    }

    /// Runs the client.
    #[track_caller]
    pub fn client(&self, args: &[&str]) -> Finished {
        let mut command = Command::new("busybox");
        command.arg("sh").arg(self.script()).args(args);
        command.envs(self.variables());
        spawn(command, &self.directory, Stdio::null()).wait()
    }

    /// Variables for scripts: `C` is the client, `N` runs something in containerd's network and mount namespaces, `G` is the
    /// cgroup of the pods below a controller.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let pid = self.supervisor.id();
        vec![
            ("C", format!("busybox sh {}", self.script().display())),
            (
                "N",
                format!("nsenter --net=/proc/{pid}/ns/net --mount=/proc/{pid}/ns/mnt"),
            ),
            ("G", self.cgroup.clone()),
            ("CRI_PLACE", self.directory.display().to_string()),
            ("CRI_PARENT", self.cgroup.clone()),
            ("CRI_IMAGE", IMAGE.to_owned()),
            ("CONTAINERD_ADDRESS", self.socket().display().to_string()),
            ("CONTAINERD_NAMESPACE", "k8s.io".to_owned()),
        ]
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("containerd.sock")
    }

    fn script(&self) -> PathBuf {
        self.directory.join("client/client.sh")
    }

    /// What lives, or waits to be waited for, of this engine: its directory is on the command line, or it is in a pod's cgroup.
    fn processes(&self) -> Vec<i32> {
        let directory = format!("{}/", self.directory.display());
        let cgroup = format!(":{}/", self.cgroup);
        let says = |pid, file, mark: &str| {
            let text = fs::read(host::proc_path(pid, file)).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(mark)
        };
        let ours = |pid: &i32| says(*pid, "cmdline", &directory) || says(*pid, "cgroup", &cgroup);
        host::pids().into_iter().filter(ours).collect()
    }

    /// What is left of pods that have been removed: cgroups, states of the runtime.
    pub fn residue(&self) -> Vec<PathBuf> {
        let cgroups = cgroup::existing(&self.cgroup);
        let states = ["default", "ocirun"].map(|name| self.directory.join(name).join("k8s.io"));
        let all = cgroups.into_iter().chain(states);
        all.flat_map(|directory| fs::read_dir(directory).into_iter().flatten().flatten())
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect()
    }
}

impl Drop for Cri {
    fn drop(&mut self) {
        // It would start another one.
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        let end = Instant::now() + PATIENCE;
        // Once more for those that others leave behind, and those whose first process waits for them.
        loop {
            let left = self.processes();
            for pid in &left {
                host::signal(*pid, Signal::KILL);
                let _ = host::ended(*pid);
            }
            if left.is_empty() || Instant::now() > end {
                break;
            }
            sleep(Duration::from_millis(10));
        }
        cgroup::remove(&self.cgroup);
    }
}
