use serde_json::{Value, json};

use super::{assert_all, example, host, problems_on};
use crate::host::{Host, SecurityModules};

/// Requires `expected` of each value at `pointer`.
fn assert_each(pointer: &str, cases: &[(Value, &[&str])]) {
    for (value, expected) in cases {
        assert_all(&[(&[(pointer, value.clone())], expected)]);
    }
}

#[test]
fn scheduler() {
    let flags = crate::scheduling::FLAGS.iter().map(|(name, _)| name);
    let flags: Vec<_> = flags.collect();
    assert_each(
        "/process/scheduler",
        &[
            (
                json!({"policy": "SCHED_OTHER", "nice": -20, "flags": flags}),
                &[],
            ),
            (json!({"policy": "SCHED_BATCH", "nice": 19}), &[]),
            (json!({"policy": "SCHED_RR", "priority": 99}), &[]),
            (json!({"policy": "SCHED_ISO"}), &[]),
            (
                json!({"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3}),
                &[],
            ),
            (
                json!({"policy": "SCHED_BATCH", "nice": 20}),
                &["E /process/scheduler/nice: 20 is not between -20 and 19"],
            ),
            (
                json!({"policy": "SCHED_FIFO", "priority": 100, "nice": 1}),
                &[
                    "E /process/scheduler/priority: 100 is not between 0 and 99",
                    "W /process/scheduler/nice: SCHED_FIFO has none, it is without effect",
                ],
            ),
            (
                json!({"policy": "SCHED_OTHER", "priority": 1, "runtime": 1, "deadline": 1, "period": 1}),
                &[
                    "E /process/scheduler/priority: only SCHED_FIFO and SCHED_RR can have it",
                    "E /process/scheduler/runtime: only SCHED_DEADLINE can have it",
                    "E /process/scheduler/deadline: only SCHED_DEADLINE can have it",
                    "E /process/scheduler/period: only SCHED_DEADLINE can have it",
                ],
            ),
            (
                json!({"nice": 1}),
                &["E /process/scheduler/policy: is required"],
            ),
            (
                json!({"policy": "sched_other", "flags": ["SCHED_FLAG_RECLAIM", "RECLAIM"]}),
                &[
                    "E /process/scheduler/flags/1: there is no scheduling flag \"RECLAIM\"",
                    "E /process/scheduler/policy: there is no scheduling policy \"sched_other\"",
                ],
            ),
        ],
    );
}

#[test]
fn io_priority() {
    assert_each(
        "/process/ioPriority",
        &[
            (json!({"class": "IOPRIO_CLASS_IDLE"}), &[]),
            (json!({"class": "IOPRIO_CLASS_RT", "priority": 7}), &[]),
            (
                json!({"class": "IOPRIO_CLASS_NONE", "priority": 8}),
                &[
                    "E /process/ioPriority/class: there is no class of input and output \"IOPRIO_CLASS_NONE\"",
                    "E /process/ioPriority/priority: 8 is not between 0 and 7",
                ],
            ),
            (
                json!({"priority": -1}),
                &[
                    "E /process/ioPriority/class: is required",
                    "E /process/ioPriority/priority: -1 is not between 0 and 7",
                ],
            ),
        ],
    );
}

#[test]
fn exec_cpu_affinity() {
    assert_each(
        "/process/execCPUAffinity",
        &[
            (json!({"initial": "0-3,7", "final": "8191"}), &[]),
            (
                json!({"initial": "0-", "final": "8192"}),
                &[
                    "E /process/execCPUAffinity/initial: \"0-\" is neither a number nor a range, as in 0-3,7",
                    "E /process/execCPUAffinity/final: 8192 is more than there can be (8191)",
                ],
            ),
            (
                json!({"initial": "2-1", "final": ","}),
                &[
                    "E /process/execCPUAffinity/initial: the range 2-1 goes backwards",
                    "E /process/execCPUAffinity/final: \",\" holds no number",
                ],
            ),
        ],
    );
}

#[test]
fn personality() {
    assert_each(
        "/linux/personality",
        &[
            (json!({"domain": "LINUX"}), &[]),
            (json!({"domain": "LINUX32", "flags": ["UNAME26"]}), &[]),
            (
                json!({"domain": "BSD", "flags": ["READ_IMPLIES_EXEC", "UNAME26"]}),
                &[
                    "E /linux/personality/domain: there is no execution domain \"BSD\"",
                    "E /linux/personality/flags/0: there is no flag of an execution domain \"READ_IMPLIES_EXEC\"",
                ],
            ),
            (
                json!({"flags": ["UNAME26"]}),
                &["E /linux/personality/domain: is required"],
            ),
        ],
    );
}

#[test]
fn memory_policy() {
    let place = "E /linux/memoryPolicy";
    let cases = [
        (json!({"mode": "MPOL_DEFAULT"}), vec![]),
        (json!({"mode": "MPOL_PREFERRED"}), vec![]),
        (
            json!({"mode": "MPOL_BIND", "nodes": "0-1,1023", "flags": ["MPOL_F_STATIC_NODES"]}),
            vec![],
        ),
        (
            json!({"mode": "MPOL_LOCAL", "nodes": "0"}),
            vec!["/nodes: MPOL_LOCAL takes no nodes"],
        ),
        (
            json!({"mode": "MPOL_INTERLEAVE"}),
            vec!["/nodes: MPOL_INTERLEAVE needs nodes"],
        ),
        (
            json!({"mode": "MPOL_BIND", "nodes": "1024"}),
            vec!["/nodes: 1024 is more than there can be (1023)"],
        ),
        (
            json!({"mode": "MPOL_DEFAULT", "flags": ["MPOL_F_STATIC_NODES", "X"]}),
            vec![
                "/flags/0: MPOL_F_STATIC_NODES needs nodes that it could be about",
                "/flags/1: there is no flag of a memory policy \"X\"",
            ],
        ),
        (
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}),
            vec!["/flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other"],
        ),
        (
            json!({"mode": "BIND", "nodes": "x"}),
            vec!["/mode: there is no memory policy \"BIND\""],
        ),
        (json!({"nodes": "0"}), vec!["/mode: is required"]),
    ];
    for (value, expected) in cases {
        let json = example(&[("/linux/memoryPolicy", value)]);
        let expected: Vec<_> = expected
            .iter()
            .map(|text| format!("{place}{text}"))
            .collect();
        assert_eq!(problems_on(&host(), &json), expected, "{json}");
    }
}

#[test]
fn labels_need_their_module() {
    let json = example(&[
        ("/process/apparmorProfile", json!("p")),
        ("/process/selinuxLabel", json!("a:b:c:d")),
    ]);
    let expected = [
        "E /process/apparmorProfile: AppArmor is not enabled on this machine",
        "E /process/selinuxLabel: SELinux is not enabled on this machine",
    ];
    assert_eq!(problems_on(&host(), &json), expected);
    let labelled = Host {
        modules: SecurityModules {
            apparmor: true,
            confined: false,
            selinux: true,
        },
        ..host()
    };
    assert_eq!(problems_on(&labelled, &json), [""; 0]);
    let json = example(&[
        ("/process/apparmorProfile", json!("a\0b")),
        ("/process/selinuxLabel", json!("\0")),
    ]);
    let expected = ["apparmorProfile", "selinuxLabel"]
        .map(|name| format!("E /process/{name}: contains a NUL byte"));
    assert_eq!(problems_on(&labelled, &json), expected);
    // Where nothing confines anybody, that is how it is.
    let json = example(&[("/process/apparmorProfile", json!("unconfined"))]);
    assert_eq!(problems_on(&host(), &json), [""; 0]);
}
