//! What is refused, what is warned of, and where; and the flags a filter gets.

use oci_runtime_seccomp::{Action, Arch, ErrorKind, Profile, Text, compile};

const ALLOW: Action = Action::Allow;

fn parse(json: &str) -> Profile<'_> {
    serde_json::from_str(json).unwrap()
}

#[test]
fn flags() {
    let flag = |name: &str| Text::from(format!("SECCOMP_FILTER_FLAG_{name}"));
    let cases: &[(Option<&[&str]>, bool, u32, usize)] = &[
        (None, false, 4, 0),
        (None, true, 12, 0),
        (Some(&[]), false, 0, 0),
        (Some(&["LOG", "SPEC_ALLOW"]), false, 6, 0),
        (Some(&["TSYNC"]), false, 1, 0),
        (Some(&["TSYNC"]), true, 25, 0),
        (Some(&["WAIT_KILLABLE_RECV"]), true, 40, 0),
        (Some(&["WAIT_KILLABLE_RECV"]), false, 0, 1),
    ];
    for (names, notify, expected, warnings) in cases {
        let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_NOTIFY"}]}"#;
        let mut profile = parse(json);
        profile.flags = names.map(|names| names.iter().map(|name| flag(name)).collect());
        if !notify {
            profile.syscalls.clear();
        }
        let filter = compile(&profile, Arch::X86_64).unwrap();
        assert_eq!(
            (filter.flags.bits(), filter.warnings.len()),
            (*expected, *warnings),
            "{names:?}"
        );
    }
}

#[test]
fn errors_say_where() {
    use ErrorKind::*;
    let rule = |rest: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{{"names": [], "action": "SCMP_ACT_LOG"}}, {rest}]}}"#
        )
    };
    let arg = |arg: &str| {
        rule(&format!(
            r#"{{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}}, {arg}]}}"#
        ))
    };
    let cases = [
        (
            r#"{"syscalls": [{"names": [], "action": "SCMP_ACT_LOG"}]}"#.into(),
            "/defaultAction",
            NoDefaultAction,
        ),
        (
            r#"{"defaultAction": "ALLOW"}"#.into(),
            "/defaultAction",
            UnknownAction("ALLOW".into()),
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#.into(),
            "/defaultAction",
            NotifyByDefault,
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}"#.into(),
            "/defaultErrnoRet",
            ErrnoNotTaken(ALLOW),
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}"#.into(),
            "/defaultErrnoRet",
            ErrnoTooLarge {
                value: 4096,
                limit: 4095,
            },
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_KILL", "architectures": ["SCMP_ARCH_X86", "amd64"]}"#
                .into(),
            "/architectures/1",
            UnknownArchitecture("amd64".into()),
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_KILL", "flags": ["TSYNC"]}"#.into(),
            "/flags/0",
            UnknownFlag("TSYNC".into()),
        ),
        (
            rule(r#"{"names": ["read"], "action": ""}"#),
            "/syscalls/1/action",
            UnknownAction(String::new()),
        ),
        (
            rule(r#"{"names": ["read", ""], "action": "SCMP_ACT_ALLOW"}"#),
            "/syscalls/1/names/1",
            EmptyName,
        ),
        (
            rule(r#"{"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"}"#),
            "/syscalls/1/names/1",
            NotifyOnWrite,
        ),
        (
            rule(r#"{"names": ["read"], "action": "SCMP_ACT_TRAP", "errnoRet": 1}"#),
            "/syscalls/1/errnoRet",
            ErrnoNotTaken(Action::Trap),
        ),
        (
            rule(r#"{"names": ["read"], "action": "SCMP_ACT_TRACE", "errnoRet": 65536}"#),
            "/syscalls/1/errnoRet",
            ErrnoTooLarge {
                value: 65536,
                limit: 65535,
            },
        ),
        (
            arg(r#"{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}"#),
            "/syscalls/1/args/1/index",
            NoSuchArgument(6),
        ),
        (
            arg(r#"{"index": 5, "value": 0, "op": "EQ"}"#),
            "/syscalls/1/args/1/op",
            UnknownOperator("EQ".into()),
        ),
    ];
    for (json, pointer, kind) in cases {
        let error = compile(&parse(&json), Arch::X86_64).unwrap_err();
        assert_eq!((error.pointer(), error.kind()), (pointer, &kind), "{json}");
        assert!(error.to_string().starts_with(&format!("{pointer}: ")));
    }
}

#[test]
fn warnings_say_where() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_S390X"],
        "syscalls": [{"names": ["read", "reed"], "action": "SCMP_ACT_ALLOW"}]}"#;
    let warnings = compile(&parse(json), Arch::X86_64).unwrap().warnings;
    let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "/architectures/0: S390x is ignored: it has another byte order than this machine",
            "/syscalls/0/names/1: unknown system call \"reed\" is ignored",
        ]
    );
}
