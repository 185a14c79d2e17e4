//! `linux.seccomp`: any profile compiles or is refused, on machines of both sizes and byte orders. The kernel would take
//! every program, and what a program does with a call is among what it may do with that number.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oci_runtime_seccomp::{
    Arch, Profile, SeccompData, SockFilter, X32_SYSCALL_BIT, compile, disassemble, number,
    possible_returns, simulate, verify,
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
            Ok(filter) => run(&profile, native, &filter.program),
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
