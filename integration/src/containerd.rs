//! A containerd of the test's own: its root, state and socket are in a directory of the case, and
//! it lives in a mount namespace of its own, so that what it mounts is never the host's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cgroup;
use crate::host;
use crate::rootfs;
use crate::runtime::{Finished, binary, eventually, spawn, tool};

/// The image's name, as containerd knows it.
pub const IMAGE: &str = "example.org/busybox:case";

/// A running containerd; ended, with its shims, when it goes out of scope.
#[derive(Debug)]
pub struct Containerd {
    child: Child,
    directory: PathBuf,
    namespace: String,
}

/// Starts containerd with everything it keeps below `directory`.
///
/// # Panics
/// When it does not answer.
pub fn start(directory: &Path) -> Containerd {
    start_for(directory, "default", None)
}

/// The same, for clients that work in `namespace`, whose name is also that of their cgroup; `path` comes first in PATH, where
/// shims look for a runtime that nobody has named.
///
/// # Panics
/// When it does not answer.
pub fn start_for(directory: &Path, namespace: &str, path: Option<&Path>) -> Containerd {
    fs::create_dir_all(directory).expect("directory of containerd");
    let config = directory.join("config.toml");
    fs::write(
        &config,
        configuration(directory, &["io.containerd.grpc.v1.cri"]),
    )
    .expect("config.toml");
    let log = fs::File::create(directory.join("log")).expect("containerd's log");
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "containerd",
        "--config",
    ]);
    if let Some(path) = path {
        let inherited = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{inherited}", path.display()));
    }
    let child = command
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("unshare (Debian's package util-linux)");
    let containerd = Containerd {
        child,
        directory: directory.to_owned(),
        namespace: namespace.to_owned(),
    };
    eventually("containerd's answer", || {
        (containerd.try_ctr(&["version"]).code == 0).then_some(())
    });
    containerd
}

/// The beginning of a configuration: all is in `directory`, and there are no plugins that a test does without, nor those of
/// `more`.
pub(crate) fn configuration(directory: &Path, more: &[&str]) -> String {
    const UNUSED: [&str; 7] = [
        "io.containerd.snapshotter.v1.btrfs",
        "io.containerd.snapshotter.v1.zfs",
        "io.containerd.snapshotter.v1.aufs",
        "io.containerd.snapshotter.v1.devmapper",
        "io.containerd.internal.v1.opt",
        "io.containerd.tracing.processor.v1.otlp",
        "io.containerd.internal.v1.tracing",
    ];
    let disabled = [&UNUSED, more].concat();
    let directory = directory.display();
    format!(
        "version = 2\n\
         root = \"{directory}/root\"\n\
         state = \"{directory}/state\"\n\
         disabled_plugins = {disabled:?}\n\
         [grpc]\n\
         address = \"{directory}/containerd.sock\"\n\
         [ttrpc]\n\
         address = \"{directory}/containerd.sock.ttrpc\"\n"
    )
}

/// Builds an OCI image of busybox with umoci and gives it to `containerd`.
///
/// # Panics
/// When a tool is missing or fails.
pub fn import_image(containerd: &Containerd) {
    let layout = containerd.directory.join("image");
    let reference = format!("{}:case", layout.display());
    let bundle = containerd.directory.join("unpacked");
    let bundle = bundle.display().to_string();
    tool(
        "umoci",
        &["init", "--layout", &layout.display().to_string()],
    );
    tool("umoci", &["new", "--image", &reference]);
    tool("umoci", &["unpack", "--image", &reference, &bundle]);
    let root = Path::new(&bundle).join("rootfs");
    fs::remove_dir_all(&root).expect("replace the empty root filesystem");
    rootfs::make(&root);
    tool("umoci", &["repack", "--image", &reference, &bundle]);
    let flags = ["config", "--image", &reference, "--config.env", "PATH=/bin"];
    tool("umoci", &[&flags[..], &["--config.cmd", "sh"]].concat());
    let archive = containerd.directory.join("image.tar").display().to_string();
    tool(
        "tar",
        &["-C", &layout.display().to_string(), "-cf", &archive, "."],
    );
    let index = ["images", "import", "--index-name", IMAGE, &archive];
    let named = containerd.try_ctr(&index);
    assert_eq!(named.code, 0, "{named:?}");
    // The archive's own name for the image is its tag.
    let listed = containerd.ctr(&["images", "ls", "-q"]).stdout;
    if !listed.lines().any(|name| name == IMAGE) {
        let name = listed.lines().next().expect("an imported image");
        containerd.ctr(&["images", "tag", name, IMAGE]);
    }
}

impl Containerd {
    /// Runs `ctr` and requires its success.
    #[track_caller]
    pub fn ctr(&self, args: &[&str]) -> Finished {
        self.try_ctr(args).ok()
    }

    /// Runs `ctr`.
    #[track_caller]
    pub fn try_ctr(&self, args: &[&str]) -> Finished {
        let mut command = Command::new("ctr");
        command
            .arg("--address")
            .arg(self.directory.join("containerd.sock"));
        command.args(["--namespace", &self.namespace]).args(args);
        spawn(command, &self.directory, Stdio::null()).wait()
    }

    /// Runs a container of the image with the runtime under test.
    #[track_caller]
    pub fn run(&self, id: &str, cgroup: &str, flags: &[&str], args: &[&str]) -> Finished {
        let runtime = binary().canonicalize().expect("the runtime's path");
        let runtime = runtime.display().to_string();
        let state = self.directory.join("runtime").display().to_string();
        let fixed = [
            "run",
            "--runtime",
            "io.containerd.runc.v2",
            "--runc-binary",
            &runtime,
            "--runc-root",
            &state,
            "--cgroup",
            cgroup,
        ];
        self.try_ctr(&[&fixed, flags, &[IMAGE, id], args].concat())
    }

    /// Variables for scripts: `C` is ctr, `RUN` runs a container with `runtime`, `R`, whose state is in `S`; `N` is the name of
    /// the namespace and the cgroup, `I` the image.
    pub fn variables(&self, runtime: &Path) -> Vec<(&'static str, String)> {
        let (runtime, root) = (runtime.display(), self.directory.join("runtime"));
        let root = root.display();
        let socket = self.directory.join("containerd.sock");
        vec![
            ("CONTAINERD_ADDRESS", socket.display().to_string()),
            ("CONTAINERD_NAMESPACE", self.namespace.clone()),
            ("C", "ctr".to_owned()),
            (
                "RUN",
                format!("ctr run --runc-binary {runtime} --runc-root {root}"),
            ),
            ("R", runtime.to_string()),
            ("S", format!("{root}/{}", self.namespace)),
            ("N", self.namespace.clone()),
            ("I", IMAGE.to_owned()),
        ]
    }

    /// The processes that this containerd has started and that still live.
    pub fn processes(&self) -> Vec<i32> {
        let mut pids = self.marked();
        pids.retain(|pid| host::alive(*pid));
        pids
    }

    /// They have its directory on their command lines, or are in cgroups of its namespace; some only wait to be waited for.
    fn marked(&self) -> Vec<i32> {
        let directory = self.directory.display().to_string();
        let cgroup = format!(":/{}/", self.namespace);
        let has = |pid: i32, file, needle: &str| {
            let text = fs::read(host::proc_path(pid, file)).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(needle)
        };
        let ours = |pid: &i32| {
            has(*pid, "cmdline", &directory)
                || self.namespace != "default" && has(*pid, "cgroup", &cgroup)
        };
        host::pids().into_iter().filter(ours).collect()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for pid in self.processes() {
            host::signal(pid, rustix::process::Signal::TERM);
        }
        let _ = crate::runtime::wait_child(&mut self.child, crate::runtime::PATIENCE);
        for pid in self.marked() {
            host::signal(pid, rustix::process::Signal::KILL);
            host::reap(pid);
        }
        if self.namespace != "default" {
            cgroup::remove(&format!("/{}", self.namespace));
        }
    }
}
