//! What profiles are said to mean: the rule that decides a call, the filter as pseudo code, and what is odd.

use oci_runtime_seccomp::{
    Action, Arch, Asked, Because, Explanation, Profile, compile, explain, lint, pseudo_code,
};

const PROFILE: &str = r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
    {"names": ["read", "openat2"], "action": "SCMP_ACT_ALLOW"},
    {"names": ["ioctl"], "action": "SCMP_ACT_LOG", "args": [
        {"index": 1, "value": 4294967301, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 3, "op": "SCMP_CMP_LT"}]},
    {"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [
        {"index": 2, "value": 240, "valueTwo": 80, "op": "SCMP_CMP_MASKED_EQ"}]},
    {"names": ["bind"], "action": "SCMP_ACT_ALLOW"}]}"#;

fn parse(json: &str) -> Profile<'_> {
    serde_json::from_str(json).unwrap()
}

fn explained(asked: Asked<'_>) -> Vec<Explanation> {
    explain(&parse(PROFILE), Arch::X86_64, asked).unwrap()
}

#[test]
fn the_rule_that_decides_is_named() {
    let because = |asked| {
        let explanations = explained(asked).into_iter();
        let said = explanations.map(|one| (one.arch, one.number, one.otherwise, one.because));
        said.collect::<Vec<_>>()
    };
    let rule = |pointer: &str| Because::Rule(pointer.to_owned());
    let (allow, eperm, enosys) = (Action::Allow, Action::Errno(1), Action::Errno(38));
    assert_eq!(
        because(Asked::Name("openat2")),
        [
            (Arch::X86_64, 437, allow, rule("/syscalls/0/names/1")),
            (Arch::X86, 437, allow, rule("/syscalls/0/names/1")),
        ]
    );
    assert_eq!(
        because(Asked::Name("bind")),
        [
            (Arch::X86_64, 49, allow, rule("/syscalls/3/names/0")),
            (Arch::X86, 361, allow, rule("/syscalls/3/names/0")),
            (Arch::X86, 102, eperm, Because::Default),
        ]
    );
    assert_eq!(
        because(Asked::Name("statmount")),
        [
            (Arch::X86_64, 457, enosys, Because::Newer(437)),
            (Arch::X86, 457, enosys, Because::Newer(437)),
        ]
    );
    assert_eq!(
        because(Asked::Number(2)),
        [
            (Arch::X86_64, 2, eperm, Because::Default),
            (Arch::X86, 2, eperm, Because::Default),
        ]
    );
    assert_eq!(because(Asked::Name("reed")), []);
}

#[test]
fn conditions_are_spelled_out() {
    let explanation = &explained(Asked::Name("ioctl"))[0];
    let clauses: Vec<_> = explanation
        .clauses
        .iter()
        .map(|clause| {
            let conditions = clause.conditions.iter().map(ToString::to_string);
            (clause.pointer.as_str(), conditions.collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(
        clauses,
        [
            (
                "/syscalls/1/names/0",
                vec!["arg0 < 0x3".to_owned(), "arg1 == 0x100000005".to_owned()]
            ),
            (
                "/syscalls/2/names/0",
                vec!["arg2 & 0xf0 == 0x50".to_owned()]
            ),
        ]
    );
    let decided = |args| explanation.decide(&args).0;
    assert_eq!(decided([2, 0x1_0000_0005, 0, 0, 0, 0]), Action::Log);
    assert_eq!(decided([3, 0x1_0000_0005, 0x5f, 0, 0, 0]), Action::Allow);
    assert_eq!(decided([3, 5, 0, 0, 0, 0]), Action::Errno(1));
}

#[test]
fn a_call_through_a_multiplexer_is_explained_by_the_rules_it_can_meet() {
    let explanations = explained(Asked::Name("bind"));
    let through = explanations
        .iter()
        .find(|one| one.through.is_some())
        .unwrap();
    assert_eq!(through.through, Some("socketcall"));
    assert_eq!(
        through.decide(&[2, 0, 0, 0, 0, 0]).0,
        Action::Allow,
        "{through:?}"
    );
    let pointers: Vec<_> = through.clauses.iter().map(|one| &one.pointer).collect();
    assert_eq!(pointers, ["/syscalls/3/names/0"]);
}

#[test]
fn a_filter_as_pseudo_code() {
    let json = PROFILE.replace(r#""SCMP_ARCH_X86""#, "");
    let program = compile(&parse(&json), Arch::X86_64).unwrap().program;
    let code = pseudo_code(&program, &[Arch::X86_64]).unwrap();
    let expected = "\
SCMP_ARCH_X86_64
  read, bind, openat2:
      allow
";
    assert!(code.starts_with(expected), "{code}");
    let decision = "  ioctl:
      if arg0.high > 0x0: go to 15
      if arg0.low >= 0x3: go to 15
      if arg1.high != 0x1: go to 15
      if arg1.low == 0x5: allow and log
  15: if arg2.low & 0xf0 == 0x50: allow, else fail with errno 1 (EPERM)
";
    assert!(code.contains(decision), "{code}");
    let newer = "472 to 1073741823:\n      fail with errno 38 (ENOSYS)\n";
    assert!(code.contains(newer), "{code}");
}

fn found(json: &str) -> Vec<(String, &'static str)> {
    let findings = lint(&parse(json), Arch::X86_64).unwrap();
    let found = findings.into_iter();
    found
        .map(|finding| (finding.pointer, finding.kind.name()))
        .collect()
}

#[test]
fn odd_rules() {
    let rules = [
        (r#"["mount"], "action": "SCMP_ACT_LOG""#, None),
        (
            r#"["reed"], "action": "SCMP_ACT_LOG""#,
            Some("unknown-call"),
        ),
        (r#"["mount"], "action": "SCMP_ACT_TRAP""#, Some("shadowed")),
        (r#"["mount"], "action": "SCMP_ACT_LOG""#, Some("covered")),
        (
            r#"["umount2"], "action": "SCMP_ACT_ALLOW""#,
            Some("same-as-default"),
        ),
        (
            r#"["ioctl"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 9, "op": "SCMP_CMP_LT"}]"#,
            None,
        ),
        (
            r#"["ioctl"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 9, "op": "SCMP_CMP_LE"}]"#,
            None,
        ),
        (
            r#"["ioctl"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 8, "op": "SCMP_CMP_EQ"}]"#,
            Some("covered"),
        ),
        (
            r#"["ioctl"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_LT"}]"#,
            Some("impossible"),
        ),
        (
            r#"["ioctl"], "action": "SCMP_ACT_LOG", "args": [{"index": 1, "value": 0, "op": "SCMP_CMP_LT"}, {"index": 1, "value": 3, "op": "SCMP_CMP_EQ"}]"#,
            Some("impossible"),
        ),
    ];
    let json: Vec<String> = rules
        .iter()
        .map(|(rule, _)| format!(r#"{{"names": {rule}}}"#))
        .collect();
    let json = format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{}]}}"#,
        json.join(", ")
    );
    let found = found(&json);
    for (index, (rule, kind)) in rules.iter().enumerate() {
        let pointer = format!("/syscalls/{index}/names/0");
        let here = found.iter().filter(|(found, _)| *found == pointer);
        let here: Vec<_> = here
            .map(|(_, kind)| *kind)
            .filter(|kind| *kind != "covered" || rules[index].1 == Some("covered"))
            .collect();
        assert_eq!(here, kind.iter().copied().collect::<Vec<_>>(), "{rule}");
    }
}

#[test]
fn calls_that_programs_need() {
    let denying = |call: &str, errno: u32| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {{"names": ["{call}"], "action": "SCMP_ACT_ERRNO", "errnoRet": {errno}}}]}}"#
        )
    };
    let at = "/syscalls/0/names/0".to_owned();
    assert_eq!(found(&denying("mmap", 38)), [(at.clone(), "needed")]);
    assert_eq!(found(&denying("clone3", 1)), [(at, "probed")]);
    assert_eq!(found(&denying("clone3", 38)), []);
    assert_eq!(found(&denying("reboot", 1)), []);
    // Arguments that pass are not known here, so a rule that lets some pass is taken to let the right ones pass.
    let some = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mmap"], "action": "SCMP_ACT_ERRNO",
        "args": [{"index": 2, "value": 4, "valueTwo": 4, "op": "SCMP_CMP_MASKED_EQ"}]}]}"#;
    assert_eq!(found(some), []);
    let nothing = lint(
        &parse(r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#),
        Arch::X86_64,
    );
    let nothing = nothing.unwrap();
    assert!(nothing.len() > 20);
    assert!(nothing.iter().all(|one| one.pointer == "/defaultAction"));
    let text = nothing
        .iter()
        .map(|one| one.kind.to_string())
        .find(|text| text.contains("\"clone\""));
    assert_eq!(
        text.as_deref(),
        Some(
            "\"clone\" is denied (fail with errno 1 (EPERM)), and musl 1.2.3, Go 1.19 cannot start without it"
        )
    );
}
