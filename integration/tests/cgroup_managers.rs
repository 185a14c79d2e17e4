//! Who makes the cgroup: systemd, by what is said to it on a bus of our own; or nobody.

use std::fs;
use std::path::Path;

use oci_runtime_integration::bus::{self, Bus, Manners};
use oci_runtime_integration::case::{Case, case_with};
use oci_runtime_integration::runtime::{Finished, read, spawn};
use serde_json::{Value, json};

/// A case whose container is to be a scope at the top of the hierarchy.
fn case(edit: impl FnOnce(&mut Value)) -> Option<(Case, String)> {
    let case = case_with(|config| {
        edit(config);
    })?;
    let unit = format!("oci-{}.scope", case.id);
    let id = case.id.clone();
    let path = case.bundle().join("config.json");
    let mut config: Value = serde_json::from_str(&read(&path)).expect("JSON");
    config["linux"]["cgroupsPath"] = format!("-.slice:oci:{id}").into();
    case.write_config(&config.to_string());
    Some((case, unit))
}

fn with_bus(case: &Case, address: &str, args: &[&str]) -> Finished {
    let args = [&["--systemd-cgroup"], args].concat();
    let mut command = case.command(&args);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", address);
    spawn(command, &case.path("output"), std::process::Stdio::null()).wait()
}

fn create(case: &Case, bus: &Bus) -> Finished {
    let pid_file = case.path("pid").display().to_string();
    let args = ["create", "--pid-file", &pid_file, &case.id];
    with_bus(case, &bus.address(), &args)
}

fn delete(case: &Case, bus: &Bus) {
    with_bus(case, &bus.address(), &["delete", "--force", &case.id]).ok();
}

/// The directories of `unit` that exist anywhere at the top.
fn directories(unit: &str) -> Vec<std::path::PathBuf> {
    let all = oci_runtime_integration::cgroup::hierarchies();
    let all = all.iter().map(|hierarchy| hierarchy.point.join(unit));
    all.filter(|directory| directory.exists()).collect()
}

#[test]
fn a_scope_is_asked_for_in_one_breath_and_stopped_at_the_end() {
    let Some((case, unit)) = case(|config| {
        config["linux"]["resources"]["pids"] = json!({"limit": 20});
        config["annotations"]["org.systemd.property.CollectMode"] = "'inactive'".into();
    }) else {
        return;
    };
    let bus = bus::open(case.path("bus"), Manners::Obliging);
    create(&case, &bus).ok();
    let init = case.init_from_pid_file();
    // The other side answers nothing before all is said.
    let expected = ["Hello", "AddMatch", "ResetFailedUnit", "StartTransientUnit"];
    assert_eq!(bus.members(0), expected);
    let calls = bus.calls();
    let start = calls
        .iter()
        .find(|call| call.member == "StartTransientUnit");
    let start = start.expect("a unit was started");
    assert_eq!(start.argument(), unit);
    assert_eq!(start.text("Slice").as_deref(), Some("-.slice"));
    assert_eq!(start.text("CollectMode").as_deref(), Some("inactive"));
    let first = start.first("PIDs").expect("a process");
    assert_ne!(
        first, init as usize,
        "it is made around the process that makes the container's"
    );

    let place = read(format!("/proc/{init}/cgroup"));
    for line in place.lines() {
        assert!(line.ends_with(&format!(":/{unit}")), "{place}");
    }
    assert!(
        !Path::new(&format!("/proc/{first}")).exists(),
        "that one has gone"
    );
    // What was made is remembered: from here on nobody has to be told.
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    case.exec(&[], &["true"]).ok();
    case.runtime(&["pause", &case.id]).ok();
    assert_eq!(case.status(), "paused");
    case.runtime(&["resume", &case.id]).ok();
    delete(&case, &bus);
    case.reap(init);
    assert_eq!(bus.members(1), ["Hello", "AddMatch", "StopUnit"]);
    assert_eq!(directories(&unit), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn a_unit_in_which_nothing_lives_is_replaced() {
    let Some((case, _)) = case(|_| ()) else {
        return;
    };
    let bus = bus::open(case.path("bus"), Manners::Stale);
    create(&case, &bus).ok();
    let init = case.init_from_pid_file();
    let expected = [
        "Hello",
        "AddMatch",
        "ResetFailedUnit",
        "StartTransientUnit",
        "StopUnit",
        "ResetFailedUnit",
        "StartTransientUnit",
    ];
    assert_eq!(bus.members(0), expected);
    delete(&case, &bus);
    case.reap(init);
}

#[test]
fn what_systemd_does_not_do_is_told_and_leaves_nothing() {
    let cases: [(Manners, &[&str]); 3] = [
        (Manners::Failing, &["StartTransientUnit", "\"failed\""]),
        (
            Manners::Forbidding,
            &["StartTransientUnit", "because", "AccessDenied"],
        ),
        (Manners::Closed, &["REJECTED"]),
    ];
    for (manners, words) in cases {
        let Some((case, unit)) = case(|_| ()) else {
            return;
        };
        let bus = bus::open(case.path("bus"), manners);
        create(&case, &bus).failed(1, words);
        assert!(!case.path("pid").exists());
        assert_eq!(
            fs::read_dir(case.path("state")).expect("the root").count(),
            0
        );
        assert!(directories(&unit).is_empty());
    }
}

#[test]
fn without_a_bus_the_error_says_where_it_was_looked_for() {
    let Some((case, _)) = case(|_| ()) else {
        return;
    };
    let nowhere = case.path("nowhere").display().to_string();
    let address = format!("unix:path={nowhere}");
    let finished = with_bus(&case, &address, &["create", &case.id]);
    let words = "systemd not running on this host, cannot use systemd cgroups manager";
    finished.failed(1, &[words, &nowhere, "ENOENT", "--cgroup-manager cgroupfs"]);
}

#[test]
fn a_path_for_file_systems_is_none_for_systemd() {
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    let finished = with_bus(&case, "unix:path=/nowhere", &["create", &case.id]);
    finished.failed(1, &["/linux/cgroupsPath", "slice:prefix:name"]);
}

#[test]
fn with_no_manager_the_container_stays_in_the_caller_s_cgroup() {
    let Some(case) = case_with(|config| {
        config["mounts"].as_array_mut().expect("mounts").push(json!({
            "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"],
        }));
    }) else {
        return;
    };
    let pid_file = case.path("pid").display().to_string();
    let manager = "--cgroup-manager=disabled";
    case.runtime(&[manager, "create", "--pid-file", &pid_file, &case.id])
        .ok();
    let init = case.init_from_pid_file();
    assert_eq!(
        read(format!("/proc/{init}/cgroup")),
        read("/proc/self/cgroup")
    );
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    case.exec(&[], &["true"]).ok();
    assert_eq!(case.status(), "running");
    case.runtime(&["pause", &case.id]).failed(1, &["freezer"]);
    case.kill(init);
    case.runtime(&["delete", &case.id]).ok();
}

#[test]
fn with_no_manager_a_limit_is_refused() {
    let Some(case) = case_with(|config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 100 << 20});
    }) else {
        return;
    };
    let finished = case.runtime(&["--cgroup-manager", "disabled", "create", &case.id]);
    finished.failed(1, &["/linux/resources", "disabled"]);
}

#[test]
fn a_manager_that_there_is_not_is_refused() {
    let Some(case) = case_with(|_| ()) else {
        return;
    };
    let finished = case.runtime(&["--cgroup-manager", "openrc", "list"]);
    finished.failed(1, &["cgroup-manager", "openrc"]);
}
