//! `linux.seccomp`: any profile compiles or is refused, on machines of both sizes and byte orders. The kernel would take
//! every program, and what a program does with a call is among what it may do with that number.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oci_runtime_seccomp::{
    Action, Arch, Asked, Profile, SeccompData, SockFilter, X32_SYSCALL_BIT, architectures, compile,
    disassemble, explain, lint, number, possible_returns, pseudo_code, simulate, verify,
};

const NATIVE: &[Arch] = &[Arch::X86_64, Arch::Arm, Arch::S390x, Arch::Mips];

fuzz_target!(|json: &[u8]| {
    let Ok(profile) = serde_json::from_slice::<Profile>(json) else {
        return;
    };
    let written = serde_json::to_vec(&profile).expect("a profile can be written");
    let again: Profile = serde_json::from_slice(&written).expect("what was written is read");
    assert_eq!(again, profile);
    for &native in NATIVE {
        match compile(&profile, native) {
            Ok(filter) => {
                run(&profile, native, &filter.program);
                said(&profile, native, &filter.program);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});

fn run(profile: &Profile<'_>, arch: Arch, program: &[SockFilter]) {
    verify(program).expect("the kernel takes the program");
    assert_eq!(disassemble(program).lines().count(), program.len());
    let names = profile.syscalls.iter().flat_map(|rule| &rule.names);
    let named = names.filter_map(|name| number(arch, name)).take(16);
    for nr in named.chain([0, 1 << 16, X32_SYSCALL_BIT | 1, u32::MAX]) {
        let possible = possible_returns(program, arch, nr).expect("the program is valid");
        for args in arguments(profile) {
            let data = SeccompData {
                nr,
                arch: arch.audit(),
                args,
                ..SeccompData::default()
            };
            let value = simulate(program, &data).expect("the program is valid");
            assert!(possible.contains(&value), "{nr}: {value:#x}");
        }
    }
}

/// What is said of a profile that compiles is what its program does.
fn said(profile: &Profile<'_>, native: Arch, program: &[SockFilter]) {
    let archs = architectures(profile, native).expect("the profile compiles");
    pseudo_code(program, &archs).expect("the program is valid");
    lint(profile, native).expect("the profile compiles");
    let names = profile.syscalls.iter().flat_map(|rule| &rule.names);
    for name in names.take(8) {
        let explanations = explain(profile, native, Asked::Name(name)).expect("it compiles");
        for explanation in explanations.iter().filter(|one| one.through.is_none()) {
            for args in arguments(profile) {
                let data = SeccompData {
                    nr: explanation.number,
                    arch: explanation.arch.audit(),
                    args,
                    ..SeccompData::default()
                };
                let value = simulate(program, &data).map(Action::from_return);
                assert_eq!(value, Ok(explanation.decide(&args).0), "{name}");
            }
        }
    }
}

/// Arguments at and beside the values of the first conditions.
fn arguments(profile: &Profile<'_>) -> Vec<[u64; 6]> {
    let conditions = profile.syscalls.iter().flat_map(|rule| &rule.args).take(8);
    let near = conditions.flat_map(|condition| {
        [condition.value, condition.value_two]
            .into_iter()
            .flat_map(|value| [value.wrapping_sub(1), value, value.wrapping_add(1)])
    });
    near.chain([0, u64::MAX]).map(|value| [value; 6]).collect()
}
