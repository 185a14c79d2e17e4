//! A cgroup that its container manages itself: on v2, in its own cgroup namespace, and as another user than root.

use std::fs;
use std::os::unix::fs::MetadataExt;

use oci_runtime_integration::bundle::push;
use oci_runtime_integration::case::{Case, case_with};
use oci_runtime_integration::cgroup;
use oci_runtime_integration::runtime::read;
use serde_json::{Value, json};

/// A case with a writable view of its cgroup; nothing where v1 is in use, which is said.
fn case(edit: impl FnOnce(&mut Value)) -> Option<Case> {
    let all = cgroup::hierarchies();
    if all
        .iter()
        .any(|hierarchy| !hierarchy.controllers.is_empty())
        || all.is_empty()
    {
        eprintln!("not run: this host has v1 hierarchies");
        return None;
    }
    case_with(|config| {
        push(
            config,
            "/mounts",
            json!({
                "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid"],
            }),
        );
        edit(config);
    })
}

fn owner(case: &Case, file: &str) -> u32 {
    let point = &cgroup::hierarchies()[0].point;
    let path = point.join(case.cgroup.trim_start_matches('/')).join(file);
    fs::metadata(&path).expect("a file of the cgroup").uid()
}

/// What the payload of systemd does in a container: its own processes go below, and what is in them is limited there.
const MANAGE: &str = "cd /sys/fs/cgroup && mkdir payload && echo 1 > payload/cgroup.procs && \
    echo 0 > payload/cgroup.procs && echo +pids > cgroup.subtree_control && mkdir payload/deeper && \
    echo 99 > payload/pids.max";

#[test]
fn a_process_joins_where_the_payload_has_handed_its_controllers_down() {
    let Some(case) = case(|_| ()) else { return };
    let init = case.start();
    case.exec(&[], &["sh", "-c", MANAGE]).ok();
    let place = format!("0::{}/payload", case.cgroup);
    assert_eq!(read(format!("/proc/{init}/cgroup")), place);
    // Nobody can be in the container's own cgroup now.
    let joined = case.exec_detached(&[], &["sleep", "7200"]);
    assert_eq!(read(format!("/proc/{joined}/cgroup")), place);
    // What it has made goes with it: the end of the case looks for it.
}

#[test]
fn what_is_given_away_is_the_use_and_not_the_limits() {
    let Some(case) = case(|config| {
        push(config, "/linux/namespaces", json!({"type": "user"}));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        config["linux"]["resources"]["memory"] = json!({"limit": 100 << 20});
    }) else {
        return;
    };
    case.start();
    for file in [
        "",
        "cgroup.procs",
        "cgroup.threads",
        "cgroup.subtree_control",
    ] {
        assert_eq!(owner(&case, file), 100_000, "{file:?}");
    }
    for file in ["memory.max", "pids.max", "cgroup.freeze", "cgroup.kill"] {
        assert_eq!(owner(&case, file), 0, "{file}");
    }
    case.exec(&[], &["sh", "-c", "mkdir /sys/fs/cgroup/mine"])
        .ok();
    let raise = "echo max > /sys/fs/cgroup/memory.max";
    let refused = case.exec(&[], &["sh", "-c", raise]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert_eq!(cgroup::v2_value(&case.cgroup, "memory.max"), "104857600");
}
