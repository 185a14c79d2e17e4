//! The compiler against libseccomp, driven as runc drives it. Where the library is not installed, these tests say so
//! and pass.

mod library;

use library::{BINARY_TREE, Library, installed_profile, library};
use oci_runtime_seccomp::{
    Action, Arch, Profile, SeccompData, Syscall, SyscallArg, Text, compile, disassemble, name,
    number, simulate,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const THREE: &[&str] = &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];

#[test]
fn call_numbers_agree() {
    let Some(library) = library() else { return };
    let names: std::collections::BTreeSet<_> = Arch::ALL
        .iter()
        .flat_map(|arch| (0..7000).filter_map(|nr| name(*arch, nr)))
        .collect();
    let mut compared = 0;
    let mut differences = Vec::new();
    for arch in Arch::ALL {
        for name in &names {
            let theirs = library.number(*arch, name);
            let (Some(ours), Ok(theirs)) = (number(*arch, name), u32::try_from(theirs)) else {
                continue;
            };
            compared += 1;
            if ours != theirs {
                differences.push((*arch, *name, ours, theirs));
            }
        }
    }
    assert_eq!(differences, []);
    assert!(compared > 3000, "{compared}");
}

#[test]
fn the_installed_profile_agrees() {
    let (Some(library), Some(profile)) = (library(), installed_profile(THREE)) else {
        return;
    };
    if Arch::native() != Some(Arch::X86_64) {
        eprintln!("skipped: the profile is lowered for x86_64");
        return;
    }
    let theirs = library
        .compile_at(BINARY_TREE, Arch::X86_64, &profile)
        .unwrap();
    let filter = compile(&profile, Arch::X86_64).unwrap();
    let ours = filter.program;
    assert!(
        ours.len() * 100 <= theirs.len() * 60,
        "{} instructions, libseccomp {}",
        ours.len(),
        theirs.len()
    );
    let values = [
        0,
        1,
        2,
        8,
        9,
        16,
        17,
        0x20000,
        0x20008,
        0xffff_ffff,
        1 << 32,
        1 << 32 | 8,
        u64::MAX,
    ];
    let mut compared = 0;
    for arch in [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64] {
        let base = if arch == Arch::X32 { 1 << 30 } else { 0 };
        for nr in (0..1100)
            .map(|nr| base + nr)
            .filter(|nr| known_to_both(&library, arch, *nr))
        {
            for first in values {
                for third in [0, 9, 1 << 32] {
                    let args = [first, 0, third, 0, 0, 0];
                    let data = SeccompData {
                        nr,
                        arch: arch.audit(),
                        instruction_pointer: 0,
                        args,
                    };
                    assert_eq!(
                        simulate(&ours, &data),
                        simulate(&theirs, &data),
                        "{arch:?} {data:x?}"
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 20_000, "{compared}");
}

/// What the documentation says of libseccomp where it differs: rule, architecture, call, and both results.
#[test]
fn the_known_differences_are_there() {
    if Arch::native() != Some(Arch::X86_64) {
        eprintln!("skipped: the rules are for x86_64");
        return;
    }
    let Some(library) = library() else { return };
    let rule = |name: &str, action: &str, args: &str| {
        format!(r#"{{"names": ["{name}"], "action": "SCMP_ACT_{action}", "args": [{args}]}}"#)
    };
    let equal = |index: u32, value: u64| {
        format!(r#"{{"index": {index}, "value": {value}, "op": "SCMP_CMP_EQ"}}"#)
    };
    let order = [
        rule("ioctl", "ALLOW", &equal(0, 1)),
        rule("ioctl", "LOG", &equal(1, 3)),
    ];
    let multiplexed = [rule(
        "socket",
        "ALLOW",
        &format!("{}, {}", equal(0, 5), equal(2, 9)),
    )];
    let (allow, log, deny) = (
        Action::Allow.to_return(),
        Action::Log.to_return(),
        Action::Errno(1).to_return(),
    );
    let cases = [
        (
            order.join(","),
            Arch::X86_64,
            "ioctl",
            [1, 3, 0, 0, 0, 0],
            allow,
            log,
        ),
        (
            multiplexed.join(","),
            Arch::X86,
            "socketcall",
            [1, 0xffff_0000, 9, 0, 0, 0],
            deny,
            allow,
        ),
    ];
    for (rules, arch, name, args, ours, theirs) in cases {
        let json = format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [{rules}]}}"#
        );
        let profile: Profile = serde_json::from_str(&json).unwrap();
        let nr = number(arch, name).unwrap();
        let data = SeccompData {
            nr,
            arch: arch.audit(),
            instruction_pointer: 0,
            args,
        };
        assert_eq!(
            simulate(&compile(&profile, Arch::X86_64).unwrap().program, &data),
            Ok(ours),
            "{json}"
        );
        assert_eq!(
            simulate(&library.compile(Arch::X86_64, &profile).unwrap(), &data),
            Ok(theirs),
            "{json}"
        );
    }
}

/// Whether libseccomp has the name for the number too; it may be older than the table.
fn known_to_both(library: &Library, arch: Arch, nr: u32) -> bool {
    name(arch, nr).is_none_or(|name| library.number(arch, name) == nr as i32)
}

fn value() -> impl Strategy<Value = u64> {
    let half = select(&[0_u64, 1, 0x7fff_ffff, 0xffff_ffff][..]);
    (half.clone(), half).prop_map(|(upper, lower)| upper << 32 | lower)
}

fn rule(
    operators: &'static [&'static str],
    most: usize,
) -> impl Strategy<Value = Syscall<'static>> {
    let arg = (value(), value(), select(operators)).prop_map(|(value, value_two, op)| SyscallArg {
        index: 0,
        value,
        value_two,
        op: Text::from(format!("SCMP_CMP_{op}")),
    });
    (
        select(CALLS),
        vec(arg, 1..=most),
        subsequence(vec![0, 1, 2], most),
    )
        .prop_map(|(name, mut args, places)| {
            args.iter_mut()
                .zip(places)
                .for_each(|(arg, place)| arg.index = place);
            Syscall {
                names: vec![name.into()],
                action: "SCMP_ACT_ALLOW".into(),
                errno_ret: None,
                args,
            }
        })
}

/// A single rule, of any kind, or several for equality of one argument. Others do not agree with libseccomp 2.5.4: for
/// `arg < 2^63 - 2^31` or `arg < 5 * 2^32` its filter refuses 5 * 2^32 + 2^31 - 1, and when the second condition of a
/// rule fails it may go on to compare the wrong argument with the values of the next rule, and allow the call.
fn rules() -> impl Strategy<Value = Vec<Syscall<'static>>> {
    let all = &["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    prop_oneof![vec(rule(all, 3), 1), vec(rule(&["EQ"], 1), 1..9)]
}

const CALLS: &[&str] = &["ioctl", "personality", "prctl"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_rules_agree(
        syscalls in rules(),
        calls in vec((select(CALLS), proptest::array::uniform6(value())), 64),
    ) {
        let (Some(library), Some(native)) = (library(), Arch::native()) else { return Ok(()) };
        let default_action = Some("SCMP_ACT_ERRNO".into());
        let profile = Profile { default_action, syscalls, ..Profile::default() };
        let Some(theirs) = library.compile(native, &profile) else { return Ok(()) };
        let ours = compile(&profile, native).unwrap().program;
        let mentioned = profile.syscalls.iter().filter_map(|rule| number(native, &rule.names[0]));
        let newest = mentioned.max().unwrap();
        let numbers = calls.into_iter().map(|(name, args)| (number(native, name).unwrap(), args));
        for (nr, args) in numbers.filter(|(nr, _)| *nr <= newest) {
            let data = SeccompData { nr, arch: native.audit(), instruction_pointer: 0, args };
            prop_assert_eq!(simulate(&ours, &data), simulate(&theirs, &data), "{:x?}\n{}", data, disassemble(&theirs));
        }
    }
}
