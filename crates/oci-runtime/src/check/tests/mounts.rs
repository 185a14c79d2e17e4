use serde_json::{Value, json};

use super::assert_all;

#[test]
fn mounts() {
    let at = |value: Value| [("/mounts/-", value)];
    let bind = |options: Value| {
        at(json!({"destination": "/d", "type": "bind", "source": "/s", "options": options}))
    };
    assert_all(&[
        (&bind(json!(["rbind", "ro", "rprivate", "nosuid"])), &[]),
        (
            &at(json!({"destination": "/d", "source": "/s", "options": ["bind"]})),
            &[],
        ),
        (
            &at(json!({"type": "tmpfs"})),
            &["E /mounts/7/destination: is required"],
        ),
        (
            &at(json!({"destination": "d", "type": "tmpfs"})),
            &[
                "W /mounts/7/destination: \"d\" is relative; it is taken as relative to the root of the container",
            ],
        ),
        (
            &at(json!({"destination": "/d/..", "type": "tmpfs"})),
            &["E /mounts/7/destination: the root of the container cannot be mounted over"],
        ),
        (
            &at(json!({"destination": "/d"})),
            &["E /mounts/7/type: a mount that is not a bind mount needs a type"],
        ),
        (
            &at(json!({"destination": "/d", "type": "bind"})),
            &["E /mounts/7/source: a bind mount needs a source"],
        ),
        (
            &bind(json!(["ro", "bind", "size=1k", "rsync"])),
            &[
                "E /mounts/7/options/2: \"size\" is not an option of a bind mount",
                "W /mounts/7/options/3: option \"sync\" has no effect",
            ],
        ),
        (
            &at(json!({"destination": "/d", "type": "tmpfs", "options": ["size=1\0"]})),
            &["E /mounts/7/options/0: contains a NUL byte"],
        ),
        (
            &at(json!({"destination": "/d", "type": "tmpfs", "options": ["mode=1", "silent"]})),
            &["W /mounts/7/options/1: option \"silent\" has no effect"],
        ),
    ]);
}

#[test]
fn proc_is_proc() {
    let on = |destination: &str, kind: &str, source: &str| {
        [(
            "/mounts",
            json!([{"destination": destination, "type": kind, "source": source}]),
        )]
    };
    assert_all(&[
        (&on("/proc", "proc", "proc"), &[]),
        (&on("/proc", "bind", "/proc"), &[]),
        (
            &on("/proc/meminfo", "bind", "/var/lib/lxcfs/proc/meminfo"),
            &[],
        ),
        (&on("/procfs", "tmpfs", "t"), &[]),
        (
            &on("/proc/", "tmpfs", "t"),
            &["E /mounts/0/destination: nothing but proc itself can be mounted on /proc"],
        ),
        (
            &on("/proc", "bind", "/tmp"),
            &["E /mounts/0/destination: nothing but proc itself can be mounted on /proc"],
        ),
        (
            &on("//proc/./self/attr", "bind", "/tmp"),
            &["E /mounts/0/destination: nothing but proc itself can be mounted on /proc/self/attr"],
        ),
    ]);
}
