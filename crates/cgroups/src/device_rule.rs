//! One device rule: which devices, which kinds of access, allowed or denied; and how two rules relate.

use serde::{Serialize, Serializer};
use std::fmt;

/// mknod(2); the value is the kernel's BPF_DEVCG_ACC_MKNOD.
pub const MKNOD: u8 = 1;
/// Opening for reading; BPF_DEVCG_ACC_READ.
pub const READ: u8 = 2;
/// Opening for writing; BPF_DEVCG_ACC_WRITE.
pub const WRITE: u8 = 4;
/// Every kind of access.
pub(crate) const ALL: u8 = MKNOD | READ | WRITE;

/// Which devices a [`Rule`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Character and block devices.
    All,
    /// Character devices.
    Char,
    /// Block devices.
    Block,
}

/// One checked rule. `None` stands for every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Whether the rule allows or denies.
    pub allow: bool,
    /// Type of the device.
    pub kind: Kind,
    /// Major number.
    pub major: Option<u32>,
    /// Minor number.
    pub minor: Option<u32>,
    /// A set of [`MKNOD`], [`READ`], [`WRITE`].
    pub access: u8,
}

impl Rule {
    pub(crate) fn is_everything(&self) -> bool {
        let anything = self.kind == Kind::All && self.major.is_none() && self.minor.is_none();
        anything && self.access == ALL
    }

    pub(crate) fn same_devices(&self, other: &Rule) -> bool {
        self.covers(other) && other.covers(self)
    }

    /// Whether every device of `other` is one of this rule.
    pub(crate) fn covers(&self, other: &Rule) -> bool {
        (self.kind == Kind::All || self.kind == other.kind)
            && (self.major.is_none() || self.major == other.major)
            && (self.minor.is_none() || self.minor == other.minor)
    }

    /// Whether some device is one of both rules.
    pub(crate) fn meets(&self, other: &Rule) -> bool {
        let both = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        (self.kind == Kind::All || other.kind == Kind::All || self.kind == other.kind)
            && both(self.major, other.major)
            && both(self.minor, other.minor)
    }
}

/// The line of `devices.allow` and `devices.deny`: `c 1:3 rwm`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::All => "a ",
            Kind::Char => "c ",
            Kind::Block => "b ",
        })?;
        for (number, end) in [(self.major, ":"), (self.minor, " ")] {
            match number {
                Some(number) => write!(f, "{number}{end}")?,
                None => write!(f, "*{end}")?,
            }
        }
        for (bit, letter) in [(READ, "r"), (WRITE, "w"), (MKNOD, "m")] {
            if self.access & bit != 0 {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// `allow c 1:3 rwm`, for a dry run to print.
impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let verb = if self.allow { "allow" } else { "deny" };
        serializer.collect_str(&format_args!("{verb} {self}"))
    }
}
