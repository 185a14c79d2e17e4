use serde_json::json;

use super::assert_all;

#[test]
fn root_and_names() {
    let without_uts = json!([{"type": "mount"}]);
    let joined_uts = json!([{"type": "mount"}, {"type": "uts", "path": "/run/uts"}]);
    assert_all(&[
        (&[("/root", json!(null))], &["E /root: is required"]),
        (&[("/root/path", json!(""))], &["E /root/path: is required"]),
        (
            &[("/root/path", json!("/"))],
            &["E /root/path: the root directory of the host cannot be a container's"],
        ),
        (
            &[("/root/path", json!("/x/.././/"))],
            &["E /root/path: the root directory of the host cannot be a container's"],
        ),
        (&[("/root/path", json!("."))], &[]),
        (
            &[
                ("/linux/namespaces", without_uts),
                ("/domainname", json!("d")),
            ],
            &[
                "E /hostname: \"ocirun\" needs a new uts namespace, or one to join",
                "E /domainname: \"d\" needs a new uts namespace, or one to join",
            ],
        ),
        (&[("/linux/namespaces", joined_uts)], &[]),
        (
            &[("/hostname", json!("h".repeat(65)))],
            &["E /hostname: 65 bytes are more than the kernel takes (64)"],
        ),
    ]);
}

#[test]
fn linux_paths_and_devices() {
    let device = |kind: &str, major: i64, mode: u32| json!([{"path": "/dev/x", "type": kind, "major": major, "minor": 3, "fileMode": mode}]);
    assert_all(&[
        (&[("/linux/devices", device("c", 4, 0o020_666))], &[]),
        (&[("/linux/devices", device("p", -1, 0o600))], &[]),
        (
            &[("/linux/devices", device("x", 4, 0o666))],
            &["E /linux/devices/0/type: there is no device type \"x\", only c, u, b and p"],
        ),
        (
            &[("/linux/devices", device("b", -1, 0o666))],
            &["E /linux/devices/0: -1:3 is not a device number"],
        ),
        (
            &[("/linux/devices", device("u", 4, 0o1_000_000))],
            &["E /linux/devices/0/fileMode: 0o1000000 is not a file mode"],
        ),
        (
            &[(
                "/linux/devices",
                json!([{"path": "x", "type": "p", "uid": u32::MAX}]),
            )],
            &[
                "E /linux/devices/0/path: \"x\" is not an absolute path",
                "E /linux/devices/0/uid: 4294967295 is not a valid id",
            ],
        ),
        (&[("/linux/rootfsPropagation", json!("rslave"))], &[]),
        (
            &[("/linux/rootfsPropagation", json!("ro"))],
            &["E /linux/rootfsPropagation: there is no propagation \"ro\""],
        ),
        (
            &[("/linux/maskedPaths", json!(["/a", "b"]))],
            &["E /linux/maskedPaths/1: \"b\" is not an absolute path"],
        ),
        (
            &[("/linux/readonlyPaths", json!([""]))],
            &["E /linux/readonlyPaths/0: is required"],
        ),
    ]);
}
