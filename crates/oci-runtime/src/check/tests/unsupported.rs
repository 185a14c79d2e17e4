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
        "/process/apparmorProfile",
        "/process/selinuxLabel",
        "/process/scheduler",
        "/process/ioPriority",
        "/process/execCPUAffinity",
        "/linux/mountLabel",
        "/linux/intelRdt",
        "/linux/personality",
        "/linux/memoryPolicy",
        "/mounts/0/uidMappings",
        "/mounts/0/gidMappings",
        "/mounts/0/options/1",
        "/linux/seccomp/listenerPath",
        "/linux/seccomp/listenerMetadata",
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
            ("/hooks", json!({"prestart": [], "poststop": null})),
            ("/linux/netDevices", json!({})),
            ("/linux/mountLabel", json!("")),
            ("/linux/intelRdt", json!({"closID": ""})),
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
fn unsupported_options_and_actions() {
    let options = json!(["mode=1", "tmpcopyup", "idmap=uids=0-0-1", "remount"]);
    let seccomp = json!({"defaultAction": "SCMP_ACT_NOTIFY", "syscalls": [
        {"names": ["a"], "action": "SCMP_ACT_ALLOW"}, {"names": ["b"], "action": "SCMP_ACT_NOTIFY"}]});
    assert_all(&[
        (
            &[("/mounts/1/options", options)],
            &[
                "E /mounts/1/options/1: is not carried out by this version",
                "E /mounts/1/options/2: is not carried out by this version",
                "E /mounts/1/options/3: is not carried out by this version",
            ],
        ),
        (
            &[("/linux/seccomp", seccomp)],
            &[
                "E /linux/seccomp/defaultAction: is not carried out by this version",
                "E /linux/seccomp/syscalls/1/action: is not carried out by this version",
            ],
        ),
    ]);
}
