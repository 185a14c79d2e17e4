//! Profiles of a size that nobody writes by hand.

mod evaluator;

use evaluator::verdict;
use oci_runtime_seccomp::{
    Action, Arch, ErrorKind, Profile, SeccompData, Syscall, SyscallArg, compile, number, simulate,
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
