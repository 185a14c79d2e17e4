//! Idmapped mounts: owners of the same files as the host, the container and the disk have them.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use oci_runtime_integration::bundle::{push, script};
use oci_runtime_integration::case::{Case, case};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::{eventually, only_ocirun, spawn};
use serde_json::{Value, json};

/// A directory with files of these owners, named by them; `false` where its file system cannot be idmapped.
fn source(case: &Case) -> PathBuf {
    let source = case.path("source");
    fs::create_dir(&source).expect("the source");
    for id in [0, 5, 1000] {
        let file = source.join(id.to_string());
        fs::write(&file, "owned").expect("a file");
        chown(&file, Some(id), Some(id + 1)).expect("its owner");
    }
    source
}

fn new_case() -> Option<Case> {
    only_ocirun("of an older kind maps fewer mounts")
        .then(case)
        .flatten()
}

fn mappings(ranges: &[(u32, u32, u32)]) -> Value {
    let mapping = |(inside, outside, size): &(u32, u32, u32)| json!({"containerID": inside, "hostID": outside, "size": size});
    ranges.iter().map(mapping).collect()
}

/// What a mount asks for beside its source, and the owners that the host sees of the files of 0, 5 and 1000.
type Row = (Value, [(u32, u32); 3]);

const NOBODY: u32 = 65534;

fn mount_rows(case: &Case, source: &Path, rows: &[Row], edit: impl FnOnce(&mut Value)) {
    let rootfs = case.own_rootfs();
    for index in 0..rows.len() {
        // The container's root may not make it where it has other ids.
        fs::create_dir_all(rootfs.join(format!("mnt/{index}"))).expect("a mount point");
    }
    case.configure(|c| {
        c["root"] = json!({"path": "rootfs"});
        for (index, (row, _)) in rows.iter().enumerate() {
            let mut mount = row.clone();
            mount["destination"] = format!("/mnt/{index}").into();
            mount["source"] = json!(source);
            push(c, "/mounts", mount);
        }
        edit(c);
    });
}

/// As the host's root sees them: it looks with its own ids through the container's mounts.
fn assert_owners(init: i32, rows: &[Row]) {
    for (index, (row, expected)) in rows.iter().enumerate() {
        for (id, expected) in ["0", "5", "1000"].iter().zip(expected) {
            let path = host::proc_path(init, &format!("root/mnt/{index}/{id}"));
            let data = fs::metadata(path).expect("a file of the mount");
            assert_eq!((data.uid(), data.gid()), *expected, "{id} of {row}");
        }
        let idmapped = host::mount(init, &format!("/mnt/{index}")).has("idmapped");
        let plain = *expected == [(0, 1), (5, 6), (1000, 1001)];
        assert_eq!(idmapped, !plain, "{row}");
    }
}

#[test]
fn files_have_the_owners_that_the_maps_say() {
    let Some(case) = new_case() else { return };
    let source = source(&case);
    let shifted = [(100_000, 200_001), (100_005, 200_006), (101_000, 201_001)];
    let rows = [
        (json!({"options": ["bind"]}), [(0, 1), (5, 6), (1000, 1001)]),
        (
            json!({"options": ["bind"], "uidMappings": mappings(&[(0, 100_000, 65_536)]),
                "gidMappings": mappings(&[(0, 200_000, 65_536)])}),
            shifted,
        ),
        (
            json!({"options": ["rbind", "ridmap", "ro"], "uidMappings": mappings(&[(0, 100_000, 65_536)]),
                "gidMappings": mappings(&[(0, 200_000, 65_536)])}),
            shifted,
        ),
        (
            json!({"options": ["bind", "idmap=uids=0-100000-65536;gids=0-200000-65536"]}),
            shifted,
        ),
        // Several ranges; what no range has is nobody's.
        (
            json!({"options": ["bind", "idmap=uids=0-7-1#1000-0-1;gids=1-70-1#6-60-1#1001-1-1"]}),
            [(7, 70), (NOBODY, 60), (0, 1)],
        ),
        // The mount's own maps come before those of the option.
        (
            json!({"options": ["bind", "idmap=uids=0-0-1;gids=0-0-1"],
                "uidMappings": mappings(&[(0, 100_000, 65_536)]), "gidMappings": mappings(&[(0, 200_000, 65_536)])}),
            shifted,
        ),
    ];
    mount_rows(&case, &source, &rows, |_| ());
    let init = case.start();
    assert_owners(init, &rows);
    assert!(host::mount(init, "/mnt/2").has("ro"));
    // What is made through the mount belongs on the disk to whom the map says, backwards.
    let made = case.path("made");
    fs::create_dir(&made).expect("a directory");
    chown(&made, Some(1000), Some(1001)).expect("its owner");
    case.kill(init);
    case.runtime(&["delete", &case.id]).ok();
    let row = json!({"options": ["bind", "idmap=uids=1000-0-1;gids=1001-0-1"]});
    mount_rows(&case, &made, &[(row, [(0, 0); 3])], |c| {
        script(c, "touch /mnt/0/file")
    });
    case.run().ok();
    let data = fs::metadata(made.join("file")).expect("the new file");
    assert_eq!((data.uid(), data.gid()), (1000, 1001));
}

fn user_namespace(config: &mut Value) {
    push(config, "/linux/namespaces", json!({"type": "user"}));
    config["linux"]["uidMappings"] = mappings(&[(0, 100_000, 1000), (1000, 300_000, 10)]);
    config["linux"]["gidMappings"] = mappings(&[(0, 200_000, 70_000)]);
}

#[test]
fn the_container_s_own_maps_and_relative_ones() {
    let Some(case) = new_case() else { return };
    let source = source(&case);
    let own = [(100_000, 200_001), (100_005, 200_006), (300_000, 201_001)];
    let rows = [
        (json!({"options": ["bind"]}), [(0, 1), (5, 6), (1000, 1001)]),
        (json!({"options": ["bind", "idmap"]}), own),
        (json!({"options": ["rbind", "ridmap"]}), own),
        // The second ids are the container's.
        (
            json!({"options": ["bind", "idmap=uids=@0-1000-1#@5-7-1#1000-9-1;gids=@0-0-1100"]}),
            [(300_000, 200_001), (100_007, 200_006), (9, 201_001)],
        ),
        // A range that goes over the border of two.
        (
            json!({"options": ["bind", "idmap=uids=@0-998-6;gids=@0-0-1100"]}),
            [(100_998, 200_001), (300_003, 200_006), (NOBODY, 201_001)],
        ),
    ];
    mount_rows(&case, &source, &rows, user_namespace);
    let init = case.start();
    assert_owners(init, &rows);
    // Seen from inside, the container's own ids are those on the disk.
    let inside = "stat -c %u:%g /mnt/1/0 /mnt/1/5 /mnt/1/1000 /mnt/0/5; touch /mnt/1/new";
    let seen = case.exec(&[], &["sh", "-c", inside]).ok().stdout;
    assert_eq!(seen, "0:1\n5:6\n1000:1001\n65534:65534\n");
    let data = fs::metadata(source.join("new")).expect("the new file");
    assert_eq!((data.uid(), data.gid()), (0, 0));
}

/// A process that holds a user namespace with the maps of [`user_namespace`].
struct Holder(Child);

impl Holder {
    fn path(&self) -> String {
        format!("/proc/{}/ns/user", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn holder() -> Holder {
    let child = Command::new("unshare")
        .args(["--user", "sleep", "7200"])
        .stdin(Stdio::null())
        .spawn()
        .expect("unshare (Debian's package util-linux)");
    let holder = Holder(child);
    let pid = holder.0.id().cast_signed();
    let own = host::namespace(std::process::id().cast_signed(), "user");
    eventually("the user namespace", || {
        (host::namespace(pid, "user") != own).then_some(())
    });
    for (file, map) in [
        ("uid_map", "0 100000 1000\n1000 300000 10\n"),
        ("gid_map", "0 200000 70000\n"),
    ] {
        fs::write(host::proc_path(pid, file), map).expect("a map");
    }
    holder
}

/// What CRI engines send for pods with user namespaces: the sandbox's namespace by its path, its maps, and the same ones on
/// every volume.
#[test]
fn volumes_of_a_pod_with_a_user_namespace() {
    let Some(case) = new_case() else { return };
    let source = source(&case);
    let holder = holder();
    let own = [(100_000, 200_001), (100_005, 200_006), (300_000, 201_001)];
    let maps = json!({"options": ["rbind", "rprivate", "rw"], "type": "bind",
        "uidMappings": mappings(&[(0, 100_000, 1000), (1000, 300_000, 10)]),
        "gidMappings": mappings(&[(0, 200_000, 70_000)])});
    let rows = [
        (maps.clone(), own),
        (json!({"options": ["bind", "idmap"]}), own),
        (maps, own),
    ];
    for with_maps in [true, false] {
        mount_rows(&case, &source, &rows, |c| {
            if with_maps {
                user_namespace(c);
            } else {
                push(c, "/linux/namespaces", json!({"type": "user"}));
            }
            let namespaces = c["linux"]["namespaces"].as_array_mut().expect("a list");
            namespaces.last_mut().expect("the user namespace")["path"] = holder.path().into();
        });
        let init = case.start();
        let path = host::proc_path(init, "ns/user");
        assert_eq!(fs::read_link(path).ok(), fs::read_link(holder.path()).ok());
        assert_owners(init, &rows);
        let seen = case.exec(&[], &["stat", "-c", "%u:%g", "/mnt/0/1000"]).ok();
        assert_eq!(seen.stdout, "1000:1001\n");
        case.kill(init);
        case.runtime(&["delete", &case.id]).ok();
    }
}

/// The mount below the top is mapped by `ridmap` alone.
#[test]
fn ridmap_maps_the_whole_tree() {
    let Some(case) = new_case() else { return };
    let source = source(&case);
    let maps = "uids=0-100000-65536;gids=0-200000-65536";
    let rows = ["idmap", "ridmap"].map(|word| {
        let options = json!(["rbind", format!("{word}={maps}")]);
        (
            json!({"options": options}),
            [(100_000, 200_001), (100_005, 200_006), (101_000, 201_001)],
        )
    });
    mount_rows(&case, &source, &rows, |_| ());
    let below = source.join("below");
    fs::create_dir(&below).expect("a directory");
    let pid_file = case.path("pid").display().to_string();
    let run = case.command(&["create", "--pid-file", &pid_file, &case.id]);
    let mut outer = Command::new("unshare");
    let line = format!(
        "mount -t tmpfs below {0} && touch {0}/file && exec \"$@\"",
        below.display()
    );
    outer
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-ec",
            &line,
            "sh",
        ])
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(case.bundle());
    spawn(outer, &case.path("output"), Stdio::null())
        .wait()
        .ok();
    let init = case.init_from_pid_file();
    assert_owners(init, &rows);
    for (index, owner) in [(0, 0), (1, 100_000)] {
        let file = host::proc_path(init, &format!("root/mnt/{index}/below/file"));
        assert_eq!(fs::metadata(file).expect("a file").uid(), owner, "{index}");
    }
}

/// A new file system can be idmapped too.
#[test]
fn a_new_tmpfs_is_idmapped() {
    let Some(case) = new_case() else { return };
    case.own_rootfs();
    case.configure(|c| {
        c["root"] = json!({"path": "rootfs"});
        let mount = json!({"destination": "/mnt/t", "type": "tmpfs", "options": ["mode=755"],
            "uidMappings": mappings(&[(0, 5000, 10)]), "gidMappings": mappings(&[(0, 6000, 10)])});
        push(c, "/mounts", mount);
    });
    let init = case.start();
    let data = fs::metadata(host::proc_path(init, "root/mnt/t")).expect("the mount");
    assert_eq!((data.uid(), data.gid()), (5000, 6000));
    assert!(host::mount(init, "/mnt/t").has("idmapped"));
}

#[test]
fn many_idmapped_mounts_leave_no_fd() {
    let Some(case) = new_case() else { return };
    let source = source(&case);
    let expected = [(100_000, 200_001), (100_005, 200_006), (101_000, 201_001)];
    let row = |index: u32| {
        // Half of them share their maps.
        let size = 65_536 - index % 20;
        let (uids, gids) = (
            mappings(&[(0, 100_000, size)]),
            mappings(&[(0, 200_000, size)]),
        );
        (
            json!({"options": ["bind"], "uidMappings": uids, "gidMappings": gids}),
            expected,
        )
    };
    let rows: Vec<Row> = (0..40).map(row).collect();
    mount_rows(&case, &source, &rows, |_| ());
    let init = case.start();
    assert_owners(init, &rows);
    assert_eq!(
        host::descriptors(init).len(),
        3,
        "{:?}",
        host::descriptors(init)
    );
}

#[test]
fn maps_that_cannot_be_are_refused_with_their_place() {
    let Some(case) = new_case() else { return };
    let source = source(&case);
    let one = mappings(&[(0, 1, 1)]);
    let bind = |extra: Value| {
        let mut mount = json!({"options": ["bind"]});
        let members = extra.as_object().expect("members").clone();
        mount.as_object_mut().expect("a mount").extend(members);
        mount
    };
    let rows: [(Value, &[&str]); 16] = [
        (
            bind(json!({"uidMappings": one})),
            &["/mounts/6/gidMappings", "together"],
        ),
        (
            bind(json!({"gidMappings": one})),
            &["/mounts/6/uidMappings", "together"],
        ),
        (
            bind(json!({"uidMappings": mappings(&[(0, 1, 0)]), "gidMappings": one})),
            &["/mounts/6/uidMappings/0/size"],
        ),
        (
            bind(json!({"uidMappings": mappings(&[(0, 1, 5), (4, 9, 1)]), "gidMappings": one})),
            &["/mounts/6/uidMappings/1", "overlaps"],
        ),
        (
            bind(json!({"uidMappings": one, "gidMappings": mappings(&[(0, u32::MAX - 1, 5)])})),
            &["/mounts/6/gidMappings/0", "beyond"],
        ),
        (
            bind(json!({"uidMappings": "0", "gidMappings": one})),
            &["/mounts/6/uidMappings"],
        ),
        (
            bind(json!({"uidMappings": [{"containerID": -1}], "gidMappings": one})),
            &["/mounts/6/uidMappings/0/containerID"],
        ),
        (
            bind(json!({"options": ["bind", "idmap"]})),
            &["/mounts/6/options/1", "no user namespace"],
        ),
        (
            bind(json!({"options": ["bind", "ridmap"]})),
            &["/mounts/6/options/1", "no user namespace"],
        ),
        (
            bind(json!({"options": ["bind", "idmap=uids=@0-0-1"]})),
            &["/mounts/6/options/1", "no user namespace"],
        ),
        (
            bind(json!({"options": ["bind", "idmap=uids"]})),
            &["/mounts/6/options/1", "not of the form"],
        ),
        (
            bind(json!({"options": ["bind", "idmap=uids=0-0-0;gids=0-0-1"]})),
            &["/mounts/6/options/1", "size"],
        ),
        (
            bind(json!({"options": ["bind", "remount"], "uidMappings": one, "gidMappings": one})),
            &["/mounts/6", "mounted already"],
        ),
        (
            bind(json!({"options": [], "type": "cgroup", "uidMappings": one, "gidMappings": one})),
            &["/mounts/6", "a cgroup mount"],
        ),
        // What only the kernel knows: procfs cannot be idmapped, and it takes no empty map.
        (
            bind(json!({"options": [], "type": "mqueue", "uidMappings": one, "gidMappings": one})),
            &["/mounts/6", "MOUNT_ATTR_IDMAP"],
        ),
        (
            bind(json!({"options": ["bind", "idmap=uids=0-0-1"]})),
            &["/mounts/6", "MOUNT_ATTR_IDMAP"],
        ),
    ];
    for (row, texts) in rows {
        mount_rows(&case, &source, &[(row.clone(), [(0, 0); 3])], |_| ());
        eprintln!("{row}");
        case.try_create(&[]).failed(1, texts);
        case.assert_clean();
    }
}
