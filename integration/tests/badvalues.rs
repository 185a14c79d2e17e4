//! Values of every property that is not the process's or a mount's: out of the range that it can have, or refused by the
//! kernel. Each is an error with the property's pointer and the reason, and leaves nothing. Wrong types are a matter of
//! parsing, and tested there.

use std::fs;
use std::os::unix::fs::symlink;

use oci_runtime_integration::bundle::push;
use oci_runtime_integration::case::{case_with, text};
use oci_runtime_integration::runtime::only_ocirun;
use serde_json::{Value, json};

/// What is changed, the pointer in the error, and a word of the reason.
type Bad = (fn(&mut Value), &'static str, &'static str);

fn namespace(c: &mut Value, kind: &str, key: &str, value: Value) {
    let list = c["linux"]["namespaces"].as_array_mut().expect("a list");
    list.iter_mut()
        .filter(|namespace| namespace["type"] == kind)
        .for_each(|namespace| namespace[key] = value.clone());
}

fn user(c: &mut Value, map: Value) {
    push(c, "/linux/namespaces", json!({"type": "user"}));
    c["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 10}]);
    c["linux"]["uidMappings"] = map;
}

/// What the text of the configuration alone shows to be wrong.
const OUT_OF_RANGE: &[Bad] = &[
    (
        |c| c["ociVersion"] = json!("2.0.0"),
        "/ociVersion",
        "not supported",
    ),
    (
        |c| c["ociVersion"] = json!("one"),
        "/ociVersion",
        "not a version",
    ),
    (|c| c["root"]["path"] = json!(""), "/root/path", "required"),
    (
        |c| c["hostname"] = json!("h".repeat(65)),
        "/hostname",
        "65 bytes",
    ),
    (|c| c["hostname"] = json!("a\u{0}b"), "/hostname", "NUL"),
    (
        |c| c["domainname"] = json!("d".repeat(65)),
        "/domainname",
        "65 bytes",
    ),
    (
        |c| namespace(c, "uts", "type", json!("ipc")),
        "/linux/namespaces/3/type",
        "twice",
    ),
    (
        |c| namespace(c, "uts", "type", json!("UTS")),
        "/linux/namespaces/3/type",
        "no namespace",
    ),
    (
        |c| namespace(c, "uts", "path", json!("a/b")),
        "/linux/namespaces/3/path",
        "absolute",
    ),
    (
        |c| c["hooks"] = json!({"prestart": [{"path": "bin/true"}]}),
        "/hooks/prestart/0/path",
        "absolute",
    ),
    (
        |c| c["hooks"] = json!({"createRuntime": [{"path": "/bin/true", "timeout": 0}]}),
        "/hooks/createRuntime/0/timeout",
        "0 s",
    ),
    (
        |c| c["hooks"] = json!({"createContainer": [{"path": "/bin/true", "timeout": -5}]}),
        "/hooks/createContainer/0/timeout",
        "-5 s",
    ),
    (
        |c| c["hooks"] = json!({"startContainer": [{"path": "/bin/true", "env": ["x"]}]}),
        "/hooks/startContainer/0/env/0",
        "no '='",
    ),
    (
        |c| c["hooks"] = json!({"poststart": [{"path": ""}]}),
        "/hooks/poststart/0/path",
        "absolute",
    ),
    (
        |c| c["hooks"] = json!({"poststop": [{"path": "/bin/true", "args": ["a\u{0}"]}]}),
        "/hooks/poststop/0/args/0",
        "NUL",
    ),
    (
        |c| c["hooks"] = json!({"prestart": [{"path": "/bin/\u{0}true"}]}),
        "/hooks/prestart/0/path",
        "NUL",
    ),
    (
        |c| c["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1}]),
        "/linux/uidMappings",
        "user namespace",
    ),
    (
        |c| user(c, json!([{"containerID": 0, "hostID": 5, "size": 0}])),
        "/linux/uidMappings/0/size",
        "size",
    ),
    (
        |c| {
            user(
                c,
                json!([{"containerID": 0, "hostID": 4_294_967_295_u32, "size": 1}]),
            )
        },
        "/linux/uidMappings/0",
        "beyond",
    ),
    (
        |c| {
            user(
                c,
                json!([{"containerID": 0, "hostID": 5, "size": 9}, {"containerID": 8, "hostID": 50, "size": 1}]),
            )
        },
        "/linux/uidMappings/1",
        "overlaps",
    ),
    (
        |c| c["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 1}}),
        "/linux/timeOffsets",
        "new time namespace",
    ),
    (
        |c| {
            push(c, "/linux/namespaces", json!({"type": "time"}));
            c["linux"]["timeOffsets"] = json!({"realtime": {"secs": 1}})
        },
        "/linux/timeOffsets/realtime",
        "no clock",
    ),
    (
        |c| {
            push(c, "/linux/namespaces", json!({"type": "time"}));
            c["linux"]["timeOffsets"] = json!({"boottime": {"nanosecs": 1_000_000_000}})
        },
        "/linux/timeOffsets/boottime/nanosecs",
        "second or more",
    ),
    (
        |c| c["linux"]["devices"] = json!([{"path": "dev/x", "type": "c", "major": 1, "minor": 3}]),
        "/linux/devices/0/path",
        "absolute",
    ),
    (
        |c| {
            c["linux"]["devices"] = json!([{"path": "/dev/x", "type": "d", "major": 1, "minor": 3}])
        },
        "/linux/devices/0/type",
        "no device type",
    ),
    (
        |c| {
            c["linux"]["devices"] =
                json!([{"path": "/dev/x", "type": "c", "major": 4096, "minor": 3}])
        },
        "/linux/devices/0",
        "4096:3",
    ),
    (
        |c| {
            c["linux"]["devices"] =
                json!([{"path": "/dev/x", "type": "b", "major": 7, "minor": -1}])
        },
        "/linux/devices/0",
        "7:-1",
    ),
    (
        |c| c["linux"]["devices"] = json!([{"path": "/dev/x", "type": "p", "fileMode": 0o200_000}]),
        "/linux/devices/0/fileMode",
        "file mode",
    ),
    (
        |c| {
            c["linux"]["devices"] =
                json!([{"path": "/dev/x", "type": "p", "uid": 4_294_967_295_u32}])
        },
        "/linux/devices/0/uid",
        "not a valid id",
    ),
    (
        |c| {
            c["linux"]["devices"] =
                json!([{"path": "/dev/x", "type": "p", "gid": 4_294_967_295_u32}])
        },
        "/linux/devices/0/gid",
        "not a valid id",
    ),
    (
        |c| c["linux"]["rootfsPropagation"] = json!("sideways"),
        "/linux/rootfsPropagation",
        "no propagation",
    ),
    (
        |c| c["linux"]["maskedPaths"] = json!(["proc/kcore"]),
        "/linux/maskedPaths/0",
        "absolute",
    ),
    (
        |c| c["linux"]["readonlyPaths"] = json!(["/proc/bus", ""]),
        "/linux/readonlyPaths/1",
        "required",
    ),
    (
        |c| c["linux"]["readonlyPaths"] = json!(["/proc/bus", "/proc/.."]),
        "/linux/readonlyPaths/1",
        "root of the container",
    ),
    (
        |c| c["linux"]["maskedPaths"] = json!(["//"]),
        "/linux/maskedPaths/0",
        "root of the container",
    ),
    (
        |c| c["linux"]["cgroupsPath"] = json!("/a\nb"),
        "/linux/cgroupsPath",
        "line feed",
    ),
    (
        |c| c["linux"]["cgroupsPath"] = json!("/a\u{0}"),
        "/linux/cgroupsPath",
        "NUL",
    ),
    (
        |c| c["linux"]["sysctl"] = json!({"vm.swappiness": "1"}),
        "/linux/sysctl/vm.swappiness",
        "no namespace",
    ),
    (
        |c| c["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1\u{0}"}),
        "/linux/sysctl/net.ipv4.ip_forward",
        "NUL",
    ),
    (
        |c| c["linux"]["sysctl"] = json!({"net.../../kernel.panic": "1"}),
        "/linux/sysctl/net...~1..~1kernel.panic",
        "",
    ),
    (
        |c| c["linux"]["sysctl"] = json!({"kernel.hostname": "x"}),
        "/linux/sysctl/kernel.hostname",
        "hostname",
    ),
];

/// What the compiler of limits and that of filters refuse, which know places below their own.
const OF_COMPILERS: &[Bad] = &[
    (
        |c| c["linux"]["resources"]["memory"] = json!({"limit": -2}),
        "/linux/resources/memory/limit",
        "-2: a size",
    ),
    (
        |c| c["linux"]["resources"]["hugepageLimits"] = json!([{"pageSize": "1", "limit": 1}]),
        "/linux/resources/hugepageLimits/0/pageSize",
        "page size",
    ),
    (
        |c| c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]}),
        "/linux/seccomp/flags/0",
        ": unknown flag \"X\"",
    ),
];

/// What only the kernel can tell.
const REFUSED: &[Bad] = &[
    (
        |c| c["root"]["path"] = json!("/no/such/root"),
        "/root/path",
        "no such file",
    ),
    (
        |c| namespace(c, "uts", "path", json!("/no/such/namespace")),
        "/linux/namespaces/3/path",
        "no such file",
    ),
    (
        |c| namespace(c, "uts", "path", json!("/proc/self/ns/mnt")),
        "/linux/namespaces/3/path",
        "another type",
    ),
    (
        |c| namespace(c, "uts", "path", json!("/etc/hostname")),
        "/linux/namespaces/3/path",
        "not a namespace",
    ),
    (
        |c| user(c, long_map()),
        "/linux/uidMappings",
        "invalid argument",
    ),
    (
        |c| {
            push(c, "/linux/namespaces", json!({"type": "time"}));
            c["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_i64 << 60}})
        },
        "/linux/timeOffsets",
        "write",
    ),
    (
        |c| {
            c["linux"]["devices"] =
                json!([{"path": "/bin/busybox", "type": "c", "major": 1, "minor": 3}])
        },
        "/linux/devices/0",
        "something else",
    ),
    (
        |c| c["linux"]["devices"] = json!([{"path": "/bin/busybox/x", "type": "p"}]),
        "/linux/devices/0",
        "not a directory",
    ),
    (
        |c| c["linux"]["devices"] = json!([{"path": "/dev/null", "type": "c", "major": 1, "minor": 3}, {"path": "/dev/null", "type": "c", "major": 1, "minor": 5}]),
        "/linux/devices/1",
        "something else",
    ),
    (
        |c| c["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "perhaps"}),
        "/linux/sysctl/net.ipv4.ip_forward",
        "invalid argument",
    ),
    (
        |c| c["linux"]["sysctl"] = json!({"net.ipv4.nosuch": "1"}),
        "/linux/sysctl/net.ipv4.nosuch",
        "no such file",
    ),
    (
        |c| c["linux"]["cgroupsPath"] = json!("/cgroup.procs/x"),
        "/linux/cgroupsPath",
        "Not a directory",
    ),
    (
        |c| c["hooks"] = json!({"prestart": [{"path": "/no/such/hook"}]}),
        "/hooks/prestart/0",
        "no such file",
    ),
    (
        |c| c["hooks"] = json!({"createRuntime": [{"path": "/etc"}]}),
        "/hooks/createRuntime/0",
        "permission denied",
    ),
    (
        |c| c["hooks"] = json!({"createContainer": [{"path": "/no/such/hook"}]}),
        "/hooks/createContainer/0",
        "no such file",
    ),
];

/// The kernel takes no more than a page of text.
fn long_map() -> Value {
    let line = |n: u32| json!({"containerID": 4_000_000_000_u32 + n, "hostID": 4_000_000_000_u32 + n, "size": 1});
    let mut map = vec![json!({"containerID": 0, "hostID": 100_000, "size": 10})];
    map.extend((0..250).map(line));
    Value::Array(map)
}

#[track_caller]
fn assert_refused(table: &[Bad]) {
    if !only_ocirun("has other words, and takes some of them") {
        return;
    }
    for (number, (edit, pointer, reason)) in table.iter().enumerate() {
        eprintln!("{number}: {pointer}: {reason}");
        let Some(case) = case_with(edit) else { return };
        let bundle = text(&case.bundle());
        for verb in ["create", "run"] {
            let failed = case.runtime(&[verb, "--bundle", &bundle, &case.id]);
            let failed = failed.failed(1, &[pointer, reason]);
            assert_eq!(failed.stderr.matches(pointer).count(), 1, "{failed:?}");
            case.assert_clean();
        }
    }
}

#[test]
fn values_out_of_range_are_errors_with_their_pointer() {
    assert_refused(OUT_OF_RANGE);
    assert_refused(OF_COMPILERS);
}

#[test]
fn values_that_the_kernel_refuses_are_errors_with_their_pointer() {
    assert_refused(REFUSED);
}

#[test]
fn paths_that_turn_in_circles_cannot_be_protected() {
    let Some(case) = case_with(|c| c["root"]["path"] = json!("rootfs")) else {
        return;
    };
    let rootfs = case.own_rootfs();
    fs::create_dir_all(rootfs.join("circle")).expect("a directory");
    symlink("loop", rootfs.join("circle/loop")).expect("a link to itself");
    for list in ["maskedPaths", "readonlyPaths"] {
        case.configure(|c| {
            c["root"]["path"] = json!("rootfs");
            c["linux"][list] = json!(["/circle/loop/x"]);
        });
        let pointer = format!("/linux/{list}/0");
        let texts: &[&str] = if only_ocirun("passes them over") {
            &[&pointer]
        } else {
            return;
        };
        case.try_create(&[]).failed(1, texts);
        case.assert_clean();
    }
}
