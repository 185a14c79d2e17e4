//! Limits that change, and device rules.

use crate::host::*;
use oci_runtime_cgroups::*;
use std::fs;
use std::process::Command;

#[test]
fn an_update_that_is_refused_half_way_is_taken_back() {
    let Some(layout) = host() else { return };
    if layout.mode == Mode::V2 {
        eprintln!("skipped: would hand down controllers of the host");
        return;
    }
    let (cgroup, _created) = Cgroup::new(&layout);
    let json = r#"{"memory":{"limit":67108864},"cpu":{"quota":50000,"period":1}}"#;
    let resources: Resources = serde_json::from_str(json).expect("resources");
    let Ok(limits) = for_update(&resources, &layout, &cgroup.paths) else {
        eprintln!("skipped: no controller memory or cpu");
        return;
    };
    let value = |controller, file| {
        let dir = cgroup.paths.dir(controller).expect(controller);
        read(&dir.join(file))
    };
    let before = value("memory", "memory.limit_in_bytes");
    let error = update(&limits).expect_err("a period of 1 us");
    assert_eq!(
        (error.errno(), error.pointer()),
        (Some(22), Some("/cpu/period"))
    );
    assert!(
        error.to_string().ends_with("no limit was changed"),
        "{error}"
    );
    assert_eq!(value("memory", "memory.limit_in_bytes"), before);
    assert_eq!(value("cpu", "cpu.cfs_quota_us"), "-1");
    assert_eq!(value("cpu", "cpu.cfs_period_us"), "100000");
}

#[test]
fn a_v1_device_list_is_changed_entry_by_entry() {
    let Some(layout) = host() else { return };
    let (cgroup, _created) = match layout.mode {
        Mode::V2 => return eprintln!("skipped: would hand down controllers of the host"),
        _ => Cgroup::new(&layout),
    };
    let Some(dir) = cgroup.paths.dir("devices") else {
        eprintln!("skipped: no v1 controller devices");
        return;
    };
    let list = || {
        let mut lines: Vec<String> = read(&dir.join("devices.list"))
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    let rules = |rule: &str| -> Resources {
        let json = format!(r#"{{"devices":[{{"allow":false,"access":"rwm"}}{rule}]}}"#);
        serde_json::from_str(&json).expect("resources")
    };
    let fuse = rules(r#",{"allow":true,"type":"c","major":10,"minor":229,"access":"rw"}"#);
    let loop0 = rules(r#",{"allow":true,"type":"b","major":7,"minor":0,"access":"r"}"#);
    for (resources, writes) in [
        (&fuse, None),
        (&fuse, Some(0)),
        (&loop0, Some(2)),
        (&fuse, Some(2)),
    ] {
        let limits = for_update(resources, &layout, &cgroup.paths).expect("limits");
        if let Some(expected) = writes {
            assert_eq!(limits.writes.len(), expected, "{:?}", limits.writes);
        }
        update(&limits).expect("update");
        // What a new cgroup would have been given.
        let (fresh, _created) = Cgroup::new(&layout);
        apply(&writes_of(resources, &layout, &fresh.paths)).expect("apply");
        let file = fresh
            .paths
            .dir("devices")
            .expect("devices")
            .join("devices.list");
        let mut expected: Vec<String> = read(&file).lines().map(str::to_owned).collect();
        expected.sort();
        assert_eq!(list(), expected);
    }
    // From a list of what is allowed to one of what is denied there is only the long way.
    let all = rules(r#",{"allow":true,"access":"rwm"}"#);
    update(&for_update(&all, &layout, &cgroup.paths).expect("limits")).expect("update");
    assert_eq!(list(), ["a *:* rwm"]);
    update(&for_update(&fuse, &layout, &cgroup.paths).expect("limits")).expect("update");
    assert!(list().contains(&"c 10:229 rw".to_owned()), "{:?}", list());
}

fn writes_of(resources: &Resources, layout: &Layout, paths: &Paths) -> Limits {
    writes(resources, layout, paths).expect("limits")
}

#[test]
fn a_device_program_is_replaced_by_the_next_one() {
    let Some(layout) = v2_alone() else { return };
    let (cgroup, _created) = Cgroup::new(&layout);
    let rule = |access: &str| -> Resources {
        let json = format!(
            r#"{{"devices":[{{"allow":true,"type":"c","major":1,"minor":11,"access":"{access}"}}]}}"#
        );
        serde_json::from_str(&json).expect("resources")
    };
    let procs = cgroup.paths.unified().expect("v2").join("cgroup.procs");
    let opens = |open: &str| {
        let script = format!("echo $$ > {} && : {open} /dev/kmsg", procs.display());
        let output = Command::new("sh").args(["-c", &script]).output();
        output.expect("sh").status.success()
    };
    apply(&writes(&rule("r"), &layout, &cgroup.paths).expect("limits")).expect("apply");
    assert!(opens("<") && !opens(">"));
    for (access, read, write) in [("w", false, true), ("rw", true, true), ("m", false, false)] {
        let limits = for_update(&rule(access), &layout, &cgroup.paths).expect("limits");
        update(&limits).expect("update");
        assert_eq!((opens("<"), opens(">")), (read, write), "{access}");
    }
}

#[test]
fn a_device_program_decides_what_can_be_opened() {
    let Some(layout) = v2_alone() else { return };
    let (cgroup, _created) = Cgroup::new(&layout);
    let resources: Resources = serde_json::from_str(
        r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]}"#,
    )
    .expect("resources");
    let limits = writes(&resources, &layout, &cgroup.paths).expect("limits");
    assert!(limits.device_program.is_some());
    apply(&limits).expect("apply");
    // The shell enters the cgroup before it opens; /dev/kmsg is 1:11, /dev/mem is 1:1.
    let procs = cgroup.paths.unified().expect("v2").join("cgroup.procs");
    let try_open = |open: &str| {
        let script = format!("echo $$ > {} && {open}", procs.display());
        let output = Command::new("sh")
            .args(["-c", &script])
            .output()
            .expect("sh");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for good in [": < /dev/null", ": > /dev/null", ": < /dev/urandom"] {
        let (success, stderr) = try_open(good);
        assert!(success, "{good}: {stderr}");
    }
    let node = std::env::temp_dir().join(name());
    let node = node.to_str().expect("UTF-8");
    for (device, open, expected) in [
        ("c 1 11", "<", true),
        ("c 1 11", ">", false),
        ("c 1 4", "<", false),
        ("b 7 200", "<", false),
    ] {
        let (success, stderr) = try_open(&format!("mknod {node} {device} && : {open} {node}"));
        let _ = fs::remove_file(node);
        match expected {
            true => assert!(success, "{device} {open}: {stderr}"),
            false => {
                assert!(!success, "{device} {open} was opened");
                assert!(
                    stderr.contains("not permitted"),
                    "{device} {open}: {stderr}"
                );
            }
        }
    }
}
