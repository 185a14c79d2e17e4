use serde_json::json;

use super::*;

#[test]
fn classes_and_schemas() {
    let host = Host {
        resctrl: Some("/sys/fs/resctrl".into()),
        ..host()
    };
    let found = |asked: Value| problems_on(&host, &example(&[("/linux/intelRdt", asked)]));
    for good in [
        json!({}),
        json!({"closID": "gold"}),
        json!({"closID": "/"}),
        json!({"closID": "a", "l3CacheSchema": "L3:0=f\nMB:0=1", "memBwSchema": "MB:0=20",
            "schemata": ["L2:0=1"], "enableMonitoring": true}),
    ] {
        assert_eq!(found(good), [""; 0]);
    }
    for bad in [
        ".",
        "..",
        "a/b",
        "/a",
        "info",
        "mon_groups",
        "a\nb",
        "a\u{0}",
    ] {
        let found = found(json!({"closID": bad}));
        assert_eq!(found.len(), 1, "{bad:?}");
        assert!(
            found[0].starts_with("E /linux/intelRdt/closID: "),
            "{found:?}"
        );
    }
    for bad in ["L3:0=1", "0=1", "MB:0=1\nMB:1=1"] {
        let found = found(json!({"memBwSchema": bad}));
        assert_eq!(found.len(), 1, "{bad:?}");
        assert!(
            found[0].starts_with("E /linux/intelRdt/memBwSchema: "),
            "{found:?}"
        );
    }
}

#[test]
fn without_resctrl_there_are_no_classes() {
    assert_all(&[(
        &[("/linux/intelRdt", json!({"closID": "gold"}))],
        &["E /linux/intelRdt: no resctrl file system is mounted"],
    )]);
}
