//! Recording: a filter that tells of every call, and the profile that allows the calls it told of.
//!
//! The filter asks the listener about each call but the native `write`, by which its installer says where the listener is
//! ([`recording_filter`]). Whoever listens notes each call and lets it go on ([`Calls::note`]). What comes out is a plain
//! list of allowed calls ([`Calls::profile`]): a profile has one list of names for all its architectures, so a call that
//! was made on one of them is allowed on the others too, where they have it.

use std::collections::BTreeSet;

use crate::action::Action;
use crate::arch::{Arch, X32_SYSCALL_BIT};
use crate::bpf::{OFFSET_ARCH, OFFSET_NR, SeccompData, SockFilter, op};
use crate::compile::Filter;
use crate::flags::FilterFlags;
use crate::profile::{Profile, Syscall, Text};
use crate::syscalls;

/// Calls that no program asks for, or every program ends with: a filter must allow them to let anything run to its end.
const ALWAYS: &[&str] = &[
    "exit",
    "exit_group",
    "restart_syscall",
    "rt_sigreturn",
    "write",
];

/// A filter that notifies of every call but `write`, on every architecture. `wait_killable` has a call that the listener
/// has taken up be interrupted by nothing but a fatal signal (Linux 5.19).
pub fn recording_filter(native: Arch, wait_killable: bool) -> Filter {
    let write = syscalls::number(native, "write").unwrap_or(u32::MAX);
    let load = |offset| SockFilter {
        code: op::LD_ABS,
        jt: 0,
        jf: 0,
        k: offset,
    };
    let unless_equal = |k, jf| SockFilter {
        code: op::JMP | op::JEQ | op::K,
        jt: 0,
        jf,
        k,
    };
    let ret = |action: Action| SockFilter {
        code: op::RET | op::K,
        jt: 0,
        jf: 0,
        k: action.to_return(),
    };
    let mut flags = FilterFlags::NEW_LISTENER | FilterFlags::SPEC_ALLOW;
    flags.set(FilterFlags::WAIT_KILLABLE_RECV, wait_killable);
    Filter {
        program: vec![
            load(OFFSET_ARCH),
            unless_equal(native.audit(), 3),
            load(OFFSET_NR),
            unless_equal(write, 1),
            ret(Action::Allow),
            ret(Action::Notify),
        ],
        flags,
        needs_listener: true,
        warnings: Vec::new(),
    }
}

/// Calls that were made, and what a profile was known to allow before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// `AUDIT_ARCH_*` and number.
    made: BTreeSet<(u32, u32)>,
    names: BTreeSet<String>,
    architectures: BTreeSet<String>,
    default_errno_ret: Option<u32>,
    flags: Option<Vec<Text<'static>>>,
}

/// Why a profile cannot be added to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: only a list of allowed calls can be added to: {found} is more than that")]
pub struct NotAList {
    /// Where in the profile.
    pub pointer: String,
    /// What stands there.
    pub found: String,
}

impl Calls {
    /// Notes one call.
    pub fn note(&mut self, data: &SeccompData) {
        self.made.insert((data.arch, data.nr));
    }

    /// Notes a call by its name.
    pub fn note_name(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// Adds all that a profile allows, which an earlier recording has made: `SCMP_ACT_ERRNO` for everything but the names in
    /// rules of `SCMP_ACT_ALLOW` without conditions. Its `flags` and `defaultErrnoRet` stay.
    ///
    /// # Errors
    /// The first part of the profile that is something else.
    pub fn add_profile(&mut self, profile: &Profile<'_>) -> Result<(), NotAList> {
        let differs = |pointer: String, found: &str| NotAList {
            pointer,
            found: format!("{found:?}"),
        };
        let default = profile.default_action.as_deref().unwrap_or_default();
        if default != "SCMP_ACT_ERRNO" {
            return Err(differs("/defaultAction".into(), default));
        }
        if let Some(path) = profile.listener_path.as_deref() {
            return Err(differs("/listenerPath".into(), path));
        }
        for (index, rule) in profile.syscalls.iter().enumerate() {
            let at = |member| format!("/syscalls/{index}/{member}");
            if &*rule.action != "SCMP_ACT_ALLOW" {
                return Err(differs(at("action"), &rule.action));
            }
            if let Some(condition) = rule.args.first() {
                return Err(differs(at("args/0/op"), &condition.op));
            }
        }
        let rules = profile.syscalls.iter();
        let names = rules.flat_map(|rule| &rule.names);
        self.names.extend(names.map(|name| name.to_string()));
        let architectures = profile.architectures.iter();
        self.architectures
            .extend(architectures.map(|name| name.to_string()));
        self.default_errno_ret = profile.default_errno_ret;
        let owned = |flags: &Vec<Text<'_>>| flags.iter().map(|f| f.to_string().into()).collect();
        self.flags = profile.flags.as_ref().map(owned);
        Ok(())
    }

    /// The profile that allows these calls, and those without which no program comes to its end. The architectures are those of
    /// the calls and `native`; everything is sorted, so that equal calls make equal profiles.
    pub fn profile(&self, native: Arch) -> Profile<'static> {
        let mut names = self.names.clone();
        let mut architectures = self.architectures.clone();
        names.extend(ALWAYS.iter().map(|name| (*name).to_owned()));
        architectures.insert(native.name().to_owned());
        for (arch, name) in self.made.iter().filter_map(|call| named(*call)) {
            names.insert(name.to_owned());
            architectures.insert(arch.name().to_owned());
        }
        Profile {
            default_action: Some("SCMP_ACT_ERRNO".into()),
            default_errno_ret: self.default_errno_ret,
            architectures: architectures.into_iter().map(Text::from).collect(),
            flags: self.flags.clone(),
            syscalls: vec![Syscall {
                names: names.into_iter().map(Text::from).collect(),
                action: "SCMP_ACT_ALLOW".into(),
                ..Syscall::default()
            }],
            ..Profile::default()
        }
    }

    /// The calls that no profile can name, as `AUDIT_ARCH_*` and number: the kernel does not have them, or they are newer than
    /// [`LINUX_VERSION`](crate::LINUX_VERSION).
    pub fn nameless(&self) -> impl Iterator<Item = (u32, u32)> {
        let calls = self.made.iter().copied();
        calls.filter(|call| named(*call).is_none())
    }
}

fn named((audit, nr): (u32, u32)) -> Option<(Arch, &'static str)> {
    let x32 = audit == Arch::X32.audit() && nr & X32_SYSCALL_BIT != 0;
    let same = |arch: &&Arch| arch.audit() == audit && (**arch == Arch::X32) == x32;
    // Some differ in nothing that a filter could see; any of them names the call.
    let arch = Arch::ALL.iter().find(same)?;
    Some((*arch, syscalls::name(*arch, nr)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compile;
    use crate::simulate::simulate;

    fn data(arch: Arch, name: &str) -> SeccompData {
        SeccompData {
            nr: syscalls::number(arch, name).unwrap(),
            arch: arch.audit(),
            ..SeccompData::default()
        }
    }

    fn names(profile: &Profile<'_>) -> Vec<String> {
        let rules = profile.syscalls.iter();
        rules
            .flat_map(|rule| rule.names.iter().map(|name| name.to_string()))
            .collect()
    }

    #[test]
    fn everything_but_the_native_write_is_told_of() {
        for (native, foreign) in [(Arch::X86_64, Arch::X86), (Arch::Aarch64, Arch::Arm)] {
            let filter = recording_filter(native, true);
            let verdict = |data| Action::from_return(simulate(&filter.program, &data).unwrap());
            assert_eq!(verdict(data(native, "write")), Action::Allow);
            for call in ["read", "execve", "exit_group", "writev"] {
                assert_eq!(verdict(data(native, call)), Action::Notify, "{call}");
            }
            // On each other architecture that number is another call.
            assert_eq!(verdict(data(foreign, "write")), Action::Notify);
            let same_number = SeccompData {
                arch: foreign.audit(),
                ..data(native, "write")
            };
            assert_eq!(verdict(same_number), Action::Notify);
        }
        let x32 = simulate(
            &recording_filter(Arch::X86_64, false).program,
            &data(Arch::X32, "write"),
        );
        assert_eq!(Action::from_return(x32.unwrap()), Action::Notify);
    }

    #[test]
    fn the_profile_allows_what_was_made_and_nothing_else() {
        let mut calls = Calls::default();
        for name in ["openat", "brk", "openat"] {
            calls.note(&data(Arch::X86_64, name));
        }
        calls.note(&data(Arch::X86, "socketcall"));
        calls.note(&SeccompData {
            nr: 99_999,
            arch: Arch::X86_64.audit(),
            ..SeccompData::default()
        });
        let profile = calls.profile(Arch::X86_64);
        assert_eq!(
            names(&profile),
            [
                "brk",
                "exit",
                "exit_group",
                "openat",
                "restart_syscall",
                "rt_sigreturn",
                "socketcall",
                "write"
            ]
        );
        assert_eq!(
            profile.architectures,
            ["SCMP_ARCH_X86".into(), "SCMP_ARCH_X86_64".into()]
        );
        assert_eq!(
            calls.nameless().collect::<Vec<_>>(),
            [(Arch::X86_64.audit(), 99_999)]
        );
        let filter = compile(&profile, Arch::X86_64).unwrap();
        assert_eq!(filter.warnings, []);
        let verdict = |data| Action::from_return(simulate(&filter.program, &data).unwrap());
        assert_eq!(verdict(data(Arch::X86_64, "openat")), Action::Allow);
        assert_eq!(verdict(data(Arch::X86, "socketcall")), Action::Allow);
        assert_eq!(verdict(data(Arch::X86_64, "mkdir")), Action::Errno(1));
    }

    #[test]
    fn x32_is_told_from_x86_64() {
        let mut calls = Calls::default();
        calls.note(&data(Arch::X32, "openat"));
        assert_eq!(
            calls.profile(Arch::X86_64).architectures,
            ["SCMP_ARCH_X32".into(), "SCMP_ARCH_X86_64".into()]
        );
    }

    #[test]
    fn recordings_add_up_in_any_order() {
        let record = |names: &[&str]| {
            let mut calls = Calls::default();
            names
                .iter()
                .for_each(|name| calls.note(&data(Arch::X86_64, name)));
            calls
        };
        let merged = |first: &[&str], second: &[&str]| {
            let mut calls = record(second);
            let earlier = record(first).profile(Arch::X86_64);
            calls.add_profile(&earlier).unwrap();
            calls.profile(Arch::X86_64)
        };
        let both = record(&["brk", "openat", "socket"]).profile(Arch::X86_64);
        assert_eq!(merged(&["brk", "openat"], &["openat", "socket"]), both);
        assert_eq!(merged(&["openat", "socket"], &["brk", "openat"]), both);
    }

    #[test]
    fn only_lists_can_be_added_to() {
        for (json, pointer) in [
            (r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#, "/defaultAction"),
            (
                r#"{"defaultAction": "SCMP_ACT_ERRNO", "listenerPath": "/a"}"#,
                "/listenerPath",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": [], "action": "SCMP_ACT_LOG"}]}"#,
                "/syscalls/0/action",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": [], "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]}]}"#,
                "/syscalls/0/args/0/op",
            ),
        ] {
            let profile = serde_json::from_str(json).unwrap();
            let refused = Calls::default().add_profile(&profile).unwrap_err();
            assert_eq!(refused.pointer, pointer);
        }
    }
}
