//! The verdict on a call, read from the profile by the words of the documentation and nothing else: no ranges, no
//! halves, no instructions. It shares the table of call numbers with the crate, and no other part of it.

#![allow(dead_code)] // Each test uses a part of this.

use std::collections::HashMap;

use oci_runtime_seccomp::{Action, Arch, Profile, SeccompData, Syscall, SyscallArg, number};

const NOTHING: Action = Action::KillThread;
const X32_BIT: u32 = 1 << 30;

/// The verdict of a valid profile.
pub fn verdict(profile: &Profile<'_>, native: Arch, data: &SeccompData) -> Action {
    match arch_of(profile, native, data) {
        Some(arch) => Reading::new(profile, arch).verdict(data),
        None => NOTHING,
    }
}

/// The verdicts of a valid profile on many calls: what is read once for each architecture is kept.
#[derive(Default)]
pub struct Readings<'p>(HashMap<Arch, Reading<'p>>);

impl<'p> Readings<'p> {
    pub fn verdict(
        &mut self,
        profile: &'p Profile<'p>,
        native: Arch,
        data: &SeccompData,
    ) -> Action {
        let Some(arch) = arch_of(profile, native, data) else {
            return NOTHING;
        };
        let reading = self.0.entry(arch);
        reading
            .or_insert_with(|| Reading::new(profile, arch))
            .verdict(data)
    }
}

/// A profile as it is for one architecture.
struct Reading<'p> {
    arch: Arch,
    default: Action,
    newest: Option<u32>,
    /// Those whose action is not the default, with the numbers they name.
    rules: Vec<(&'p Syscall<'p>, Action, Vec<u32>)>,
}

impl<'p> Reading<'p> {
    fn new(profile: &'p Profile<'p>, arch: Arch) -> Reading<'p> {
        let default = action(
            profile.default_action.as_deref().unwrap(),
            profile.default_errno_ret,
        );
        let rule = |rule: &'p Syscall<'p>| {
            let names = rule.names.iter();
            let numbers = names.filter_map(|name| number(arch, name)).collect();
            (rule, action(&rule.action, rule.errno_ret), numbers)
        };
        let rules = profile.syscalls.iter().map(rule);
        Reading {
            arch,
            default,
            newest: newest(profile, arch),
            rules: rules.filter(|(_, action, _)| *action != default).collect(),
        }
    }

    fn verdict(&self, data: &SeccompData) -> Action {
        let (arch, default) = (self.arch, self.default);
        let here = || {
            self.rules
                .iter()
                .filter(|(_, _, numbers)| numbers.contains(&data.nr))
        };
        if self
            .newest
            .is_some_and(|newest| is_newer(arch, data.nr, newest))
            && !matches!(default, Action::Allow | Action::Log | Action::Trace(_))
            && here().next().is_none()
        {
            return Action::Errno(match arch.name() {
                name if name.contains("MIPS") => 89,
                name if name.contains("PARISC") => 251,
                _ => 38,
            });
        }
        if let Some((_, action, _)) = here().find(|(rule, _, _)| rule.args.is_empty()) {
            return *action;
        }
        if let Some((_, action, _)) = here().find(|(rule, _, _)| matches(rule, arch, data)) {
            return *action;
        }
        let rules: Vec<_> = self.rules.iter().map(|(rule, _, _)| *rule).collect();
        multiplexed(&rules, arch, data, default).unwrap_or(default)
    }
}

fn arch_of(profile: &Profile<'_>, native: Arch, data: &SeccompData) -> Option<Arch> {
    let listed = |arch: Arch| {
        arch == native
            || profile
                .architectures
                .iter()
                .any(|name| &**name == arch.name())
    };
    if data.arch == Arch::X86_64.audit() {
        let arch = if data.nr >= X32_BIT {
            Arch::X32
        } else {
            Arch::X86_64
        };
        if data.nr == u32::MAX && !listed(Arch::X32) {
            // The number that cancels a call belongs to neither.
            return Some(Arch::X86_64).filter(|arch| listed(*arch));
        }
        return Some(arch).filter(|arch| listed(*arch));
    }
    Arch::ALL
        .iter()
        .copied()
        .find(|arch| arch.audit() == data.arch && *arch != Arch::X32 && listed(*arch))
}

fn newest(profile: &Profile<'_>, arch: Arch) -> Option<u32> {
    let names = profile.syscalls.iter().flat_map(|rule| &rule.names);
    let multiplexer = |name: &str| {
        MULTIPLEXED
            .iter()
            .find(|row| row.1 == name)
            .map(|row| row.0)
    };
    let ways = |name| [Some(name), multiplexer(name)].into_iter().flatten();
    let numbers = names.flat_map(|name| ways(name).filter_map(|name| number(arch, name)));
    numbers
        .filter(|nr| arch != Arch::Arm || *nr < 0xf_0000)
        .max()
}

fn is_newer(arch: Arch, nr: u32, newest: u32) -> bool {
    match arch {
        Arch::Arm if nr >= 0xf_0000 => false,
        Arch::S390 | Arch::S390x if nr == 0 => true,
        Arch::X86_64 if nr == u32::MAX => false,
        _ => nr > newest,
    }
}

fn matches(rule: &Syscall<'_>, arch: Arch, data: &SeccompData) -> bool {
    let twice = |arg: &SyscallArg<'_>| {
        rule.args
            .iter()
            .filter(|other| other.index == arg.index)
            .count()
            > 1
    };
    let holds = |arg: &SyscallArg<'_>| holds(arg, arch, data.args[arg.index as usize]);
    if rule.args.iter().any(twice) {
        rule.args.iter().any(holds)
    } else {
        rule.args.iter().all(holds)
    }
}

fn holds(condition: &SyscallArg<'_>, arch: Arch, arg: u64) -> bool {
    let wide = [
        "X86_64",
        "AARCH64",
        "RISCV64",
        "LOONGARCH64",
        "S390X",
        "PPC64LE",
        "PPC64",
        "MIPS64",
        "MIPSEL64",
        "PARISC64",
    ];
    let narrow = !wide
        .iter()
        .any(|name| arch.name() == format!("SCMP_ARCH_{name}"));
    let cut = |value: u64| if narrow { value % (1 << 32) } else { value };
    let (arg, value, two) = (cut(arg), cut(condition.value), cut(condition.value_two));
    match condition.op.strip_prefix("SCMP_CMP_").unwrap() {
        "NE" => arg != value,
        "LT" => arg < value,
        "LE" => arg <= value,
        "EQ" => arg == value,
        "GE" => arg >= value,
        "GT" => arg > value,
        "MASKED_EQ" => arg & value == two & value,
        other => panic!("{other}"),
    }
}

/// The calls of socketcall and ipc that the tests use.
const MULTIPLEXED: &[(&str, &str, u64)] = &[
    ("socketcall", "socket", 1),
    ("socketcall", "bind", 2),
    ("socketcall", "connect", 3),
    ("socketcall", "sendto", 11),
    ("socketcall", "send", 9),
    ("ipc", "semop", 1),
    ("ipc", "shmat", 21),
];

fn multiplexed(
    rules: &[&Syscall<'_>],
    arch: Arch,
    data: &SeccompData,
    default: Action,
) -> Option<Action> {
    let (_, name, _) = MULTIPLEXED.iter().find(|(multiplexer, _, call)| {
        let bits = if *multiplexer == "ipc" {
            0xffff
        } else {
            0xffff_ffff
        };
        number(arch, multiplexer) == Some(data.nr) && data.args[0] & bits == *call
    })?;
    let here = || {
        rules
            .iter()
            .filter(|rule| rule.names.iter().any(|named| **named == **name))
    };
    if let Some(rule) = here().find(|rule| rule.args.is_empty()) {
        return Some(action(&rule.action, rule.errno_ret));
    }
    let strictest = here()
        .map(|rule| action(&rule.action, rule.errno_ret))
        .min_by_key(|action| strictness(*action))?;
    (strictness(strictest) < strictness(default)).then_some(strictest)
}

fn strictness(action: Action) -> u32 {
    match action {
        Action::KillProcess => 0,
        Action::KillThread => 1,
        Action::Trap => 2,
        Action::Errno(_) => 3,
        Action::Notify => 4,
        Action::Trace(_) => 5,
        Action::Log => 6,
        Action::Allow => 7,
    }
}

fn action(name: &str, errno: Option<u32>) -> Action {
    let data = errno.unwrap_or(1) as u16;
    match name.strip_prefix("SCMP_ACT_").unwrap() {
        "KILL" | "KILL_THREAD" => Action::KillThread,
        "KILL_PROCESS" => Action::KillProcess,
        "TRAP" => Action::Trap,
        "ERRNO" => Action::Errno(data),
        "TRACE" => Action::Trace(data),
        "LOG" => Action::Log,
        "ALLOW" => Action::Allow,
        "NOTIFY" => Action::Notify,
        other => panic!("{other}"),
    }
}
