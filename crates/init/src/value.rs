//! The kinds of value that operations have beside numbers and strings: slots, modes, and the kernel's sets of flags by name.

use crate::show::{Show, Visitor};
use crate::wire::{Reader, Sink, Wire};

/// A numbered file descriptor that the plan hands from step to step: the caller's first, then those that steps open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u16);

/// How many slots a plan may have.
pub const MAX_SLOTS: usize = 4096;

impl<'a> Wire<'a> for Slot {
    fn put(&self, out: &mut dyn Sink) {
        self.0.put(out);
    }
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        u16::get(from).map(Slot)
    }
}

impl Show for Slot {
    fn show(&self, visitor: &mut dyn Visitor) {
        match *self {
            NO_SLOT => visitor.text(b"none"),
            Slot(number) => visitor.int(i128::from(number)),
        }
    }
}

/// `st_mode` of a node: type and permission bits, shown in octal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl<'a> Wire<'a> for Mode {
    fn put(&self, out: &mut dyn Sink) {
        self.0.put(out);
    }
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        u32::get(from).map(Mode)
    }
}

impl Show for Mode {
    fn show(&self, visitor: &mut dyn Visitor) {
        visitor.text(&[15, 12, 9, 6, 3, 0].map(|shift| b'0' + (self.0 >> shift & 7) as u8));
    }
}

macro_rules! bits {
    ($(#[$doc:meta])* $Name:ident { $($value:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $Name(pub u64);

        impl<'a> Wire<'a> for $Name {
            fn put(&self, out: &mut dyn Sink) {
                self.0.put(out);
            }
            fn get(from: &mut Reader<'a>) -> Option<Self> {
                u64::get(from).map($Name)
            }
        }

        impl Show for $Name {
            fn show(&self, visitor: &mut dyn Visitor) {
                visitor.begin();
                $(if self.0 & $value == $value {
                    visitor.text($text.as_bytes());
                })*
                let rest = self.0 & !(0 $(| $value)*);
                if rest != 0 {
                    visitor.int(i128::from(rest));
                }
                visitor.end();
            }
        }
    };
}

bits! {
    /// `MOUNT_ATTR_*` of mount_setattr(2).
    MountAttr {
        0x1 "ro", 0x2 "nosuid", 0x4 "nodev", 0x8 "noexec", 0x10 "noatime", 0x20 "strictatime",
        0x80 "nodiratime", 0x10_0000 "idmap", 0x20_0000 "nosymfollow",
    }
}

bits! {
    /// Propagation types of mount(2), with `MS_REC`.
    Propagation {
        0x4000 "rec", 0x2_0000 "unbindable", 0x4_0000 "private", 0x8_0000 "slave", 0x10_0000 "shared",
    }
}

bits! {
    /// `CLONE_NEW*` of clone3(2).
    Namespaces {
        0x80 "time", 0x2_0000 "mount", 0x200_0000 "cgroup", 0x400_0000 "uts", 0x800_0000 "ipc",
        0x1000_0000 "user", 0x2000_0000 "pid", 0x4000_0000 "network",
    }
}

bits! {
    /// A set of capabilities: bit n is capability n (capabilities(7)).
    CapSet {
        0x1 "chown", 0x2 "dac_override", 0x4 "dac_read_search", 0x8 "fowner", 0x10 "fsetid", 0x20 "kill",
        0x40 "setgid", 0x80 "setuid", 0x100 "setpcap", 0x200 "linux_immutable", 0x400 "net_bind_service",
        0x800 "net_broadcast", 0x1000 "net_admin", 0x2000 "net_raw", 0x4000 "ipc_lock", 0x8000 "ipc_owner",
        0x10000 "sys_module", 0x20000 "sys_rawio", 0x40000 "sys_chroot", 0x80000 "sys_ptrace", 0x100000
        "sys_pacct", 0x200000 "sys_admin", 0x400000 "sys_boot", 0x800000 "sys_nice", 0x1000000
        "sys_resource", 0x2000000 "sys_time", 0x4000000 "sys_tty_config", 0x8000000 "mknod", 0x10000000
        "lease", 0x20000000 "audit_write", 0x40000000 "audit_control", 0x80000000 "setfcap", 0x100000000
        "mac_override", 0x200000000 "mac_admin", 0x400000000 "syslog", 0x800000000 "wake_alarm",
        0x1000000000 "block_suspend", 0x2000000000 "audit_read", 0x4000000000 "perfmon", 0x8000000000 "bpf",
        0x10000000000 "checkpoint_restore",
    }
}

/// No file descriptor: where a field is a slot that need not be there.
pub const NO_SLOT: Slot = Slot(u16::MAX);
