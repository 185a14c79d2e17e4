//! Paths the runtime itself makes or covers: default devices and links, masked and read-only paths.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;

use oci_runtime_integration::bundle::{push, script};
use oci_runtime_integration::case::{case, case_with};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{only_ocirun, read, tool};
use serde_json::json;

/// The device number as stat(2) gives it, for small majors and minors.
fn device(major: u64, minor: u64) -> u64 {
    (major << 8) | minor
}

fn inside(init: i32, path: &str) -> PathBuf {
    host::proc_path(init, &format!("root{path}"))
}

#[test]
fn the_default_devices_and_links_are_there() {
    let Some(case) = case() else { return };
    let init = case.start();
    let devices = [
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    ];
    for (name, major, minor) in devices {
        let data = fs::metadata(inside(init, &format!("/dev/{name}"))).expect("a device");
        assert!(data.file_type().is_char_device(), "{name}");
        assert_eq!(data.rdev(), device(major, minor), "{name}");
        assert_eq!(data.permissions().mode() & 0o7777, 0o666, "{name}");
        assert_eq!((data.uid(), data.gid()), (0, 0), "{name}");
    }
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ];
    for (name, target) in links {
        let path = inside(init, &format!("/dev/{name}"));
        let link = fs::read_link(&path).unwrap_or_else(|e| panic!("/dev/{name}: {e}"));
        assert_eq!(link, PathBuf::from(target), "{name}");
    }
}

#[test]
fn devices_of_the_configuration_are_made() {
    let Some(case) = case_with(|c| {
        c["root"]["path"] = "rootfs".into();
        c["root"]["readonly"] = false.into();
        c["linux"]["devices"] = json!([
            {"path": "/dev/extra", "type": "c", "major": 1, "minor": 5,
                "fileMode": 0o640, "uid": 3, "gid": 4},
            {"path": "/dev/sub/block", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600},
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o622},
            {"path": "/srv/u", "type": "u", "major": 1, "minor": 8}
        ]);
    }) else {
        return;
    };
    case.own_rootfs();
    let init = case.start();
    let extra = fs::metadata(inside(init, "/dev/extra")).expect("the device");
    assert!(extra.file_type().is_char_device());
    assert_eq!((extra.rdev(), extra.mode() & 0o7777), (device(1, 5), 0o640));
    assert_eq!((extra.uid(), extra.gid()), (3, 4));
    let block = fs::metadata(inside(init, "/dev/sub/block")).expect("the block device");
    assert!(block.file_type().is_block_device());
    assert_eq!(
        (block.rdev(), block.mode() & 0o7777),
        (device(7, 200), 0o600)
    );
    let unbuffered = fs::metadata(inside(init, "/srv/u")).expect("the device outside of /dev");
    assert!(unbuffered.file_type().is_char_device());
    assert_eq!(unbuffered.rdev(), device(1, 8));
    let pipe = fs::metadata(inside(init, "/dev/pipe")).expect("the FIFO");
    assert!(pipe.file_type().is_fifo());
    assert_eq!(pipe.mode() & 0o7777, 0o622);
}

#[test]
fn masked_files_are_dev_null_and_masked_directories_are_empty() {
    let Some(case) = case_with(|c| {
        c["root"]["path"] = "rootfs".into();
        c["linux"]["maskedPaths"] = json!([
            "/proc/cpuinfo",
            "/mnt/file",
            "/etc",
            "/no/such/path",
            "/sys/firmware"
        ]);
    }) else {
        return;
    };
    let root = case.own_rootfs();
    let init = case.start();
    for file in ["/proc/cpuinfo", "/mnt/file"] {
        let data = fs::metadata(inside(init, file)).expect("a masked file");
        assert!(data.file_type().is_char_device(), "{file}");
        assert_eq!(data.rdev(), device(1, 3), "{file}");
    }
    for directory in ["/etc", "/sys/firmware"] {
        let mount = host::mount(init, directory);
        assert_eq!(mount.fstype, "tmpfs", "{directory}");
        assert!(mount.has("ro"), "{mount:?}");
        let entries = fs::read_dir(inside(init, directory)).expect("a masked directory");
        assert_eq!(entries.count(), 0, "{directory}");
    }
    if only_ocirun("may mount one for each") {
        let system =
            |directory: &str| fs::metadata(inside(init, directory)).map(|found| found.dev());
        let [one, other] =
            ["/etc", "/sys/firmware"].map(|directory| system(directory).expect("it is there"));
        assert_eq!(one, other, "one file system covers all directories");
    }
    assert!(
        !inside(init, "/no").exists(),
        "a missing path must not be made"
    );
    fs::write(inside(init, "/mnt/file"), "through the mask").expect("write to the mask");
    assert_eq!(read(root.join("mnt/file")), "of the root filesystem");
}

#[test]
fn read_only_paths_are_mounts_that_refuse_writes() {
    let Some(case) = case_with(|c| {
        c["root"]["path"] = "rootfs".into();
        c["root"]["readonly"] = false.into();
        c["linux"]["readonlyPaths"] = json!(["/proc/sys", "/etc", "/mnt/file", "/no/such/path"]);
        script(
            c,
            "for f in /proc/sys/kernel/hostname /etc/new /mnt/file; do \
            (echo x > $f) 2>&1; done; echo y > /opt/free && echo free",
        );
    }) else {
        return;
    };
    case.own_rootfs();
    let run = case.run().ok();
    assert_eq!(
        run.stdout.matches("Read-only file system").count(),
        3,
        "{}",
        run.stdout
    );
    assert!(run.stdout.ends_with("free\n"), "{}", run.stdout);
    case.configure(|c| {
        c["root"]["path"] = "rootfs".into();
        c["linux"]["readonlyPaths"] = json!(["/proc/sys", "/etc", "/mnt/file", "/no/such/path"]);
    });
    let init = case.start();
    for path in ["/proc/sys", "/etc", "/mnt/file"] {
        assert!(host::mount(init, path).has("ro"), "{path}");
    }
    assert_eq!(host::mount(init, "/proc/sys").fstype, "proc");
}

#[test]
fn a_path_that_is_both_or_twice_does_no_harm() {
    let Some(case) = case_with(|c| {
        c["linux"]["maskedPaths"] = json!(["/proc/kcore", "/proc/kcore", "/proc/sys/kernel"]);
        c["linux"]["readonlyPaths"] = json!(["/proc/sys", "/proc/sys/kernel", "/proc/sys"]);
    }) else {
        return;
    };
    let init = case.start();
    assert_eq!(host::mount(init, "/proc/sys/kernel").fstype, "tmpfs");
    assert!(host::mount(init, "/proc/sys").has("ro"));
}

#[test]
fn the_host_s_null_device_is_as_before() {
    let Some(case) = case_with(|c| c["process"]["user"] = json!({"uid": 1000, "gid": 1000})) else {
        return;
    };
    let look = || {
        let data = fs::metadata("/dev/null").expect("/dev/null");
        (data.mode(), data.uid(), data.gid(), data.rdev(), data.ino())
    };
    let before = look();
    case.start();
    case.exec(&["-u", "2000:2000"], &["true"]).ok();
    assert_eq!(look(), before);
}

#[test]
fn dev_as_a_bind_keeps_what_is_there() {
    // However it is written.
    for destination in ["/dev", "//dev", "/./dev/", "/mnt/../dev", "/../dev/."] {
        let Some(case) = case() else { return };
        let source = case.path("dev");
        fs::create_dir(&source).expect("the source");
        fs::write(source.join("mine"), "mine").expect("a file");
        let null = source.join("null").display().to_string();
        tool("mknod", &["-m", "666", &null, "c", "1", "3"]);
        case.configure(|c| {
            let mounts = c["mounts"].as_array_mut().expect("mounts");
            mounts.retain(|m| !m["destination"].as_str().is_some_and(|d| d.starts_with("/dev")));
            let dev = json!({
                "destination": destination, "type": "bind", "source": source, "options": ["rbind", "rw"]
            });
            push(c, "/mounts", dev);
            script(c, "cat /dev/mine");
        });
        assert_eq!(case.run().ok().stdout, "mine");
        let names = fs::read_dir(&source).expect("the source").flatten();
        let mut names: Vec<_> = names.map(|entry| entry.file_name()).collect();
        names.sort();
        assert_eq!(
            names,
            ["mine", "null"],
            "nothing is made in a bound {destination}"
        );
    }
}

/// A device of the configuration takes a default one's place, however its path is written.
#[test]
fn a_device_in_a_default_one_s_place_is_the_configuration_s() {
    for path in ["/dev/zero", "/dev//zero", "/mnt/../dev/./zero"] {
        let Some(case) = case_with(|c| {
            let full =
                json!({"path": path, "type": "c", "major": 1, "minor": 7, "fileMode": 0o640});
            c["linux"]["devices"] = json!([full]);
        }) else {
            return;
        };
        let init = case.start();
        let found = fs::metadata(host::proc_path(init, "root/dev/zero")).expect("the device");
        assert_eq!(
            (found.rdev(), found.mode() & 0o7777),
            (0x107, 0o640),
            "{path}"
        );
    }
}

/// What is mounted where a default device would be is that device, as with other runtimes.
#[test]
fn a_mount_in_a_default_device_s_place_stays() {
    let Some(case) = case_with(|c| {
        let bind = json!({"destination": "/dev/random", "type": "bind", "source": "/dev/urandom", "options": ["bind"]});
        push(c, "/mounts", bind);
    }) else {
        return;
    };
    let init = case.start();
    let found = fs::metadata(inside(init, "/dev/random")).expect("the device");
    assert_eq!(found.rdev(), device(1, 9));
}
