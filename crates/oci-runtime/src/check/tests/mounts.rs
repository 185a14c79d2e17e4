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
            &bind(json!(["ro", "bind", "size=1k", "rsync", "nosiud"])),
            &[
                "W /mounts/7/options/2: option \"size\" has no effect",
                "E /mounts/7/options/4: \"nosiud\" is not an option of a bind mount",
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
fn a_cgroup_mount_has_no_parameters() {
    let cgroup = |options: Value| {
        let mount = json!({"destination": "/c", "type": "cgroup", "options": options});
        [("/mounts/-", mount)]
    };
    assert_all(&[
        (&cgroup(json!(["ro", "nosuid", "rprivate"])), &[]),
        (
            &cgroup(json!(["nsdelegate", "name=x", "nosiud", "rshared", "sync"])),
            &[
                "W /mounts/7/options/0: option \"nsdelegate\" has no effect",
                "W /mounts/7/options/1: option \"name\" has no effect",
                "E /mounts/7/options/2: \"nosiud\" is not an option of a cgroup mount",
                "W /mounts/7/options/4: option \"sync\" has no effect",
            ],
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
            &on("/mnt/../proc", "tmpfs", "t"),
            &["E /mounts/0/destination: nothing but proc itself can be mounted on /proc"],
        ),
        (&on("/proc/../mnt", "tmpfs", "t"), &[]),
        (
            &on("//proc/./self/attr", "bind", "/tmp"),
            &["E /mounts/0/destination: nothing but proc itself can be mounted on /proc/self/attr"],
        ),
    ]);
}

#[test]
fn options_that_only_some_mounts_can_have() {
    let at = |value: Value| [("/mounts/-", value)];
    let bind =
        |options: Value| at(json!({"destination": "/d", "source": "/s", "options": options}));
    let long = format!("lowerdir=/{}:/b", "a".repeat(255));
    let many = format!("lowerdir={}", ["/layer"; 60].join(":"));
    let overlay =
        |option: &str| at(json!({"destination": "/d", "type": "overlay", "options": [option]}));
    assert_all(&[
        (&bind(json!(["bind", "remount", "ro"])), &[]),
        (
            &at(json!({"destination": "/proc", "options": ["remount"]})),
            &[],
        ),
        (&bind(json!(["bind", "copy-symlink"])), &[]),
        (
            &bind(json!([
                "bind",
                "dest-nofollow",
                "src-nofollow",
                "copy-symlink"
            ])),
            &[
                "E /mounts/7/options/2: copy-symlink and src-nofollow exclude one another",
                "E /mounts/7/options/1: copy-symlink and dest-nofollow exclude one another",
            ],
        ),
        (
            &bind(json!(["bind", "tmpcopyup"])),
            &["E /mounts/7/options/1: tmpcopyup is only for a new tmpfs"],
        ),
        (
            &bind(json!(["bind", "ridmap=uids=0-1-1;gids=x"])),
            &[
                "E /mounts/7/options/1: \"uids=0-1-1;gids=x\" is not of the form idmap=uids=0-1000-10#10-2000-5;gids=0-100-10",
            ],
        ),
        // The kernel of these tests is older than what takes layers one by one.
        (
            &overlay(&many),
            &["E /mounts/7/options/0: 419 bytes are more than the kernel takes here (255)"],
        ),
    ]);
    let newer = |kernel: (u32, u32), option: &str| {
        let host = crate::host::Host {
            kernel,
            ..super::host()
        };
        super::problems_on(&host, &super::example(&overlay(option)))
    };
    assert_eq!(newer((6, 8), &many), [""; 0]);
    assert_eq!(
        newer((6, 8), &long),
        ["E /mounts/7/options/0: 256 bytes are more than the kernel takes here (255)"]
    );
    assert_eq!(newer((6, 13), &long), [""; 0]);
}

#[test]
fn labels_of_new_file_systems() {
    let label = |text: &str| [("/linux/mountLabel", json!(text))];
    assert_all(&[
        (&label(""), &[]),
        (
            &label("u:r:t:s0"),
            &["E /linux/mountLabel: SELinux is not enabled on this machine"],
        ),
    ]);
    let mut host = super::host();
    host.modules.selinux = true;
    let problems = |text: &str| super::problems_on(&host, &super::example(&label(text)));
    assert_eq!(problems("u:r:t:s0:c1,c2"), [""; 0]);
    assert_eq!(
        problems(&"x".repeat(256)),
        ["E /linux/mountLabel: 256 bytes are more than the kernel takes here (255)"]
    );
    assert_eq!(
        problems("a\0b"),
        ["E /linux/mountLabel: contains a NUL byte"]
    );
}
