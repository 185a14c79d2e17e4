//! Mounts that cannot be: for every property of one a wrong type, a value out of its range, and one that only the kernel refuses.
//! Each is an error with the place and the reason, and nothing is left.

use oci_runtime_integration::bundle::push;
use oci_runtime_integration::case::case;
use oci_runtime_integration::runtime::only_ocirun;
use serde_json::{Value, json};

/// A mount, and what the message must have. It is the seventh.
fn rows() -> Vec<(Value, &'static [&'static str])> {
    let tmpfs =
        |options: Value| json!({"destination": "/mnt/t", "type": "tmpfs", "options": options});
    let bind = |options: Value| json!({"destination": "/mnt/t", "source": "/etc", "type": "bind", "options": options});
    let at = |destination: Value| json!({"destination": destination, "type": "tmpfs"});
    let long = "x".repeat(256);
    vec![
        (json!("a mount"), &["/mounts/6"]),
        (json!(7), &["/mounts/6"]),
        (
            json!({"type": "tmpfs"}),
            &["/mounts/6/destination", "is required"],
        ),
        (at(json!("")), &["/mounts/6/destination", "is required"]),
        (at(json!(5)), &["/mounts/6/destination"]),
        (at(json!(["/mnt"])), &["/mounts/6/destination"]),
        (
            at(json!("/")),
            &["/mounts/6/destination", "root of the container"],
        ),
        (
            at(json!("/mnt/../..")),
            &["/mounts/6/destination", "root of the container"],
        ),
        (at(json!("/mnt/\u{0}")), &["/mounts/6/destination", "NUL"]),
        (
            at(json!("/proc/self")),
            &["/mounts/6/destination", "nothing but proc"],
        ),
        (
            at(json!("/mnt/file/below")),
            &["/mounts/6", "not a directory"],
        ),
        (
            json!({"destination": "/mnt/file", "source": "/etc", "type": "bind"}),
            &["/mounts/6", "not a directory"],
        ),
        (
            json!({"destination": "/mnt", "source": "/etc/passwd", "type": "bind"}),
            &["/mounts/6", "not a directory"],
        ),
        (at(json!("/mnt/file")), &["/mounts/6", "not a directory"]),
        (at(json!("n".repeat(300))), &["/mounts/6", "name too long"]),
        (
            at(json!("/n".repeat(4000))),
            &["/mounts/6", "name too long"],
        ),
        (
            json!({"destination": "/mnt/t"}),
            &["/mounts/6/type", "needs a type"],
        ),
        (
            json!({"destination": "/mnt/t", "type": 1}),
            &["/mounts/6/type"],
        ),
        (
            json!({"destination": "/mnt/t", "type": "no\u{0}fs"}),
            &["/mounts/6/type", "NUL"],
        ),
        (
            json!({"destination": "/mnt/t", "type": "nosuchfs"}),
            &["/mounts/6", "nosuchfs", "no such device"],
        ),
        (
            json!({"destination": "/mnt/t", "type": "tmpfs", "source": {}}),
            &["/mounts/6/source"],
        ),
        (
            json!({"destination": "/mnt/t", "type": "tmpfs", "source": long}),
            &["/mounts/6/source", "256 bytes"],
        ),
        (
            json!({"destination": "/mnt/t", "type": "ext4", "source": "/no/such/device"}),
            &["/mounts/6", "ext4"],
        ),
        (
            json!({"destination": "/mnt/t", "type": "bind"}),
            &["/mounts/6/source", "needs a source"],
        ),
        (
            json!({"destination": "/mnt/t", "type": "bind", "source": "/no/such"}),
            &["/mounts/6/source", "/no/such"],
        ),
        (
            json!({"destination": "/mnt/t", "type": "bind", "source": "a\u{0}b"}),
            &["/mounts/6/source", "NUL"],
        ),
        (
            json!({"destination": "/mnt/t", "type": "bind", "source": "s".repeat(5000)}),
            &["/mounts/6/source", "name too long"],
        ),
        (tmpfs(json!("ro")), &["/mounts/6/options"]),
        (tmpfs(json!([1])), &["/mounts/6/options/0"]),
        (
            tmpfs(json!(["size=1\u{0}"])),
            &["/mounts/6/options/0", "NUL"],
        ),
        (
            tmpfs(json!(["ro", "size=lots"])),
            &["/mounts/6", "size=lots"],
        ),
        (tmpfs(json!(["mode=9"])), &["/mounts/6", "mode=9"]),
        (
            tmpfs(json!(["nosuchoption"])),
            &["/mounts/6", "nosuchoption"],
        ),
        (
            tmpfs(json!([format!("size={}", "1".repeat(256))])),
            &["/mounts/6/options/0", "256 bytes"],
        ),
        (
            tmpfs(json!(["x".repeat(300)])),
            &["/mounts/6/options/0", "300 bytes"],
        ),
        (
            tmpfs(json!(["copy-symlink"])),
            &["/mounts/6/options/0", "only for bind mounts"],
        ),
        (
            tmpfs(json!(["src-nofollow"])),
            &["/mounts/6/options/0", "only for bind mounts"],
        ),
        (
            tmpfs(json!(["ro", "dest-nofollow"])),
            &["/mounts/6/options/1", "only for bind mounts"],
        ),
        (
            tmpfs(json!(["tmpcopyup", "remount"])),
            &["/mounts/6/options/0", "only for a new tmpfs"],
        ),
        (
            tmpfs(json!(["remount", "rro"])),
            &["/mounts/6/options/0", "exclude one another"],
        ),
        (tmpfs(json!(["remount", "ro"])), &["/mounts/6", "/mnt/t"]),
        (bind(json!(["remount", "ro"])), &["/mounts/6", "/mnt/t"]),
        (
            bind(json!(["remount", "nosiud"])),
            &["/mounts/6/options/1", "not an option of a bind mount"],
        ),
        (
            bind(json!(["ro", "nosiud"])),
            &["/mounts/6/options/1", "not an option of a bind mount"],
        ),
        (
            bind(json!(["tmpcopyup"])),
            &["/mounts/6/options/0", "only for a new tmpfs"],
        ),
        (
            bind(json!(["copy-symlink", "src-nofollow"])),
            &["/mounts/6/options/1", "exclude one another"],
        ),
        (
            bind(json!(["dest-nofollow", "copy-symlink"])),
            &["/mounts/6/options/0", "exclude one another"],
        ),
        // A directory over a file.
        (
            json!({"destination": "/mnt/file", "type": "bind", "source": "/etc"}),
            &["/mounts/6"],
        ),
        (
            json!({"destination": "/etc", "type": "bind", "source": "/etc/passwd"}),
            &["/mounts/6"],
        ),
    ]
}

#[test]
fn every_fault_of_a_mount_is_named_by_its_place() {
    if !only_ocirun("has other words") {
        return;
    }
    for (mount, texts) in rows() {
        eprintln!("{mount}");
        let Some(case) = case() else { return };
        case.own_rootfs();
        case.configure(|c| {
            c["root"] = json!({"path": "rootfs"});
            push(c, "/mounts", mount);
        });
        let failed = case.try_create(&[]);
        assert!(!failed.stderr.contains("panicked"), "{}", failed.stderr);
        failed.failed(1, texts);
        case.assert_clean();
    }
}

#[test]
fn faults_of_the_root_and_its_propagation() {
    if !only_ocirun("has other words") {
        return;
    }
    let rows: [(&str, Value, &[&str]); 12] = [
        ("/root", json!("rootfs"), &["/root"]),
        ("/root", Value::Null, &["/root"]),
        ("/root/path", json!(1), &["/root/path"]),
        ("/root/path", json!(""), &["/root/path"]),
        ("/root/path", json!("a\u{0}b"), &["/root/path", "NUL"]),
        (
            "/root/path",
            json!("/../."),
            &["/root/path", "root directory of the host"],
        ),
        ("/root/path", json!("absent"), &["/root/path", "absent"]),
        (
            "/root/path",
            json!("r".repeat(5000)),
            &["/root/path", "name too long"],
        ),
        ("/root/readonly", json!("yes"), &["/root/readonly"]),
        (
            "/linux/rootfsPropagation",
            json!(3),
            &["/linux/rootfsPropagation"],
        ),
        (
            "/linux/rootfsPropagation",
            json!("lasting"),
            &["/linux/rootfsPropagation", "lasting"],
        ),
        ("/mounts", json!({}), &["/mounts"]),
    ];
    for (pointer, value, texts) in rows {
        eprintln!("{pointer} {value}");
        let Some(case) = case() else { return };
        case.configure(|c| {
            let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
            c.pointer_mut(parent).expect("its parent")[member] = value;
        });
        case.try_create(&[]).failed(1, texts);
        case.assert_clean();
    }
}
