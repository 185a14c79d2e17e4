//! Bind mounts one after the other in one directory, whose look-up they share: what is in that directory means to each of them
//! what it would mean alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use oci_runtime_integration::bundle::own_root_with;
use oci_runtime_integration::canary::canary;
use oci_runtime_integration::case::{Case, case};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::read;
use serde_json::{Value, json};

/// A source directory with a file `name` in it, which says `text`.
fn source(case: &Case, text: &str) -> Value {
    let path = case.path(text);
    fs::create_dir(&path).expect("a source");
    fs::write(path.join("name"), text).expect("its name");
    json!(path)
}

fn bind(destination: &str, source: &Value) -> Value {
    json!({"destination": destination, "source": source, "type": "bind", "options": ["rbind", "rprivate"]})
}

fn configure(case: &Case, mounts: &[Value]) {
    case.configure(|c| own_root_with(c, mounts));
}

/// What `path` says in the container's root.
fn says(init: i32, path: &str) -> String {
    read(host::proc_path(init, &format!("root{path}")))
}

/// The destinations below /mnt that mountinfo has, in order.
fn mounted(init: i32) -> Vec<String> {
    let table = read(host::proc_path(init, "mountinfo"));
    let mut points: Vec<String> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter_map(|point| point.strip_prefix("/mnt"))
        .map(str::to_owned)
        .collect();
    points.sort();
    points
}

fn directories(root: &Path, names: &[&str]) {
    for name in names {
        fs::create_dir_all(root.join(name)).expect("a directory");
    }
}

#[test]
fn siblings_that_are_there_and_that_are_missing_get_their_mounts() {
    let Some(case) = case() else { return };
    let rootfs = case.own_rootfs();
    directories(&rootfs, &["mnt/a", "mnt/c", "mnt/deep/x"]);
    let [a, b, c, d, e, f] = ["a", "b", "c", "d", "e", "f"].map(|name| source(&case, name));
    let mounts = [
        bind("/mnt/a", &a),
        bind("/mnt/b", &b),
        bind("/mnt/./c", &c),
        bind("/mnt/deep/x", &d),
        bind("/mnt/deep/../deep/y", &e),
        bind("/mnt/z/new", &f),
    ];
    configure(&case, &mounts);
    let init = case.start();
    for (place, name) in [
        ("a", "a"),
        ("b", "b"),
        ("c", "c"),
        ("deep/x", "d"),
        ("deep/y", "e"),
        ("z/new", "f"),
    ] {
        assert_eq!(says(init, &format!("/mnt/{place}/name")), name);
    }
    assert_eq!(
        mounted(init),
        ["/a", "/b", "/c", "/deep/x", "/deep/y", "/z/new"]
    );
}

/// The second covers the directory by a link to it, and the third belongs on top.
#[test]
fn a_sibling_that_covers_the_directory_is_below_the_next_one() {
    let Some(case) = case() else { return };
    let rootfs = case.own_rootfs();
    directories(&rootfs, &["mnt/a", "mnt/c"]);
    symlink(".", rootfs.join("mnt/link")).expect("a link");
    let [a, cover, c] = ["a", "cover", "c"].map(|name| source(&case, name));
    directories(&case.path("cover"), &["c"]);
    configure(
        &case,
        &[
            bind("/mnt/a", &a),
            bind("/mnt/link", &cover),
            bind("/mnt/c", &c),
        ],
    );
    let init = case.start();
    assert_eq!(says(init, "/mnt/name"), "cover");
    assert_eq!(says(init, "/mnt/c/name"), "c");
    assert_eq!(mounted(init), ["", "/a", "/c"]);
}

#[test]
fn a_mount_between_siblings_is_no_hindrance() {
    let Some(case) = case() else { return };
    let rootfs = case.own_rootfs();
    directories(&rootfs, &["mnt/a", "mnt/b", "mnt/c"]);
    let [a, b, c] = ["a", "b", "c"].map(|name| source(&case, name));
    let cover =
        json!({"destination": "/mnt", "source": "tmpfs", "type": "tmpfs", "options": ["mode=755"]});
    configure(
        &case,
        &[
            bind("/mnt/a", &a),
            bind("/mnt/b", &b),
            cover,
            bind("/mnt/c", &c),
            bind("/mnt/b", &b),
        ],
    );
    let init = case.start();
    assert_eq!(says(init, "/mnt/c/name"), "c");
    assert_eq!(says(init, "/mnt/b/name"), "b");
    assert!(
        !host::proc_path(init, "root/mnt/a").exists(),
        "the tmpfs covers it"
    );
}

#[test]
fn links_and_files_among_siblings_mean_what_they_mean_alone() {
    let Some(case) = case() else { return };
    let rootfs = case.own_rootfs();
    directories(&rootfs, &["mnt/a", "mnt/b", "mnt/real", "else"]);
    fs::write(rootfs.join("else/file"), "of the image").expect("a file");
    symlink("/else/file", rootfs.join("mnt/to-file")).expect("a link");
    symlink("real", rootfs.join("mnt/to-directory")).expect("a link");
    symlink("/else/made", rootfs.join("mnt/to-nowhere")).expect("a link");
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| source(&case, name));
    let file = json!(case.path("a/name"));
    let mounts = [
        bind("/mnt/a", &a),
        bind("/mnt/to-file", &file),
        bind("/mnt/b", &b),
        bind("/mnt/to-directory", &c),
        bind("/mnt/to-nowhere", &d),
    ];
    configure(&case, &mounts);
    let init = case.start();
    assert_eq!(says(init, "/else/file"), "a");
    assert_eq!(says(init, "/mnt/b/name"), "b");
    assert_eq!(says(init, "/mnt/real/name"), "c");
    assert_eq!(says(init, "/else/made/name"), "d");
    assert_eq!(mounted(init), ["/a", "/b", "/real"]);
}

#[test]
fn a_link_out_of_the_root_leads_no_sibling_there() {
    let Some(case) = case() else { return };
    let rootfs = case.own_rootfs();
    let canary = canary(case.path("canary"));
    directories(&rootfs, &["mnt/a", "mnt/c"]);
    symlink(case.path("canary"), rootfs.join("mnt/b")).expect("a link");
    let [a, b, c] = ["a", "b", "c"].map(|name| source(&case, name));
    configure(
        &case,
        &[bind("/mnt/a", &a), bind("/mnt/b", &b), bind("/mnt/c", &c)],
    );
    let init = case.start();
    assert_eq!(says(init, "/mnt/c/name"), "c");
    canary.assert_unharmed();
}

#[test]
fn a_directory_on_a_file_is_refused_among_siblings_too() {
    let Some(case) = case() else { return };
    let rootfs = case.own_rootfs();
    directories(&rootfs, &["mnt/a"]);
    fs::write(rootfs.join("mnt/file"), "").expect("a file");
    let [a, b] = ["a", "b"].map(|name| source(&case, name));
    configure(&case, &[bind("/mnt/a", &a), bind("/mnt/file", &b)]);
    let finished = case.run();
    assert_ne!(finished.code, 0);
    assert!(finished.stderr.contains("/mounts/"), "{}", finished.stderr);
    assert!(finished.stderr.contains("mnt/file"), "{}", finished.stderr);
}
