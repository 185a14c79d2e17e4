//! Random profiles, compiled and simulated, against the evaluator that reads them directly; and the shape of every
//! program.

mod evaluator;
mod vocabulary;

use evaluator::verdict;
use oci_runtime_seccomp::{
    Action, Arch, Asked, ErrorKind, Profile, SeccompData, Syscall, SyscallArg, Text, architectures,
    compile, disassemble, explain, number, possible_returns, pseudo_code, simulate, verify,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use vocabulary::{NAMES, OPERATORS};

const NATIVES: &[Arch] = &[
    Arch::X86_64,
    Arch::X32,
    Arch::X86,
    Arch::Aarch64,
    Arch::Arm,
    Arch::S390x,
    Arch::Mipsel64,
];
const ACTIONS: &[(&str, bool)] = &[
    ("ALLOW", false),
    ("ALLOW", false),
    ("ERRNO", true),
    ("ERRNO", true),
    ("TRACE", true),
    ("KILL", false),
    ("KILL_PROCESS", false),
    ("TRAP", false),
    ("LOG", false),
];

fn text(prefix: &str, name: &str) -> Text<'static> {
    Text::from(format!("{prefix}{name}"))
}

/// Values at the edges of the halves, so that arguments and conditions meet.
fn value() -> impl Strategy<Value = u64> {
    let half = select(
        &[
            0_u64,
            1,
            2,
            5,
            8,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_fffe,
            0xffff_ffff,
        ][..],
    );
    prop_oneof![
        4 => half.clone(),
        4 => (half.clone(), half).prop_map(|(upper, lower)| upper << 32 | lower),
        1 => any::<u64>(),
    ]
}

fn action() -> impl Strategy<Value = (Text<'static>, Option<u32>)> {
    (
        select(ACTIONS),
        proptest::option::of(select(&[0_u32, 1, 13, 38][..])),
    )
        .prop_map(|((name, data), errno)| (text("SCMP_ACT_", name), errno.filter(|_| data)))
}

fn arg() -> impl Strategy<Value = SyscallArg<'static>> {
    (
        prop_oneof![3 => 0_u32..2, 1 => 2_u32..6],
        value(),
        value(),
        select(OPERATORS),
    )
        .prop_map(|(index, value, value_two, op)| SyscallArg {
            index,
            value,
            value_two,
            op: text("SCMP_CMP_", op),
        })
}

fn syscall() -> impl Strategy<Value = Syscall<'static>> {
    let args = prop_oneof![1 => Just(vec![]), 3 => vec(arg(), 1..4)];
    (vec(select(NAMES), 0..4), action(), args).prop_map(|(names, (action, errno_ret), args)| {
        Syscall {
            names: names.into_iter().map(Text::from).collect(),
            action,
            errno_ret,
            args,
        }
    })
}

fn profile() -> impl Strategy<Value = Profile<'static>> {
    (
        action(),
        subsequence(Arch::ALL, 0..5),
        vec(syscall(), 0..16),
    )
        .prop_map(
            |((default_action, default_errno_ret), architectures, syscalls)| Profile {
                default_action: Some(default_action),
                default_errno_ret,
                architectures: architectures
                    .into_iter()
                    .map(|arch| arch.name().into())
                    .collect(),
                syscalls,
                ..Profile::default()
            },
        )
}

/// A call that is likely to meet a rule: a number of the pool or next to it, an argument of a condition or next to it.
#[derive(Clone, Debug)]
struct Call {
    arch: Arch,
    name: &'static str,
    aside: u32,
    args: [(u64, usize, i64); 6],
}

fn call() -> impl Strategy<Value = Call> {
    let aside = prop_oneof![8 => Just(0_u32), 1 => Just(1_u32), 1 => Just(u32::MAX), 1 => Just(1 << 30), 1 => any::<u32>()];
    let arg = (
        value(),
        0_usize..40,
        prop_oneof![6 => Just(0_i64), 1 => Just(1), 1 => Just(-1), 1 => Just(1 << 32)],
    );
    (
        select(Arch::ALL),
        select(NAMES),
        aside,
        proptest::array::uniform6(arg),
    )
        .prop_map(|(arch, name, aside, args)| Call {
            arch,
            name,
            aside,
            args,
        })
}

impl Call {
    fn data(&self, profile: &Profile<'_>, native: Arch) -> SeccompData {
        // Half of the calls are of an architecture the filter serves.
        let listed: Vec<Arch> = profile
            .architectures
            .iter()
            .filter_map(|name| Arch::from_name(name))
            .collect();
        let arch = match self.args[0].1 % 4 {
            0 => native,
            1 => listed
                .get(self.args[0].1 / 4 % listed.len().max(1))
                .copied()
                .unwrap_or(native),
            _ => self.arch,
        };
        let conditions: Vec<_> = profile
            .syscalls
            .iter()
            .flat_map(|rule| &rule.args)
            .collect();
        let arg = |(own, index, aside): (u64, usize, i64)| {
            let taken = conditions.get(index).map_or(own, |condition| {
                if condition.op.ends_with("MASKED_EQ") {
                    condition.value_two
                } else {
                    condition.value
                }
            });
            taken.wrapping_add_signed(aside)
        };
        SeccompData {
            nr: number(arch, self.name)
                .unwrap_or(0)
                .wrapping_add(self.aside),
            arch: arch.audit(),
            instruction_pointer: u64::MAX,
            args: self.args.map(arg),
        }
    }
}

/// Whether a call of an architecture with another byte order than the machine's: the machine cannot make it.
fn impossible(profile: &Profile<'_>, native: Arch, data: &SeccompData) -> bool {
    let foreign =
        |arch: &Arch| arch.audit() == data.arch && arch.is_big_endian() != native.is_big_endian();
    let listed = |arch: &Arch| {
        profile
            .architectures
            .iter()
            .any(|name| **name == *arch.name())
    };
    Arch::ALL.iter().any(|arch| foreign(arch) && listed(arch))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_does_what_the_profile_says(
        profile in profile(),
        native in select(NATIVES),
        calls in vec(call(), 64),
    ) {
        let filter = compile(&profile, native).unwrap();
        for call in calls {
            let data = call.data(&profile, native);
            if impossible(&profile, native, &data) {
                continue;
            }
            let found = simulate(&filter.program, &data).map(Action::from_return);
            let expected = verdict(&profile, native, &data);
            prop_assert_eq!(found, Ok(expected), "{:x?}\n{}", data, disassemble(&filter.program));
        }
    }

    #[test]
    fn an_explanation_is_what_the_filter_does(
        profile in profile(),
        native in select(NATIVES),
        calls in vec(call(), 16),
    ) {
        let filter = compile(&profile, native).unwrap();
        for call in calls {
            let data = call.data(&profile, native);
            let explanations = explain(&profile, native, Asked::Number(data.nr)).unwrap();
            let here = explanations.iter().filter(|explanation| explanation.arch.audit() == data.arch);
            for explanation in here {
                let (action, clause) = explanation.decide(&data.args);
                let found = simulate(&filter.program, &data).map(Action::from_return);
                prop_assert_eq!(found, Ok(action), "{:x?} {:?}\n{:?}", data, clause, explanation);
            }
        }
        prop_assert!(pseudo_code(&filter.program, &architectures(&profile, native).unwrap()).is_ok());
    }

    #[test]
    fn a_verdict_is_among_the_possible_ones(
        profile in profile(),
        calls in vec(call(), 16),
    ) {
        let filter = compile(&profile, Arch::X86_64).unwrap();
        for call in calls {
            let mut data = call.data(&profile, Arch::X86_64);
            data.arch = Arch::X86_64.audit();
            let possible = possible_returns(&filter.program, Arch::X86_64, data.nr).unwrap();
            prop_assert!(possible.contains(&simulate(&filter.program, &data).unwrap()));
        }
    }

    /// The kernel takes the program: all jumps arrive inside it, and as they only lead forward, every path ends in
    /// the return that a program must end with, or an earlier one. Far more rules than 8 bit jumps can span.
    #[test]
    fn a_program_is_valid_or_too_large(
        syscalls in vec(syscall(), 1..400),
        architectures in subsequence(Arch::ALL, 0..Arch::ALL.len()),
        native in select(NATIVES),
    ) {
        let architectures = architectures.into_iter().map(|arch| arch.name().into()).collect();
        let default_action = Some("SCMP_ACT_ERRNO".into());
        let profile = Profile { default_action, architectures, syscalls, ..Profile::default() };
        match compile(&profile, native) {
            Ok(filter) => prop_assert_eq!(verify(&filter.program), Ok(())),
            Err(error) => prop_assert_eq!(error.kind(), &ErrorKind::TooLarge { limit: 4096 }),
        }
    }
}
