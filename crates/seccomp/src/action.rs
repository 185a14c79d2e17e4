//! Actions: what the kernel does with a call once the filter has returned. A profile names them `SCMP_ACT_*`; a
//! filter returns them as `SECCOMP_RET_*`, 16 bits of action and 16 bits of data.

use std::fmt;

/// A verdict on a call, with its data (seccomp(2), "Filter return values").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// The process dies of `SIGSYS`.
    KillProcess,
    /// The thread dies of `SIGSYS`.
    KillThread,
    /// The thread gets a `SIGSYS` it may handle.
    Trap,
    /// The call fails with this errno. Zero makes it a success that does nothing.
    Errno(u16),
    /// The call waits for the program that holds the listener.
    Notify,
    /// A tracer is told, with this message; without a tracer the call fails with `ENOSYS`.
    Trace(u16),
    /// The call is made, and logged.
    Log,
    /// The call is made.
    Allow,
}

/// The largest errno a filter can return (`MAX_ERRNO` of the kernel, which replaces a larger one by it).
pub const MAX_ERRNO: u16 = 4095;
pub(crate) const EPERM: u16 = 1;
pub(crate) const ENOSYS: u16 = 38;

const ACTION_MASK: u32 = 0xffff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0x0000_0000;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const USER_NOTIF: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

/// The names in profiles. The value of an action that carries data is a placeholder for `errnoRet`.
const NAMES: &[(&str, Action)] = &[
    ("SCMP_ACT_KILL", Action::KillThread),
    ("SCMP_ACT_KILL_PROCESS", Action::KillProcess),
    ("SCMP_ACT_KILL_THREAD", Action::KillThread),
    ("SCMP_ACT_TRAP", Action::Trap),
    ("SCMP_ACT_ERRNO", Action::Errno(EPERM)),
    ("SCMP_ACT_TRACE", Action::Trace(EPERM)),
    ("SCMP_ACT_ALLOW", Action::Allow),
    ("SCMP_ACT_LOG", Action::Log),
    ("SCMP_ACT_NOTIFY", Action::Notify),
];

/// In words, with the number of an errno as it stands in a profile.
impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::KillProcess => out.write_str("kill the process"),
            Action::KillThread => out.write_str("kill the thread"),
            Action::Trap => out.write_str("trap (SIGSYS)"),
            Action::Errno(0) => out.write_str("succeed without doing anything"),
            Action::Errno(errno @ 1) => write!(out, "fail with errno {errno} (EPERM)"),
            Action::Errno(errno @ 38) => write!(out, "fail with errno {errno} (ENOSYS)"),
            Action::Errno(errno) => write!(out, "fail with errno {errno}"),
            Action::Notify => out.write_str("ask the listener"),
            Action::Trace(message) => write!(out, "ask the tracer (message {message})"),
            Action::Log => out.write_str("allow and log"),
            Action::Allow => out.write_str("allow"),
        }
    }
}

impl Action {
    /// The names a profile may use.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The action of a name such as `SCMP_ACT_ERRNO`; those with data get `EPERM`.
    pub fn from_name(name: &str) -> Option<Action> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, action)| *action)
    }

    /// The value a filter returns for this action.
    pub const fn to_return(self) -> u32 {
        match self {
            Action::KillProcess => KILL_PROCESS,
            Action::KillThread => KILL_THREAD,
            Action::Trap => TRAP,
            Action::Errno(errno) => ERRNO | errno as u32,
            Action::Notify => USER_NOTIF,
            Action::Trace(message) => TRACE | message as u32,
            Action::Log => LOG,
            Action::Allow => ALLOW,
        }
    }

    /// What the kernel does with a value a filter returned. It kills the process for values it does not know.
    pub const fn from_return(value: u32) -> Action {
        let data = (value & !ACTION_MASK) as u16;
        match value & ACTION_MASK {
            KILL_THREAD => Action::KillThread,
            TRAP => Action::Trap,
            ERRNO if data > MAX_ERRNO => Action::Errno(MAX_ERRNO),
            ERRNO => Action::Errno(data),
            USER_NOTIF => Action::Notify,
            TRACE => Action::Trace(data),
            LOG => Action::Log,
            ALLOW => Action::Allow,
            _ => Action::KillProcess,
        }
    }

    /// Whether the call is made without anyone else's consent.
    pub const fn permits(self) -> bool {
        matches!(self, Action::Allow | Action::Log)
    }

    /// The order in which the kernel prefers the verdicts of several filters, the strictest first.
    pub(crate) const fn severity(self) -> i32 {
        (self.to_return() & ACTION_MASK) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn return_values_lead_back() {
        for name in Action::names() {
            let action = Action::from_name(name).unwrap();
            assert_eq!(Action::from_return(action.to_return()), action, "{name}");
        }
        assert_eq!(Action::from_return(0x0005_ffff), Action::Errno(4095));
        assert_eq!(Action::from_return(0x1234_0000), Action::KillProcess);
    }

    #[test]
    fn severity_is_the_kernels_order() {
        let order = [
            Action::KillProcess,
            Action::KillThread,
            Action::Trap,
            Action::Errno(9),
            Action::Notify,
            Action::Trace(1),
            Action::Log,
            Action::Allow,
        ];
        assert!(order.is_sorted_by_key(|action| action.severity()));
    }
}
