use serde_json::json;

use super::assert_all;

#[test]
fn empty_values_ask_for_nothing() {
    assert_all(&[(
        &[
            ("/process/apparmorProfile", json!("")),
            ("/process/selinuxLabel", json!("")),
            ("/process/scheduler", json!({})),
            ("/process/execCPUAffinity", json!({"initial": ""})),
            ("/process/ioPriority", json!({})),
            ("/linux/personality", json!({})),
            ("/linux/memoryPolicy", json!({"mode": "", "flags": []})),
            ("/hooks", json!({"prestart": [], "poststop": null})),
            ("/linux/netDevices", json!({})),
            ("/linux/mountLabel", json!("")),
            (
                "/linux/seccomp",
                json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": ""}),
            ),
        ],
        &[],
    )]);
}
