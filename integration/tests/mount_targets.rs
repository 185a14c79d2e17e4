//! Where mounts go and what they bind: every kind of source, missing targets, links at either end, copies; and hostile images that
//! would lead a mount elsewhere, each beside the legitimate use that looks alike.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use oci_runtime_integration::bundle::{own_root_with, push, script};
use oci_runtime_integration::canary::{Canary, canary};
use oci_runtime_integration::case::{Case, case};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{read, tool};
use serde_json::{Value, json};

fn configure(case: &Case, mounts: &[Value], edit: impl FnOnce(&mut Value)) {
    case.own_rootfs();
    case.configure(|c| {
        own_root_with(c, mounts);
        edit(c);
    });
}

fn bind(destination: &str, source: impl AsRef<Path>, options: &[&str]) -> Value {
    let mut all = vec!["bind"];
    all.extend(options);
    json!({"destination": destination, "source": source.as_ref(), "options": all})
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

/// Identity of a file, whatever it is.
fn identity(path: &Path) -> (u64, u64) {
    let data = fs::symlink_metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    (data.dev(), data.ino())
}

#[test]
fn files_of_every_kind_are_bound_on_existing_and_missing_targets() {
    let Some(case) = case() else { return };
    let rootfs = case.own_rootfs();
    let source = |name: &str| case.path(name);
    fs::write(source("file"), "of the host").expect("a file");
    fs::create_dir(source("directory")).expect("a directory");
    let _listener = UnixListener::bind(source("socket")).expect("a socket");
    tool("mkfifo", &[&source("fifo").display().to_string()]);
    tool(
        "mknod",
        &[&source("device").display().to_string(), "c", "1", "3"],
    );
    let kinds = ["file", "directory", "socket", "fifo", "device"];
    let mut mounts = Vec::new();
    for kind in kinds {
        let there = rootfs.join("mnt").join(kind);
        match kind {
            "directory" => fs::create_dir(there).expect("a directory"),
            _ => fs::write(there, "").expect("a file"),
        }
        mounts.push(bind(&format!("/mnt/{kind}"), source(kind), &[]));
        mounts.push(bind(&format!("/made/for/{kind}"), source(kind), &["ro"]));
    }
    configure(&case, &mounts, |_| ());
    let init = case.start();
    for kind in kinds {
        for place in ["/mnt", "/made/for"] {
            let found = identity(&inside(init, &format!("{place}/{kind}")));
            assert_eq!(found, identity(&source(kind)), "{place}/{kind}");
        }
        let made = fs::symlink_metadata(rootfs.join("made/for").join(kind)).expect("the target");
        assert_eq!(made.is_dir(), kind == "directory", "{kind}");
        assert_eq!(made.is_file(), kind != "directory", "{kind}");
        assert_eq!((made.uid(), made.gid()), (0, 0));
    }
}

#[test]
fn relative_sources_begin_at_the_bundle() {
    let Some(case) = case() else { return };
    let beside = case.path("beside");
    fs::write(&beside, "").expect("a file");
    fs::write(case.bundle().join("volume"), "").expect("a file");
    case.note_bundle();
    let mounts = [
        bind("/mnt/volume", "volume", &[]),
        bind("/mnt/dot", "./volume", &[]),
        bind("/mnt/beside", "../beside", &[]),
    ];
    configure(&case, &mounts, |_| ());
    // The runtime's own directory is another.
    let mut create = case.command(&case.words_of_create(&[]));
    create.current_dir("/");
    let output = create
        .stdout(std::process::Stdio::null())
        .stderr(fs::File::create(case.path("stderr")).expect("a file"))
        .status();
    assert!(
        output.expect("the runtime").success(),
        "{}",
        read(case.path("stderr"))
    );
    let init = case.init_from_pid_file();
    for (path, source) in [
        ("/mnt/volume", case.bundle().join("volume")),
        ("/mnt/dot", case.bundle().join("volume")),
        ("/mnt/beside", beside),
    ] {
        assert_eq!(identity(&inside(init, path)), identity(&source), "{path}");
    }
}

/// A link in the image to a place that is not there yet is a target as any other: the place is made, inside.
#[test]
fn links_to_nowhere_are_made_where_they_lead() {
    let Some((case, rootfs, canary)) = hostile() else {
        return;
    };
    let file = case.path("file");
    fs::write(&file, "bound").expect("a file");
    // Link, what it says, what is mounted on it, where that is in the root.
    let rows = [
        (
            "mnt/absolute",
            "/var/made/dir",
            "/mnt/absolute",
            "/var/made/dir",
        ),
        ("mnt/relative", "../srv/dir", "/mnt/relative", "/srv/dir"),
        ("mnt/above", "/a/b", "/mnt/above/c/d", "/a/b/c/d"),
        ("mnt/chain", "link", "/mnt/chain", "/chained"),
        ("mnt/link", "/chained", "/mnt/link/again", "/chained/again"),
        (
            "mnt/climbing",
            "../../../../../climbed",
            "/mnt/climbing",
            "/climbed",
        ),
    ];
    let mut mounts = Vec::new();
    for (link, target, destination, _) in rows {
        symlink(target, rootfs.join(link)).expect("a link");
        mounts.push(json!({"destination": destination, "type": "tmpfs", "source": "t"}));
    }
    let files = [
        ("mnt/file-a", "/etc/new/file", "/etc/new/file"),
        ("mnt/file-r", "beside", "/mnt/beside"),
        ("mnt/file-c", "file-d", "/run/last"),
        ("mnt/file-d", "/run/last", "/run/last"),
    ];
    for (link, target, _) in files {
        symlink(target, rootfs.join(link)).expect("a link");
        mounts.push(bind(&format!("/{link}"), &file, &[]));
    }
    // A way out is one inside: the canary's own path, below the root.
    let out = canary.path.join("made-here").display().to_string();
    symlink(&out, rootfs.join("mnt/out")).expect("a link");
    mounts.push(bind("/mnt/out", &file, &[]));
    configure(&case, &mounts, |_| ());
    let init = case.start();
    for (link, _, _, place) in rows {
        assert_eq!(host::mount(init, place).fstype, "tmpfs", "{link}");
    }
    for (link, _, place) in files {
        assert_eq!(identity(&inside(init, place)), identity(&file), "{link}");
    }
    assert_eq!(identity(&inside(init, &out)), identity(&file));
    canary.assert_unharmed();
}

#[test]
fn links_in_a_circle_are_an_error() {
    let Some((case, rootfs, canary)) = hostile() else {
        return;
    };
    symlink("b", rootfs.join("mnt/a")).expect("a link");
    symlink("a", rootfs.join("mnt/b")).expect("a link");
    for index in 0..60 {
        let link = rootfs.join(format!("mnt/l{index}"));
        symlink(format!("l{}/x", index + 1), link).expect("a link");
    }
    for destination in ["/mnt/a", "/mnt/a/deep", "/mnt/l0"] {
        let tmpfs = json!({"destination": destination, "type": "tmpfs"});
        for mount in [tmpfs, bind(destination, "/etc/passwd", &[])] {
            configure(&case, &[mount], |_| ());
            case.try_create(&[])
                .failed(1, &["/mounts/6", "too many symbolic links"]);
            canary.assert_unharmed();
            case.assert_clean();
        }
    }
}

/// Files of procfs are not covered because a link of the image's leads there (CVE-2019-16884).
#[test]
fn a_link_into_proc_leads_no_mount_there() {
    let Some((case, rootfs, _)) = hostile() else {
        return;
    };
    let source = case.path("source");
    fs::create_dir(&source).expect("a directory");
    fs::write(source.join("exec"), "").expect("a file");
    for (link, target) in [
        ("attr", "/proc/self/attr"),
        ("proc", "/proc"),
        ("sysrq", "/proc/sysrq-trigger"),
        ("root", "/proc/1/root"),
        ("fd", "/proc/self/fd/1"),
    ] {
        let _ = fs::remove_file(rootfs.join("mnt/data"));
        symlink(target, rootfs.join("mnt/data")).expect("a link");
        let from = match link {
            "sysrq" | "fd" => source.join("exec"),
            _ => source.clone(),
        };
        configure(&case, &[bind("/mnt/data", &from, &[])], |_| ());
        case.try_create(&[]).failed(1, &["/mounts/6"]);
        case.assert_clean();
    }
}

#[test]
fn twin_a_file_of_proc_is_covered_by_who_names_it() {
    let Some((case, rootfs, _)) = hostile() else {
        return;
    };
    let memory = case.path("meminfo");
    fs::write(&memory, "MemTotal: 1 kB\n").expect("a file");
    symlink("/proc/meminfo", rootfs.join("mnt/other")).expect("a link");
    configure(&case, &[bind("/proc/meminfo", &memory, &["ro"])], |c| {
        script(c, "cat /proc/meminfo /mnt/other");
    });
    assert_eq!(case.run().ok().stdout, "MemTotal: 1 kB\nMemTotal: 1 kB\n");
}

/// While a mount target is being looked up, another process of a shared volume swaps it for a way out and back.
#[test]
fn a_target_that_is_swapped_all_the_time_stays_inside() {
    let Some((case, rootfs, canary)) = hostile() else {
        return;
    };
    fs::create_dir(rootfs.join("mnt/swapped")).expect("a directory");
    symlink(&canary.path, rootfs.join("mnt/way-out")).expect("a link");
    let one = rootfs.join("mnt/swapped").display().to_string();
    let other = rootfs.join("mnt/way-out").display().to_string();
    let mounts: Vec<Value> = (0..30)
        .map(|index| {
            let destination = format!("/mnt/swapped/pts/{index}");
            match index % 2 {
                0 => json!({"destination": destination, "type": "tmpfs", "source": "t"}),
                _ => bind(&destination, "/etc/passwd", &[]),
            }
        })
        .collect();
    configure(&case, &mounts, |c| script(c, "exit 0"));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                exchange(&one, &other);
            }
        });
        for _ in 0..40 {
            let run = case.run();
            assert!(run.code == 0 || run.stderr.contains("/mounts/"), "{run:?}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    canary.assert_unharmed();
    case.assert_clean();
}

/// The same with a way into procfs, which is inside, but not what the configuration names.
#[test]
fn a_target_that_is_swapped_all_the_time_leads_not_into_proc() {
    let Some((case, rootfs, _)) = hostile() else {
        return;
    };
    let planted = case.path("planted");
    fs::create_dir(&planted).expect("a directory");
    fs::create_dir(rootfs.join("mnt/swapped")).expect("a directory");
    symlink("/proc", rootfs.join("mnt/way-in")).expect("a link");
    let one = rootfs.join("mnt/swapped").display().to_string();
    let other = rootfs.join("mnt/way-in").display().to_string();
    let mounts =
        ["sys", "fs", "tty"].map(|name| bind(&format!("/mnt/swapped/{name}"), &planted, &[]));
    configure(&case, &mounts, |c| script(c, "cat /proc/self/mountinfo"));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                exchange(&one, &other);
            }
        });
        let runs: Vec<_> = (0..150).map(|_| case.run()).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        for run in runs {
            assert!(run.code == 0 || run.stderr.contains("/mounts/"), "{run:?}");
            let mut lines = run.stdout.lines();
            let led = lines.find(|line| line.contains("planted ") && line.contains(" /proc/"));
            assert_eq!(led, None);
        }
    });
    case.assert_clean();
}

fn exchange(one: &str, other: &str) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).expect("renameat2");
}

#[test]
fn copy_symlink_makes_the_link_and_nothing_else() {
    let Some((case, rootfs, canary)) = hostile() else {
        return;
    };
    let link = case.path("link");
    symlink("/etc/passwd", &link).expect("a link");
    let out = case.path("out");
    symlink(canary.path.join("new"), &out).expect("a link");
    let file = case.path("file");
    fs::write(&file, "bound").expect("a file");
    symlink("/etc/passwd", rootfs.join("mnt/same")).expect("a link");
    symlink(&canary.path, rootfs.join("mnt/away")).expect("a link");
    let mounts = [
        bind("/mnt/new", &link, &["copy-symlink"]),
        bind("/made/new", &link, &["copy-symlink"]),
        bind("/mnt/same", &link, &["copy-symlink"]),
        bind("/mnt/out", &out, &["copy-symlink"]),
        // A link in the image to the canary: what is below it is made below the root.
        bind("/mnt/away/link", &link, &["copy-symlink"]),
        bind("/mnt/bound", &file, &["copy-symlink", "ro"]),
    ];
    configure(&case, &mounts, |_| ());
    let init = case.start();
    for (place, target) in [
        ("mnt/new", "/etc/passwd".into()),
        ("made/new", "/etc/passwd".into()),
        ("mnt/same", "/etc/passwd".into()),
        ("mnt/out", canary.path.join("new")),
    ] {
        let found = fs::read_link(rootfs.join(place)).expect("a link");
        assert_eq!(found, target, "{place}");
    }
    let below = rootfs.join(canary.path.strip_prefix("/").expect("an absolute path"));
    assert_eq!(
        fs::read_link(below.join("link")).ok(),
        Some("/etc/passwd".into())
    );
    assert!(host::mount(init, "/mnt/bound").has("ro"));
    let seen = case.exec(&[], &["cat", "/mnt/new"]).ok().stdout;
    assert!(seen.starts_with("root:x:0:0"), "{seen}");
    canary.assert_unharmed();
    case.kill(init);
    case.runtime(&["delete", &case.id]).ok();
    // Something else in its place is not replaced.
    for place in ["/mnt/file", "/mnt/away", "/etc"] {
        configure(&case, &[bind(place, &link, &["copy-symlink"])], |_| ());
        case.try_create(&[])
            .failed(1, &["/mounts/6", "symbolic link"]);
        case.assert_clean();
    }
    canary.assert_unharmed();
}

#[test]
fn src_nofollow_binds_the_link_and_dest_nofollow_covers_one() {
    let Some((case, rootfs, canary)) = hostile() else {
        return;
    };
    let link = case.path("link");
    symlink("/etc/group", &link).expect("a link");
    let file = case.path("file");
    fs::write(&file, "bound").expect("a file");
    for name in ["mnt/over-a", "mnt/over-b"] {
        symlink(canary.path.join("marker"), rootfs.join(name)).expect("a link");
    }
    symlink("/etc/passwd", rootfs.join("mnt/followed")).expect("a link");
    let mounts = [
        bind("/mnt/as-link", &link, &["src-nofollow"]),
        bind("/mnt/over-a", &file, &["dest-nofollow"]),
        bind("/mnt/over-b", &link, &["src-nofollow", "dest-nofollow"]),
        // Without: what the link leads to, inside of the root.
        bind("/mnt/followed", &file, &[]),
        bind("/mnt/plain", &file, &["src-nofollow", "dest-nofollow"]),
    ];
    for user in [false, true] {
        configure(&case, &mounts, |c| {
            if user {
                let map = json!([{"containerID": 0, "hostID": 0, "size": 70_000}]);
                push(c, "/linux/namespaces", json!({"type": "user"}));
                c["linux"]["uidMappings"] = map.clone();
                c["linux"]["gidMappings"] = map;
            }
        });
        let init = case.start();
        assert_eq!(identity(&inside(init, "/mnt/as-link")), identity(&link));
        assert_eq!(identity(&inside(init, "/mnt/over-b")), identity(&link));
        for place in ["/mnt/over-a", "/etc/passwd", "/mnt/plain"] {
            assert_eq!(identity(&inside(init, place)), identity(&file), "{place}");
        }
        for place in ["/mnt/as-link", "/mnt/over-b"] {
            let seen = case.exec(&[], &["readlink", place]).ok();
            assert_eq!(seen.stdout, "/etc/group\n", "{place}");
        }
        canary.assert_unharmed();
        case.kill(init);
        case.runtime(&["delete", &case.id]).ok();
    }
    // A directory does not fit over a link.
    let directory = case.path("output");
    configure(
        &case,
        &[bind("/mnt/over-a", directory, &["dest-nofollow"])],
        |_| (),
    );
    case.try_create(&[]).failed(1, &["/mounts/6"]);
    canary.assert_unharmed();
}

#[test]
fn overlays_with_many_layers_and_long_paths() {
    let Some(case) = case() else { return };
    let long = case.path(&"n".repeat(200)).join("m".repeat(120));
    let mut layers = Vec::new();
    for index in 0..20 {
        let layer = long.join(format!("layer-{index}"));
        fs::create_dir_all(&layer).expect("a layer");
        fs::write(layer.join("file"), index.to_string()).expect("a file");
        fs::write(layer.join(format!("only-{index}")), "").expect("a file");
        layers.push(layer.display().to_string());
    }
    let [upper, work] = ["upper", "work"].map(|name| {
        let directory = long.join(name);
        fs::create_dir(&directory).expect("a directory");
        directory.display().to_string()
    });
    let overlay = |destination: &str, options: &[String]| json!({"destination": destination, "type": "overlay", "source": "overlay", "options": options});
    let mounts = [
        overlay(
            "/mnt/many",
            &[
                format!("lowerdir={}", layers.join(":")),
                format!("upperdir={upper}"),
                format!("workdir={work}"),
            ],
        ),
        overlay(
            "/mnt/two",
            &[format!("lowerdir={}", layers[..2].join(":")), "ro".into()],
        ),
    ];
    configure(&case, &mounts, |_| ());
    let run = case.try_create(&[]);
    if run.stderr.contains("more than the kernel takes") {
        eprintln!("not run: this kernel takes no directories of overlays as open files");
        return;
    }
    run.ok();
    let init = case.init_from_pid_file();
    for point in ["/mnt/many", "/mnt/two"] {
        assert_eq!(host::mount(init, point).fstype, "overlay");
        assert_eq!(read(inside(init, &format!("{point}/file"))), "0");
    }
    assert!(inside(init, "/mnt/many/only-19").exists());
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    case.exec(&[], &["touch", "/mnt/many/written"]).ok();
    assert!(Path::new(&upper).join("written").exists());
}
