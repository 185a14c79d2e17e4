//! Cgroups of the running kernel. Needs root; only cgroups of names of its own are made, and removed again.

use oci_runtime_cgroups::*;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The layout of this host, or None (said aloud) where these tests cannot run.
fn host() -> Option<Layout> {
    let root =
        fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    match Layout::read() {
        Ok(layout) if root => Some(layout),
        Ok(_) => {
            eprintln!("skipped: not root");
            None
        }
        Err(e) => {
            eprintln!("skipped: {e}");
            None
        }
    }
}

/// The v2 hierarchy taken for itself, without controllers, so that nothing above the test's cgroups is changed.
fn v2_alone() -> Option<Layout> {
    let layout = host()?;
    let Some(unified) = layout.unified() else {
        eprintln!("skipped: no v2 hierarchy");
        return None;
    };
    let mut unified = unified.clone();
    unified.controllers.clear();
    Some(Layout {
        mode: Mode::V2,
        hierarchies: vec![unified],
    })
}

fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("oci-cgroups-test-{}-{next}", std::process::id())
}

/// A cgroup with a sleeping process in it, both gone on drop.
struct Cgroup {
    paths: Paths,
    child: Child,
}

impl Cgroup {
    fn new(layout: &Layout) -> (Self, Created) {
        let paths = resolve(layout, Some(&format!("/{}", name())), "unused").expect("paths");
        let created = create(layout, &paths).expect("create");
        let child = Command::new("sleep").arg("1000").spawn().expect("sleep");
        let cgroup = Cgroup { paths, child };
        attach(&cgroup.paths, cgroup.pid()).expect("attach");
        (cgroup, created)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    fn wait_until_killed(&mut self) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                assert_eq!(status.signal(), Some(9));
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(5), "it lives on");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = thaw(&self.paths);
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = remove(&self.paths);
    }
}

fn for_update(resources: &Resources, layout: &Layout, paths: &Paths) -> Result<Limits> {
    let present = Present::read(resources, paths)?;
    writes_for_update(resources, layout, paths, &present)
}

fn read(file: &Path) -> String {
    fs::read_to_string(file)
        .unwrap_or_else(|e| panic!("{}: {e}", file.display()))
        .trim()
        .to_owned()
}

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
    assert!(list.lines().any(|line| line == "c 10:200 rwm"), "{list}");

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
        "linux.resources/cpu/period",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

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
    assert!(list().contains(&"c 10:229 rwm".to_owned()), "{:?}", list());
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
