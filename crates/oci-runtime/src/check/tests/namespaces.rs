use serde_json::json;

use super::assert_all;

#[test]
fn namespaces() {
    let list = json!([
        {"type": "pid"}, {"type": "pid", "path": "/p"}, {"type": "net"}, {"type": "uts", "path": "ns/uts"}
    ]);
    let time = |path: &str| ("/linux/namespaces/-", json!({"type": "time", "path": path}));
    let offsets = (
        "/linux/timeOffsets",
        json!({"monotonic": {"secs": -5}, "boottime": {"nanosecs": 999_999_999}}),
    );
    let no_namespace = "E /linux/timeOffsets: time offsets need a new time namespace";
    assert_all(&[
        (
            &[("/linux/namespaces", list)],
            &[
                "E /linux/namespaces/1/type: namespace \"pid\" is given twice",
                "E /linux/namespaces/2/type: there is no namespace \"net\"",
                "E /linux/namespaces/3/path: \"ns/uts\" is not an absolute path",
                "E /linux/namespaces: a container needs a mount namespace of its own or one to join",
            ],
        ),
        (&[time(""), offsets.clone()], &[]),
        (&[time("/t"), offsets.clone()], &[no_namespace]),
        (&[offsets], &[no_namespace]),
        (
            &[
                time(""),
                (
                    "/linux/timeOffsets",
                    json!({"real~/time": {"nanosecs": 1_000_000_000}}),
                ),
            ],
            &[
                "E /linux/timeOffsets/real~0~1time: there is no clock \"real~/time\" with an offset, only monotonic \
                 and boottime",
                "E /linux/timeOffsets/real~0~1time/nanosecs: 1000000000 nanoseconds are a second or more",
            ],
        ),
    ]);
}
