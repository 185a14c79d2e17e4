use serde_json::json;

use super::{assert_all, host};
use crate::check::{Fault, check};
use crate::spec::parse;

#[test]
fn what_is_not_carried_out_is_refused_at_its_place() {
    let everything = include_str!("../../spec/fixtures/everything.json");
    let refused: Vec<String> = check(&parse(everything.as_bytes()).unwrap(), &host())
        .into_iter()
        .filter(|problem| problem.fault == Fault::Unsupported)
        .map(|problem| problem.pointer)
        .collect();
    let expected = [
        "/linux/mountLabel",
    ];
    assert_eq!(refused, expected);
}

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
