use serde_json::{Value, json};

use super::assert_all;

fn profile(path: Value, metadata: Value, action: &str) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": metadata,
        "syscalls": [{"names": ["mkdir"], "action": action}]})
}

#[test]
fn the_agent_must_be_reachable_when_somebody_is_asked() {
    const ASK: &str = "SCMP_ACT_NOTIFY";
    let case = |path, metadata, action| ("/linux/seccomp", profile(path, metadata, action));
    let long = format!("/{}", "x".repeat(107));
    assert_all(&[
        (&[case(json!("/run/agent"), json!("m"), ASK)], &[]),
        (
            &[case(json!(format!("/{}", "x".repeat(106))), json!(""), ASK)],
            &[],
        ),
        (
            &[case(json!(long), json!(""), ASK)],
            &[
                "E /linux/seccomp/listenerPath: 108 bytes are more than the path of a socket can have (107)",
            ],
        ),
        (
            &[case(json!("run/agent"), json!(""), ASK)],
            &["E /linux/seccomp/listenerPath: \"run/agent\" is not an absolute path"],
        ),
        (
            &[case(Value::Null, json!(""), ASK)],
            &[
                "E /linux/seccomp/listenerPath: is needed by SCMP_ACT_NOTIFY, for somebody has to answer",
            ],
        ),
        (
            &[case(json!(""), json!("m"), "SCMP_ACT_ERRNO")],
            &[
                "E /linux/seccomp/listenerMetadata: is for whoever listens at listenerPath, which is not given",
            ],
        ),
        // Nobody is asked, so it does not matter who would be.
        (
            &[case(json!("run/agent"), json!("m"), "SCMP_ACT_ERRNO")],
            &[],
        ),
    ]);
}
