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
        "/mounts/0/uidMappings",
        "/mounts/0/gidMappings",
        "/mounts/0/options/1",
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
            ("/mounts/0/uidMappings", json!([])),
        ],
        &[],
    )]);
}

#[test]
fn unsupported_options() {
    let options = json!(["mode=1", "tmpcopyup", "idmap=uids=0-0-1", "remount"]);
    assert_all(&[(
        &[("/mounts/1/options", options)],
        &[
            "E /mounts/1/options/1: is not carried out by this version",
            "E /mounts/1/options/2: is not carried out by this version",
            "E /mounts/1/options/3: is not carried out by this version",
        ],
    )]);
}
