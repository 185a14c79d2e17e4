//! How many system calls one more bind mount costs, counted by strace(1): what a container with many mounts takes to start.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use oci_runtime_integration::bundle::{args, push};
use oci_runtime_integration::case::{Case, case, text};
use oci_runtime_integration::runtime::{only_ocirun, read, spawn};
use serde_json::json;

/// Memory and the longer file are not a mount's, nor are the looks of std's assertions at descriptors.
const OTHER: &[&str] = &["mmap", "read", "write", "fcntl"];

/// How often `run` makes each system call on files and descriptors, with `mounts` bind mounts on directories that are there.
fn calls(mounts: usize) -> Option<BTreeMap<String, usize>> {
    let case: Case = case()?;
    let source = case.path("source");
    fs::create_dir(&source).expect("the source");
    let rootfs = case.own_rootfs();
    for number in 0..mounts {
        let point = rootfs.join(format!("mnt/{number}"));
        fs::create_dir_all(point).expect("a mount point");
    }
    case.configure(|c| {
        args(c, &["true"]);
        c["root"]["path"] = json!("rootfs");
        (0..mounts).for_each(|number| {
            push(
                c,
                "/mounts",
                json!({"destination": format!("/mnt/{number}"), "type": "bind",
                    "source": text(&source), "options": ["rbind", "rprivate"]}),
            );
        });
    });
    let bundle = text(&case.bundle());
    let traced = case.command(&["run", "--bundle", &bundle, &case.id]);
    let trace = case.path("trace");
    let mut command = Command::new("strace");
    let which = "trace=%file,%desc";
    command
        .args(["-f", "-qq", "-e", which, "-o"])
        .arg(&trace)
        .arg(traced.get_program())
        .args(traced.get_args());
    spawn(command, &case.path("output"), Stdio::null())
        .wait()
        .ok();
    let mut counts = BTreeMap::new();
    for line in read(&trace).lines() {
        let call = line.split_once(' ').map_or("", |(_, call)| call);
        let name = call.trim_start().split('(').next().unwrap_or_default();
        // The second half of a line that another process broke off begins with what it is.
        if !name.starts_with('<') && !OTHER.contains(&name) {
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    Some(counts)
}

/// Whether the kernel clones a tree and changes it in one call, which strace(1) may not know by name: open_tree_attr(2).
fn clones_with_attributes() -> bool {
    let release = read(Path::new("/proc/sys/kernel/osrelease"));
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}

#[test]
fn a_bind_mount_beside_others_costs_three_calls() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("not run: no strace(1) here");
        return;
    }
    if !only_ocirun("makes more of them") {
        return;
    }
    let (Some(few), Some(many)) = (calls(10), calls(60)) else {
        return;
    };
    let older = usize::from(!clones_with_attributes());
    let each = [
        ("open_tree", older),
        ("mount_setattr", older),
        ("openat2", 0),
        ("statx", 0),
        ("move_mount", 1),
        ("close", 1),
    ];
    let none = 0;
    for (call, times) in each {
        let added = many.get(call).unwrap_or(&none) - few.get(call).unwrap_or(&none);
        assert_eq!(added, 50 * times, "{call}: {few:?}, {many:?}");
    }
    let unknown = |name: &&String| name.starts_with("syscall_") || *name == "open_tree_attr";
    let sum = |counts: &BTreeMap<String, usize>| {
        let known = counts.iter().filter(|(name, _)| !unknown(name));
        known.map(|(_, count)| count).sum::<usize>()
    };
    // A call or two of all of the runtime's may differ from run to run, where it waits.
    let rest = sum(&many).abs_diff(sum(&few) + 50 * (2 + 2 * older));
    assert!(rest < 25, "{few:?}, {many:?}");
}
