//! System calls by name. One row of the table serves all architectures, so a profile's name is looked up once. Some
//! old architectures also make socket and System V IPC calls through one call each, `socketcall` and `ipc`, whose
//! first argument says which call is meant; a rule for `socket` there has to reach both ways in.

use std::collections::BTreeMap;

use crate::arch::{Arch, X32_SYSCALL_BIT};
use crate::tables::{ABSENT, ARM, COLUMNS, MIPS, MIPS64, MIPS64N32, TABLE, X32};

/// The kernel release the numbers were taken from.
pub const LINUX_VERSION: &str = crate::tables::LINUX_VERSION;

/// The first of ARM's private calls (`__ARM_NR_BASE`), far above all others.
pub(crate) const ARM_PRIVATE: u32 = 0x000f_0000;
const ARM_PRIVATE_ENCODED: u32 = 0xf000;

/// A name the kernel knows on some architecture, by its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row(u16);

/// How many names there are.
pub(crate) const ROWS: usize = TABLE.len();

/// A call that stands for many.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Multiplexer {
    pub(crate) row: Row,
    /// The bits of the first argument that the kernel looks at.
    pub(crate) mask: u32,
    /// The calls that can be made through it, by ascending value of its first argument (linux/net.h, linux/ipc.h).
    pub(crate) calls: &'static [(u32, Row)],
}

/// All there are.
pub(crate) static MULTIPLEXERS: [Multiplexer; 2] = [
    Multiplexer {
        row: named("socketcall"),
        mask: u32::MAX,
        calls: &[
            (1, named("socket")),
            (2, named("bind")),
            (3, named("connect")),
            (4, named("listen")),
            (5, named("accept")),
            (6, named("getsockname")),
            (7, named("getpeername")),
            (8, named("socketpair")),
            (9, named("send")),
            (10, named("recv")),
            (11, named("sendto")),
            (12, named("recvfrom")),
            (13, named("shutdown")),
            (14, named("setsockopt")),
            (15, named("getsockopt")),
            (16, named("sendmsg")),
            (17, named("recvmsg")),
            (18, named("accept4")),
            (19, named("recvmmsg")),
            (20, named("sendmmsg")),
        ],
    },
    // The upper half of the first argument of ipc is a version of the interface.
    Multiplexer {
        row: named("ipc"),
        mask: 0xffff,
        calls: &[
            (1, named("semop")),
            (2, named("semget")),
            (3, named("semctl")),
            (4, named("semtimedop")),
            (11, named("msgsnd")),
            (12, named("msgrcv")),
            (13, named("msgget")),
            (14, named("msgctl")),
            (21, named("shmat")),
            (22, named("shmdt")),
            (23, named("shmget")),
            (24, named("shmctl")),
        ],
    },
];

/// What programs call most, so that a filter comes to it first where it has the choice: data and events, time, memory,
/// locks, and the calls that ask for next to nothing and are made because they are cheap.
pub(crate) static HOT: [Row; 40] = [
    named("read"),
    named("write"),
    named("readv"),
    named("writev"),
    named("pread64"),
    named("pwrite64"),
    named("lseek"),
    named("_llseek"),
    named("close"),
    named("openat"),
    named("fstat"),
    named("newfstatat"),
    named("statx"),
    named("poll"),
    named("ppoll"),
    named("select"),
    named("pselect6"),
    named("epoll_wait"),
    named("epoll_pwait"),
    named("epoll_ctl"),
    named("recvfrom"),
    named("recvmsg"),
    named("sendto"),
    named("sendmsg"),
    named("accept4"),
    named("futex"),
    named("futex_time64"),
    named("mmap"),
    named("mmap2"),
    named("munmap"),
    named("mprotect"),
    named("madvise"),
    named("brk"),
    named("rt_sigaction"),
    named("rt_sigprocmask"),
    named("clock_gettime"),
    named("clock_nanosleep"),
    named("gettid"),
    named("getpid"),
    named("sched_yield"),
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
pub(crate) fn find(name: &str) -> Option<Row> {
    let mut slot = hash(name.as_bytes()) % SLOTS;
    while SLOT[slot] != EMPTY {
        let row = Row(SLOT[slot]);
        if row.name() == name {
            return Some(row);
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

impl Row {
    pub(crate) fn name(self) -> &'static str {
        TABLE[self.index()].0
    }

    pub(crate) fn number(self, arch: Arch) -> Option<u32> {
        decode(arch, &TABLE[self.index()].1)
    }

    pub(crate) fn index(self) -> usize {
        self.0.into()
    }

    pub(crate) fn from_index(index: usize) -> Row {
        debug_assert!(index < ROWS);
        Row(index as u16)
    }
}

/// All numbers of an architecture lie close together, but for ARM's private ones. This many places hold them all in
/// their order.
pub(crate) const PLACES: usize = 1024;
/// The place of ARM's first private call.
pub(crate) const PRIVATE_PLACE: usize = 1008;

/// Where the numbers of an architecture are.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    arch: Arch,
    of: &'static [u16; ROWS],
}

impl Places {
    pub(crate) fn new(arch: Arch) -> Places {
        Places {
            arch,
            of: &PLACE[arch.row().column],
        }
    }

    /// The place of a call, if the architecture has it.
    pub(crate) fn of(self, row: Row) -> Option<usize> {
        match self.of[row.index()] {
            ABSENT => None,
            place => Some(place.into()),
        }
    }

    /// The number of a place.
    pub(crate) fn number(self, place: usize) -> u32 {
        if place >= PRIVATE_PLACE {
            return (place - PRIVATE_PLACE) as u32 + ARM_PRIVATE;
        }
        place as u32 + lowest(self.arch.row().column)
    }
}

/// All names of an architecture, by number.
pub(crate) fn names(arch: Arch) -> BTreeMap<u32, &'static str> {
    let rows = (0..ROWS).map(Row::from_index);
    rows.filter_map(|row| Some((row.number(arch)?, row.name())))
        .collect()
}

/// The table by columns, with places for numbers.
static PLACE: [[u16; ROWS]; COLUMNS] = {
    let mut places = [[ABSENT; ROWS]; COLUMNS];
    let mut row = 0;
    while row < ROWS {
        let mut column = 0;
        while column < COLUMNS {
            places[column][row] = match TABLE[row].1[column] {
                ABSENT => ABSENT,
                number if number as u32 >= ARM_PRIVATE_ENCODED => {
                    number - ARM_PRIVATE_ENCODED as u16 + PRIVATE_PLACE as u16
                }
                number => number - (lowest(column) & !X32_SYSCALL_BIT) as u16,
            };
            column += 1;
        }
        row += 1;
    }
    places
};

const fn lowest(column: usize) -> u32 {
    match column {
        X32 => X32_SYSCALL_BIT,
        MIPS => 4000,
        MIPS64 => 5000,
        MIPS64N32 => 6000,
        _ => 0,
    }
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

/// The row of a name that has to be there.
const fn named(name: &str) -> Row {
    let mut slot = hash(name.as_bytes()) % SLOTS;
    loop {
        let row = SLOT[slot];
        assert!(row != EMPTY, "no such name");
        if equal(TABLE[row as usize].0.as_bytes(), name.as_bytes()) {
            return Row(row);
        }
        slot = (slot + 1) % SLOTS;
    }
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    a.len() == b.len() && index == a.len()
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
        let mut slot = hash(TABLE[index].0.as_bytes()) % SLOTS;
        while slots[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = index as u16;
        index += 1;
    }
    slots
}

/// Looks at both ends of the name, which is enough to tell names of calls apart, and takes no loop.
const fn hash(name: &[u8]) -> usize {
    let (first, last) = match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => short(name),
    };
    let mixed = (first ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ last.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    (mixed >> 40) as usize
}

/// The ends of a name of less than eight bytes.
const fn short(name: &[u8]) -> (u64, u64) {
    match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => (
            u32::from_le_bytes(*first) as u64,
            u32::from_le_bytes(*last) as u64,
        ),
        _ => match name {
            [] => (0, 0),
            [first, rest @ ..] => (
                *first as u64,
                rest.len() as u64 * 256 + name[name.len() / 2] as u64,
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name() {
        for (index, (name, _)) in TABLE.iter().enumerate() {
            assert_eq!(find(name), Some(Row::from_index(index)), "{name}");
        }
        for name in ["", "x", "io", "rea", "reed", "read ", "readreadread"] {
            assert_eq!(find(name), None, "{name}");
        }
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
    fn calls_of_multiplexers_are_in_order() {
        for multiplexer in &MULTIPLEXERS {
            assert!(multiplexer.calls.is_sorted_by_key(|(call, _)| call));
        }
    }

    #[test]
    fn every_number_has_a_place_of_its_own() {
        for arch in Arch::ALL {
            let places = Places::new(*arch);
            let rows = (0..ROWS).map(Row::from_index);
            let numbers: std::collections::BTreeMap<u32, Row> = rows
                .filter_map(|row| Some((row.number(*arch)?, row)))
                .collect();
            let found: Vec<usize> = numbers.values().filter_map(|row| places.of(*row)).collect();
            assert!(found.is_sorted_by(|a, b| a < b), "{arch:?}");
            assert!(found.iter().all(|place| *place < PLACES), "{arch:?}");
            let back = found.iter().map(|place| places.number(*place));
            assert!(back.eq(numbers.into_keys()), "{arch:?}");
        }
    }

    /// A lookup compares with few names before it finds its own.
    #[test]
    fn names_do_not_crowd() {
        let distance = |row: usize| {
            let home = hash(TABLE[row].0.as_bytes()) % SLOTS;
            let at = SLOT.iter().position(|slot| usize::from(*slot) == row);
            (at.unwrap() + SLOTS - home) % SLOTS
        };
        let distances: Vec<usize> = (0..ROWS).map(distance).collect();
        assert!(distances.iter().max() < Some(&8), "{distances:?}");
        assert!(distances.iter().sum::<usize>() < ROWS / 2);
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
