//! linux.mountLabel, a parameter of new file systems.

use super::{HYBRID, lower};

#[test]
fn new_file_systems_get_the_label() {
    let json = r#"{"ociVersion":"1.3.0","process":{"args":["x"],"cwd":"/"},"root":{"path":"r"},
        "mounts":[{"destination":"/proc","type":"proc"},{"destination":"/t","type":"tmpfs","options":["size=1m"]},
            {"destination":"/m","type":"mqueue"},{"destination":"/sys","type":"sysfs"},
            {"destination":"/sys/fs/cgroup","type":"cgroup"},{"destination":"/b","type":"bind","source":"/s"}],
        "linux":{"namespaces":[{"type":"mount"}],"mountLabel":"u:r:t:s0:c1,c2"}}"#;
    let plan = lower(json, HYBRID, true);
    let labelled: Vec<String> = plan
        .steps()
        .iter()
        .map(|step| plan.describe(step))
        .filter(|text| text.contains("u:r:t:s0:c1,c2"))
        .map(|text| text.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        labelled,
        [
            "MountFs target=t",
            "MountFs target=m",
            "MountFs target=sys/fs/cgroup"
        ]
    );
}
