use super::super::exec;
use super::exec::join;
use super::*;

/// All that says how the payload is executed. Without noNewPrivileges the filter comes after it, and before the ids go.
const EXECUTION: &str = r#"{
    "ociVersion": "1.3.0",
    "process": {
        "args": ["/bin/app"], "cwd": "/", "env": ["HOME=/"],
        "scheduler": {"policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM"],
            "runtime": 1000000, "deadline": 2000000, "period": 3000000},
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 5},
        "execCPUAffinity": {"initial": "1", "final": "0-2,5"},
        "apparmorProfile": "profile", "selinuxLabel": "u:r:t:s0"
    },
    "root": {"path": "rootfs"},
    "linux": {
        "namespaces": [{"type": "mount"}],
        "personality": {"domain": "LINUX32", "flags": ["ADDR_NO_RANDOMIZE"]},
        "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]},
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO"}]},
        "maskedPaths": ["/proc/kcore"]
    }
}"#;

#[test]
fn golden_plans_of_execution() {
    golden("execution", &lower(EXECUTION, UNIFIED, true));
    let spec = spec::parse(EXECUTION.as_bytes()).expect("it parses");
    let process = spec.process.as_ref().expect("it has one");
    let host = host(HYBRID);
    let paths = oci_runtime_cgroups::resolve(&host.cgroups, None, "golden").expect("it resolves");
    let (plan, _) = exec(&spec, process, &host, join(&paths)).expect("it lowers");
    golden("exec-execution", &plan);
}

#[test]
fn who_is_confined_and_gives_up_privileges_adds_to_what_confines_it() {
    let confined = |confined, no_new_privileges| {
        let json = format!(
            r#"{{"process": {{"args": ["x"], "cwd": "/", "apparmorProfile": "p", "noNewPrivileges": {no_new_privileges}}},
            "root": {{"path": "r"}}, "linux": {{"namespaces": [{{"type": "mount"}}]}}}}"#
        );
        let spec = spec::parse(json.as_bytes()).expect("it parses");
        let mut host = host(UNIFIED);
        host.modules.confined = confined;
        let plan = create(&spec, &host, request(true)).expect("it lowers").plan;
        plan.to_text().contains("text=\"stack p\"")
    };
    let table = [(true, true), (true, false), (false, true), (false, false)];
    assert_eq!(
        table.map(|(caller, payload)| confined(caller, payload)),
        [true, false, false, false]
    );
}
