//! Paths of mount points at the edges of what a path can be: as long as the kernel takes them, and links to nowhere whose text is long,
//! or has dots and slashes.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use oci_runtime_integration::bundle::own_root_with;
use oci_runtime_integration::canary::{Canary, canary};
use oci_runtime_integration::case::{Case, case};
use oci_runtime_integration::host;
use serde_json::{Value, json};

fn configure(case: &Case, mounts: &[Value]) {
    case.own_rootfs();
    case.configure(|c| own_root_with(c, mounts));
}

fn hostile() -> Option<(Case, PathBuf, Canary)> {
    let case = case()?;
    let rootfs = case.own_rootfs();
    let canary = canary(case.path("canary"));
    Some((case, rootfs, canary))
}

fn bind(destination: &str, source: &Path) -> Value {
    json!({"destination": destination, "type": "bind", "source": source})
}

fn identity(path: &Path) -> (u64, u64) {
    let data = fs::symlink_metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    (data.dev(), data.ino())
}

/// Components of 255 bytes and one of the rest, `length` bytes in all with the slashes between them.
fn components(length: usize) -> String {
    let mut path = String::new();
    while length - path.len() > 300 {
        path += &"n".repeat(255);
        path += "/";
    }
    let rest = length - path.len();
    let half = rest / 2;
    path + &"o".repeat(half) + "/" + &"o".repeat(rest - half - 1)
}

/// The kernel takes paths of 4095 bytes and names of 255; one byte more is its error. What counts is the path below the root, without the
/// slash that it begins with.
#[test]
fn paths_and_names_may_be_as_long_as_the_kernel_has_them() {
    let name = |length: usize| format!("/mnt/{}", "n".repeat(length));
    let rows = [
        (format!("/mnt/{}", components(4095 - 4)), true),
        (format!("/mnt/{}", components(4096 - 4)), false),
        (name(255), true),
        (name(256), false),
        (name(255) + "/below", true),
        (name(256) + "/below", false),
    ];
    for (destination, fits) in &rows {
        for kind in ["tmpfs", "bind"] {
            let Some((case, _, canary)) = hostile() else {
                return;
            };
            let file = case.path("file");
            fs::write(&file, "bound").expect("a file");
            let mount = json!({"destination": destination, "type": kind, "source": file});
            check_fit(&case, mount, destination, *fits);
            canary.assert_unharmed();
        }
    }
}

fn check_fit(case: &Case, mount: Value, place: &str, fits: bool) {
    configure(case, &[mount]);
    let run = case.try_create(&[]);
    if fits {
        run.ok();
        let mounts = host::mounts(case.init_from_pid_file());
        let found = mounts.iter().any(|mount| mount.point == place);
        assert!(found, "{} bytes: {place}", place.len());
    } else {
        run.failed(1, &["/mounts/6", "name too long"]);
        case.assert_clean();
    }
}

/// The text of a link to nowhere takes the link's place in the path, which may not become longer than a path can be.
#[test]
fn links_to_nowhere_may_be_as_long_as_the_kernel_has_them() {
    // The text, what comes after the link, and where that leads.
    let relative = components(3900);
    let absolute = format!("/{}", components(3900));
    let rest = |before: usize, whole: usize| "r".repeat(whole - before - 1);
    let rows = [
        (
            &relative,
            rest(4 + 3900, 4095),
            format!("/mnt/{relative}"),
            true,
        ),
        (&relative, rest(4 + 3900, 4096), String::new(), false),
        (&absolute, rest(1 + 3900, 4095), absolute.clone(), true),
        (&absolute, rest(1 + 3900, 4096), String::new(), false),
    ];
    for (text, rest, place, fits) in &rows {
        // A file is made in its directory, so that the path to that counts.
        let kinds: &[_] = if *fits {
            &["tmpfs", "bind"]
        } else {
            &["tmpfs"]
        };
        for kind in kinds {
            let Some((case, rootfs, canary)) = hostile() else {
                return;
            };
            let file = case.path("file");
            fs::write(&file, "bound").expect("a file");
            symlink(text, rootfs.join("mnt/link")).expect("a link");
            let mount = json!({
                "destination": format!("/mnt/link/{rest}"), "type": kind, "source": file,
            });
            check_fit(&case, mount, &format!("{place}/{rest}"), *fits);
            canary.assert_unharmed();
        }
    }
}

/// Dots and slashes in the text of links to nowhere mean what they mean in any path.
#[test]
fn links_to_nowhere_with_dots_and_slashes() {
    let Some((case, rootfs, canary)) = hostile() else {
        return;
    };
    let file = case.path("file");
    fs::write(&file, "bound").expect("a file");
    fs::create_dir(rootfs.join("mnt/deep")).expect("a directory");
    // Link, its text, and where it leads.
    let directories = [
        ("slashes", "/var//made/./dir//", "/var/made/dir"),
        ("dots", "../srv/one/../two/./", "/srv/two"),
        ("through", "dots-too/../beyond", "/srv/beyond"),
        ("above", "/../../../.././top/..//next", "/next"),
        ("deep/up", "nowhere/..", "/mnt/deep"),
    ];
    symlink("/srv/also", rootfs.join("mnt/dots-too")).expect("a link");
    let files = [
        ("file-a", "/a//./file", "/a/file"),
        ("file-b", "../b/c/../file", "/b/file"),
        ("file-c", "file-d", "/d/e/file"),
        ("file-d", "to-directory/.//file", "/d/e/file"),
    ];
    symlink("/d/e/", rootfs.join("mnt/to-directory")).expect("a link");
    let mut mounts = Vec::new();
    for (link, text, _) in files {
        symlink(text, rootfs.join("mnt").join(link)).expect("a link");
        mounts.push(bind(&format!("/mnt/{link}"), &file));
    }
    for (link, text, _) in directories {
        symlink(text, rootfs.join("mnt").join(link)).expect("a link");
        mounts.push(json!({"destination": format!("/mnt/{link}"), "type": "tmpfs"}));
    }
    configure(&case, &mounts);
    let init = case.create();
    for (link, _, place) in directories {
        assert_eq!(host::mount(init, place).fstype, "tmpfs", "{link}");
    }
    for (link, _, place) in files {
        assert_eq!(
            identity(&host::proc_path(init, &format!("root{place}"))),
            identity(&file),
            "{link}"
        );
    }
    case.destroy();
    // No file can have the name of a directory.
    for text in ["new/", "new/.", "new/..", "/new//"] {
        let link = rootfs.join("mnt/file-a");
        fs::remove_file(&link).expect("the link goes");
        symlink(text, &link).expect("a link");
        configure(&case, &[bind("/mnt/file-a", &file)]);
        case.try_create(&[]).failed(1, &["/mounts/6"]);
        case.assert_clean();
    }
    canary.assert_unharmed();
}
