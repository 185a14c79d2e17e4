use serde_json::json;

use super::{assert_all, example, host, problems_on};
use crate::check::check_process;
use crate::host::Host;
use crate::spec::Process;

#[test]
fn process() {
    assert_all(&[
        (
            &[("/process/args", json!([]))],
            &["E /process/args: is required"],
        ),
        (&[("/process/args", json!(["", "x"]))], &[]),
        (
            &[("/process/args", json!(["a", "b\0c"]))],
            &["E /process/args/1: contains a NUL byte"],
        ),
        (
            &[("/process/env", json!(["A=", "B", "=c", "D=\0"]))],
            &[
                "E /process/env/1: \"B\" has no '='",
                "E /process/env/2: \"=c\" has no name before the '='",
                "E /process/env/3: contains a NUL byte",
            ],
        ),
        (
            &[("/process/cwd", json!(""))],
            &["E /process/cwd: is required"],
        ),
        (
            &[("/process/cwd", json!("tmp"))],
            &["E /process/cwd: \"tmp\" is not an absolute path"],
        ),
        (
            &[(
                "/process/user",
                json!({"uid": 4294967295u32, "gid": 0, "additionalGids": [1, 4294967295u32]}),
            )],
            &[
                "E /process/user/uid: 4294967295 is not a valid id",
                "E /process/user/additionalGids/1: 4294967295 is not a valid id",
            ],
        ),
        (&[("/process/oomScoreAdj", json!(-1000))], &[]),
        (
            &[("/process/user/umask", json!(0o1000))],
            &["E /process/user/umask: 0o1000 is more than the permission bits of a mode (0o777)"],
        ),
        (
            &[("/process/oomScoreAdj", json!(1001))],
            &["E /process/oomScoreAdj: 1001 is not between -1000 and 1000"],
        ),
        (
            &[(
                "/process/consoleSize",
                json!({"height": 65536, "width": 65535}),
            )],
            &["E /process/consoleSize/height: 65536 is more than a terminal can have (65535)"],
        ),
        (
            &[
                ("/process/terminal", json!(false)),
                ("/process/consoleSize", json!({"height": 65536})),
            ],
            &[],
        ),
    ]);
}

#[test]
fn rlimits() {
    let list = json!([
        {"type": "RLIMIT_CPU", "soft": 1, "hard": 2}, {"type": "RLIMIT_CPU", "soft": 1, "hard": 2},
        {"type": "RLIMIT_CORE", "soft": 2, "hard": 1}, {"type": "nofile", "soft": 1, "hard": 1}
    ]);
    assert_all(&[(
        &[("/process/rlimits", list)],
        &[
            "E /process/rlimits/1/type: RLIMIT_CPU is given twice",
            "E /process/rlimits/2/soft: soft limit 2 is above hard limit 1",
            "E /process/rlimits/3/type: there is no resource limit \"nofile\"",
        ],
    )]);
}

#[test]
fn capabilities() {
    let sets = json!({
        "bounding": ["KILL", "CAP_FUTURE", "CAP_KILL"], "permitted": ["CAP_KILL"], "inheritable": ["CAP_CHOWN"],
        "effective": ["CAP_KILL", "CAP_CHOWN"], "ambient": ["CAP_KILL"]
    });
    assert_all(&[(
        &[("/process/capabilities", sets)],
        &[
            "E /process/capabilities/bounding/0: \"KILL\" is not a name of a capability, which look like CAP_KILL",
            "W /process/capabilities/bounding/1: this kernel does not know CAP_FUTURE, it is left out",
            "E /process/capabilities/effective/1: CAP_CHOWN is not permitted, so it cannot be effective",
            "W /process/capabilities/ambient/0: CAP_KILL is not both permitted and inheritable, so it cannot be \
             ambient; it is left out",
        ],
    )]);
    let old = Host {
        last_capability: 38,
        ..host()
    };
    let json = example(&[(
        "/process/capabilities",
        json!({"bounding": ["CAP_BPF", "CAP_PERFMON"]}),
    )]);
    let expected =
        ["W /process/capabilities/bounding/0: this kernel does not know CAP_BPF, it is left out"];
    assert_eq!(problems_on(&old, &json), expected);
}

#[test]
fn what_the_caller_lacks_is_a_warning() {
    let poor = Host {
        grantable: !(1 << 21),
        ..host()
    };
    let all = json!(["CAP_SYS_ADMIN", "CAP_KILL"]);
    let sets = json!({"bounding": all, "permitted": all, "effective": all});
    let json = example(&[("/process/capabilities", sets)]);
    let expected = ["effective", "permitted"].map(|set| {
        format!(
            "W /process/capabilities/{set}/0: the caller itself lacks CAP_SYS_ADMIN, it is left out"
        )
    });
    assert_eq!(problems_on(&poor, &json), expected);
}

#[test]
fn a_process_alone_has_pointers_of_its_own() {
    let process = Process {
        cwd: "x".into(),
        apparmor_profile: "p".into(),
        ..Process::default()
    };
    let found: Vec<String> = check_process(&process, &host())
        .into_iter()
        .map(|problem| problem.pointer)
        .collect();
    assert_eq!(found, ["/args", "/cwd", "/apparmorProfile"]);
}
