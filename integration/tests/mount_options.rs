//! Every option string of a mount, read back from mountinfo: one container with a mount for each row.

use std::process::{Command, Stdio};

use oci_runtime_integration::bundle::push;
use oci_runtime_integration::case::{Case, case};
use oci_runtime_integration::host::{self, Mount};
use oci_runtime_integration::runtime::{Finished, only_ocirun, read, spawn};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Options that are asked for, the mount's that are expected, and what its superblock has (or, after `!`, has not).
type Row = (&'static [&'static str], &'static str, &'static str);

/// On a new tmpfs.
#[rustfmt::skip]
const NEW: &[Row] = &[
    (&[], "rw,relatime", "rw !ro !sync !dirsync !lazytime !mand"),
    (&["async"], "rw,relatime", "!sync"),
    (&["sync", "async"], "rw,relatime", "!sync"),
    (&["acl"], "rw,relatime", ""),
    (&["noacl"], "rw,relatime", ""),
    (&["atime"], "rw,relatime", ""),
    (&["noatime", "atime"], "rw,relatime", ""),
    (&["defaults"], "rw,relatime", "rw"),
    (&["dev"], "rw,relatime", ""),
    (&["nodev", "dev"], "rw,relatime", ""),
    (&["diratime"], "rw,relatime", ""),
    (&["nodiratime", "diratime"], "rw,relatime", ""),
    (&["dirsync"], "rw,relatime", "dirsync !sync"),
    (&["exec"], "rw,relatime", ""),
    (&["noexec", "exec"], "rw,relatime", ""),
    (&["iversion"], "rw,relatime", ""),
    (&["noiversion"], "rw,relatime", ""),
    (&["lazytime"], "rw,relatime", "lazytime"),
    (&["nolazytime"], "rw,relatime", "!lazytime"),
    (&["lazytime", "nolazytime"], "rw,relatime", "!lazytime"),
    (&["loud"], "rw,relatime", ""),
    (&["silent"], "rw,relatime", ""),
    (&["mand"], "rw,relatime", "mand"),
    (&["nomand"], "rw,relatime", "!mand"),
    (&["mand", "nomand"], "rw,relatime", "!mand"),
    (&["noatime"], "rw,noatime", ""),
    (&["nodev"], "rw,nodev,relatime", ""),
    (&["nodiratime"], "rw,nodiratime,relatime", ""),
    (&["noexec"], "rw,noexec,relatime", ""),
    (&["norelatime"], "rw,relatime", ""),
    (&["nostrictatime"], "rw,relatime", ""),
    (&["strictatime", "nostrictatime"], "rw,relatime", ""),
    (&["nosuid"], "rw,nosuid,relatime", ""),
    (&["nosuid", "suid"], "rw,relatime", ""),
    (&["suid"], "rw,relatime", ""),
    (&["nosymfollow"], "rw,relatime,nosymfollow", ""),
    (&["nosymfollow", "symfollow"], "rw,relatime", ""),
    (&["relatime"], "rw,relatime", ""),
    (&["noatime", "relatime"], "rw,relatime", ""),
    (&["ro"], "ro,relatime", "ro"),
    (&["ro", "rw"], "rw,relatime", "rw"),
    (&["rw"], "rw,relatime", "rw"),
    (&["strictatime"], "rw", ""),
    (&["sync"], "rw,relatime", "sync"),
    (&["rasync"], "rw,relatime", "!sync"),
    (&["rdirsync"], "rw,relatime", "dirsync"),
    (&["rmand"], "rw,relatime", "mand"),
    (&["rnomand"], "rw,relatime", "!mand"),
    (&["rsync"], "rw,relatime", "sync"),
    (&["rro"], "ro,relatime", ""),
    (&["rnoexec", "rnosuid"], "rw,nosuid,noexec,relatime", ""),
    (&["rnosymfollow"], "rw,relatime,nosymfollow", ""),
    (&["rnoatime", "rnodiratime"], "rw,noatime,nodiratime", ""),
    (&["size=1m", "nosuid", "mode=1750"], "rw,nosuid,relatime", "size=1024k mode=1750"),
    (&["nosuid", "nodev", "noexec", "ro", "noatime", "nodiratime", "nosymfollow", "sync"], "ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow", "ro sync"),
];

#[test]
fn every_option_of_a_new_file_system() {
    if !only_ocirun("passes some of them to the file system") {
        return;
    }
    let Some(case) = case() else { return };
    let mount = |(options, ..): &Row| json!({"type": "tmpfs", "source": "t", "options": options});
    let init = start_with(&case, NEW.iter().map(mount));
    for (index, (options, expected, superblock)) in NEW.iter().enumerate() {
        let mount = host::mount(init, &point(index));
        assert_options(&mount, options, expected);
        for word in superblock.split_whitespace() {
            let (name, there) = match word.strip_prefix('!') {
                Some(name) => (name, false),
                None => (word, true),
            };
            let found = mount.super_options.iter().any(|option| option == name);
            assert_eq!(found, there, "{options:?}, {word}: {mount:?}");
        }
    }
}

/// On a bind mount of a plain directory.
#[rustfmt::skip]
const BIND: &[Row] = &[
    (&["bind"], "rw,relatime", ""),
    (&["bind", "acl", "noacl"], "rw,relatime", ""),
    (&["rbind"], "rw,relatime", ""),
    (&["bind", "ro"], "ro,relatime", ""),
    (&["bind", "ro", "rw"], "rw,relatime", ""),
    (&["bind", "noatime"], "rw,noatime", ""),
    (&["bind", "strictatime"], "rw", ""),
    (&["bind", "nodiratime", "nosymfollow"], "rw,nodiratime,relatime,nosymfollow", ""),
    (&["bind", "nosuid", "nodev", "noexec", "ro"], "ro,nosuid,nodev,noexec,relatime", ""),
    (&["rbind", "rro"], "ro,relatime", ""),
    (&["defaults", "bind", "loud"], "rw,relatime", ""),
];

#[test]
fn every_option_of_a_bind_mount() {
    let Some(case) = case() else { return };
    let source = case.path("source");
    std::fs::create_dir(&source).expect("the source");
    let mount = |(options, ..): &Row| json!({"type": "none", "source": source, "options": options});
    let init = start_with(&case, BIND.iter().map(mount));
    for (index, (options, expected, _)) in BIND.iter().enumerate() {
        let mount = host::mount(init, &point(index));
        assert_options(&mount, options, expected);
        assert!(mount.root.ends_with("/source"), "{mount:?}");
    }
}

/// What becomes of a tree: options of the bind mount, then what its top and what the mount below it have.
#[rustfmt::skip]
const TREES: &[(&[&str], &str, &str)] = &[
    (&["rbind"], CLOSED, CLOSED),
    (&["rbind", "rw"], "rw,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow", CLOSED),
    (&["rbind", "rrw"], "rw,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow", "rw,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow"),
    (&["rbind", "suid"], "ro,nodev,noexec,noatime,nodiratime,nosymfollow", CLOSED),
    (&["rbind", "rsuid"], "ro,nodev,noexec,noatime,nodiratime,nosymfollow", "ro,nodev,noexec,noatime,nodiratime,nosymfollow"),
    (&["rbind", "dev"], "ro,nosuid,noexec,noatime,nodiratime,nosymfollow", CLOSED),
    (&["rbind", "rdev"], "ro,nosuid,noexec,noatime,nodiratime,nosymfollow", "ro,nosuid,noexec,noatime,nodiratime,nosymfollow"),
    (&["rbind", "exec"], "ro,nosuid,nodev,noatime,nodiratime,nosymfollow", CLOSED),
    (&["rbind", "rexec"], "ro,nosuid,nodev,noatime,nodiratime,nosymfollow", "ro,nosuid,nodev,noatime,nodiratime,nosymfollow"),
    (&["rbind", "diratime"], "ro,nosuid,nodev,noexec,noatime,nosymfollow", CLOSED),
    (&["rbind", "rdiratime"], "ro,nosuid,nodev,noexec,noatime,nosymfollow", "ro,nosuid,nodev,noexec,noatime,nosymfollow"),
    (&["rbind", "atime"], "ro,nosuid,nodev,noexec,relatime,nodiratime,nosymfollow", CLOSED),
    (&["rbind", "ratime"], "ro,nosuid,nodev,noexec,relatime,nodiratime,nosymfollow", "ro,nosuid,nodev,noexec,relatime,nodiratime,nosymfollow"),
    (&["rbind", "strictatime"], "ro,nosuid,nodev,noexec,nodiratime,nosymfollow", CLOSED),
    (&["rbind", "rstrictatime"], "ro,nosuid,nodev,noexec,nodiratime,nosymfollow", "ro,nosuid,nodev,noexec,nodiratime,nosymfollow"),
    (&["rbind", "rrelatime"], "ro,nosuid,nodev,noexec,relatime,nodiratime,nosymfollow", "ro,nosuid,nodev,noexec,relatime,nodiratime,nosymfollow"),
    (&["rbind", "symfollow"], "ro,nosuid,nodev,noexec,noatime,nodiratime", CLOSED),
    (&["rbind", "rsymfollow"], "ro,nosuid,nodev,noexec,noatime,nodiratime", "ro,nosuid,nodev,noexec,noatime,nodiratime"),
    (&["bind"], CLOSED, ""),
];

/// All that can be closed.
const CLOSED: &str = "ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow";

/// The same of a tree without any flag.
#[rustfmt::skip]
const OPEN_TREES: &[(&[&str], &str, &str)] = &[
    (&["rbind"], "rw,relatime", "rw,relatime"),
    (&["rbind", "ro"], "ro,relatime", "rw,relatime"),
    (&["rbind", "rro"], "ro,relatime", "ro,relatime"),
    (&["rbind", "nosuid"], "rw,nosuid,relatime", "rw,relatime"),
    (&["rbind", "rnosuid"], "rw,nosuid,relatime", "rw,nosuid,relatime"),
    (&["rbind", "rnodev"], "rw,nodev,relatime", "rw,nodev,relatime"),
    (&["rbind", "rnoexec"], "rw,noexec,relatime", "rw,noexec,relatime"),
    (&["rbind", "rnoatime"], "rw,noatime", "rw,noatime"),
    (&["rbind", "rnodiratime"], "rw,nodiratime,relatime", "rw,nodiratime,relatime"),
    (&["rbind", "rnosymfollow"], "rw,relatime,nosymfollow", "rw,relatime,nosymfollow"),
    (&["rbind", "rnorelatime"], "rw,relatime", "rw,relatime"),
    (&["rbind", "rstrictatime", "rnostrictatime"], "rw,relatime", "rw,relatime"),
    (&["rbind", "rro", "rw"], "rw,relatime", "ro,relatime"),
    (&["rbind", "rro", "rnoexec", "noatime"], "ro,noexec,noatime", "ro,noexec,relatime"),
];

#[test]
fn recursive_options_change_the_whole_tree_and_others_its_top() {
    if !only_ocirun("has no nosymfollow") {
        return;
    }
    let lines = [
        ("closed", CLOSED, TREES),
        ("open", "rw,relatime", OPEN_TREES),
    ];
    for (name, flags, rows) in lines {
        let Some(case) = case() else { return };
        let source = case.path(name);
        std::fs::create_dir(&source).expect("the source");
        let mount = |(options, ..): &(&[&str], _, _)| json!({"source": source, "options": options});
        configure(&case, rows.iter().map(mount));
        // Both mounts exist only in a mount namespace around the runtime.
        let top = source.display();
        let line = format!(
            "mount -t tmpfs top {top} && mkdir {top}/below && mount -t tmpfs below {top}/below && \
             mount -o remount,bind,{flags} {top}/below && mount -o remount,bind,{flags} {top} && exec \"$@\""
        );
        let pid_file = case.path("pid").display().to_string();
        wrapped(&case, &line, &["create", "--pid-file", &pid_file, &case.id]).ok();
        let init = case.init_from_pid_file();
        for (index, (options, of_top, of_below)) in rows.iter().enumerate() {
            assert_options(&host::mount(init, &point(index)), options, of_top);
            let below = format!("{}/below", point(index));
            if of_below.is_empty() {
                let there = host::mounts(init).iter().any(|mount| mount.point == below);
                assert!(!there, "{options:?}");
            } else {
                assert_options(&host::mount(init, &below), options, of_below);
            }
        }
    }
}

#[test]
fn propagation_comes_with_other_options() {
    let Some(case) = case() else { return };
    let rows: [(&[&str], &str, &str); 10] = [
        (&["private"], "rw,relatime", ""),
        (&["rprivate", "ro"], "ro,relatime", ""),
        (&["slave", "nosuid"], "rw,nosuid,relatime", ""),
        (&["rslave"], "rw,relatime", ""),
        (&["shared", "noexec", "ro"], "ro,noexec,relatime", "shared"),
        (&["nodev", "rshared"], "rw,nodev,relatime", "shared"),
        (&["unbindable", "noatime"], "rw,noatime", "unbindable"),
        (&["runbindable"], "rw,relatime", "unbindable"),
        // In order: what was shared becomes a slave of its peers and then shared again.
        (&["shared", "private"], "rw,relatime", ""),
        (&["private", "shared"], "rw,relatime", "shared"),
    ];
    let mount = |(options, ..): &(&[&str], _, _)| json!({"type": "tmpfs", "options": options});
    let init = start_with(&case, rows.iter().map(mount));
    for (index, (options, expected, propagation)) in rows.iter().enumerate() {
        let mount = host::mount(init, &point(index));
        assert_options(&mount, options, expected);
        let kinds: Vec<&str> = mount
            .propagation
            .iter()
            .map(|field| field.split(':').next().unwrap_or_default())
            .collect();
        assert_eq!(kinds.concat(), *propagation, "{options:?}: {mount:?}");
    }
}

/// What a bind mount of a shared tree becomes, seen from outside: its peer, a slave of it, or neither. Only where the configuration
/// shares the whole root is a tree, or what is below it, still the host's peer.
#[test]
fn propagation_of_bind_mounts_reaches_the_whole_tree() {
    // Options; the top and what is below it in a root that does not say; the same in a shared root.
    type Kinds = (&'static str, &'static str);
    let rows: [(&[&str], Kinds, Kinds); 10] = [
        (&["rbind"], ("master", "master"), ("shared", "shared")),
        (&["rbind", "private"], ("", "master"), ("", "shared")),
        (&["rbind", "rprivate"], ("", ""), ("", "")),
        (
            &["rbind", "slave"],
            ("master", "master"),
            ("master", "shared"),
        ),
        (
            &["rbind", "rslave"],
            ("master", "master"),
            ("master", "master"),
        ),
        (
            &["rbind", "rslave", "ro"],
            ("master", "master"),
            ("master", "master"),
        ),
        (
            &["rbind", "rshared"],
            ("sharedmaster", "sharedmaster"),
            ("shared", "shared"),
        ),
        (
            &["rbind", "unbindable"],
            ("unbindable", "master"),
            ("unbindable", "shared"),
        ),
        (
            &["rbind", "runbindable"],
            ("unbindable", "unbindable"),
            ("unbindable", "unbindable"),
        ),
        (
            &["rbind", "rslave", "rshared"],
            ("sharedmaster", "sharedmaster"),
            ("sharedmaster", "sharedmaster"),
        ),
    ];
    for shared_root in [false, true] {
        let Some(case) = case() else { return };
        if !only_ocirun("of an older kind leaves the whole tree private") {
            return;
        }
        let source = case.path("shared");
        std::fs::create_dir(&source).expect("the source");
        let mounts = rows.iter().enumerate().map(|(index, (options, ..))| {
            json!({"destination": point(index), "source": source, "options": options})
        });
        own_rootfs(&case, |c| {
            mounts.for_each(|mount| push(c, "/mounts", mount));
            if shared_root {
                c["linux"]["rootfsPropagation"] = "shared".into();
            }
        });
        let top = source.display();
        let holder = case.path("holder");
        // Somebody has to stay in that namespace: a group of peers that are all gone has no slaves.
        let line = format!(
            "mount -t tmpfs top {top} && mkdir {top}/below && mount -t tmpfs below {top}/below && \
             mount --make-rshared {top} && {{ sleep 7200 > /dev/null 2>&1 & echo $! > {}; exec \"$@\"; }}",
            holder.display()
        );
        let pid_file = case.path("pid").display().to_string();
        wrapped(&case, &line, &["create", "--pid-file", &pid_file, &case.id]).ok();
        let init = case.init_from_pid_file();
        for (index, (options, alone, shared)) in rows.iter().enumerate() {
            let (top, below) = if shared_root { shared } else { alone };
            for (place, expected) in [(point(index), top), (point(index) + "/below", below)] {
                let mount = host::mount(init, &place);
                let kinds = mount.propagation.iter();
                let kinds: String = kinds
                    .map(|field| field.split(':').next().unwrap_or_default())
                    .collect();
                assert_eq!(kinds, *expected, "{options:?} {shared_root}: {mount:?}");
            }
        }
        let holder = read(holder).parse().expect("a pid");
        host::signal(holder, Signal::KILL);
        host::reap(holder);
    }
}

#[test]
fn remount_replaces_the_flags_of_what_is_there() {
    if !only_ocirun("leaves flags of the superblock alone") {
        return;
    }
    let Some(case) = case() else { return };
    // Pairs: what is mounted first, how it is remounted, and what there is then.
    let rows: [(&[&str], Value, &str, &str); 7] = [
        (
            &["nosuid", "nodev", "noatime"],
            json!({"options": ["bind", "remount", "ro", "noexec"]}),
            "ro,noexec,noatime",
            "rw",
        ),
        (
            &["nosuid", "nodiratime"],
            json!({"options": ["remount", "bind", "strictatime"]}),
            "rw",
            "rw",
        ),
        (
            &["size=1m"],
            json!({"type": "tmpfs", "options": ["remount", "size=2m", "nosuid"]}),
            "rw,nosuid,relatime",
            "size=2048k rw",
        ),
        (
            &["size=1m"],
            json!({"options": ["remount", "ro", "sync"]}),
            "ro,relatime",
            "ro sync",
        ),
        (
            &["ro", "sync", "lazytime"],
            json!({"type": "tmpfs", "source": "t", "options": ["remount"]}),
            "rw,relatime",
            "rw !sync !lazytime",
        ),
        (
            &[],
            json!({"options": ["remount", "bind", "shared"]}),
            "rw,relatime",
            "rw",
        ),
        (
            &["nosymfollow"],
            json!({"options": ["remount", "bind", "defaults"]}),
            "rw,relatime",
            "rw",
        ),
    ];
    own_rootfs(&case, |c| {
        for (index, (first, again, ..)) in rows.iter().enumerate() {
            let mut again = again.clone();
            again["destination"] = point(index).into();
            let first = json!({"destination": point(index), "type": "tmpfs", "options": first});
            push(c, "/mounts", first);
            push(c, "/mounts", again);
        }
    });
    let init = case.start();
    for (index, (_, again, expected, superblock)) in rows.iter().enumerate() {
        let mount = host::mount(init, &point(index));
        assert_options(&mount, &[], expected);
        for word in superblock.split_whitespace() {
            let (name, there) = match word.strip_prefix('!') {
                Some(name) => (name, false),
                None => (word, true),
            };
            let found = mount.super_options.iter().any(|option| option == name);
            assert_eq!(found, there, "{again}, {word}: {mount:?}");
        }
    }
    assert!(host::mount(init, &point(5)).propagation[0].starts_with("shared:"));
}

fn point(index: usize) -> String {
    format!("/mnt/o/{index}")
}

/// A root filesystem of the case's own, and mounts beside the usual ones.
fn own_rootfs(case: &Case, edit: impl FnOnce(&mut Value)) {
    case.own_rootfs();
    case.configure(|c| {
        c["root"] = json!({"path": "rootfs"});
        edit(c);
    });
}

fn configure(case: &Case, mounts: impl Iterator<Item = Value>) {
    own_rootfs(case, |c| {
        for (index, mut mount) in mounts.enumerate() {
            mount["destination"] = point(index).into();
            push(c, "/mounts", mount);
        }
    });
}

fn start_with(case: &Case, mounts: impl Iterator<Item = Value>) -> i32 {
    configure(case, mounts);
    case.start()
}

/// Requires exactly these options of the mount, in any order.
#[track_caller]
fn assert_options(mount: &Mount, asked: &[&str], expected: &str) {
    let mut found: Vec<&str> = mount.options.iter().map(String::as_str).collect();
    let mut expected: Vec<&str> = expected.split(',').collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{asked:?}: {mount:?}");
}

/// Runs the runtime from a shell in a private mount namespace.
fn wrapped(case: &Case, line: &str, args: &[&str]) -> Finished {
    let run = case.command(args);
    let mut outer = Command::new("unshare");
    outer
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-ec",
            line,
            "sh",
        ])
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(case.bundle());
    spawn(outer, &case.path("output"), Stdio::null()).wait()
}
