//! What a configuration is changed with, and where. The fuzz targets have this file too.

use serde_json::Value;

/// Texts that mean something somewhere.
pub const TEXTS: &[&str] = &[
    "",
    "/",
    ".",
    "..",
    "../../etc",
    "/../../x",
    "/a/../../b",
    "a//b/./c",
    "/proc/../sys",
    "/dev/../dev/null",
    "\u{0}",
    "a\nb",
    "rbind",
    "ro",
    "mode=1777",
    "tmpfs",
    "bind",
    "cgroup",
    "proc",
    "none",
    "user",
    "network",
    "time",
    "mount",
    "c",
    "p",
    "/proc/self/ns/net",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "RLIMIT_NOFILE",
    "CAP_SYS_ADMIN",
    "net.ipv4.ip_forward",
    "kernel/../../shm",
    "shared",
    "system.slice:a:b",
    "0-3",
    "\u{fffd}\u{e4}",
    "/dev",
    "/proc",
    "tmpcopyup",
    "SCMP_ACT_NOTIFY",
];

/// Numbers at the edges of their types.
pub const NUMBERS: &[i64] = &[
    0,
    1,
    -1,
    7,
    4095,
    4096,
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 2,
    (1 << 32) - 1,
    1 << 32,
    i64::MAX,
    i64::MIN,
];

/// Pointers to all values of a document but the whole.
pub fn places(at: &str, value: &Value, all: &mut Vec<String>) {
    let mut below = |name: String, value: &Value| {
        let place = format!("{at}/{name}");
        all.push(place.clone());
        places(&place, value, all);
    };
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                below(index.to_string(), item);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                below(name.replace('~', "~0").replace('/', "~1"), value);
            }
        }
        _ => {}
    }
}
