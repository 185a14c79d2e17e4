//! Profiles and the verdicts they must lead to, as tables; and the whole compiler against an evaluator that reads the
//! profile directly.

mod evaluator;

use evaluator::verdict;
use oci_runtime_seccomp::{
    Action, Arch, FilterFlags, Profile, SeccompData, WarningKind, compile, may_call, number,
    possible_returns, simulate,
};

const ALLOW: Action = Action::Allow;
const EPERM: Action = Action::Errno(1);
const ENOSYS: Action = Action::Errno(38);

fn parse(json: &str) -> Profile<'_> {
    serde_json::from_str(json).unwrap()
}

fn call(arch: Arch, nr: u32, args: &[u64]) -> SeccompData {
    let mut all = [0xdead_beef_dead_beef; 6];
    all[..args.len()].copy_from_slice(args);
    SeccompData {
        nr,
        arch: arch.audit(),
        instruction_pointer: 0x1000,
        args: all,
    }
}

fn named(arch: Arch, name: &str, args: &[u64]) -> SeccompData {
    call(arch, number(arch, name).unwrap(), args)
}

#[track_caller]
fn check(json: &str, native: Arch, calls: &[(SeccompData, Action)]) {
    let profile = parse(json);
    let filter = compile(&profile, native).unwrap();
    for (data, expected) in calls {
        let found = simulate(&filter.program, data).map(Action::from_return);
        assert_eq!(
            found,
            Ok(*expected),
            "{data:x?}\n{}",
            oci_runtime_seccomp::disassemble(&filter.program)
        );
        assert_eq!(
            verdict(&profile, native, data),
            *expected,
            "the evaluator, {data:x?}"
        );
    }
}

#[test]
fn architectures() {
    use Arch::{Aarch64, X32, X86, X86_64};
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"],
        "syscalls": [{"names": ["read", "futex_waitv"], "action": "SCMP_ACT_ALLOW"}]}"#;
    check(
        json,
        X86_64,
        &[
            (named(X86_64, "read", &[]), ALLOW),
            (named(X86_64, "write", &[]), EPERM),
            (named(X86, "read", &[]), ALLOW),
            (named(X86, "restart_syscall", &[]), EPERM),
            (named(X86_64, "futex_waitv", &[]), ALLOW),
            (call(X86_64, 450, &[]), ENOSYS),
            (call(X86, 450, &[]), ENOSYS),
            (call(X86_64, 0x3fff_ffff, &[]), ENOSYS),
            (named(X32, "read", &[]), Action::KillThread),
            (call(X86_64, 0xffff_fffe, &[]), Action::KillThread),
            (call(X86_64, u32::MAX, &[]), EPERM),
            (named(Aarch64, "read", &[]), Action::KillThread),
        ],
    );
    let json = json.replace("SCMP_ARCH_X86", "SCMP_ARCH_X32");
    check(
        &json,
        X86_64,
        &[
            (named(X86_64, "read", &[]), ALLOW),
            (named(X32, "read", &[]), ALLOW),
            (named(X32, "write", &[]), EPERM),
            (call(X32, 0x4000_0000 + 450, &[]), ENOSYS),
            (call(X32, u32::MAX, &[]), ENOSYS),
            (named(X86, "read", &[]), Action::KillThread),
        ],
    );
    check(
        &json,
        X32,
        &[
            (named(X32, "read", &[]), ALLOW),
            (named(X86_64, "read", &[]), Action::KillThread),
        ],
    );
}

#[test]
fn newer_calls() {
    let with = |default: &str| {
        format!(
            r#"{{"defaultAction": {default}, "syscalls": [{{"names": ["read", "set_tls", "openat2"], "action": "SCMP_ACT_KILL_PROCESS"}}]}}"#
        )
    };
    let cases = [
        (r#""SCMP_ACT_ERRNO""#, ENOSYS, EPERM),
        (
            r#""SCMP_ACT_ERRNO", "defaultErrnoRet": 13"#,
            ENOSYS,
            Action::Errno(13),
        ),
        (r#""SCMP_ACT_ERRNO", "defaultErrnoRet": 38"#, ENOSYS, ENOSYS),
        (r#""SCMP_ACT_KILL""#, ENOSYS, Action::KillThread),
        (r#""SCMP_ACT_TRAP""#, ENOSYS, Action::Trap),
        (r#""SCMP_ACT_TRACE""#, Action::Trace(1), Action::Trace(1)),
        (r#""SCMP_ACT_LOG""#, Action::Log, Action::Log),
        (r#""SCMP_ACT_ALLOW""#, ALLOW, ALLOW),
    ];
    for (default, newer, older) in cases {
        let json = with(default);
        for arch in [Arch::X86_64, Arch::Aarch64, Arch::Arm] {
            check(
                &json,
                arch,
                &[
                    (named(arch, "openat2", &[]), Action::KillProcess),
                    (call(arch, 438, &[]), newer),
                    (call(arch, 436, &[]), older),
                ],
            );
        }
        check(
            &json,
            Arch::Arm,
            &[
                (named(Arch::Arm, "set_tls", &[]), Action::KillProcess),
                (named(Arch::Arm, "cacheflush", &[]), older),
                (call(Arch::Arm, 0xe_ffff, &[]), newer),
            ],
        );
        check(&json, Arch::S390x, &[(call(Arch::S390x, 0, &[]), newer)]);
    }
    check(
        &with(r#""SCMP_ACT_KILL""#),
        Arch::Mips64,
        &[(call(Arch::Mips64, 5999, &[]), Action::Errno(89))],
    );
}

#[test]
fn comparisons() {
    const BIG: u64 = 1 << 32 | 5;
    // Operator, value, second value, and arguments with whether they match on 64 and on 32 bits.
    type Case = (&'static str, u64, u64, &'static [(u64, bool, bool)]);
    let cases: &[Case] = &[
        (
            "EQ",
            5,
            0,
            &[(5, true, true), (4, false, false), (BIG, false, true)],
        ),
        (
            "EQ",
            BIG,
            0,
            &[(5, false, true), (BIG, true, true), (BIG + 1, false, false)],
        ),
        (
            "NE",
            BIG,
            0,
            &[(5, true, false), (BIG, false, false), (BIG + 1, true, true)],
        ),
        (
            "GT",
            BIG,
            0,
            &[
                (BIG, false, false),
                (BIG + 1, true, true),
                (2 << 32, true, false),
                (9, false, true),
            ],
        ),
        (
            "GE",
            BIG,
            0,
            &[
                (BIG, true, true),
                (BIG - 1, false, false),
                (2 << 32, true, false),
                (9, false, true),
            ],
        ),
        (
            "LT",
            BIG,
            0,
            &[
                (BIG, false, false),
                (BIG - 1, true, true),
                (2 << 32, false, true),
                (9, true, false),
            ],
        ),
        (
            "LE",
            BIG,
            0,
            &[
                (BIG, true, true),
                (BIG + 1, false, false),
                (2 << 32, false, true),
                (9, true, false),
            ],
        ),
        ("GE", 0, 0, &[(0, true, true), (u64::MAX, true, true)]),
        (
            "GT",
            u64::MAX,
            0,
            &[(0, false, false), (u64::MAX, false, false)],
        ),
        (
            "LE",
            u64::MAX,
            0,
            &[(0, true, true), (u64::MAX, true, true)],
        ),
        ("LT", 0, 0, &[(0, false, false), (u64::MAX, false, false)]),
        (
            "MASKED_EQ",
            0x7e02_0000,
            0,
            &[
                (0, true, true),
                (1 << 25, false, false),
                (1 << 63 | 17, true, true),
            ],
        ),
        (
            "MASKED_EQ",
            0xff,
            0x1_00a5,
            &[
                (0xa5, true, true),
                (0xffff_ffff_ffff_ffa5, true, true),
                (0x25, false, false),
            ],
        ),
        (
            "MASKED_EQ",
            8,
            8,
            &[(8, true, true), (9, true, true), (7, false, false)],
        ),
        (
            "MASKED_EQ",
            0xf_0000_000f,
            0x3_0000_0003,
            &[
                (0x3_0000_0003, true, true),
                (3, false, true),
                (0x3_0000_0000, false, false),
            ],
        ),
        (
            "MASKED_EQ",
            0,
            1,
            &[(0, true, true), (u64::MAX, true, true)],
        ),
    ];
    for (op, value, two, args) in cases {
        let json = format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": [
                {{"names": ["prctl"], "action": "SCMP_ACT_TRAP",
                  "args": [{{"index": 2, "value": {value}, "valueTwo": {two}, "op": "SCMP_CMP_{op}"}}]}}]}}"#
        );
        let verdict = |matches: bool| if matches { Action::Trap } else { ALLOW };
        for (arg, wide, narrow) in *args {
            let args = [7, 7, *arg];
            check(
                &json,
                Arch::X86_64,
                &[
                    (named(Arch::X86_64, "prctl", &args), verdict(*wide)),
                    (named(Arch::X32, "prctl", &args), verdict(*narrow)),
                    (named(Arch::X86, "prctl", &args), verdict(*narrow)),
                ],
            );
            check(
                &json,
                Arch::S390x,
                &[(named(Arch::S390x, "prctl", &args), verdict(*wide))],
            );
        }
    }
}

#[test]
fn precedence() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["ioctl"], "action": "SCMP_ACT_TRAP", "args": [
            {"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        {"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_LT"}]},
        {"names": ["ioctl"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        {"names": ["fcntl"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        {"names": ["fcntl"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["fcntl"], "action": "SCMP_ACT_LOG"},
        {"names": ["prctl"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["prctl"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 0, "op": "SCMP_CMP_EQ"},
            {"index": 0, "value": 4, "op": "SCMP_CMP_EQ"}]},
        {"names": ["sendmsg"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"names": ["pidfd_open"], "action": "SCMP_ACT_ALLOW"}]}"#;
    let ioctl = |args: &[u64]| named(Arch::X86_64, "ioctl", args);
    let prctl = |args: &[u64]| named(Arch::X86_64, "prctl", args);
    check(
        json,
        Arch::X86_64,
        &[
            (ioctl(&[1, 5]), Action::Trap),
            (ioctl(&[2, 5]), ALLOW),
            (ioctl(&[1, 8]), ALLOW),
            (ioctl(&[1, 9]), Action::Log),
            (ioctl(&[2, 9]), EPERM),
            (named(Arch::X86_64, "fcntl", &[1]), ALLOW),
            (prctl(&[3, 9]), ALLOW),
            (prctl(&[4, 9]), ALLOW),
            (prctl(&[9, 0]), ALLOW),
            (prctl(&[9, 9]), EPERM),
        ],
    );
    let warnings = compile(&parse(json), Arch::X86_64).unwrap().warnings;
    let pointers: Vec<_> = warnings
        .iter()
        .map(|warning| warning.pointer.as_str())
        .collect();
    assert_eq!(pointers, ["/syscalls/3/names/0", "/syscalls/5/names/0"]);
    assert!(
        warnings
            .iter()
            .all(|warning| warning.kind == WarningKind::Shadowed("fcntl".into()))
    );
}

#[test]
fn multiplexers() {
    let json = |default: &str, more: &str| {
        format!(
            r#"{{"defaultAction": "{default}", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
            {{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}}]}},
            {{"names": ["bind", "shmat"], "action": "SCMP_ACT_ALLOW"}},
            {{"names": ["connect"], "action": "SCMP_ACT_TRAP", "args": [{{"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}}]}}
            {more}, {{"names": ["openat2"], "action": "SCMP_ACT_LOG"}}]}}"#
        )
    };
    let socketcall = |call: u64| named(Arch::X86, "socketcall", &[call, 1]);
    let ipc = |call: u64| named(Arch::X86, "ipc", &[call, 1]);
    check(
        &json("SCMP_ACT_ERRNO", ""),
        Arch::X86_64,
        &[
            (named(Arch::X86, "socket", &[1]), ALLOW),
            (named(Arch::X86, "socket", &[2]), EPERM),
            (socketcall(1), EPERM),
            (socketcall(2), ALLOW),
            (socketcall(3), Action::Trap),
            (socketcall(4), EPERM),
            (ipc(21), ALLOW),
            (ipc(0x1_0015), ALLOW),
            (ipc(22), EPERM),
        ],
    );
    check(
        &json("SCMP_ACT_ALLOW", ""),
        Arch::X86_64,
        &[(socketcall(1), ALLOW), (socketcall(3), Action::Trap)],
    );
    let all = r#", {"names": ["socketcall"], "action": "SCMP_ACT_LOG"}"#;
    check(
        &json("SCMP_ACT_ERRNO", all),
        Arch::X86_64,
        &[
            (socketcall(1), Action::Log),
            (socketcall(3), Action::Log),
            (socketcall(99), Action::Log),
        ],
    );
    let warned = |more: &str| {
        compile(&parse(&json("SCMP_ACT_ERRNO", more)), Arch::X86_64)
            .unwrap()
            .warnings
            .len()
    };
    assert_eq!((warned(""), warned(all)), (2, 0));
}

#[test]
fn actions_and_their_data() {
    let cases = [
        (r#""SCMP_ACT_KILL""#, Action::KillThread),
        (r#""SCMP_ACT_KILL_THREAD""#, Action::KillThread),
        (r#""SCMP_ACT_KILL_PROCESS""#, Action::KillProcess),
        (r#""SCMP_ACT_TRAP""#, Action::Trap),
        (r#""SCMP_ACT_ERRNO""#, EPERM),
        (r#""SCMP_ACT_ERRNO", "errnoRet": 0"#, Action::Errno(0)),
        (r#""SCMP_ACT_ERRNO", "errnoRet": 4095"#, Action::Errno(4095)),
        (r#""SCMP_ACT_TRACE""#, Action::Trace(1)),
        (
            r#""SCMP_ACT_TRACE", "errnoRet": 65535"#,
            Action::Trace(65535),
        ),
        (r#""SCMP_ACT_LOG""#, Action::Log),
        (r#""SCMP_ACT_NOTIFY""#, Action::Notify),
    ];
    for (action, expected) in cases {
        let json = format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["mount"], "action": {action}}}]}}"#
        );
        check(
            &json,
            Arch::Riscv64,
            &[(named(Arch::Riscv64, "mount", &[]), expected)],
        );
        let filter = compile(&parse(&json), Arch::Riscv64).unwrap();
        assert_eq!(filter.needs_listener, expected == Action::Notify);
        assert_eq!(
            filter.flags.contains(FilterFlags::NEW_LISTENER),
            filter.needs_listener
        );
    }
}

#[test]
fn what_a_filter_lets_through() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_LOG"},
        {"names": ["execve"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_GT"}]}]}"#;
    let program = compile(&parse(json), Arch::X86_64).unwrap().program;
    let possible = |name| {
        let returns =
            possible_returns(&program, Arch::X86_64, number(Arch::X86_64, name).unwrap()).unwrap();
        returns
            .into_iter()
            .map(Action::from_return)
            .collect::<Vec<_>>()
    };
    assert_eq!(possible("read"), [Action::Log]);
    assert_eq!(possible("execve"), [EPERM, ALLOW]);
    assert_eq!(possible("close_range"), [ENOSYS]);
    let may = |name| may_call(&program, Arch::X86_64, number(Arch::X86_64, name).unwrap());
    assert_eq!(
        (may("read"), may("execve"), may("write")),
        (true, false, false)
    );
}
