//! Namespaces: new ones, ones joined by path, and ones left alone, told apart by the links that
//! the host has for each process.

use std::fs;
use std::process::{Child, Command, Stdio};

use oci_runtime_integration::bundle::{push, script, without_namespace};
use oci_runtime_integration::case::{Case, case, case_with};
use oci_runtime_integration::host::{self, NAMESPACES};
use oci_runtime_integration::runtime::{eventually, only_ocirun, read};
use serde_json::{Value, json};

/// A process that holds new namespaces for others to join; ended when it goes out of scope.
struct Holder {
    child: Child,
    pid: i32,
}

/// Runs an idle process in the namespaces that `flags` of unshare(1) name.
fn holder(flags: &[&str]) -> Holder {
    let own = host::namespace(std::process::id().cast_signed(), "mnt");
    let forks = flags.contains(&"--fork");
    let child = Command::new("unshare")
        .args(["--mount"])
        .args(flags)
        .args(["sleep", "7200"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("unshare (Debian's package util-linux)");
    let outer = child.id().cast_signed();
    let mut holder = Holder { child, pid: outer };
    // The new mount namespace tells when unshare has done its work.
    holder.pid = eventually("the namespaces of the holder", || {
        let pid = if forks { first_child(outer)? } else { outer };
        let asleep = fs::read_to_string(host::proc_path(pid, "comm")).ok()? == "sleep\n";
        (asleep && host::namespace(pid, "mnt") != own).then_some(pid)
    });
    holder
}

fn first_child(pid: i32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

impl Drop for Holder {
    fn drop(&mut self) {
        host::signal(self.pid, rustix::process::Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn own() -> i32 {
    std::process::id().cast_signed()
}

fn set_path(config: &mut Value, kind: &str, path: &str) {
    without_namespace(config, kind);
    push(
        config,
        "/linux/namespaces",
        json!({"type": kind, "path": path}),
    );
}

fn map_ids(config: &mut Value) {
    push(config, "/linux/namespaces", json!({"type": "user"}));
    config["linux"]["uidMappings"] = json!([
        {"containerID": 0, "hostID": 100_000, "size": 1000},
        {"containerID": 1000, "hostID": 200_000, "size": 5}
    ]);
    config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 300_000, "size": 70_000}]);
}

#[test]
fn each_that_is_listed_is_new_and_the_others_are_the_host_s() {
    for (kind, _) in NAMESPACES.iter().filter(|(kind, _)| *kind != "user") {
        if *kind == "time" && !only_ocirun("has no time namespace") {
            continue;
        }
        let Some(case) = case_with(|c| {
            c["linux"]["namespaces"] = json!([{"type": "mount"}]);
            without_what_needs_namespaces(c);
            if *kind != "mount" {
                push(c, "/linux/namespaces", json!({"type": kind}));
            }
        }) else {
            return;
        };
        let init = case.start();
        for (other, file) in NAMESPACES {
            let same = host::namespace(init, file) == host::namespace(own(), file);
            let expected = other != *kind && other != "mount";
            assert_eq!(
                same, expected,
                "{kind} asked for: {other} shared with the host"
            );
        }
    }
}

/// A hostname needs the UTS namespace; sysfs and mqueue need a network and an IPC namespace.
fn without_what_needs_namespaces(config: &mut Value) {
    config
        .as_object_mut()
        .expect("an object")
        .remove("hostname");
    let mounts = config["mounts"].as_array_mut().expect("mounts");
    mounts.retain(|m| m["type"] != "mqueue" && m["type"] != "sysfs");
}

#[test]
fn all_eight_are_new_together() {
    if !only_ocirun("has no time namespace") {
        return;
    }
    let Some(case) = case_with(|c| {
        c["root"]["path"] = "rootfs".into();
        map_ids(c);
        push(c, "/linux/namespaces", json!({"type": "time"}));
        c["linux"]["timeOffsets"] = json!({
            "monotonic": {"secs": 86_400, "nanosecs": 5}, "boottime": {"secs": 172_800}
        });
    }) else {
        return;
    };
    case.own_rootfs();
    let init = case.start();
    for (kind, file) in NAMESPACES {
        assert_ne!(
            host::namespace(init, file),
            host::namespace(own(), file),
            "{kind}"
        );
    }
    assert_eq!(host::status(init, "Uid"), "100000 100000 100000 100000");
    let offsets = offsets(init);
    assert_eq!(
        offsets,
        [("monotonic", 86_400, 5), ("boottime", 172_800, 0)].map(owned)
    );
}

fn owned((clock, secs, nanosecs): (&str, i64, i64)) -> (String, i64, i64) {
    (clock.to_owned(), secs, nanosecs)
}

fn offsets(pid: i32) -> Vec<(String, i64, i64)> {
    read(host::proc_path(pid, "timens_offsets"))
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let clock = words.next().expect("a clock").to_owned();
            let mut number = || words.next().and_then(|w| w.parse().ok()).expect("a number");
            (clock, number(), number())
        })
        .collect()
}

#[test]
fn time_offsets_move_the_payload_s_clocks() {
    if !only_ocirun("has no time namespace") {
        return;
    }
    let Some(case) = case_with(|c| {
        push(c, "/linux/namespaces", json!({"type": "time"}));
        c["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000}});
        script(c, "cat /proc/uptime");
    }) else {
        return;
    };
    let inside = case.run().ok().stdout;
    let seconds = |text: &str| -> f64 {
        text.split(' ')
            .next()
            .and_then(|w| w.parse().ok())
            .expect("an uptime")
    };
    let ahead = seconds(&inside) - seconds(&read("/proc/uptime"));
    assert!((999_990.0..1_000_001.0).contains(&ahead), "{ahead} s ahead");
}

#[test]
fn network_ipc_uts_and_cgroup_are_joined_by_path() {
    let table = [
        ("network", "net", "--net"),
        ("ipc", "ipc", "--ipc"),
        ("uts", "uts", "--uts"),
        ("cgroup", "cgroup", "--cgroup"),
    ];
    for (kind, file, flag) in table {
        let holder = holder(&[flag]);
        let Some(case) = case_with(|c| {
            set_path(c, kind, &format!("/proc/{}/ns/{file}", holder.pid));
            c.as_object_mut().expect("an object").remove("hostname");
        }) else {
            return;
        };
        let init = case.start();
        assert_eq!(
            host::namespace(init, file),
            host::namespace(holder.pid, file),
            "{kind}"
        );
        for (other, other_file) in NAMESPACES.iter().filter(|(other, _)| *other != kind) {
            let host_s = host::namespace(own(), other_file);
            let shared = host::namespace(init, other_file) == host_s;
            assert_eq!(
                shared,
                ["user", "time"].contains(other),
                "{kind} joined: {other}"
            );
        }
    }
}

#[test]
fn a_joined_uts_namespace_gets_the_hostname() {
    let holder = holder(&["--uts"]);
    let Some(case) = case_with(|c| {
        set_path(c, "uts", &format!("/proc/{}/ns/uts", holder.pid));
        c["hostname"] = "joined".into();
        script(c, "hostname");
    }) else {
        return;
    };
    assert_eq!(case.run().ok().stdout, "joined\n");
}

#[test]
fn a_pid_namespace_is_joined_by_path() {
    let holder = holder(&["--pid", "--fork"]);
    let Some(case) = case_with(|c| set_path(c, "pid", &format!("/proc/{}/ns/pid", holder.pid)))
    else {
        return;
    };
    let init = case.start();
    assert_eq!(
        host::namespace(init, "pid"),
        host::namespace(holder.pid, "pid")
    );
    let inside = host::status(init, "NSpid");
    assert_ne!(
        inside.split(' ').nth(1),
        Some("1"),
        "the holder is pid 1 there"
    );
    case.kill(init);
    assert!(host::alive(holder.pid), "only the container may end");
}

#[test]
fn a_user_namespace_is_joined_by_path() {
    let holder = holder(&["--user", "--map-root-user"]);
    let Some(case) = case_with(|c| {
        push(
            c,
            "/linux/namespaces",
            json!({"type": "user", "path": format!("/proc/{}/ns/user", holder.pid)}),
        );
        // Group 5 does not exist where only 0 is mapped.
        devpts(c)["options"] = json!(["nosuid", "noexec", "newinstance"]);
    }) else {
        return;
    };
    if !only_ocirun("wants mappings beside the path") {
        return;
    }
    let init = case.start();
    assert_eq!(
        host::namespace(init, "user"),
        host::namespace(holder.pid, "user")
    );
    assert_eq!(host::status(init, "Uid"), "0 0 0 0");
}

#[test]
fn a_time_namespace_is_joined_by_path() {
    if !only_ocirun("has no time namespace") {
        return;
    }
    let holder = holder(&["--time", "--fork", "--boottime", "1000"]);
    let Some(case) = case_with(|c| {
        push(
            c,
            "/linux/namespaces",
            json!({"type": "time", "path": format!("/proc/{}/ns/time", holder.pid)}),
        );
    }) else {
        return;
    };
    let init = case.start();
    assert_eq!(
        host::namespace(init, "time"),
        host::namespace(holder.pid, "time")
    );
}

#[test]
fn a_mount_namespace_is_joined_by_path() {
    let holder = holder(&["--propagation", "private"]);
    let Some(case) = case_with(|c| set_path(c, "mount", &format!("/proc/{}/ns/mnt", holder.pid)))
    else {
        return;
    };
    let init = case.start();
    assert_eq!(
        host::namespace(init, "mnt"),
        host::namespace(holder.pid, "mnt")
    );
}

#[test]
fn a_path_may_be_a_symbolic_link() {
    let holder = holder(&["--net"]);
    let Some(case) = case() else { return };
    let link = case.path("netns");
    std::os::unix::fs::symlink(format!("/proc/{}/ns/net", holder.pid), &link).expect("a link");
    case.configure(|c| set_path(c, "network", &link.display().to_string()));
    let init = case.start();
    assert_eq!(
        host::namespace(init, "net"),
        host::namespace(holder.pid, "net")
    );
}

#[test]
fn loopback_is_up_in_a_new_network_namespace() {
    let Some(case) = case() else { return };
    let init = case.start();
    let local = read(host::proc_path(init, "net/fib_trie"));
    assert!(local.contains("127.0.0.1"), "lo has no address: {local}");
    let devices = read(host::proc_path(init, "net/dev"));
    let names: Vec<&str> = devices
        .lines()
        .filter_map(|line| line.split_once(':').map(|(name, _)| name.trim()))
        .collect();
    assert!(names.contains(&"lo"), "{names:?}");
}

#[test]
fn a_user_namespace_has_exactly_the_mappings() {
    let Some(case) = case_with(|c| {
        c["root"]["path"] = "rootfs".into();
        map_ids(c);
        c["process"]["user"] = json!({"uid": 1003, "gid": 42, "additionalGids": [43]});
    }) else {
        return;
    };
    case.own_rootfs();
    let init = case.start();
    let map = |file| -> Vec<Vec<u32>> {
        let numbers = |line: &str| {
            line.split_whitespace()
                .map(|n| n.parse().expect("n"))
                .collect()
        };
        read(host::proc_path(init, file))
            .lines()
            .map(numbers)
            .collect()
    };
    assert_eq!(map("uid_map"), [[0, 100_000, 1000], [1000, 200_000, 5]]);
    assert_eq!(map("gid_map"), [[0, 300_000, 70_000]]);
    assert_eq!(read(host::proc_path(init, "setgroups")), "allow");
    assert_eq!(host::status(init, "Uid"), "200003 200003 200003 200003");
    assert_eq!(host::status(init, "Gid"), "300042 300042 300042 300042");
    assert_eq!(host::status(init, "Groups"), "300043");
    assert_ne!(
        host::namespace(init, "user"),
        host::namespace(own(), "user")
    );
}

#[test]
fn the_cgroup_namespace_is_rooted_in_the_container_s_cgroup() {
    let Some(case) = case_with(|c| script(c, "cat /proc/self/cgroup")) else {
        return;
    };
    let inside = case.run().ok().stdout;
    for line in inside.lines() {
        let path = line.splitn(3, ':').nth(2);
        // Hierarchies without a container's cgroup, as cgroup2 of a hybrid host, stay as they are.
        assert!(path == Some("/") || line.starts_with("0::"), "{inside}");
    }
}

#[test]
fn a_payload_without_a_pid_namespace_is_ended_by_kill() {
    let Some(case) = case_with(|c| without_namespace(c, "pid")) else {
        return;
    };
    let init = case.start();
    assert_eq!(host::status(init, "NSpid").split(' ').count(), 1);
    end(&case, init);
}

fn end(case: &Case, init: i32) {
    case.kill(init);
    assert_eq!(case.status(), "stopped");
    case.runtime(&["delete", &case.id]).ok();
    case.assert_clean();
}

fn devpts(config: &mut serde_json::Value) -> &mut serde_json::Value {
    let mounts = config["mounts"].as_array_mut().expect("mounts");
    mounts
        .iter_mut()
        .find(|mount| mount["destination"] == "/dev/pts")
        .expect("a devpts")
}
