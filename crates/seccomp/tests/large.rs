//! Profiles of a size that nobody writes by hand.

mod evaluator;

use evaluator::verdict;
use oci_runtime_seccomp::{
    Action, Arch, ErrorKind, Profile, SeccompData, Syscall, SyscallArg, compile, name, number,
    simulate, verify,
};

fn many_rules(count: usize) -> Profile<'static> {
    let rule = |value: usize| Syscall {
        names: vec!["ioctl".into()],
        action: "SCMP_ACT_ALLOW".into(),
        errno_ret: None,
        args: vec![SyscallArg {
            index: (value % 6) as u32,
            value: value as u64,
            value_two: 0,
            op: "SCMP_CMP_EQ".into(),
        }],
    };
    Profile {
        default_action: Some("SCMP_ACT_ERRNO".into()),
        syscalls: (0..count).map(rule).collect(),
        ..Profile::default()
    }
}

#[test]
fn too_much_is_refused() {
    for count in [5_000, 200_000] {
        let error = compile(&many_rules(count), Arch::X86_64).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::TooLarge { limit: 4096 });
    }
}

/// The most rules of this kind that fit, one more, and 4,096.
#[test]
fn at_the_size_limit() {
    let compiled = |count| compile(&many_rules(count), Arch::X86_64).map(|filter| filter.program);
    let (mut fits, mut refused) = (600, 4096);
    assert!(compiled(refused).is_err());
    while fits + 1 < refused {
        let count = fits.midpoint(refused);
        match compiled(count) {
            Ok(_) => fits = count,
            Err(_) => refused = count,
        }
    }
    let program = compiled(fits).unwrap();
    assert!((4000..=4096).contains(&program.len()), "{}", program.len());
    assert_eq!(verify(&program), Ok(()));
}

/// 4,096 rules for calls without conditions come to one verdict a call.
#[test]
fn many_rules_for_few_calls() {
    let names: Vec<&str> = (0..335).filter_map(|nr| name(Arch::X86_64, nr)).collect();
    let rule = |index: usize| Syscall {
        names: vec![names[index % names.len()].into()],
        action: "SCMP_ACT_ERRNO".into(),
        errno_ret: Some(index as u32 % 4096),
        args: vec![],
    };
    let profile = Profile {
        default_action: Some("SCMP_ACT_ALLOW".into()),
        syscalls: (0..4096).map(rule).collect(),
        ..Profile::default()
    };
    let program = compile(&profile, Arch::X86_64).unwrap().program;
    for (index, call) in names.iter().enumerate() {
        let data = SeccompData {
            nr: number(Arch::X86_64, call).unwrap(),
            arch: Arch::X86_64.audit(),
            ..SeccompData::default()
        };
        let found = simulate(&program, &data).map(Action::from_return);
        assert_eq!(found, Ok(Action::Errno(index as u16)), "{call}");
    }
}

/// A decision so long that jumps out of it need stepping stones.
#[test]
fn long_decisions() {
    let profile = many_rules(600);
    let filter = compile(&profile, Arch::X86_64).unwrap();
    let nr = number(Arch::X86_64, "ioctl").unwrap();
    for value in 0..700 {
        for place in 0..6 {
            let mut args = [u64::MAX; 6];
            args[place] = value;
            let data = SeccompData {
                nr,
                arch: Arch::X86_64.audit(),
                instruction_pointer: 0,
                args,
            };
            let found = simulate(&filter.program, &data).map(Action::from_return);
            assert_eq!(
                found,
                Ok(verdict(&profile, Arch::X86_64, &data)),
                "{place} {value}"
            );
        }
    }
}
