//! System calls by name. One row of the table serves all architectures, so a profile's name is looked up once. Some
//! old architectures also make socket and System V IPC calls through one call each, `socketcall` and `ipc`, whose
//! first argument says which call is meant; a rule for `socket` there has to reach both ways in.

use crate::arch::{Arch, X32_SYSCALL_BIT};
use crate::tables::{ABSENT, ARM, COLUMNS, TABLE, X32};

/// The kernel release the numbers were taken from.
pub const LINUX_VERSION: &str = crate::tables::LINUX_VERSION;

/// The first of ARM's private calls (`__ARM_NR_BASE`), far above all others.
pub(crate) const ARM_PRIVATE: u32 = 0x000f_0000;
const ARM_PRIVATE_ENCODED: u32 = 0xf000;

/// A name the kernel knows on some architecture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syscall {
    /// None for the calls that only a multiplexer has.
    numbers: Option<&'static [u16; COLUMNS]>,
}

/// A call that stands for many.
#[derive(Debug)]
pub(crate) struct Multiplexer {
    name: &'static str,
    /// The bits of the first argument that the kernel looks at.
    pub(crate) mask: u32,
}

static SOCKETCALL: Multiplexer = Multiplexer {
    name: "socketcall",
    mask: u32::MAX,
};
/// The upper half of its first argument is a version of the interface.
static IPC: Multiplexer = Multiplexer {
    name: "ipc",
    mask: 0xffff,
};

/// The call of a multiplexer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Multiplexed {
    name: &'static str,
    pub(crate) multiplexer: &'static Multiplexer,
    /// The value of its first argument (linux/net.h, linux/ipc.h).
    pub(crate) call: u32,
}

const fn by(multiplexer: &'static Multiplexer, name: &'static str, call: u32) -> Multiplexed {
    Multiplexed {
        name,
        multiplexer,
        call,
    }
}

/// Sorted by name.
static MULTIPLEXED: &[Multiplexed] = &[
    by(&SOCKETCALL, "accept", 5),
    by(&SOCKETCALL, "accept4", 18),
    by(&SOCKETCALL, "bind", 2),
    by(&SOCKETCALL, "connect", 3),
    by(&SOCKETCALL, "getpeername", 7),
    by(&SOCKETCALL, "getsockname", 6),
    by(&SOCKETCALL, "getsockopt", 15),
    by(&SOCKETCALL, "listen", 4),
    by(&IPC, "msgctl", 14),
    by(&IPC, "msgget", 13),
    by(&IPC, "msgrcv", 12),
    by(&IPC, "msgsnd", 11),
    by(&SOCKETCALL, "recv", 10),
    by(&SOCKETCALL, "recvfrom", 12),
    by(&SOCKETCALL, "recvmmsg", 19),
    by(&SOCKETCALL, "recvmsg", 17),
    by(&IPC, "semctl", 3),
    by(&IPC, "semget", 2),
    by(&IPC, "semop", 1),
    by(&IPC, "semtimedop", 4),
    by(&SOCKETCALL, "send", 9),
    by(&SOCKETCALL, "sendmmsg", 20),
    by(&SOCKETCALL, "sendmsg", 16),
    by(&SOCKETCALL, "sendto", 11),
    by(&SOCKETCALL, "setsockopt", 14),
    by(&IPC, "shmat", 21),
    by(&IPC, "shmctl", 24),
    by(&IPC, "shmdt", 22),
    by(&IPC, "shmget", 23),
    by(&SOCKETCALL, "shutdown", 13),
    by(&SOCKETCALL, "socket", 1),
    by(&SOCKETCALL, "socketpair", 8),
];

/// The number of a call on an architecture, with the x32 bit on x32.
pub fn number(arch: Arch, name: &str) -> Option<u32> {
    find(name)?.number(arch)
}

/// The name of a call on an architecture.
pub fn name(arch: Arch, number: u32) -> Option<&'static str> {
    TABLE
        .iter()
        .find(|(_, numbers)| decode(arch, numbers) == Some(number))
        .map(|(name, _)| *name)
}

/// A call by name; `None` if no architecture has it.
pub(crate) fn find(name: &str) -> Option<Syscall> {
    match row(name) {
        Some((_, numbers)) => Some(Syscall {
            numbers: Some(numbers),
        }),
        None => by_name(name).map(|_| Syscall { numbers: None }),
    }
}

impl Syscall {
    pub(crate) fn number(self, arch: Arch) -> Option<u32> {
        decode(arch, self.numbers?)
    }
}

/// Whether an architecture has multiplexers at all.
pub(crate) fn multiplexes(arch: Arch) -> bool {
    [&SOCKETCALL, &IPC]
        .iter()
        .any(|multiplexer| number(arch, multiplexer.name).is_some())
}

/// The number of the multiplexer through which a call can be made on an architecture, and which of its calls it is.
pub(crate) fn multiplexed(arch: Arch, name: &str) -> Option<(u32, &'static Multiplexed)> {
    let multiplexed = by_name(name)?;
    Some((number(arch, multiplexed.multiplexer.name)?, multiplexed))
}

fn by_name(name: &str) -> Option<&'static Multiplexed> {
    let at = MULTIPLEXED.binary_search_by_key(&name, |multiplexed| multiplexed.name);
    at.ok().map(|at| &MULTIPLEXED[at])
}

fn decode(arch: Arch, numbers: &[u16; COLUMNS]) -> Option<u32> {
    let column = arch.row().column;
    match (column, numbers[column]) {
        (_, ABSENT) => None,
        (X32, number) => Some(u32::from(number) | X32_SYSCALL_BIT),
        (ARM, number) if u32::from(number) >= ARM_PRIVATE_ENCODED => {
            Some(u32::from(number) - ARM_PRIVATE_ENCODED + ARM_PRIVATE)
        }
        (_, number) => Some(u32::from(number)),
    }
}

fn row(name: &str) -> Option<&'static (&'static str, [u16; COLUMNS])> {
    let mut slot = hash(name.as_bytes()) as usize % SLOTS;
    while SLOT[slot] != EMPTY {
        let row = &TABLE[SLOT[slot] as usize];
        if row.0 == name {
            return Some(row);
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

/// A hash table over the names, made at compile time: a profile of 400 names is looked up in a few microseconds.
static SLOT: [u16; SLOTS] = slots();
const SLOTS: usize = 2048;
const EMPTY: u16 = u16::MAX;

const fn slots() -> [u16; SLOTS] {
    assert!(TABLE.len() * 2 < SLOTS);
    let mut slots = [EMPTY; SLOTS];
    let mut index = 0;
    while index < TABLE.len() {
        let mut slot = hash(TABLE[index].0.as_bytes()) as usize % SLOTS;
        while slots[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = index as u16;
        index += 1;
    }
    slots
}

/// FNV-1a.
const fn hash(bytes: &[u8]) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u32).wrapping_mul(0x0100_0193);
        index += 1;
    }
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name() {
        for (name, numbers) in &TABLE {
            assert!(
                row(name).is_some_and(|row| std::ptr::eq(&row.1, numbers)),
                "{name}"
            );
        }
        assert!(row("").is_none() && row("reed").is_none());
    }

    #[test]
    fn numbers() {
        let expected = [
            (Arch::X86_64, "read", Some(0)),
            (Arch::X86, "socket", Some(359)),
            (Arch::X86, "send", None),
            (Arch::X32, "read", Some(0x4000_0000)),
            (Arch::X32, "readv", Some(0x4000_0203)),
            (Arch::Aarch64, "open", None),
            (Arch::Aarch64, "openat", Some(56)),
            (Arch::Arm, "set_tls", Some(0x000f_0005)),
            (Arch::Mips, "read", Some(4003)),
            (Arch::S390x, "socketcall", Some(102)),
            (Arch::X86_64, "uselib", Some(134)),
        ];
        for (arch, name, number) in expected {
            assert_eq!(super::number(arch, name), number, "{name} on {arch:?}");
        }
        assert_eq!(name(Arch::X32, 0x4000_0203), Some("readv"));
        assert_eq!(name(Arch::X86_64, 9999), None);
    }

    #[test]
    fn multiplexed_names_are_sorted() {
        assert!(MULTIPLEXED.is_sorted_by_key(|multiplexed| multiplexed.name));
    }

    #[test]
    fn multiplexed_names_are_known_without_a_number() {
        assert!(find("send").unwrap().number(Arch::X86).is_none());
        let (nr, send) = multiplexed(Arch::X86, "send").unwrap();
        assert_eq!((nr, send.call), (102, 9));
        assert!(multiplexed(Arch::X86_64, "send").is_none());
        assert_eq!(
            (multiplexes(Arch::X86), multiplexes(Arch::X86_64)),
            (true, false)
        );
    }

    /// The numbers this program's own C library was built with.
    #[test]
    #[cfg(target_os = "linux")]
    fn numbers_are_those_of_libc() {
        let Some(native) = Arch::native() else { return };
        let own = [
            ("read", libc::SYS_read),
            ("execve", libc::SYS_execve),
            ("close_range", libc::SYS_close_range),
            ("clone3", libc::SYS_clone3),
            ("openat2", libc::SYS_openat2),
            ("seccomp", libc::SYS_seccomp),
            ("landlock_restrict_self", libc::SYS_landlock_restrict_self),
        ];
        for (name, expected) in own {
            assert_eq!(number(native, name), u32::try_from(expected).ok(), "{name}");
        }
    }
}
