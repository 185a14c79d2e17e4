//! From the making of a cgroup to its removal.

use crate::host::*;
use oci_runtime_cgroups::*;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn a_whole_life_on_this_host() {
    let Some(layout) = host() else { return };
    if layout.mode == Mode::V2 {
        eprintln!("skipped: would hand down controllers of the host");
        return;
    }
    life(&layout);
}

#[test]
fn a_whole_life_on_v2() {
    if let Some(layout) = v2_alone() {
        life(&layout);
    }
}

fn life(layout: &Layout) {
    let (mut cgroup, created) = Cgroup::new(layout);
    let paths = cgroup.paths.clone();
    assert_eq!(created.dirs.len(), paths.dirs().len());
    let membership = read(Path::new(&format!("/proc/{}/cgroup", cgroup.pid())));
    let leaf = paths.dirs()[0]
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let inside = membership
        .lines()
        .filter(|line| line.ends_with(&leaf))
        .count();
    assert_eq!(inside, paths.dirs().len(), "{membership}");
    assert_eq!(processes(&paths), Ok(vec![cgroup.pid()]));

    // Occupied: neither created a second time nor removed, and nothing is lost by trying.
    assert!(
        matches!(create(layout, &paths), Err(Error::InUse { pids, .. }) if pids == [cgroup.pid()])
    );
    assert!(matches!(remove(&paths), Err(Error::Busy { pids, .. }) if pids == [cgroup.pid()]));

    assert_eq!(is_frozen(&paths), Ok(false));
    freeze(&paths).expect("freeze");
    assert_eq!(is_frozen(&paths), Ok(true));
    thaw(&paths).expect("thaw");
    let start = Instant::now();
    while is_frozen(&paths) != Ok(false) {
        assert!(start.elapsed() < Duration::from_secs(5), "still frozen");
    }

    // Killing works on what is frozen, and leaves nothing frozen on v1.
    freeze(&paths).expect("freeze");
    kill_all(&paths).expect("kill_all");
    cgroup.wait_until_killed();
    assert_eq!(processes(&paths), Ok(vec![]));
    remove(&paths).expect("remove");
    assert!(paths.dirs().iter().all(|dir| !dir.exists()));
    remove(&paths).expect("remove what is gone");
    kill_all(&paths).expect("kill what is gone");
    assert_eq!(processes(&paths), Ok(vec![]));
    assert_eq!(is_frozen(&paths), Ok(false));
}

#[test]
fn limits_are_what_the_files_say() {
    let Some(layout) = host() else { return };
    if layout.mode == Mode::V2 {
        eprintln!("skipped: would hand down controllers of the host");
        return;
    }
    let (cgroup, _created) = Cgroup::new(&layout);
    let json = r#"{"memory":{"limit":67108864,"reservation":33554432,"swappiness":10,"checkBeforeUpdate":true},
        "cpu":{"shares":512,"quota":50000,"period":100000,"burst":10000},"pids":{"limit":20},
        "devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":200,"access":"rw"}]}"#;
    let resources: Resources = serde_json::from_str(json).expect("resources");
    let limits = match writes(&resources, &layout, &cgroup.paths) {
        Err(Error::Controller { controller, .. }) => {
            eprintln!("skipped: no controller {controller}");
            return;
        }
        limits => limits.expect("limits"),
    };
    apply(&limits).expect("apply");
    for (controller, file, value) in [
        ("memory", "memory.limit_in_bytes", "67108864"),
        ("memory", "memory.soft_limit_in_bytes", "33554432"),
        ("memory", "memory.swappiness", "10"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "50000"),
        ("cpu", "cpu.cfs_period_us", "100000"),
        ("cpu", "cpu.cfs_burst_us", "10000"),
        ("pids", "pids.max", "20"),
    ] {
        let dir = cgroup.paths.dir(controller).expect(controller);
        assert_eq!(read(&dir.join(file)), value, "{file}");
    }
    let list = read(
        &cgroup
            .paths
            .dir("devices")
            .expect("devices")
            .join("devices.list"),
    );
    assert_eq!(list.lines().count(), 1 + DEFAULT_DEVICES.len(), "{list}");
    assert!(list.lines().any(|line| line == "c 10:200 rw"), "{list}");

    // Period, quota and burst are changed both ways, where either order alone would be refused one way.
    for json in [
        r#"{"cpu":{"quota":5000,"period":10000,"burst":100}}"#,
        r#"{"cpu":{"quota":900000,"period":1000000,"burst":800000}}"#,
        r#"{"cpu":{"quota":5000,"period":10000,"burst":100}}"#,
        r#"{"memory":{"limit":268435456}}"#,
        r#"{"memory":{"limit":-1}}"#,
    ] {
        let resources: Resources = serde_json::from_str(json).expect("resources");
        let limits = for_update(&resources, &layout, &cgroup.paths).expect("limits");
        apply(&limits).unwrap_or_else(|e| panic!("{json}: {e}"));
    }
}

#[test]
fn memory_and_swap_change_together_both_ways() {
    let Some(layout) = host() else { return };
    let (cgroup, _created) = match layout.mode {
        Mode::V2 => {
            eprintln!("skipped: would hand down controllers of the host");
            return;
        }
        _ => Cgroup::new(&layout),
    };
    let Some(dir) = cgroup.paths.dir("memory") else {
        eprintln!("skipped: no v1 memory controller");
        return;
    };
    if !dir.join("memory.memsw.limit_in_bytes").exists() {
        eprintln!("skipped: no swap accounting");
        return;
    }
    for (limit, swap) in [
        (32 << 20, 64 << 20),
        (256 << 20, 256 << 20),
        (16 << 20, 32 << 20),
        (-1, -1),
    ] {
        let resources = Resources {
            memory: Some(Memory {
                limit: Some(limit),
                swap: Some(swap),
                ..Memory::default()
            }),
            ..Resources::default()
        };
        let limits = for_update(&resources, &layout, &cgroup.paths).expect("limits");
        apply(&limits).unwrap_or_else(|e| panic!("{limit} {swap}: {e}"));
        if limit > 0 {
            assert_eq!(read(&dir.join("memory.limit_in_bytes")), limit.to_string());
            assert_eq!(
                read(&dir.join("memory.memsw.limit_in_bytes")),
                swap.to_string()
            );
        }
    }
}

#[test]
fn a_refused_value_names_file_value_errno_and_setting() {
    let Some(layout) = host() else { return };
    if layout.mode == Mode::V2 {
        eprintln!("skipped: would hand down controllers of the host");
        return;
    }
    let (cgroup, _created) = Cgroup::new(&layout);
    let resources: Resources = serde_json::from_str(r#"{"cpu":{"period":1}}"#).expect("resources");
    let Ok(limits) = for_update(&resources, &layout, &cgroup.paths) else {
        eprintln!("skipped: no controller cpu");
        return;
    };
    let error = apply(&limits).expect_err("a period of 1 us");
    assert_eq!(error.errno(), Some(22));
    assert_eq!(error.pointer(), Some("/cpu/period"));
    let text = error.to_string();
    for part in [
        "cpu.cfs_period_us",
        "\"1\"",
        "EINVAL",
        "/linux/resources/cpu/period",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn processes_below_are_found_killed_and_removed() {
    for layout in [host().filter(|l| l.mode != Mode::V2), v2_alone()]
        .into_iter()
        .flatten()
    {
        let (mut cgroup, _created) = Cgroup::new(&layout);
        let paths = cgroup.paths.clone();
        for dir in paths.dirs() {
            let inner = dir.join("a/b");
            fs::create_dir_all(&inner).expect("mkdir");
            for file in ["cpuset.cpus", "cpuset.mems"] {
                // On v1 nothing can be moved to an empty cpuset; on v2 it has its parent's.
                if layout.mode == Mode::V2 {
                    continue;
                }
                if let Ok(list) = fs::read_to_string(dir.join(file)) {
                    fs::write(dir.join("a").join(file), &list).expect("cpuset");
                    fs::write(inner.join(file), &list).expect("cpuset");
                }
            }
            fs::write(inner.join("cgroup.procs"), cgroup.pid().to_string()).expect("move");
        }
        assert_eq!(processes(&paths), Ok(vec![cgroup.pid()]));
        kill_all(&paths).expect("kill_all");
        cgroup.wait_until_killed();
        remove(&paths).expect("remove");
        assert!(paths.dirs().iter().all(|dir| !dir.exists()));
    }
}

#[test]
fn undo_removes_what_was_made_and_no_more() {
    let Some(layout) = host().filter(|l| l.mode != Mode::V2).or_else(v2_alone) else {
        return;
    };
    let outer = name();
    let first = resolve(&layout, Some(&format!("/{outer}/a")), "unused").expect("paths");
    let second = resolve(&layout, Some(&format!("/{outer}/b/c")), "unused").expect("paths");
    let made_first = create(&layout, &first).expect("create");
    let made_second = create(&layout, &second).expect("create");
    assert_eq!(made_second.dirs.len(), 2 * second.dirs().len());
    // A third container came below what the second made: that stays, until it is removed.
    let third = resolve(&layout, Some(&format!("/{outer}/b/d")), "unused").expect("paths");
    let made_third = create(&layout, &third).expect("create");
    made_second.undo().expect("undo");
    assert!(second.dirs().iter().all(|dir| !dir.exists()));
    assert!(third.dirs().iter().all(|dir| dir.exists()));
    made_third.undo().expect("undo");
    for dir in first.dirs() {
        fs::remove_dir(dir.with_file_name("b")).expect("empty now");
    }
    for dir in first.dirs() {
        assert!(dir.exists());
        assert!(!dir.with_file_name("b").exists());
    }
    made_first.undo().expect("undo");
    assert!(
        first
            .dirs()
            .iter()
            .all(|dir| !dir.parent().is_some_and(Path::exists))
    );
}

#[test]
fn a_frozen_parent_makes_create_fail_and_leaves_nothing() {
    for layout in [host().filter(|l| l.mode != Mode::V2), v2_alone()]
        .into_iter()
        .flatten()
    {
        let outer = resolve(&layout, Some(&format!("/{}", name())), "unused").expect("paths");
        let made = create(&layout, &outer).expect("create");
        freeze(&outer).expect("freeze");
        let below: std::collections::BTreeMap<_, _> = outer
            .0
            .iter()
            .map(|(key, dir)| (key.clone(), dir.join("inner")))
            .collect();
        let result = create(&layout, &Paths(below));
        thaw(&outer).expect("thaw");
        let left = outer.dirs().iter().any(|dir| dir.join("inner").exists());
        made.undo().expect("undo");
        assert!(
            matches!(&result, Err(Error::InUse { pids, .. }) if pids.is_empty()),
            "{result:?}"
        );
        assert!(!left);
    }
}

#[test]
fn an_empty_cpuset_made_by_someone_else_is_filled() {
    let Some(layout) = host().filter(|l| l.mode != Mode::V2) else {
        return;
    };
    let outer = name();
    let paths = resolve(&layout, Some(&format!("/{outer}/x")), "unused").expect("paths");
    let Some(dir) = paths.dir("cpuset") else {
        eprintln!("skipped: no v1 cpuset");
        return;
    };
    fs::create_dir_all(dir).expect("mkdir");
    let made = create(&layout, &paths).expect("create");
    let filled = [dir, dir.parent().expect("outer")].map(|d| read(&d.join("cpuset.cpus")));
    made.undo().expect("undo");
    fs::remove_dir(dir).expect("rmdir");
    fs::remove_dir(dir.with_file_name("")).expect("rmdir");
    assert!(filled.iter().all(|list| !list.is_empty()), "{filled:?}");
}

#[test]
fn the_v2_directory_can_be_opened() {
    let Some(layout) = v2_alone() else { return };
    let (cgroup, _created) = Cgroup::new(&layout);
    open_v2_dir(&cgroup.paths).expect("open");
    assert!(open_v2_dir(&Paths::default()).is_err());
}

#[test]
fn nesting_deeper_than_a_path_is_long_hides_nothing() {
    let Some(layout) = v2_alone() else { return };
    let (mut cgroup, _created) = Cgroup::new(&layout);
    let paths = cgroup.paths.clone();
    let mut dir = fs::File::open(paths.unified().expect("v2")).expect("open");
    let name = "n".repeat(200);
    for _ in 0..40 {
        let inner = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
        fs::create_dir(&inner).expect("mkdir");
        dir = fs::File::open(&inner).expect("open");
    }
    let procs = format!("/proc/self/fd/{}/cgroup.procs", dir.as_raw_fd());
    fs::write(procs, cgroup.pid().to_string()).expect("move");
    drop(dir);
    assert_eq!(processes(&paths), Ok(vec![cgroup.pid()]));
    kill_all(&paths).expect("kill_all");
    cgroup.wait_until_killed();
    remove(&paths).expect("remove");
    assert!(!paths.unified().is_some_and(Path::exists));
}
