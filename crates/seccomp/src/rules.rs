//! The front end: a profile becomes typed rules, each name of an action, operator or architecture a value, or an
//! error that says where it stands. Nothing here knows of instructions.

use std::fmt;

use crate::action::{Action, EPERM, MAX_ERRNO};
use crate::arch::Arch;
use crate::error::{Error, ErrorKind, Warning, WarningKind};
use crate::flags::{self, FilterFlags};
use crate::profile::{Profile, Syscall, SyscallArg};
use crate::syscalls::{self, Row};

/// A profile, understood: nothing of it is text any more.
pub(crate) struct Rules {
    pub(crate) default: Action,
    /// The architectures to serve, the native one first, none twice.
    pub(crate) archs: Vec<Arch>,
    pub(crate) flags: FilterFlags,
    /// `syscalls`, in its order.
    pub(crate) entries: Vec<Entry>,
    /// The calls that the entries name, in the order of the profile.
    pub(crate) mentions: Vec<Mention>,
}

/// One entry of `syscalls`.
pub(crate) struct Entry {
    pub(crate) action: Action,
    /// By argument. None means that every call matches.
    pub(crate) conditions: Vec<Condition>,
    /// Whether one condition is enough; else all have to hold.
    pub(crate) any: bool,
    /// Whether the action is the default anyway. Such an entry only counts as a mention of its calls.
    pub(crate) redundant: bool,
}

/// A name of a call in an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mention {
    pub(crate) row: Row,
    /// Position in `syscalls`.
    pub(crate) entry: u32,
    /// Position in its `names`.
    pub(crate) position: u32,
}

/// A comparison of one argument with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub arg: u8,
    /// How they are compared.
    pub op: Op,
    /// What the argument, or what is left of it by a mask, is compared with.
    pub value: u64,
}

/// How an argument is compared, without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `SCMP_CMP_NE`
    Ne,
    /// `SCMP_CMP_LT`
    Lt,
    /// `SCMP_CMP_LE`
    Le,
    /// `SCMP_CMP_EQ`
    Eq,
    /// `SCMP_CMP_GE`
    Ge,
    /// `SCMP_CMP_GT`
    Gt,
    /// `SCMP_CMP_MASKED_EQ`: the bits of the mask equal those of the value.
    MaskedEq(u64),
}

impl Condition {
    /// Whether it holds for the six arguments of a call; of 32 bits of each if not `wide`.
    pub fn holds(&self, args: &[u64; 6], wide: bool) -> bool {
        let bits = if wide { u64::MAX } else { u32::MAX.into() };
        let (arg, value) = (args[usize::from(self.arg)] & bits, self.value & bits);
        match self.op {
            Op::Ne => arg != value,
            Op::Lt => arg < value,
            Op::Le => arg <= value,
            Op::Eq => arg == value,
            Op::Ge => arg >= value,
            Op::Gt => arg > value,
            Op::MaskedEq(mask) => arg & mask == value & mask,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Condition { arg, op, value } = self;
        let sign = match op {
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Eq => "==",
            Op::Ge => ">=",
            Op::Gt => ">",
            Op::MaskedEq(mask) => return write!(out, "arg{arg} & {mask:#x} == {value:#x}"),
        };
        write!(out, "arg{arg} {sign} {value:#x}")
    }
}

/// The names of the operators in profiles; the mask is a placeholder.
const OPERATORS: &[(&str, Op)] = &[
    ("SCMP_CMP_NE", Op::Ne),
    ("SCMP_CMP_LT", Op::Lt),
    ("SCMP_CMP_LE", Op::Le),
    ("SCMP_CMP_EQ", Op::Eq),
    ("SCMP_CMP_GE", Op::Ge),
    ("SCMP_CMP_GT", Op::Gt),
    ("SCMP_CMP_MASKED_EQ", Op::MaskedEq(u64::MAX)),
];

/// The operators a profile may use.
pub fn operator_names() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|(name, _)| *name)
}

impl Entry {
    pub(crate) fn is_unconditional(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Lists of conditions; all conditions of one of them have to hold.
    pub(crate) fn alternatives(&self) -> impl Iterator<Item = &[Condition]> {
        let size = if self.any { 1 } else { self.conditions.len() };
        self.conditions.chunks(size.max(1))
    }
}

impl Mention {
    pub(crate) fn pointer(&self) -> String {
        pointer(self.entry as usize, self.position as usize)
    }
}

fn pointer(entry: usize, position: usize) -> String {
    format!("/syscalls/{entry}/names/{position}")
}

/// Reads a profile.
pub(crate) fn read(
    profile: &Profile<'_>,
    native: Arch,
    warnings: &mut Vec<Warning>,
) -> Result<Rules, Error> {
    let default = default_action(profile)?;
    let archs = served(profile, native, warnings)?;
    let mut entries = Vec::with_capacity(profile.syscalls.len());
    let names = profile.syscalls.iter().map(|syscall| syscall.names.len());
    let mut mentions = Vec::with_capacity(names.sum());
    let mut notifies = false;
    for (index, syscall) in profile.syscalls.iter().enumerate() {
        let entry = entry(syscall, index, default)?;
        let before = mentions.len();
        names_of(syscall, index, entry.action, &mut mentions, warnings)?;
        notifies |= entry.action == Action::Notify && mentions.len() > before;
        entries.push(entry);
    }
    let flags = flags::read(profile, notifies, warnings)?;
    Ok(Rules {
        default,
        archs,
        flags,
        entries,
        mentions,
    })
}

/// The architectures that a filter for a profile serves, the native one first.
///
/// # Errors
/// An unknown name among `architectures`.
pub fn architectures(profile: &Profile<'_>, native: Arch) -> Result<Vec<Arch>, Error> {
    served(profile, native, &mut Vec::new())
}

fn default_action(profile: &Profile<'_>) -> Result<Action, Error> {
    const POINTER: &str = "/defaultAction";
    let name = profile
        .default_action
        .as_deref()
        .ok_or_else(|| Error::new(POINTER, ErrorKind::NoDefaultAction))?;
    let action = action(name, profile.default_errno_ret).map_err(|(errno, kind)| {
        Error::new(if errno { "/defaultErrnoRet" } else { POINTER }, kind)
    })?;
    if action == Action::Notify {
        return Err(Error::new(POINTER, ErrorKind::NotifyByDefault));
    }
    Ok(action)
}

/// An action with its data; the error says whether the data is to blame.
fn action(name: &str, errno: Option<u32>) -> Result<Action, (bool, ErrorKind)> {
    let action = Action::from_name(name)
        .ok_or_else(|| (false, ErrorKind::UnknownAction(name.to_owned())))?;
    let value = errno.unwrap_or(EPERM.into());
    let data = |limit: u16| match u16::try_from(value) {
        Ok(data) if data <= limit => Ok(data),
        _ => Err((true, ErrorKind::ErrnoTooLarge { value, limit })),
    };
    match action {
        Action::Errno(_) => data(MAX_ERRNO).map(Action::Errno),
        Action::Trace(_) => data(u16::MAX).map(Action::Trace),
        _ if errno.is_some() => Err((true, ErrorKind::ErrnoNotTaken(action))),
        _ => Ok(action),
    }
}

fn served(
    profile: &Profile<'_>,
    native: Arch,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Arch>, Error> {
    let mut archs = vec![native];
    for (index, name) in profile.architectures.iter().enumerate() {
        let pointer = || format!("/architectures/{index}");
        let Some(arch) = Arch::from_name(name) else {
            return Err(Error::new(
                pointer(),
                ErrorKind::UnknownArchitecture(name.to_string()),
            ));
        };
        if arch.is_big_endian() != native.is_big_endian() {
            warnings.push(Warning {
                pointer: pointer(),
                kind: WarningKind::ForeignByteOrder(arch),
            });
        } else if !archs.contains(&arch) {
            archs.push(arch);
        }
    }
    Ok(archs)
}

fn entry(syscall: &Syscall<'_>, index: usize, default: Action) -> Result<Entry, Error> {
    let action = action(&syscall.action, syscall.errno_ret).map_err(|(errno, kind)| {
        Error::new(
            format!(
                "/syscalls/{index}/{}",
                if errno { "errnoRet" } else { "action" }
            ),
            kind,
        )
    })?;
    let (conditions, any) = conditions(&syscall.args, index)?;
    Ok(Entry {
        action,
        conditions,
        any,
        redundant: action == default,
    })
}

fn names_of(
    syscall: &Syscall<'_>,
    entry: usize,
    action: Action,
    mentions: &mut Vec<Mention>,
    warnings: &mut Vec<Warning>,
) -> Result<(), Error> {
    for (position, name) in syscall.names.iter().enumerate() {
        let name: &str = name;
        let Some(row) = syscalls::find(name) else {
            if name.is_empty() {
                return Err(Error::new(pointer(entry, position), ErrorKind::EmptyName));
            }
            warnings.push(Warning {
                pointer: pointer(entry, position),
                kind: WarningKind::UnknownSyscall(name.to_owned()),
            });
            continue;
        };
        if action == Action::Notify && name == "write" {
            return Err(Error::new(
                pointer(entry, position),
                ErrorKind::NotifyOnWrite,
            ));
        }
        mentions.push(Mention {
            row,
            entry: entry as u32,
            position: position as u32,
        });
    }
    Ok(())
}

/// Conditions on different arguments must all hold. If an argument occurs twice, each condition stands alone and one
/// is enough: so runc reads such rules, for profiles from the time when its rules could have one condition only.
fn conditions(args: &[SyscallArg<'_>], entry: usize) -> Result<(Vec<Condition>, bool), Error> {
    let mut conditions = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        conditions.push(condition(arg).map_err(|(field, kind)| {
            Error::new(format!("/syscalls/{entry}/args/{index}/{field}"), kind)
        })?);
    }
    conditions.sort_by_key(|condition| condition.arg);
    let repeated = conditions.windows(2).any(|pair| pair[0].arg == pair[1].arg);
    Ok((conditions, repeated))
}

fn condition(arg: &SyscallArg<'_>) -> Result<Condition, (&'static str, ErrorKind)> {
    let index = u8::try_from(arg.index).ok().filter(|index| *index < 6);
    let index = index.ok_or(("index", ErrorKind::NoSuchArgument(arg.index)))?;
    let op = OPERATORS
        .iter()
        .find(|(name, _)| **name == *arg.op)
        .map(|(_, op)| *op);
    match op.ok_or_else(|| ("op", ErrorKind::UnknownOperator(arg.op.to_string())))? {
        Op::MaskedEq(_) => Ok(Condition {
            arg: index,
            op: Op::MaskedEq(arg.value),
            value: arg.value_two & arg.value,
        }),
        op => Ok(Condition {
            arg: index,
            op,
            value: arg.value,
        }),
    }
}
