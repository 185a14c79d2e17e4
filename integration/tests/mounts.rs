//! Mounts: each filesystem type, binds, options, propagation; mountinfo field by field.

use std::fs;
use std::process::{Command, Stdio};

use oci_runtime_integration::bundle::{push, script};
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::cgroup;
use oci_runtime_integration::host::{self, Mount};
use oci_runtime_integration::runtime::{only_ocirun, read, spawn};
use serde_json::json;

/// Requires type, source, exactly the given mount options, and some of the superblock's.
#[track_caller]
fn expect(mount: &Mount, fstype: &str, source: &str, options: &[&str], superblock: &[&str]) {
    assert_eq!(
        (mount.fstype.as_str(), mount.source.as_str()),
        (fstype, source),
        "{mount:?}"
    );
    let mut got = mount.options.clone();
    let mut want: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
    got.sort();
    want.sort();
    assert_eq!(got, want, "options of {}", mount.point);
    for option in superblock {
        assert!(
            mount.super_options.iter().any(|o| o == option),
            "no {option} in {mount:?}"
        );
    }
}

#[test]
fn the_usual_filesystems_have_their_type_source_and_options() {
    let Some(case) = case() else { return };
    let init = case.start();
    let at = |point| host::mount(init, point);
    expect(&at("/proc"), "proc", "proc", &["rw", "relatime"], &["rw"]);
    expect(
        &at("/dev"),
        "tmpfs",
        "tmpfs",
        &["rw", "nosuid"],
        &["mode=755", "size=65536k"],
    );
    let devpts = ["gid=5", "mode=620", "ptmxmode=666"];
    expect(
        &at("/dev/pts"),
        "devpts",
        "devpts",
        &["rw", "nosuid", "noexec", "relatime"],
        &devpts,
    );
    let closed = ["rw", "nosuid", "nodev", "noexec", "relatime"];
    expect(&at("/dev/shm"), "tmpfs", "shm", &closed, &["size=65536k"]);
    expect(&at("/dev/mqueue"), "mqueue", "mqueue", &closed, &[]);
    expect(
        &at("/sys"),
        "sysfs",
        "sysfs",
        &["ro", "nosuid", "nodev", "noexec", "relatime"],
        &[],
    );
    let order: Vec<String> = host::mounts(init).into_iter().map(|m| m.point).collect();
    let place = |point: &str| order.iter().position(|p| p == point);
    assert!(place("/") < place("/proc") && place("/dev") < place("/dev/pts"));
}

#[test]
fn nothing_of_the_host_is_mounted_inside() {
    let Some(case) = case() else { return };
    let init = case.start();
    let known = ["proc", "tmpfs", "devpts", "mqueue", "sysfs", "devtmpfs"];
    let root = host::mount(init, "/");
    for mount in host::mounts(init) {
        let own = known.contains(&mount.fstype.as_str());
        assert!(own || mount.point == root.point, "unexpected {mount:?}");
        assert!(!mount.options.is_empty());
    }
    let shown = oci_runtime_integration::rootfs::shared()
        .display()
        .to_string();
    assert!(
        shown.ends_with(&root.root),
        "the root is a bind of the tree: {root:?}"
    );
}

#[test]
fn the_root_is_read_only_when_asked() {
    for readonly in [true, false] {
        let Some(case) = case_with(|c| c["root"]["path"] = "rootfs".into()) else {
            return;
        };
        let root = case.own_rootfs();
        case.configure(|c| {
            c["root"] = json!({"path": "rootfs", "readonly": readonly});
            script(c, "touch /made; exec sleep 7200");
        });
        let init = case.start();
        assert_eq!(host::mount(init, "/").has("ro"), readonly);
        if readonly {
            assert!(!root.join("made").exists());
        } else {
            oci_runtime_integration::runtime::eventually("the file", || {
                root.join("made").exists().then_some(())
            });
        }
    }
}

#[test]
fn binds_show_the_source_with_the_options_asked_for() {
    let Some(case) = case() else { return };
    let source = case.path("source");
    fs::create_dir(&source).expect("the source");
    fs::write(source.join("file"), "bound\n").expect("a file");
    let table: [(&str, &[&str], &[&str]); 5] = [
        ("/mnt/rw", &["bind"], &["rw", "relatime"]),
        ("/mnt/ro", &["bind", "ro"], &["ro", "relatime"]),
        (
            "/mnt/all",
            &["rbind", "nosuid", "nodev", "noexec"],
            &["rw", "nosuid", "nodev", "noexec", "relatime"],
        ),
        ("/mnt/noatime", &["bind", "noatime"], &["rw", "noatime"]),
        (
            "/mnt/rro",
            &["rbind", "ro", "nosuid"],
            &["ro", "nosuid", "relatime"],
        ),
    ];
    case.own_rootfs();
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        for (point, options, _) in table {
            push(
                c,
                "/mounts",
                json!({
                    "destination": point, "type": "bind", "source": source, "options": options
                }),
            );
        }
    });
    let init = case.start();
    for (point, _, options) in table {
        let mount = host::mount(init, point);
        let mut got = mount.options.clone();
        let mut want: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        got.sort();
        want.sort();
        assert_eq!(got, want, "{point}");
        assert!(mount.root.ends_with("/source"), "{mount:?}");
        let inside = host::proc_path(init, &format!("root{point}/file"));
        assert_eq!(read(inside), "bound");
    }
}

#[test]
fn files_are_bound_over_existing_and_missing_files() {
    let Some(case) = case() else { return };
    let source = case.path("hosts");
    fs::write(&source, "127.0.0.1 bound\n").expect("the source");
    let root = case.own_rootfs();
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        for point in ["/mnt/file", "/etc/made/new"] {
            push(
                c,
                "/mounts",
                json!({
                    "destination": point, "source": source, "options": ["bind", "ro"]
                }),
            );
        }
        script(c, "cat /mnt/file /etc/made/new");
    });
    assert_eq!(case.run().ok().stdout, "127.0.0.1 bound\n127.0.0.1 bound\n");
    assert_eq!(read(root.join("mnt/file")), "of the root filesystem");
    assert_eq!(
        read(root.join("etc/made/new")),
        "",
        "the made target is an empty file"
    );
}

#[test]
fn rbind_takes_what_is_mounted_below_and_bind_does_not() {
    let Some(case) = case() else { return };
    let source = case.path("tree");
    fs::create_dir_all(source.join("below")).expect("the source");
    case.own_rootfs();
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        for (point, kind) in [("/mnt/one", "bind"), ("/mnt/all", "rbind")] {
            push(
                c,
                "/mounts",
                json!({
                    "destination": point, "type": "bind", "source": source, "options": [kind]
                }),
            );
        }
        script(c, "cat /mnt/all/below/x; ls /mnt/one/below | wc -l");
    });
    // The mount below exists only in a mount namespace around the runtime.
    let line = format!(
        "mount -t tmpfs below {0} && echo deep > {0}/x && exec \"$@\"",
        source.join("below").display()
    );
    let run = wrapped(&case, "private", &line);
    assert_eq!(run.ok().stdout, "deep\n0\n");
}

/// Runs the case in the foreground from a shell in a mount namespace of the given propagation.
fn wrapped(
    case: &Case,
    propagation: &str,
    line: &str,
) -> oci_runtime_integration::runtime::Finished {
    let run = case.command(&["run", &case.id]);
    let mut outer = Command::new("unshare");
    outer
        .args([
            "--mount",
            "--propagation",
            propagation,
            "sh",
            "-c",
            line,
            "sh",
        ])
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(case.bundle());
    spawn(outer, &case.path("output"), Stdio::null()).wait()
}

#[test]
fn a_host_whose_mounts_are_shared_sees_none_of_the_container_s() {
    let Some(case) = case_with(|c| script(c, "exit 0")) else {
        return;
    };
    let before = text(&case.path("before"));
    let after = text(&case.path("after"));
    // The second look follows a sync point of its own: the container has ended by then.
    let line = format!(
        "cat /proc/self/mountinfo > {before}; \"$@\"; code=$?; \
         cat /proc/self/mountinfo > {after}; exit $code"
    );
    wrapped(&case, "shared", &line).ok();
    assert_eq!(read(&after), read(&before));
}

#[test]
fn propagation_of_the_root_is_set() {
    // What the container's root is, seen from a host of shared mounts, and what a mount of its own below is.
    let table = [
        ("private", None, None),
        ("rprivate", None, None),
        ("slave", Some("master:"), None),
        ("rslave", Some("master:"), None),
        ("shared", Some("shared:"), None),
        ("rshared", Some("shared:"), Some("shared:")),
        ("unbindable", Some("unbindable"), None),
        ("runbindable", Some("unbindable"), Some("unbindable")),
    ];
    for (propagation, expected, below) in table {
        let late = propagation.ends_with("shared") || propagation.ends_with("unbindable");
        if late && !only_ocirun("sets it before pivot_root, where it fails or is lost") {
            continue;
        }
        let Some(case) = case_with(|c| {
            c["linux"]["rootfsPropagation"] = propagation.into();
            script(c, "cat /proc/self/mountinfo");
        }) else {
            return;
        };
        let inside = wrapped(&case, "shared", "exec \"$@\"").ok().stdout;
        for (point, expected) in [("/", expected), ("/dev", below)] {
            let mut lines = inside.lines();
            let line = lines.find(|line| line.split(' ').nth(4) == Some(point));
            let line = line.unwrap_or_else(|| panic!("no {point} in {inside}"));
            let fields = line.split(" - ").next().unwrap_or_default().split(' ');
            let optional: Vec<&str> = fields.skip(6).collect();
            match expected {
                None => assert!(optional.is_empty(), "{propagation}: {line}"),
                Some(tag) => {
                    let found = optional.iter().any(|field| field.starts_with(tag));
                    assert!(found, "{propagation}: {line}");
                }
            }
        }
    }
}

#[test]
fn propagation_of_a_mount_is_set() {
    let Some(case) = case() else { return };
    let table = [
        ("private", None),
        ("shared", Some("shared:")),
        ("unbindable", Some("unbindable")),
    ];
    case.own_rootfs();
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        for (kind, _) in table {
            push(
                c,
                "/mounts",
                json!({
                    "destination": format!("/mnt/{kind}"), "type": "tmpfs", "source": "tmpfs",
                    "options": [kind]
                }),
            );
        }
    });
    let init = case.start();
    for (kind, tag) in table {
        let mount = host::mount(init, &format!("/mnt/{kind}"));
        let first = mount.propagation.first().map(String::as_str);
        assert_eq!(
            first.map(|f| tag.is_some_and(|t| f.starts_with(t))),
            tag.map(|_| true),
            "{kind}"
        );
    }
}

#[test]
fn tmpfs_has_size_mode_and_owner() {
    let Some(case) = case() else { return };
    case.own_rootfs();
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        push(
            c,
            "/mounts",
            json!({
                "destination": "/mnt/t", "type": "tmpfs", "source": "named",
                "options": ["nosuid", "size=1m", "mode=1750", "uid=7", "gid=8", "nr_inodes=100"]
            }),
        );
    });
    let init = case.start();
    let mount = host::mount(init, "/mnt/t");
    let superblock = ["size=1024k", "mode=1750", "uid=7", "gid=8", "nr_inodes=100"];
    expect(
        &mount,
        "tmpfs",
        "named",
        &["rw", "nosuid", "relatime"],
        &superblock,
    );
}

#[test]
fn the_cgroup_mount_shows_every_v1_hierarchy() {
    let Some(case) = case_with(|c| {
        push(
            c,
            "/mounts",
            json!({
                "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]
            }),
        );
    }) else {
        return;
    };
    let init = case.start();
    let hierarchies = cgroup::hierarchies();
    let v1: Vec<_> = hierarchies
        .iter()
        .filter(|h| !h.controllers.is_empty())
        .collect();
    if v1.is_empty() {
        assert_eq!(host::mount(init, "/sys/fs/cgroup").fstype, "cgroup2");
        return;
    }
    let inside = host::mounts(init);
    for hierarchy in v1 {
        let name = hierarchy
            .point
            .file_name()
            .expect("a name")
            .to_string_lossy();
        let point = format!("/sys/fs/cgroup/{name}");
        let mount = inside.iter().find(|m| m.point == point);
        let mount = mount.unwrap_or_else(|| panic!("no {point} in {inside:#?}"));
        assert_eq!(mount.fstype, "cgroup", "{point}");
        assert_eq!(
            mount.root, case.cgroup,
            "{point} is rooted in the container's own cgroup"
        );
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(mount.has(option), "{option} of {point}: {mount:?}");
        }
        for controller in &hierarchy.controllers {
            assert!(mount.super_options.contains(controller), "{mount:?}");
        }
    }
    let tree = host::mount(init, "/sys/fs/cgroup");
    assert!(
        tree.has("ro") || !only_ocirun("leaves the tmpfs of the tree writable"),
        "{tree:?}"
    );
}

#[test]
fn hostname_and_domainname_are_set() {
    let Some(case) = case_with(|c| {
        c["hostname"] = "the-host".into();
        if only_ocirun("knows no domainname") {
            c["domainname"] = "the.domain".into();
        }
        script(
            c,
            "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname",
        );
    }) else {
        return;
    };
    let own = read("/proc/sys/kernel/hostname");
    let run = case.run().ok();
    let mut lines = run.stdout.lines();
    assert_eq!(lines.next(), Some("the-host"));
    if only_ocirun("knows no domainname") {
        assert_eq!(lines.next(), Some("the.domain"));
    }
    assert_eq!(read("/proc/sys/kernel/hostname"), own);
}

#[test]
fn a_destination_through_an_absolute_link_stays_inside() {
    let Some(case) = case() else { return };
    let root = case.own_rootfs();
    std::os::unix::fs::symlink("/opt", root.join("mnt/link")).expect("a link");
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        push(
            c,
            "/mounts",
            json!({
                "destination": "/mnt/link/deep", "type": "tmpfs", "source": "tmpfs"
            }),
        );
    });
    let init = case.start();
    assert_eq!(host::mount(init, "/opt/deep").fstype, "tmpfs");
    assert!(root.join("opt/deep").is_dir());
}
