//! The container's cgroup: limits as the kernel has them, who is in it, that it goes again.

use std::fs;
use std::path::Path;

use oci_runtime_integration::bundle::{self, push, script};
use oci_runtime_integration::case::{case, case_with};
use oci_runtime_integration::cgroup::{self, v1_value};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::read;
use serde_json::{Value, json};

/// One setting: its key in `linux.resources` and the value; the controller of the v1 hierarchy, its file and what that
/// says; the file of cgroup2 and what that says.
type Setting = (
    &'static str,
    Value,
    (&'static str, &'static str, &'static str),
    (&'static str, &'static str),
);

fn check(settings: &[Setting]) {
    let Some(case) = case_with(|c| {
        for (pointer, value, ..) in settings {
            let mut place = &mut c["linux"]["resources"];
            for key in pointer.split('/') {
                place = &mut place[key];
            }
            *place = value.clone();
        }
    }) else {
        return;
    };
    let init = case.create();
    assert_written(&case.cgroup, settings);
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    assert_written(&case.cgroup, settings);
}

#[track_caller]
fn assert_written(path: &str, settings: &[Setting]) {
    for (pointer, _, v1, v2) in settings {
        let (got, expected) = match cgroup::v1(v1.0, "/") {
            Some(_) => (v1_value(v1.0, path, v1.1), v1.2),
            None => (cgroup::v2_value(path, v2.0), v2.1),
        };
        assert_eq!(got, expected, "{pointer}");
    }
}

/// Whether the host has these controllers, in v1 hierarchies or in cgroup2.
fn has(controllers: &[&str]) -> bool {
    let missing = controllers.iter().find(|name| !cgroup::has(name));
    if let Some(name) = missing {
        eprintln!("not run: this host has no controller {name}");
    }
    missing.is_none()
}

#[test]
fn memory_limits_are_written() {
    if !has(&["memory"]) {
        return;
    }
    check(&[
        (
            "memory/limit",
            json!(100 << 20),
            ("memory", "memory.limit_in_bytes", "104857600"),
            ("memory.max", "104857600"),
        ),
        (
            "memory/reservation",
            json!(50 << 20),
            ("memory", "memory.soft_limit_in_bytes", "52428800"),
            ("memory.low", "52428800"),
        ),
    ]);
}

#[test]
fn a_swap_limit_counts_memory_too() {
    if !has(&["memory"]) || !has_swap_accounting() {
        return;
    }
    check(&[
        (
            "memory/limit",
            json!(100 << 20),
            ("memory", "memory.limit_in_bytes", "104857600"),
            ("memory.max", "104857600"),
        ),
        (
            "memory/swap",
            json!(150 << 20),
            ("memory", "memory.memsw.limit_in_bytes", "157286400"),
            // cgroup2 counts swap alone.
            ("memory.swap.max", "52428800"),
        ),
    ]);
}

/// A kernel without swap leaves the files out. In cgroup2 they are only in what is not the root.
fn has_swap_accounting() -> bool {
    match cgroup::v1("memory", "/") {
        Some(root) => root.join("memory.memsw.limit_in_bytes").exists(),
        None => Path::new("/proc/swaps").exists(),
    }
}

#[test]
fn cpu_limits_are_written() {
    if !has(&["cpu"]) {
        return;
    }
    check(&[
        (
            "cpu/shares",
            json!(512),
            ("cpu", "cpu.shares", "512"),
            ("cpu.weight", "59"),
        ),
        (
            "cpu/quota",
            json!(30_000),
            ("cpu", "cpu.cfs_quota_us", "30000"),
            ("cpu.max", "30000 60000"),
        ),
        (
            "cpu/period",
            json!(60_000),
            ("cpu", "cpu.cfs_period_us", "60000"),
            ("cpu.max", "30000 60000"),
        ),
    ]);
    check(&[(
        "cpu/quota",
        json!(-1),
        ("cpu", "cpu.cfs_quota_us", "-1"),
        ("cpu.max", "max 100000"),
    )]);
}

#[test]
fn cpusets_are_written() {
    if !has(&["cpuset"]) {
        return;
    }
    check(&[
        (
            "cpu/cpus",
            json!("0"),
            ("cpuset", "cpuset.cpus", "0"),
            ("cpuset.cpus", "0"),
        ),
        (
            "cpu/mems",
            json!("0"),
            ("cpuset", "cpuset.mems", "0"),
            ("cpuset.mems", "0"),
        ),
    ]);
}

#[test]
fn unified_is_written_as_it_is() {
    let v2_has = |name| cgroup::v1(name, "/").is_none() && cgroup::has(name);
    if !v2_has("memory") || !v2_has("pids") {
        eprintln!("not run: this host has no cgroup2 with memory and pids");
        return;
    }
    let Some(case) = case_with(|c| {
        c["linux"]["resources"]["unified"] = json!({"memory.high": "67108864", "pids.max": "23"});
    }) else {
        return;
    };
    case.create();
    assert_eq!(cgroup::v2_value(&case.cgroup, "memory.high"), "67108864");
    assert_eq!(cgroup::v2_value(&case.cgroup, "pids.max"), "23");
}

#[test]
fn controllers_are_handed_down_to_a_deep_cgroup() {
    if !has(&["memory", "pids"]) {
        return;
    }
    let Some(case) = case() else { return };
    let deep = format!("{}/one/two", case.cgroup);
    case.configure(|c| {
        c["linux"]["cgroupsPath"] = deep.clone().into();
        c["linux"]["resources"]["pids"] = json!({"limit": 19});
        c["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    });
    let init = case.create();
    assert_written(
        &deep,
        &[
            (
                "pids/limit",
                json!(19),
                ("pids", "pids.max", "19"),
                ("pids.max", "19"),
            ),
            (
                "memory/limit",
                json!(64 << 20),
                ("memory", "memory.limit_in_bytes", "67108864"),
                ("memory.max", "67108864"),
            ),
        ],
    );
    case.kill(init);
    case.runtime(&["delete", &case.id]).ok();
    // Parents that a container's cgroup lies in are not the container's.
    cgroup::remove(&case.cgroup);
}

#[test]
fn pids_limits_are_written_and_hold() {
    if !has(&["pids"]) {
        return;
    }
    for (limit, text) in [(17, "17"), (-1, "max")] {
        let (v1, v2) = (("pids", "pids.max", text), ("pids.max", text));
        check(&[("pids/limit", json!(limit), v1, v2)]);
    }
    let Some(case) = case_with(|c| {
        c["linux"]["resources"]["pids"] = json!({"limit": 4});
        script(c, "for i in 1 2 3 4 5 6; do sleep 1 & done; echo all");
    }) else {
        return;
    };
    let run = case.run();
    assert!(run.stderr.contains("can't fork"), "{run:?}");
}

#[test]
fn a_memory_limit_ends_a_payload_that_wants_more() {
    if !has(&["memory"]) {
        return;
    }
    let Some(case) = case_with(|c| {
        c["linux"]["resources"]["memory"] = json!({"limit": 24 << 20, "swap": 24 << 20});
        script(c, "head -c 200000000 /dev/zero | tail | wc -c; echo after");
    }) else {
        return;
    };
    let run = case.run();
    assert!(!run.stdout.contains("200000000"), "{run:?}");
}

#[test]
fn the_container_is_in_its_cgroup_in_every_hierarchy() {
    let Some(case) = case() else { return };
    let init = case.create();
    let created = host::cgroups(init);
    for (controllers, path) in &created {
        // A cgroup2 hierarchy without controllers, as on hybrid hosts, need not be used.
        if !controllers.is_empty() || created.len() == 1 {
            assert_eq!(path, &case.cgroup, "{controllers}");
        }
    }
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    assert_eq!(host::cgroups(init), created, "start must not move it");
    let child = case.exec_detached(&[], &bundle::IDLE);
    assert_eq!(host::cgroups(child), created);
}

#[test]
fn the_cgroup_is_there_from_create_to_delete() {
    let Some(case) = case() else { return };
    let init = case.create();
    let hierarchies = cgroup::hierarchies();
    let v1 = hierarchies
        .iter()
        .filter(|h| !h.controllers.is_empty())
        .count();
    assert!(cgroup::existing(&case.cgroup).len() >= v1.max(1));
    case.kill(init);
    case.runtime(&["delete", &case.id]).ok();
    assert_eq!(
        cgroup::existing(&case.cgroup),
        Vec::<std::path::PathBuf>::new()
    );
}

#[test]
fn parents_are_made_and_sub_cgroups_are_removed() {
    let Some(case) = case() else { return };
    let nested = format!("{}/deep/er", case.cgroup);
    case.configure(|c| c["linux"]["cgroupsPath"] = nested.clone().into());
    let init = case.create();
    let below = cgroup::existing(&nested);
    assert!(!below.is_empty());
    for directory in &below {
        fs::create_dir_all(directory.join("sub/sub")).expect("a sub-cgroup");
    }
    case.kill(init);
    case.runtime(&["delete", &case.id]).ok();
    assert!(cgroup::existing(&nested).is_empty(), "sub-cgroups are left");
    // Parents that a container's cgroup lies in are not the container's.
    cgroup::remove(&case.cgroup);
}

#[test]
fn processes_in_sub_cgroups_end_with_a_forced_delete() {
    let Some(case) = case_with(|c| bundle::without_namespace(c, "pid")) else {
        return;
    };
    case.start();
    let child = case.exec_detached(&[], &bundle::IDLE);
    for directory in cgroup::existing(&case.cgroup) {
        fs::create_dir(directory.join("sub")).expect("a sub-cgroup");
        let _ = fs::write(directory.join("sub/cgroup.procs"), child.to_string());
    }
    case.runtime(&["delete", "--force", &case.id]).ok();
    assert!(!host::alive(child));
}

#[test]
fn without_a_path_a_cgroup_of_its_own_is_used_and_removed() {
    let Some(case) = case_with(|c| {
        c["linux"]
            .as_object_mut()
            .expect("an object")
            .remove("cgroupsPath");
    }) else {
        return;
    };
    let init = case.start();
    let used: Vec<String> = host::cgroups(init)
        .into_values()
        .filter(|p| p.contains(&case.id))
        .collect();
    assert!(!used.is_empty(), "no cgroup carries the id");
    case.kill(init);
    case.runtime(&["delete", &case.id]).ok();
    for path in used {
        assert!(cgroup::existing(&path).is_empty(), "{path} is left");
    }
}

#[test]
fn a_device_that_is_not_allowed_gives_eperm() {
    let Some(case) = case_with(|c| {
        c["linux"]["devices"] = json!([
            {"path": "/dev/loop", "type": "b", "major": 7, "minor": 0, "fileMode": 0o666},
            {"path": "/dev/mem", "type": "c", "major": 1, "minor": 1, "fileMode": 0o666},
            {"path": "/dev/again", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666}
        ]);
        script(
            c,
            "for d in loop mem; do head -c 1 /dev/$d > /dev/null || echo no $d; done 2>&1; \
            head -c 3 /dev/zero | wc -c; head -c 4 /dev/again | wc -c; echo x > /dev/full",
        );
    }) else {
        return;
    };
    let run = case.run();
    for device in ["loop", "mem"] {
        let refusal = format!("/dev/{device}: Operation not permitted");
        assert!(run.stdout.contains(&refusal), "{run:?}");
    }
    assert!(
        run.stdout.ends_with("3\n4\n"),
        "the default devices work: {run:?}"
    );
    assert!(run.stderr.contains("No space left on device"), "{run:?}");
}

#[test]
fn an_allowed_device_opens_with_the_given_access_only() {
    let Some(case) = case_with(|c| {
        let rule = json!({"allow": true, "type": "c", "major": 240, "minor": 11, "access": "r"});
        push(c, "/linux/resources/devices", rule);
        c["linux"]["devices"] = json!([
            {"path": "/dev/odd", "type": "c", "major": 240, "minor": 11, "fileMode": 0o666}
        ]);
        script(c, "(exec 3< /dev/odd) 2>&1; (exec 3> /dev/odd) 2>&1; true");
    }) else {
        return;
    };
    // No driver has this number, so that an open that is allowed finds nothing behind it.
    let run = case.run();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].ends_with("No such device or address"), "{run:?}");
    assert!(lines[1].ends_with("Operation not permitted"), "{run:?}");
}

#[test]
fn the_devices_list_of_the_kernel_has_no_wildcard_for_opening() {
    let Some(case) = case() else { return };
    if cgroup::v1("devices", "/").is_none() {
        return;
    }
    case.start();
    let rules = v1_value("devices", &case.cgroup, "devices.list");
    for rule in rules.lines() {
        let open = rule.ends_with("rwm") || rule.ends_with("rw") || rule.ends_with(" r");
        assert!(
            !(rule.starts_with("a ") || open && rule.contains("*:*")),
            "{rules}"
        );
    }
}

#[test]
fn the_release_agent_cannot_be_written_inside() {
    let Some(case) = case_with(|c| {
        push(
            c,
            "/mounts",
            json!({
                "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]
            }),
        );
        script(
            c,
            "for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; \
            do [ ! -e $f ] || (echo 1 > $f) 2>&1; done",
        );
    }) else {
        return;
    };
    let run = case.run();
    let lines = run.stdout.lines().count();
    let refused = run.stdout.matches("Read-only").count();
    assert!(lines > 0 && refused == lines, "{run:?}");
}

#[test]
fn the_caller_s_own_cgroup_is_as_before() {
    let Some(case) = case() else { return };
    let before = read("/proc/self/cgroup");
    case.start();
    assert_eq!(read("/proc/self/cgroup"), before);
}
