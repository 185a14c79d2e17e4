//! The systemd driver with the real one: what systemd knows, what the kernel enforces, and that the two stay the same.

use std::path::Path;
use std::process::{Command, Stdio};

use oci_runtime_integration::bundle::push;
use oci_runtime_integration::case::{Case, case_with};
use oci_runtime_integration::runtime::{Finished, eventually, read, spawn};
use oci_runtime_integration::{bus, cgroup, host};
use serde_json::{Value, json};

/// A case whose container is to be the scope `oci-ID.scope` in `slice`; nothing where there is no systemd, which is said.
fn case(slice: &str, edit: impl FnOnce(&mut Value)) -> Option<(Case, String)> {
    if !Path::new("/run/systemd/system").exists() {
        eprintln!("not run: this host has no systemd");
        return None;
    }
    let case = case_with(edit)?;
    let path = case.bundle().join("config.json");
    let mut config: Value = serde_json::from_str(&read(&path)).expect("JSON");
    config["linux"]["cgroupsPath"] = format!("{slice}:oci:{}", case.id).into();
    case.write_config(&config.to_string());
    let unit = format!("oci-{}.scope", case.id);
    Some((case, unit))
}

fn runtime(case: &Case, args: &[&str]) -> Finished {
    case.runtime(&[&["--systemd-cgroup"], args].concat())
}

fn try_create(case: &Case) -> Finished {
    let pid_file = case.path("pid").display().to_string();
    runtime(case, &["create", "--pid-file", &pid_file, &case.id])
}

fn start(case: &Case) -> i32 {
    try_create(case).ok();
    let init = case.init_from_pid_file();
    runtime(case, &["start", &case.id]).ok();
    case.await_payload(init);
    init
}

fn end(case: &Case, init: i32) {
    case.kill(init);
    runtime(case, &["delete", &case.id]).ok();
}

/// What systemd says of a unit.
#[track_caller]
fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--value", "--property", name, unit])
}

#[track_caller]
fn systemctl(args: &[&str]) -> String {
    let output = Command::new("systemctl").args(args).output();
    let output = output.expect("systemctl");
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// `file` of the cgroup of the process.
#[track_caller]
fn value(pid: i32, file: &str) -> String {
    let place = read(format!("/proc/{pid}/cgroup"));
    let own = place.lines().find_map(|line| line.strip_prefix("0::"));
    cgroup::v2_value(own.expect("a cgroup of v2"), file)
}

#[test]
fn a_container_is_a_scope_from_create_to_delete() {
    let Some((case, unit)) = case("oci-tests.slice", |config| {
        config["annotations"]["org.systemd.property.TimeoutStopSec"] = "7".into();
    }) else {
        return;
    };
    let init = start(&case);
    let place = format!("/oci.slice/oci-tests.slice/{unit}");
    assert!(read(format!("/proc/{init}/cgroup")).contains(&format!(":{place}")));
    for (name, expected) in [
        ("ActiveState", "active"),
        ("ControlGroup", place.as_str()),
        ("Slice", "oci-tests.slice"),
        ("Delegate", "yes"),
        ("DefaultDependencies", "no"),
        ("MemoryAccounting", "yes"),
        ("TimeoutStopUSec", "7s"),
    ] {
        assert_eq!(property(&unit, name), expected, "{name}");
    }
    let joined = case.exec_detached(&[], &["sleep", "7200"]);
    assert_eq!(
        read(format!("/proc/{joined}/cgroup")),
        read(format!("/proc/{init}/cgroup"))
    );
    case.runtime(&["pause", &case.id]).ok();
    assert_eq!(case.status(), "paused");
    case.runtime(&["resume", &case.id]).ok();
    end(&case, init);
    // At once, not some time later.
    assert_eq!(property(&unit, "LoadState"), "not-found");
    assert!(!bus::directory(&place[1..]).exists());
    // The name is free.
    let init = start(&case);
    end(&case, init);
}

const LIMITS: &[(&str, &str)] = &[
    ("memory.max", "104857600"),
    ("memory.low", "52428800"),
    ("memory.swap.max", "104857600"),
    ("cpu.max", "33333 70000"),
    ("cpu.weight", "59"),
    ("cpuset.cpus", "0"),
    ("pids.max", "77"),
    ("memory.high", "94371840"),
    ("cpu.max.burst", "1000"),
    ("memory.oom.group", "1"),
];

/// The same values as by the other driver, and the same after systemd has written all that it knows once more.
#[test]
fn limits_are_those_of_the_configuration_and_survive_a_reload() {
    let Some((case, unit)) = case("system.slice", |config| {
        let resources = &mut config["linux"]["resources"];
        resources["memory"] =
            json!({"limit": 100 << 20, "swap": 200 << 20, "reservation": 50 << 20});
        resources["cpu"] =
            json!({"quota": 33333, "period": 70000, "shares": 512, "burst": 1000, "cpus": "0"});
        resources["pids"] = json!({"limit": 77});
        resources["unified"] = json!({"memory.high": "94371840", "memory.oom.group": "1"});
    }) else {
        return;
    };
    let init = start(&case);
    let written = |when: &str| {
        for (file, expected) in LIMITS {
            assert_eq!(value(init, file), *expected, "{file} {when}");
        }
    };
    written("at the start");
    assert_eq!(property(&unit, "MemoryMax"), "104857600");
    assert_eq!(property(&unit, "TasksMax"), "77");
    systemctl(&["daemon-reload"]);
    written("after a reload");

    case.runtime(&[
        "update",
        "--memory",
        "83886080",
        "--pids-limit",
        "55",
        &case.id,
    ])
    .ok();
    for _ in 0..2 {
        assert_eq!(value(init, "memory.max"), "83886080");
        assert_eq!(value(init, "pids.max"), "55");
        assert_eq!(property(&unit, "MemoryMax"), "83886080");
        systemctl(&["daemon-reload"]);
    }
    end(&case, init);

    // By the other driver.
    case.configure(|config| {
        let kept: Value =
            serde_json::from_str(&read(case.bundle().join("config.json"))).expect("JSON");
        config["linux"]["resources"] = kept["linux"]["resources"].clone();
    });
    let init = case.start();
    for (file, expected) in LIMITS {
        assert_eq!(value(init, file), *expected, "{file} by cgroupfs");
    }
}

/// One device is allowed and the other not, whatever systemd does meanwhile.
#[test]
fn device_rules_survive_a_reload() {
    let Some((case, unit)) = case("system.slice", |config| {
        config["linux"]["devices"] = json!([
            {"path": "/dev/full2", "type": "c", "major": 1, "minor": 7},
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229},
        ]);
    }) else {
        return;
    };
    let init = start(&case);
    assert_eq!(property(&unit, "DevicePolicy"), "strict");
    for when in ["at the start", "after a reload", "after another"] {
        case.exec(
            &[],
            &["sh", "-c", "echo > /dev/null && head -c1 /dev/full2"],
        )
        .ok();
        let refused = case.exec(&[], &["sh", "-c", "head -c1 /dev/fuse"]);
        assert_ne!(refused.code, 0, "{when}");
        assert!(
            refused.stderr.contains("not permitted"),
            "{when}: {refused:?}"
        );
        systemctl(&["daemon-reload"]);
    }
    end(&case, init);
}

#[test]
fn a_unit_in_use_is_left_alone() {
    let Some((case, unit)) = case("system.slice", |_| ()) else {
        return;
    };
    let mut other = Command::new("systemd-run")
        .args(["--scope", "--quiet", "--unit", &unit, "sleep", "7200"])
        .stdin(Stdio::null())
        .spawn()
        .expect("systemd-run");
    eventually("the other's scope", || {
        (property(&unit, "ActiveState") == "active").then_some(())
    });
    try_create(&case).failed(1, &[&unit, "in use"]);
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert!(other.try_wait().expect("wait").is_none(), "it lives");
    systemctl(&["stop", &unit]);
    let _ = other.wait();
    // Then it is ours.
    let init = start(&case);
    end(&case, init);
}

#[test]
fn a_name_that_ends_with_slice_is_a_slice() {
    let Some((case, _)) = case("system.slice", |_| ()) else {
        return;
    };
    // A dash would be a place.
    let name = format!("oci{}.slice", case.id.replace('-', ""));
    let path = case.bundle().join("config.json");
    let mut config: Value = serde_json::from_str(&read(&path)).expect("JSON");
    config["linux"]["cgroupsPath"] = format!("::{name}").into();
    config["linux"]["resources"]["pids"] = json!({"limit": 31});
    case.write_config(&config.to_string());
    let init = start(&case);
    assert!(read(format!("/proc/{init}/cgroup")).contains(&format!(":/{name}")));
    assert_eq!(value(init, "pids.max"), "31");
    assert_eq!(property(&name, "ActiveState"), "active");
    end(&case, init);
    assert!(!bus::directory(&name).exists());
}

#[test]
fn a_payload_over_its_memory_is_ended_and_the_scope_with_it() {
    let Some((case, unit)) = case("system.slice", |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 16 << 20, "swap": 16 << 20});
        push(
            config,
            "/mounts",
            json!({
                "destination": "/big", "type": "tmpfs", "source": "tmpfs", "options": ["size=64m"],
            }),
        );
        config["process"]["args"] = json!(["sh", "-c", "dd if=/dev/zero of=/big/x bs=1M count=60"]);
    }) else {
        return;
    };
    let output = case.path("output");
    let command = case.command(&["--systemd-cgroup", "run", &case.id]);
    let finished = spawn(command, &output, Stdio::null()).wait();
    assert_eq!(finished.code, 137, "{finished:?}");
    assert_eq!(property(&unit, "LoadState"), "not-found");
}

/// A scope ends with its last process, and then its name is free for another container.
#[test]
fn deleting_a_stopped_container_spares_the_one_that_has_its_unit_now() {
    let Some((case, unit)) = case("oci-tests.slice", |_| ()) else {
        return;
    };
    for force in [false, true] {
        let first = start(&case);
        case.kill(first);
        eventually("the end of the scope", || {
            (property(&unit, "LoadState") == "not-found").then_some(())
        });
        let id = format!("{}-2", case.id);
        let pid_file = case.path("pid").display().to_string();
        runtime(&case, &["create", "--pid-file", &pid_file, &id]).ok();
        let second = case.init_from_pid_file();
        let flags: &[&str] = if force { &["--force"] } else { &[] };
        let deleted = case.runtime(&[&["delete"], flags, &[case.id.as_str()]].concat());
        assert!(
            host::alive(second),
            "the second ended with the first: {deleted:?}"
        );
        assert_eq!(property(&unit, "ActiveState"), "active");
        assert_eq!(deleted.code == 0, force, "{deleted:?}");
        case.runtime(&["delete", "--force", &id]).ok();
        case.reap(second);
        case.runtime(&["delete", "--force", &case.id]).ok();
        assert_eq!(property(&unit, "LoadState"), "not-found");
    }
}
