//! Real input: a Debian root filesystem, and images run by Debian's containerd.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use oci_runtime_integration::bundle::script;
use oci_runtime_integration::case::{case, case_with};
use oci_runtime_integration::containerd::{self, IMAGE};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{eventually, target_dir};
use serde_json::json;

const SUITE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";

/// A minimal Debian, made by debootstrap once and kept in cargo's target directory.
fn debian() -> PathBuf {
    static DEBIAN: OnceLock<PathBuf> = OnceLock::new();
    let path = DEBIAN.get_or_init(|| {
        let kept = target_dir().join("integration/debian");
        if !kept.exists() {
            bootstrap(&kept);
        }
        kept.canonicalize()
            .expect("the path of the root filesystem")
    });
    path.clone()
}

fn bootstrap(kept: &std::path::Path) {
    let fresh = kept.with_extension("part");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).expect("directory for debootstrap");
    // In a mount namespace of its own: debootstrap mounts proc in the new tree.
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "debootstrap",
            "--variant=minbase",
        ])
        .arg("--include=python3-minimal")
        .args([SUITE.as_ref(), fresh.as_os_str(), MIRROR.as_ref()])
        .output()
        .expect("unshare (Debian's package util-linux)");
    assert!(
        output.status.success(),
        "debootstrap needs its Debian package and the network; it said: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(&fresh, kept).expect("keep the root filesystem");
}

#[test]
fn debian_runs_apt_a_pipeline_and_python() {
    let Some(case) = case() else { return };
    let root = debian();
    let table = [
        ("apt-get --version", "apt 2"),
        (
            "dpkg -l | grep '^ii' | awk '{print $2}' | grep -cx -e apt -e dpkg",
            "2\n",
        ),
        ("python3 -c 'print(sum(range(101)))'", "5050\n"),
        (
            "grep -c . /etc/debian_version; id -u; hostname",
            "1\n0\ncase\n",
        ),
    ];
    for (line, expected) in table {
        case.configure(|c| {
            c["root"]["path"] = json!(root);
            c["process"]["env"] = json!(["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
            script(c, line);
        });
        let run = case.run().ok();
        assert!(run.stdout.contains(expected), "{line}: {}", run.stdout);
        case.assert_clean();
    }
}

#[test]
fn debian_is_entered_by_exec() {
    let Some(case) = case_with(|c| c["root"]["path"] = json!(debian())) else {
        return;
    };
    case.start();
    let run = case
        .exec(&[], &["sh", "-c", "cat /etc/os-release | grep ^ID="])
        .ok();
    assert_eq!(run.stdout, "ID=debian\n");
}

#[test]
fn containerd_runs_an_image_attached_and_detached() {
    let Some(case) = case() else { return };
    let containerd = containerd::start(&case.path("containerd"));
    containerd::import_image(&containerd);
    attached(&containerd, &case.id, &case.cgroup);
    detached(&containerd, &case.id, &case.cgroup);
    containerd.ctr(&["images", "rm", IMAGE]);
    drop(containerd);
    case.assert_clean();
}

fn attached(containerd: &containerd::Containerd, id: &str, cgroup: &str) {
    // The pause is for ctr, which may leave before it has copied what comes with the exit.
    let line = "echo out; echo err >&2; sleep 0.2; exit 17";
    let run = containerd.run(id, cgroup, &["--rm"], &["sh", "-c", line]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (17, "out\n"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("err\n"), "{}", run.stderr);
    let listed = containerd.ctr(&["containers", "ls", "-q"]).stdout;
    assert_eq!(listed, "", "--rm must delete it");
    let missing = containerd.run(id, cgroup, &["--rm"], &["nonesuch"]);
    assert_ne!(missing.code, 0);
    let message = "executable file not found in $PATH";
    assert!(missing.stderr.contains(message), "{}", missing.stderr);
}

fn detached(containerd: &containerd::Containerd, id: &str, cgroup: &str) {
    let line = "trap 'exit 3' TERM; echo > /tmp/ready; while :; do sleep 0.05; done";
    let run = containerd.run(id, cgroup, &["--detach"], &["sh", "-c", line]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let listed = containerd.ctr(&["task", "ls"]).stdout;
    let row: Vec<&str> = listed
        .lines()
        .find(|line| line.starts_with(id))
        .expect("a task")
        .split_whitespace()
        .collect();
    assert_eq!(row[2], "RUNNING");
    let pid: i32 = row[1].parse().expect("a pid");
    let cgroups = host::cgroups(pid);
    let unified = || cgroups.get("");
    let path = cgroups.get("pids").or_else(unified).map(String::as_str);
    assert_eq!(path, Some(cgroup));
    exec(containerd, id);
    containerd.ctr(&["task", "kill", "--signal", "SIGTERM", id]);
    eventually("the end of the task", || {
        let listed = containerd.ctr(&["task", "ls"]).stdout;
        listed.contains("STOPPED").then_some(())
    });
    let deleted = containerd.try_ctr(&["task", "delete", id]);
    assert!(
        deleted.stderr.contains("exit code 3"),
        "the exit code: {deleted:?}"
    );
    containerd.ctr(&["containers", "delete", id]);
    assert!(!host::alive(pid));
}

fn exec(containerd: &containerd::Containerd, id: &str) {
    let ready = [
        "task",
        "exec",
        "--exec-id",
        "wait",
        id,
        "sh",
        "-c",
        "until [ -e /tmp/ready ]; do sleep 0.02; done",
    ];
    containerd.ctr(&ready);
    let line = "cat /proc/1/comm; exit 5";
    let run = containerd.try_ctr(&["task", "exec", "--exec-id", "e1", id, "sh", "-c", line]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (5, "sh\n"),
        "{}",
        run.stderr
    );
    let missing = containerd.try_ctr(&["task", "exec", "--exec-id", "e2", id, "nonesuch"]);
    assert_ne!(missing.code, 0);
    let message = "executable file not found in $PATH";
    assert!(missing.stderr.contains(message), "{}", missing.stderr);
}
