//! Layouts of hosts as data, and where containers' cgroups lie on them.

use oci_runtime_cgroups::{Error, ErrorKind, Layout, Mode, Paths, resolve};
use std::path::Path;

const V1: &str = "25 20 0:22 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
26 25 0:23 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
27 25 0:24 / /sys/fs/cgroup/cpu,cpuacct rw shared:12 - cgroup cgroup rw,cpu,cpuacct
28 25 0:25 / /sys/fs/cgroup/memory rw shared:13 - cgroup cgroup rw,memory
";
const V1_OWN: &str = "3:cpu,cpuacct:/user\n2:memory:/\n1:name=systemd:/user/s c\n";
const UNIFIED: &str = "29 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
const V2: &str = "29 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";

fn dir<'a>(paths: &'a Paths, key: &str) -> &'a str {
    let dir = paths.dir(key).and_then(Path::to_str);
    dir.unwrap_or_else(|| panic!("no directory for {key:?}"))
}

#[test]
fn v1() {
    let layout = Layout::parse(V1, V1_OWN, "").expect("layout");
    assert_eq!(layout.mode, Mode::V1);
    let names: Vec<_> = layout
        .hierarchies
        .iter()
        .map(|h| h.controllers.join(","))
        .collect();
    assert_eq!(names, ["cpu,cpuacct", "memory", "name=systemd"]);

    let paths = resolve(&layout, Some("/pod//x/"), "id").expect("paths");
    assert_eq!(dir(&paths, "cpu"), "/sys/fs/cgroup/cpu,cpuacct/pod/x");
    assert_eq!(dir(&paths, "cpuacct"), dir(&paths, "cpu"));
    assert_eq!(dir(&paths, "name=systemd"), "/sys/fs/cgroup/systemd/pod/x");
    assert_eq!(paths.dirs().len(), 3);
    assert_eq!(paths.unified(), None);

    for cgroups_path in [None, Some("")] {
        let paths = resolve(&layout, cgroups_path, "id").expect("paths");
        assert_eq!(dir(&paths, "cpu"), "/sys/fs/cgroup/cpu,cpuacct/user/id");
        assert_eq!(dir(&paths, "memory"), "/sys/fs/cgroup/memory/id");
        assert_eq!(
            dir(&paths, "name=systemd"),
            "/sys/fs/cgroup/systemd/user/s c/id"
        );
    }
}

#[test]
fn hybrid() {
    let own = format!("{V1_OWN}0::/user/s\n");
    let layout = Layout::parse(&format!("{V1}{UNIFIED}"), &own, "hugetlb\n").expect("layout");
    assert_eq!(layout.mode, Mode::Hybrid);
    assert_eq!(
        layout.unified().map(|h| h.controllers.clone()),
        Some(vec!["hugetlb".to_owned()])
    );
    let paths = resolve(&layout, Some("a/b"), "id").expect("paths");
    assert_eq!(dir(&paths, ""), "/sys/fs/cgroup/unified/user/s/a/b");
    assert!(!paths.is_v2_only());
}

#[test]
fn v2_relative_paths_stand_beside_the_caller() {
    for (own, expected) in [
        ("0::/user.slice/session\n", "/sys/fs/cgroup/user.slice/id"),
        ("0::/session\n", "/sys/fs/cgroup/id"),
        ("0::/\n", "/sys/fs/cgroup/id"),
    ] {
        let layout = Layout::parse(V2, own, "cpu memory pids\n").expect("layout");
        assert_eq!(layout.mode, Mode::V2);
        let paths = resolve(&layout, None, "id").expect("paths");
        assert_eq!(dir(&paths, ""), expected);
        assert!(paths.is_v2_only());
        let paths = resolve(&layout, Some("/id"), "other").expect("paths");
        assert_eq!(dir(&paths, ""), "/sys/fs/cgroup/id");
    }
}

#[test]
fn v1_hierarchies_elsewhere_do_not_make_a_v2_host_hybrid() {
    let mounts = format!("{V2}30 1 0:30 / /opt/net_cls rw - cgroup none rw,net_cls\n");
    let layout = Layout::parse(&mounts, "1:net_cls:/\n0::/\n", "").expect("layout");
    assert_eq!((layout.mode, layout.hierarchies.len()), (Mode::V2, 1));
}

#[test]
fn nested_without_a_cgroup_namespace() {
    let mounts = "40 30 0:24 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    let layout = Layout::parse(mounts, "2:memory:/docker/abc/inner\n", "").expect("layout");
    let paths = resolve(&layout, None, "id").expect("paths");
    assert_eq!(dir(&paths, "memory"), "/sys/fs/cgroup/memory/inner/id");
    let paths = resolve(&layout, Some("/id"), "id").expect("paths");
    assert_eq!(dir(&paths, "memory"), "/sys/fs/cgroup/memory/id");
}

#[test]
fn a_caller_outside_of_the_mount_can_only_use_absolute_paths() {
    for (root, own) in [
        ("/docker/abc", "/docker/other"),
        ("/..", "/"),
        ("/", "/../x"),
    ] {
        let mounts = format!("40 30 0:24 {root} /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
        let layout = Layout::parse(&mounts, &format!("0::{own}\n"), "").expect("layout");
        let error = resolve(&layout, None, "id").expect_err("no own directory");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(resolve(&layout, Some("/id"), "id").is_ok());
    }
}

#[test]
fn of_several_mounts_the_standard_one_that_is_visible_is_used() {
    let mounts = "1 0 0:24 / /var/lib/c/rootfs/cg rw - cgroup cgroup rw,memory
2 0 0:24 / /sys/fs/cgroup/a\\040b rw - cgroup cgroup rw,memory
3 0 0:24 /new /sys/fs/cgroup/a\\040b rw - cgroup cgroup rw,memory
4 0 0:24 / /sys/fs/cgroup/other rw - cgroup cgroup rw,memory\n";
    let layout = Layout::parse(mounts, "2:memory:/new\n", "").expect("layout");
    let memory = &layout.hierarchies[0];
    assert_eq!(memory.mount_point, Path::new("/sys/fs/cgroup/a b"));
    assert_eq!(memory.root, Path::new("/new"));
}

#[test]
fn a_later_mount_above_covers_what_is_below() {
    let mounts = "1 0 0:20 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
2 0 0:21 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
3 0 0:21 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    let layout = Layout::parse(mounts, "1:pids:/\n0::/\n", "").expect("layout");
    assert_eq!((layout.mode, layout.hierarchies.len()), (Mode::V2, 1));
    let unified = &layout.hierarchies[0];
    assert_eq!(unified.mount_point, Path::new("/sys/fs/cgroup"));
}

#[test]
fn no_cgroups_and_nonsense_are_errors() {
    let none = Layout::parse("25 20 0:22 / / rw - ext4 /dev/x rw\n", "0::/\n", "");
    assert_eq!(none.map_err(|e| e.kind()), Err(ErrorKind::Unavailable));
    let bad = Layout::parse(V2, "nonsense\n", "");
    assert!(matches!(bad, Err(Error::Format { .. })));
}

#[test]
fn no_path_leaves_the_tree() {
    let layout = Layout::parse(V2, "0::/a/b\n", "").expect("layout");
    for path in [
        "..", "/..", "a/../b", "/a/..", "./a", "a/.", "/", "//", "a\0b", "a\nb",
    ] {
        let error = resolve(&layout, Some(path), "id").expect_err(path);
        assert_eq!(error.kind(), ErrorKind::Config, "{path}");
    }
    for id in ["", "..", "."] {
        assert!(resolve(&layout, None, id).is_err(), "{id}");
    }
}

#[test]
fn paths_serialise_as_a_map() {
    let own = format!("{V1_OWN}0::/\n");
    let layout = Layout::parse(&format!("{V1}{UNIFIED}"), &own, "").expect("layout");
    let paths = resolve(&layout, Some("/x"), "id").expect("paths");
    let json = serde_json::to_value(&paths).expect("json");
    assert_eq!(json[""], "/sys/fs/cgroup/unified/x");
    assert_eq!(json["memory"], "/sys/fs/cgroup/memory/x");
    assert_eq!(serde_json::from_value::<Paths>(json).expect("paths"), paths);
}

#[test]
fn this_host_has_a_layout() {
    match Layout::read() {
        Ok(layout) => assert!(!layout.hierarchies.is_empty()),
        Err(e) => assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}"),
    }
}

#[test]
fn cgroups_below_a_container_are_named_by_path_or_by_controller() {
    let own = format!("{V1_OWN}0::/\n");
    let layout = Layout::parse(&format!("{V1}{UNIFIED}"), &own, "").expect("layout");
    let paths = resolve(&layout, Some("/x"), "id").expect("paths");
    assert_eq!(paths.below(&[] as &[&str]).as_ref(), Ok(&paths));
    assert_eq!(paths.below(&["/"]).as_ref(), Ok(&paths));
    let all = paths.below(&["/a//b/"]).expect("all");
    assert_eq!(dir(&all, "memory"), "/sys/fs/cgroup/memory/x/a/b");
    assert_eq!(dir(&all, ""), "/sys/fs/cgroup/unified/x/a/b");
    let some = paths
        .below(&["memory:a", "cpu:b", "systemd:c"])
        .expect("some");
    assert_eq!(dir(&some, "memory"), "/sys/fs/cgroup/memory/x/a");
    // It shares its hierarchy with cpu.
    assert_eq!(dir(&some, "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct/x/b");
    assert_eq!(dir(&some, "name=systemd"), "/sys/fs/cgroup/systemd/x/c");
    assert_eq!(dir(&some, ""), "/sys/fs/cgroup/unified/x");
    for bad in [
        &[".."][..],
        &["a/.."],
        &["/../y"],
        &["memory:../y"],
        &["a\0b"],
        &["pids:a"],
        &[":a"],
        &["memory,:a"],
        &["a", "memory:b"],
        &["memory:a", "memory:b"],
        &["cpu:a", "cpuacct:b"],
    ] {
        let error = paths.below(bad).expect_err(&bad.join(" "));
        assert_eq!(error.kind(), ErrorKind::Config, "{bad:?}");
    }
    let v2 = Layout::parse(V2, "0::/\n", "cpu").expect("layout");
    let paths = resolve(&v2, Some("/x"), "id").expect("paths");
    assert_eq!(
        dir(&paths.below(&["a"]).expect("a"), ""),
        "/sys/fs/cgroup/x/a"
    );
    assert!(paths.below(&["cpu:a"]).is_err());
}
