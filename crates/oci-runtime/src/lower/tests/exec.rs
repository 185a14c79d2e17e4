use super::super::{Join, exec};
use super::*;

#[test]
fn golden_plan_of_exec() {
    let json = example();
    let spec = spec::parse(json.as_bytes()).expect("it parses");
    let host = host(HYBRID);
    let paths = oci_runtime_cgroups::resolve(&host.cgroups, None, "golden").expect("it resolves");
    let process = spec.process.as_ref().expect("it has one");
    let (plan, warnings) = exec(&spec, process, &host, join(&paths)).expect("it lowers");
    golden("exec-hybrid", &plan);
    assert_eq!(warnings, [""; 0]);
}

pub(super) fn join(cgroup: &oci_runtime_cgroups::Paths) -> Join<'_> {
    Join {
        id: "golden",
        pid: 4242,
        namespaces: 0x6e02_0000,
        cgroup,
        resctrl: false,
        preserve_fds: 2,
        keyring: true,
        record: false,
    }
}
