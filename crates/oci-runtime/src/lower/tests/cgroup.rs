//! Who makes the cgroup, and who owns it.

use serde_json::{Value, json};

use super::{CgroupManager, Host, Request, UNIFIED, create, example, golden, host, lower, request};
use crate::error::Result;
use crate::plan::Plan;
use crate::spec;

/// As Podman asks for it: the cgroup is a scope of systemd's.
fn managed(edit: impl FnOnce(&mut Value), manager: CgroupManager) -> Result<Plan> {
    let lowered = managed_on(&host(UNIFIED), edit, manager)?;
    Ok(lowered.plan)
}

fn managed_on(
    host: &Host,
    edit: impl FnOnce(&mut Value),
    manager: CgroupManager,
) -> Result<crate::lower::Lowered> {
    let mut config: Value = serde_json::from_str(&example()).expect("it parses");
    config["linux"]["cgroupsPath"] = "machine.slice:libpod:golden".into();
    config["linux"]["resources"] = json!({
        "memory": {"limit": 1 << 20}, "cpu": {"burst": 5, "quota": 20000}, "pids": {"limit": 9},
        "devices": [{"allow": false, "access": "rwm"}],
    });
    edit(&mut config);
    let json = config.to_string();
    let spec = spec::parse(json.as_bytes()).expect("it parses");
    let request = Request {
        cgroup_manager: manager,
        ..request(true)
    };
    create(&spec, host, request)
}

/// As a user's Podman asks for it, in a namespace where the user is root.
#[test]
fn root_of_a_user_namespace_is_a_user_to_systemd_and_has_no_say_about_devices() {
    let user = Host {
        outer_euid: 1000,
        initial_user_namespace: false,
        ..host(UNIFIED)
    };
    let lowered = managed_on(&user, |_| (), CgroupManager::Systemd).expect("it lowers");
    let text = lowered.plan.to_text();
    let service = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/machine.slice";
    assert!(text.contains(service), "{text}");
    assert!(text.contains("MemoryMax"), "{text}");
    assert!(!text.contains("Device"), "{text}");
    assert_eq!(lowered.warnings, [""; 0]);
    let deny = |config: &mut Value| {
        let rule = json!({"allow": false, "type": "c", "major": 1, "minor": 5, "access": "w"});
        config["linux"]["resources"]["devices"] = json!([rule]);
    };
    let lowered = managed_on(&user, deny, CgroupManager::Systemd).expect("it lowers");
    assert!(
        lowered.warnings[0].contains("can deny devices"),
        "{:?}",
        lowered.warnings
    );
}

#[test]
fn golden_plan_of_a_unit() {
    let annotate = |config: &mut Value| {
        config["annotations"] = json!({"org.systemd.property.TimeoutStopSec": "10"});
    };
    let plan = managed(annotate, CgroupManager::Systemd).expect("it lowers");
    golden("systemd-v2", &plan);
}

#[test]
fn what_is_no_unit_is_refused_with_its_place() {
    let path = |config: &mut Value| config["linux"]["cgroupsPath"] = "/kubepods/x".into();
    let error = managed(path, CgroupManager::Systemd)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/linux/cgroupsPath") && error.contains("slice:prefix:name"),
        "{error}"
    );
    let property = |config: &mut Value| {
        config["annotations"] = json!({"org.systemd.property.KillSignal": "nine"});
    };
    let error = managed(property, CgroupManager::Systemd)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/annotations") && error.contains("nine"),
        "{error}"
    );
}

#[test]
fn without_a_cgroup_nothing_can_be_limited() {
    let error = managed(|_| (), CgroupManager::Disabled)
        .unwrap_err()
        .to_string();
    assert!(error.contains("/linux/resources"), "{error}");
    let unlimited = |config: &mut Value| {
        config["linux"]["resources"] = json!({
            "devices": [{"allow": false, "access": "rwm"}], "pids": {"limit": -1}, "memory": {}, "cpu": {"shares": 0},
        });
    };
    let plan = managed(unlimited, CgroupManager::Disabled).expect("it lowers");
    let text = plan.to_text();
    for step in [
        "CreateCgroup",
        "StartUnit",
        "ApplyLimits",
        "OpenCgroup",
        "JoinCgroup",
    ] {
        assert!(!text.contains(step), "{text}");
    }
}

/// As `ocirun spec --rootless` writes it, for user 7 without any privilege.
#[test]
fn golden_plan_of_a_user_s_own() {
    let user = Host {
        euid: 7,
        egid: 7,
        outer_euid: 7,
        privileged: false,
        may_make_cgroups: false,
        ..host(UNIFIED)
    };
    let spec = spec::Spec::rootless_example(7, 7);
    let plan = create(&spec, &user, request(true)).expect("it lowers").plan;
    golden("rootless-v2", &plan);
    let wide = spec::Spec::rootless_example(8, 7);
    let Err(error) = create(&wide, &user, request(true)) else {
        panic!("another one's id was mapped");
    };
    assert!(error.to_string().contains("/linux/uidMappings"), "{error}");
}

#[test]
fn a_user_to_whom_nothing_is_delegated_gets_no_cgroup_and_no_limits() {
    let user = Host {
        initial_user_namespace: false,
        may_make_cgroups: false,
        ..host(UNIFIED)
    };
    let no_path = |config: &mut Value| config["linux"]["cgroupsPath"] = "".into();
    let error = managed_on(&user, no_path, CgroupManager::Cgroupfs).err();
    let error = error.expect("limits").to_string();
    assert!(error.contains("/linux/resources"), "{error}");
    let unlimited = |config: &mut Value| {
        no_path(config);
        config["linux"]["resources"] = json!({});
    };
    let lowered = managed_on(&user, unlimited, CgroupManager::Cgroupfs).expect("it lowers");
    assert!(!lowered.plan.to_text().contains("CreateCgroup"));
    // One who asks for a place is told that it cannot be had.
    let asked = |config: &mut Value| {
        config["linux"]["cgroupsPath"] = "/a".into();
        config["linux"]["resources"] = json!({});
    };
    let lowered = managed_on(&user, asked, CgroupManager::Cgroupfs).expect("it lowers");
    assert!(lowered.plan.to_text().contains("CreateCgroup"));
}

/// Who owns the cgroup in the end, as the plan has it.
fn owner(edit: impl FnOnce(&mut Value)) -> Option<String> {
    let mut config: Value = serde_json::from_str(&example()).expect("it parses");
    edit(&mut config);
    let plan = lower(&config.to_string(), UNIFIED, true);
    let text = plan.to_text();
    let line = text.lines().find(|line| line.contains("DelegateCgroup"))?;
    Some(line.split_once("uid=")?.1.split(' ').next()?.to_owned())
}

#[test]
fn a_cgroup_is_given_to_whoever_can_reach_nothing_else_by_it() {
    let writable = |config: &mut Value| {
        for mount in config["mounts"].as_array_mut().expect("mounts") {
            if mount["destination"] == "/sys/fs/cgroup" {
                mount["options"] = json!(["nosuid"]);
            }
        }
    };
    let in_a_user_namespace = |config: &mut Value| {
        let namespaces = config["linux"]["namespaces"]
            .as_array_mut()
            .expect("a list");
        namespaces.push(json!({"type": "user"}));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    };
    let as_user = |config: &mut Value| config["process"]["user"]["uid"] = 7.into();
    assert_eq!(owner(|_| ()), None);
    assert_eq!(owner(in_a_user_namespace), None, "it is mounted read-only");
    assert_eq!(owner(writable), None, "it is root's already");
    let both = |config: &mut Value| {
        writable(config);
        as_user(config);
    };
    assert_eq!(owner(both).as_deref(), Some("7"));
    let all = |config: &mut Value| {
        both(config);
        in_a_user_namespace(config);
    };
    assert_eq!(owner(all).as_deref(), Some("100007"));
    let shared = |config: &mut Value| {
        both(config);
        let namespaces = config["linux"]["namespaces"]
            .as_array_mut()
            .expect("a list");
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
    };
    assert_eq!(
        owner(shared),
        None,
        "without a namespace it would show the host"
    );
}
