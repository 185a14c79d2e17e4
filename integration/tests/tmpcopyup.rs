//! A new tmpfs that begins with what it covers (`tmpcopyup`): the copy is the same in all that can be told, and the image's as it was.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oci_runtime_integration::bundle::{own_root_with, push};
use oci_runtime_integration::canary::{Canary, canary};
use oci_runtime_integration::case::{Case, case};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{read, spawn, tool};
use serde_json::{Value, json};

/// Everything that a directory can have in it, for [`tmpcopyup_copies_what_it_covers`].
fn furnish(directory: &Path) {
    fs::create_dir_all(directory.join("deep/deeper")).expect("directories");
    fs::write(directory.join("deep/deeper/file"), vec![7; 300_000]).expect("a file");
    chown(directory.join("deep/deeper/file"), Some(12), Some(34)).expect("an owner");
    let mode = fs::Permissions::from_mode(0o4751);
    fs::set_permissions(directory.join("deep/deeper/file"), mode).expect("a mode");
    let sticky = fs::Permissions::from_mode(0o1770);
    fs::set_permissions(directory.join("deep"), sticky).expect("a mode");
    chown(directory.join("deep"), Some(56), Some(78)).expect("an owner");
    fs::write(directory.join("empty"), "").expect("a file");
    symlink("/nowhere/at/all", directory.join("link")).expect("a link");
    std::os::unix::fs::lchown(directory.join("link"), Some(9), Some(9)).expect("an owner");
    tool(
        "mkfifo",
        &["-m", "640", &directory.join("fifo").display().to_string()],
    );
    tool(
        "mknod",
        &[
            "-m",
            "606",
            &directory.join("null").display().to_string(),
            "c",
            "1",
            "3",
        ],
    );
    drop(UnixListener::bind(directory.join("socket")).expect("a socket"));
    let old = ["-h", "-d", "2001-02-03 04:05:06.789", "-m"];
    for name in ["deep/deeper/file", "deep/deeper", "deep", "link", "empty"] {
        let path = directory.join(name).display().to_string();
        tool("touch", &[&old[..], &[path.as_str()]].concat());
    }
    for index in 0..400 {
        fs::write(
            directory.join(format!("a-name-of-some-length-{index}")),
            index.to_string(),
        )
        .expect("a file");
    }
    chown(directory, Some(21), Some(22)).expect("an owner");
    fs::set_permissions(directory, fs::Permissions::from_mode(0o750)).expect("a mode");
}

/// Names, types, modes, owners, numbers, times and content of all that is below.
fn listing(path: &Path, top: &Path, lines: &mut Vec<String>) {
    let mut names: Vec<PathBuf> = fs::read_dir(path)
        .expect("a directory")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    names.sort();
    for name in names {
        let data = fs::symlink_metadata(&name).expect("an entry");
        let kind = data.file_type();
        let content = match (kind.is_file(), kind.is_symlink()) {
            (true, _) => format!(
                "{:?}",
                fs::read(&name)
                    .expect("a file")
                    .iter()
                    .fold(7_u64, |sum, byte| sum * 31 % 1_000_003 + u64::from(*byte))
            ),
            (_, true) => format!("{:?}", fs::read_link(&name).expect("a link")),
            _ => format!("{} {} {}", kind.is_fifo(), kind.is_socket(), data.rdev()),
        };
        let times = match kind.is_file() || kind.is_symlink() || kind.is_dir() {
            true => format!("{}.{}", data.mtime(), data.mtime_nsec()),
            false => String::new(),
        };
        lines.push(format!(
            "{} {:o} {}:{} {times} {content}",
            name.strip_prefix(top).expect("below the top").display(),
            data.mode(),
            data.uid(),
            data.gid()
        ));
        if data.is_dir() {
            listing(&name, top, lines);
        }
    }
}

#[test]
fn tmpcopyup_copies_what_it_covers() {
    let Some((case, rootfs, canary)) = hostile() else {
        return;
    };
    let furnished = rootfs.join("home/furnished");
    fs::create_dir(&furnished).expect("a directory");
    furnish(&furnished);
    symlink(&canary.path, furnished.join("way-out")).expect("a link");
    let tmpfs = |destination: &str, options: &[&str]| {
        let mut all = vec!["tmpcopyup"];
        all.extend(options);
        json!({"destination": destination, "type": "tmpfs", "source": "t", "options": all})
    };
    let mounts = [
        tmpfs("/home/furnished", &["nosuid", "size=8m"]),
        tmpfs("/home/user", &["ro", "nodev"]),
        tmpfs("/home/new", &[]),
        tmpfs("/mnt", &["mode=700", "uid=3"]),
        // A mount inside has to find its place.
        json!({"destination": "/home/user/inner", "type": "tmpfs"}),
    ];
    fs::write(rootfs.join("home/user/kept"), "kept").expect("a file");
    configure(&case, &mounts);
    let init = case.start();
    let (mut before, mut copied) = (Vec::new(), Vec::new());
    listing(&furnished, &furnished, &mut before);
    let copy = inside(init, "/home/furnished");
    listing(&copy, &copy, &mut copied);
    assert_eq!(copied, before);
    let top = fs::metadata(&copy).expect("the copy");
    assert_eq!((top.mode() & 0o7777, top.uid(), top.gid()), (0o750, 21, 22));
    let mount = host::mount(init, "/home/furnished");
    assert!(mount.fstype == "tmpfs" && mount.has("nosuid"), "{mount:?}");
    assert!(host::mount(init, "/home/user").has("ro"));
    assert_eq!(read(inside(init, "/home/user/kept")), "kept");
    assert_eq!(
        fs::read_dir(inside(init, "/home/new"))
            .expect("a directory")
            .count(),
        0
    );
    let own = fs::metadata(inside(init, "/mnt")).expect("a directory");
    assert_eq!((own.mode() & 0o7777, own.uid()), (0o700, 3));
    assert_eq!(read(inside(init, "/mnt/file")), "of the root filesystem");
    // What is written stays in the copy.
    fs::write(copy.join("empty"), "changed").expect("write to the copy");
    assert_eq!(read(furnished.join("empty")), "");
    canary.assert_unharmed();
}

#[test]
fn tmpcopyup_fails_where_there_is_no_room_or_no_end() {
    let Some((case, rootfs, _)) = hostile() else {
        return;
    };
    fs::write(rootfs.join("opt/large"), vec![1; 200_000]).expect("a file");
    let mount =
        |options: &[&str]| json!({"destination": "/opt", "type": "tmpfs", "options": options});
    configure(&case, &[mount(&["tmpcopyup", "size=64k"])]);
    case.try_create(&[]).failed(1, &["/mounts/6", "no space"]);
    case.assert_clean();
    fs::remove_file(rootfs.join("opt/large")).expect("remove a file");
    let deep = rootfs.join("opt").join("d/".repeat(200));
    fs::create_dir_all(deep).expect("directories");
    configure(&case, &[mount(&["tmpcopyup"])]);
    case.try_create(&[])
        .failed(1, &["/mounts/6", "too many levels"]);
    case.assert_clean();
}

/// Directories in one another take some of the stack each, and whoever calls, or the payload, may have little.
#[test]
fn tmpcopyup_copies_deep_trees_on_a_small_stack() {
    let Some((case, rootfs, _)) = hostile() else {
        return;
    };
    let deep = format!("opt/{}", "d/".repeat(126));
    fs::create_dir_all(rootfs.join(&deep)).expect("directories");
    fs::write(rootfs.join(&deep).join("file"), "deep").expect("a file");
    symlink("file", rootfs.join(&deep).join("link")).expect("a link");
    let mount = json!({"destination": "/opt", "type": "tmpfs", "options": ["tmpcopyup"]});
    for (caller, own) in [(128, 8192), (8192, 64), (128, 64)] {
        eprintln!("{caller} KiB, and {own} KiB for the payload");
        let create = case.command(&case.words_of_create(&[]));
        let limits = format!("ulimit -Ss {caller} && ulimit -Hs 8192 && exec \"$0\" \"$@\"");
        let mut shell = Command::new("bash");
        shell.args(["-c", &limits]);
        shell.arg(create.get_program()).args(create.get_args());
        case.configure(|c| {
            c["root"] = json!({"path": "rootfs"});
            push(c, "/mounts", mount.clone());
            let limit = json!({"type": "RLIMIT_STACK", "soft": own << 10, "hard": own << 10});
            c["process"]["rlimits"] = json!([limit]);
        });
        spawn(shell, &case.path("output"), Stdio::null())
            .wait()
            .ok();
        let init = case.init_from_pid_file();
        assert_eq!(read(inside(init, &format!("/{deep}link"))), "deep");
        case.destroy();
    }
}

fn configure(case: &Case, mounts: &[Value]) {
    case.configure(|c| own_root_with(c, mounts));
}

fn inside(init: i32, path: &str) -> PathBuf {
    host::proc_path(init, &format!("root{path}"))
}

fn hostile() -> Option<(Case, PathBuf, Canary)> {
    let case = case()?;
    let rootfs = case.own_rootfs();
    let canary = canary(case.path("canary"));
    Some((case, rootfs, canary))
}
