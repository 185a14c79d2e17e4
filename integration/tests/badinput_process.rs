//! Bad values for every property of `process`, and for the two of `linux` that are about how it is executed: of another type, out
//! of range, or refused by the kernel. Each is an error with the pointer of the property, and leaves nothing behind.

use oci_runtime_integration::bundle::args;
use oci_runtime_integration::case::{Case, case, case_with, text};
use oci_runtime_integration::host;
use oci_runtime_integration::runtime::only_ocirun;
use serde_json::{Value, json};

/// Puts `value` at a pointer. What lies on the way is made: a list for what is followed by a number, else an object.
fn put(config: &mut Value, pointer: &str, value: &Value) {
    let mut place = config;
    for part in pointer.split('/').skip(1) {
        place = match part.parse::<usize>() {
            Ok(index) => {
                if !place.is_array() {
                    *place = json!([]);
                }
                let list = place.as_array_mut().expect("a list");
                while list.len() <= index {
                    list.push(Value::Null);
                }
                &mut list[index]
            }
            Err(_) => &mut place[part],
        };
    }
    *place = value.clone();
}

/// Creates with `value` at `pointer`; the error must name `place` and every one of `texts`.
#[track_caller]
fn refused(case: &Case, pointer: &str, value: &Value, place: &str, texts: &[&str]) {
    case.configure(|c| put(c, pointer, value));
    let failed = case.try_create(&[]);
    assert_ne!(failed.code, 0, "{pointer} {value} was taken");
    assert!(!failed.stderr.contains("panicked"), "{}", failed.stderr);
    if only_ocirun("has other words") {
        failed.failed(1, &[&[place], texts].concat());
    }
    case.assert_clean();
}

#[test]
fn a_value_of_another_type_is_refused() {
    let Some(case) = case() else { return };
    let (text, number, list) = (json!("x"), json!(7), json!(["x"]));
    let table: &[(&str, &[&Value])] = &[
        ("/process", &[&text, &number, &list]),
        ("/process/terminal", &[&text, &number, &list]),
        ("/process/consoleSize", &[&text, &number, &list]),
        ("/process/consoleSize/height", &[&text, &list]),
        ("/process/consoleSize/width", &[&text, &list]),
        ("/process/user", &[&text, &number, &list]),
        ("/process/user/uid", &[&text, &list]),
        ("/process/user/gid", &[&text, &list]),
        ("/process/user/umask", &[&text, &list]),
        ("/process/user/additionalGids", &[&text, &number]),
        ("/process/user/additionalGids/0", &[&text, &list]),
        ("/process/args", &[&text, &number]),
        ("/process/args/0", &[&number, &list]),
        ("/process/env", &[&text, &number]),
        ("/process/env/0", &[&number, &list]),
        ("/process/cwd", &[&number, &list]),
        ("/process/capabilities", &[&text, &number, &list]),
        ("/process/capabilities/bounding", &[&text, &number]),
        ("/process/capabilities/effective", &[&text, &number]),
        ("/process/capabilities/inheritable", &[&text, &number]),
        ("/process/capabilities/permitted", &[&text, &number]),
        ("/process/capabilities/ambient", &[&text, &number]),
        ("/process/capabilities/ambient/0", &[&number, &list]),
        ("/process/rlimits", &[&text, &number]),
        ("/process/rlimits/0", &[&text, &number, &list]),
        ("/process/rlimits/0/type", &[&number, &list]),
        ("/process/rlimits/0/soft", &[&text, &list]),
        ("/process/rlimits/0/hard", &[&text, &list]),
        ("/process/noNewPrivileges", &[&text, &number, &list]),
        ("/process/apparmorProfile", &[&number, &list]),
        ("/process/oomScoreAdj", &[&text, &list]),
        ("/process/selinuxLabel", &[&number, &list]),
        ("/process/scheduler", &[&text, &number, &list]),
        ("/process/scheduler/policy", &[&number, &list]),
        ("/process/scheduler/nice", &[&text, &list]),
        ("/process/scheduler/priority", &[&text, &list]),
        ("/process/scheduler/flags", &[&text, &number]),
        ("/process/scheduler/flags/0", &[&number, &list]),
        ("/process/scheduler/runtime", &[&text, &list]),
        ("/process/scheduler/deadline", &[&text, &list]),
        ("/process/scheduler/period", &[&text, &list]),
        ("/process/ioPriority", &[&text, &number, &list]),
        ("/process/ioPriority/class", &[&number, &list]),
        ("/process/ioPriority/priority", &[&text, &list]),
        ("/process/execCPUAffinity", &[&text, &number, &list]),
        ("/process/execCPUAffinity/initial", &[&number, &list]),
        ("/process/execCPUAffinity/final", &[&number, &list]),
        ("/linux/personality", &[&text, &number, &list]),
        ("/linux/personality/domain", &[&number, &list]),
        ("/linux/personality/flags", &[&text, &number]),
        ("/linux/personality/flags/0", &[&number, &list]),
        ("/linux/memoryPolicy", &[&text, &number, &list]),
        ("/linux/memoryPolicy/mode", &[&number, &list]),
        ("/linux/memoryPolicy/nodes", &[&number, &list]),
        ("/linux/memoryPolicy/flags", &[&text, &number]),
        ("/linux/memoryPolicy/flags/0", &[&number, &list]),
    ];
    for (pointer, values) in table {
        for value in *values {
            refused(
                &case,
                pointer,
                value,
                &format!("({pointer})"),
                &["line 1, column"],
            );
        }
    }
}

#[test]
fn a_value_out_of_range_is_refused() {
    let Some(case) = case() else { return };
    if !only_ocirun("takes some of them") {
        return;
    }
    let scheduler = "/process/scheduler";
    let policy = "/linux/memoryPolicy";
    let table: &[(&str, Value, &str, &str)] = &[
        (
            "/process/consoleSize/height",
            json!(-1),
            "",
            "invalid value",
        ),
        ("/process/user/uid", json!(-1), "", "invalid value"),
        ("/process/user/uid", json!(1.5), "", "invalid type"),
        ("/process/user/uid", json!(u32::MAX), "", "not a valid id"),
        ("/process/user/gid", json!(1_u64 << 32), "", "invalid value"),
        ("/process/user/umask", json!(0o1000), "", "0o1000"),
        (
            "/process/user/additionalGids/0",
            json!(u32::MAX),
            "",
            "not a valid id",
        ),
        ("/process/args", json!([]), "", "is required"),
        ("/process/args", json!(["a\u{0}"]), "/process/args/0", "NUL"),
        ("/process/env/0", json!("NO"), "", "has no '='"),
        ("/process/env/0", json!("=x"), "", "has no name"),
        ("/process/env/0", json!("A=\u{0}"), "", "NUL"),
        ("/process/cwd", json!(""), "", "is required"),
        ("/process/cwd", json!("tmp"), "", "not an absolute path"),
        ("/process/cwd", json!("/\u{0}"), "", "NUL"),
        (
            "/process/capabilities/bounding/0",
            json!("KILL"),
            "",
            "not a name",
        ),
        (
            "/process/capabilities/effective/0",
            json!("cap_kill"),
            "",
            "not a name",
        ),
        (
            "/process/capabilities/inheritable/0",
            json!("CAP_"),
            "",
            "not a name",
        ),
        (
            "/process/capabilities/permitted/0",
            json!("CAP KILL"),
            "",
            "not a name",
        ),
        (
            "/process/capabilities/ambient/0",
            json!("CAP_KILL,CAP_FOWNER"),
            "",
            "not a name",
        ),
        (
            "/process/capabilities/effective/3",
            json!("CAP_CHOWN"),
            "",
            "not permitted",
        ),
        (
            "/process/rlimits/0/type",
            json!("NOFILE"),
            "",
            "no resource limit",
        ),
        ("/process/rlimits/0/soft", json!(-1), "", "invalid value"),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]),
            "/process/rlimits/0/soft",
            "above hard limit",
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_CORE"}, {"type": "RLIMIT_CORE"}]),
            "/process/rlimits/1/type",
            "twice",
        ),
        ("/process/oomScoreAdj", json!(1001), "", "not between"),
        ("/process/oomScoreAdj", json!(-1001), "", "not between"),
        ("/process/apparmorProfile", json!("a\u{0}b"), "", "NUL"),
        ("/process/selinuxLabel", json!("a\u{0}b"), "", "NUL"),
        (
            scheduler,
            json!({"policy": "SCHED_EXT"}),
            "/process/scheduler/policy",
            "SCHED_EXT",
        ),
        (
            scheduler,
            json!({"nice": 1}),
            "/process/scheduler/policy",
            "is required",
        ),
        (
            scheduler,
            json!({"policy": "SCHED_OTHER", "nice": 20}),
            "/process/scheduler/nice",
            "19",
        ),
        (
            scheduler,
            json!({"policy": "SCHED_OTHER", "nice": -21}),
            "/process/scheduler/nice",
            "-20",
        ),
        (
            scheduler,
            json!({"policy": "SCHED_FIFO", "priority": 100}),
            "/process/scheduler/priority",
            "99",
        ),
        (
            scheduler,
            json!({"policy": "SCHED_OTHER", "priority": 1}),
            "/process/scheduler/priority",
            "SCHED_FIFO",
        ),
        (
            scheduler,
            json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_X"]}),
            "/process/scheduler/flags/0",
            "SCHED_FLAG_X",
        ),
        (
            scheduler,
            json!({"policy": "SCHED_RR", "priority": 1, "runtime": 1}),
            "/process/scheduler/runtime",
            "SCHED_DEADLINE",
        ),
        (
            scheduler,
            json!({"policy": "SCHED_RR", "priority": 1, "deadline": 1}),
            "/process/scheduler/deadline",
            "SCHED_DEADLINE",
        ),
        (
            scheduler,
            json!({"policy": "SCHED_RR", "priority": 1, "period": 1}),
            "/process/scheduler/period",
            "SCHED_DEADLINE",
        ),
        ("/process/scheduler/runtime", json!(-1), "", "invalid value"),
        ("/process/ioPriority/class", json!("RT"), "", "no class"),
        (
            "/process/ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": 8}),
            "/process/ioPriority/priority",
            "7",
        ),
        (
            "/process/execCPUAffinity/initial",
            json!("1-0"),
            "",
            "backwards",
        ),
        (
            "/process/execCPUAffinity/final",
            json!("a"),
            "",
            "neither a number nor a range",
        ),
        ("/linux/personality/domain", json!("BSD"), "", "BSD"),
        (
            "/linux/personality",
            json!({"domain": "LINUX", "flags": ["X"]}),
            "/linux/personality/flags/0",
            "X",
        ),
        ("/linux/memoryPolicy/mode", json!("MPOL_X"), "", "MPOL_X"),
        (
            policy,
            json!({"mode": "MPOL_BIND", "nodes": "0-1024"}),
            "/linux/memoryPolicy/nodes",
            "1023",
        ),
        (
            policy,
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_X"]}),
            "/linux/memoryPolicy/flags/0",
            "MPOL_F_X",
        ),
    ];
    for (pointer, value, place, text) in table {
        let place = if place.is_empty() { pointer } else { place };
        refused(&case, pointer, value, place, &[text]);
    }
}

#[test]
fn the_size_of_a_terminal_has_a_limit_and_is_nothing_without_one() {
    let Some(case) = case() else { return };
    if !only_ocirun("cuts it") {
        return;
    }
    for (terminal, fails) in [(true, true), (false, false)] {
        case.configure(|c| {
            c["process"]["terminal"] = terminal.into();
            c["process"]["consoleSize"] = json!({"height": 65536, "width": 70000});
            args(c, &["true"]);
        });
        if fails {
            let size = "/process/consoleSize";
            let texts = [format!("{size}/height"), format!("{size}/width")];
            case.runtime(&["plan", "-b", &text(&case.bundle())])
                .failed(1, &[&texts[0], &texts[1], "65535"]);
        } else {
            case.run().ok();
        }
    }
}

#[test]
fn what_the_kernel_refuses_is_its_error() {
    let Some(case) = case() else { return };
    if !only_ocirun("has other words") {
        return;
    }
    let table: &[(&str, Value, &[&str])] = &[
        (
            "/process/user/additionalGids",
            json!(vec![1; 65537]),
            &["/process/user/additionalGids", "65537 groups are more"],
        ),
        (
            "/process/cwd",
            json!("/proc/version"),
            &["/process/cwd", "(ENOTDIR)"],
        ),
        (
            "/process/args/0",
            json!("/no/such"),
            &["exec: \"/no/such\"", "no such file or directory"],
        ),
        (
            "/process/args/0",
            json!(""),
            &[
                "exec: \"\"",
                "executable file not found in $PATH (the name of the program is empty)",
            ],
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1_u64 << 40}]),
            &["/process/rlimits/0", "prlimit64", "(EPERM)"],
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_AS", "soft": 1, "hard": 1}]),
            &[
                "limits of the process leave it too little memory",
                "(ENOMEM)",
            ],
        ),
        (
            "/process/scheduler",
            json!({"policy": "SCHED_ISO"}),
            &["/process/scheduler", "(EINVAL)"],
        ),
        (
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_BIND", "nodes": "1023"}),
            &["/linux/memoryPolicy", "set_mempolicy", "(EINVAL)"],
        ),
    ];
    for (pointer, value, texts) in table {
        refused(&case, pointer, value, texts[0], &texts[1..]);
    }
}

#[test]
fn labels_of_a_module_that_is_off_are_refused() {
    let Some(case) = case() else { return };
    if !only_ocirun("some ignore them") {
        return;
    }
    let apparmor = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    if apparmor.unwrap_or_default().trim() != "Y" {
        let place = "/process/apparmorProfile";
        refused(
            &case,
            place,
            &json!("p"),
            place,
            &["AppArmor is not enabled"],
        );
        case.configure(|c| c["process"]["apparmorProfile"] = "unconfined".into());
        case.start();
        case.exec(&["--apparmor", "p"], &["true"])
            .failed(255, &["/apparmorProfile", "AppArmor is not enabled"]);
        case.destroy();
    }
    let filesystems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !filesystems.contains("selinuxfs") {
        let place = "/process/selinuxLabel";
        refused(
            &case,
            place,
            &json!("a:b:c:d"),
            place,
            &["SELinux is not enabled"],
        );
    }
}

#[test]
fn capabilities_that_are_not_known_or_not_had_are_warnings() {
    let Some(case) = case_with(|c| {
        let all = json!(["CAP_KILL", "CAP_OF_THE_FUTURE", "CAP_SYS_RESOURCE"]);
        c["process"]["capabilities"] =
            json!({"bounding": all, "permitted": all, "effective": all, "inheritable": all});
    }) else {
        return;
    };
    if !only_ocirun("has other words") {
        return;
    }
    let created = case.try_create(&[]).ok();
    for set in ["bounding", "permitted", "effective", "inheritable"] {
        let unknown =
            format!("/process/capabilities/{set}/1: this kernel does not know CAP_OF_THE_FUTURE");
        assert!(created.stderr.contains(&unknown), "{}", created.stderr);
    }
    let init = case.init_from_pid_file();
    case.runtime(&["start", &case.id]).ok();
    case.await_payload(init);
    const RESOURCE: u64 = 1 << 24;
    let me = i32::try_from(std::process::id()).expect("a pid");
    let own = host::capabilities(me, "CapPrm") & RESOURCE;
    let lacks = "/process/capabilities/permitted/2: the caller itself lacks CAP_SYS_RESOURCE";
    assert_eq!(
        created.stderr.contains(lacks),
        own == 0,
        "{}",
        created.stderr
    );
    for set in ["CapPrm", "CapEff", "CapInh"] {
        assert_eq!(host::capabilities(init, set), 1 << 5 | own, "{set}");
    }
}
