//! `config.json`, and the `process` that comes alone: any bytes are read or refused, what is read is written back the
//! same, and every configuration gets a judgement.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oci_runtime::check::{check, check_process};
use oci_runtime::host::{Host, Namespaces, SecurityModules};
use oci_runtime::spec::{Process, parse, parse_as};
use oci_runtime_cgroups::{Layout, Mode};

fuzz_target!(|json: &[u8]| {
    match parse(json) {
        Ok(spec) => {
            let written = serde_json::to_vec(&spec).expect("a configuration can be written");
            assert_eq!(parse(&written).expect("what was written is read"), spec);
            for problem in check(&spec, &host()) {
                assert!(problem.pointer.starts_with('/'), "{problem}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(process) = parse_as::<Process>(json) {
        let problems = check_process(&process, &host());
        assert!(
            problems
                .iter()
                .all(|problem| problem.pointer.starts_with('/'))
        );
    }
});

/// A machine that is the same everywhere.
fn host() -> Host {
    Host {
        kernel: (6, 1),
        arch: "x86_64",
        cgroups: Layout {
            mode: Mode::V2,
            hierarchies: Vec::new(),
        },
        last_capability: 40,
        euid: 0,
        egid: 0,
        privileged: true,
        may_make_cgroups: true,
        outer_euid: 0,
        initial_user_namespace: true,
        own_namespaces: Namespaces::NETWORK,
        grantable: u64::MAX,
        modules: SecurityModules::default(),
        resctrl: None,
        kcore: true,
    }
}
