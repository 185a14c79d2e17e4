//! The config.json that a test starts from: what engines write for an ordinary container, without
//! a user or time namespace, on the shared read-only root filesystem. Tests edit the JSON itself,
//! so that they can also write what no typed interface would let them.

use std::path::Path;

use serde_json::{Value, json};

/// The payload that does nothing until it is ended with SIGKILL.
pub const IDLE: [&str; 2] = ["sleep", "7200"];

/// The variable by which a payload's process can be found from the host.
pub const MARK: &str = "OCI_CASE";

/// The default configuration of container `id`.
pub fn config(id: &str, rootfs: &Path, cgroup: &str) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": process(id),
        "root": {"path": rootfs, "readonly": true},
        "hostname": "case",
        "mounts": mounts(),
        "annotations": {"org.example.case": id},
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"}, {"type": "cgroup"}
            ],
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                "/proc/sysrq-trigger"]
        }
    })
}

fn process(id: &str) -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    json!({
        "terminal": false,
        "user": {"uid": 0, "gid": 0},
        "args": IDLE,
        "env": ["PATH=/usr/bin:/bin", format!("{MARK}={id}")],
        "cwd": "/",
        "capabilities": {
            "bounding": capabilities, "effective": capabilities, "permitted": capabilities
        },
        "noNewPrivileges": true
    })
}

fn mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"]}
    ])
}

/// Replaces the payload.
pub fn args(config: &mut Value, args: &[&str]) {
    config["process"]["args"] = json!(args);
}

/// Replaces the payload by a script of busybox's shell.
pub fn script(config: &mut Value, script: &str) {
    args(config, &["sh", "-c", script]);
}

/// Appends to a list of the configuration, which is made where it is missing.
///
/// # Panics
/// When `pointer` has no parent in the configuration, or names something else than a list.
pub fn push(config: &mut Value, pointer: &str, value: Value) {
    if config.pointer(pointer).is_none() {
        let (parent, key) = pointer.rsplit_once('/').expect("a JSON pointer");
        config.pointer_mut(parent).expect("parent of the list")[key] = json!([]);
    }
    let list = config.pointer_mut(pointer).and_then(Value::as_array_mut);
    list.expect("a list").push(value);
}

/// A root file system of the bundle's own, and mounts after those that are there.
pub fn own_root_with(config: &mut Value, mounts: &[Value]) {
    config["root"] = json!({"path": "rootfs"});
    for mount in mounts {
        push(config, "/mounts", mount.clone());
    }
}

/// Drops the namespace of the given type.
///
/// # Panics
/// When the configuration has no namespaces.
pub fn without_namespace(config: &mut Value, kind: &str) {
    let list = config["linux"]["namespaces"].as_array_mut();
    list.expect("namespaces").retain(|n| n["type"] != kind);
}
