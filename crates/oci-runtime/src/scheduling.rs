//! Names of scheduling policies, flags and classes of input and output, and the numbers the kernel knows them by
//! (sched_setattr(2), ioprio_set(2)).

use crate::spec::{IoPriority, Scheduler};

/// A policy: its name, its number, and which of the attributes are its own.
#[derive(Debug)]
pub struct Policy {
    /// Its name.
    pub name: &'static str,
    /// `SCHED_*` of linux/sched.h.
    pub number: u32,
    /// Which attributes say something.
    pub kind: Kind,
}

/// What a policy goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The nice value.
    Nice,
    /// A static priority.
    Priority,
    /// Runtime, deadline and period.
    Deadline,
    /// Nothing more.
    Nothing,
}

/// The policies of the specification.
pub const POLICIES: &[Policy] = &[
    policy("SCHED_OTHER", 0, Kind::Nice),
    policy("SCHED_FIFO", 1, Kind::Priority),
    policy("SCHED_RR", 2, Kind::Priority),
    policy("SCHED_BATCH", 3, Kind::Nice),
    // Has a number, but no kernel of Linux itself carries it out.
    policy("SCHED_ISO", 4, Kind::Nothing),
    policy("SCHED_IDLE", 5, Kind::Nothing),
    policy("SCHED_DEADLINE", 6, Kind::Deadline),
];

/// The flags of the specification, as bits of `sched_flags`.
pub const FLAGS: &[(&str, u64)] = &[
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// Classes of ioprio_set(2).
pub const IO_CLASSES: &[(&str, u32)] = &[
    ("IOPRIO_CLASS_RT", 1),
    ("IOPRIO_CLASS_BE", 2),
    ("IOPRIO_CLASS_IDLE", 3),
];

const fn policy(name: &'static str, number: u32, kind: Kind) -> Policy {
    Policy { name, number, kind }
}

/// The policy of that name.
pub fn find(name: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.name == name)
}

/// `struct sched_attr` of sched_setattr(2) without its size. The utilization clamps, for which the specification has flags
/// but no values, are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `sched_policy`
    pub policy: u32,
    /// `sched_flags`
    pub flags: u64,
    /// `sched_nice`
    pub nice: i32,
    /// `sched_priority`
    pub priority: u32,
    /// `sched_runtime` in nanoseconds.
    pub runtime: u64,
    /// `sched_deadline` in nanoseconds.
    pub deadline: u64,
    /// `sched_period` in nanoseconds.
    pub period: u64,
}

/// The attributes of a scheduler that was checked.
pub fn attributes(scheduler: &Scheduler<'_>) -> Attributes {
    let bit = |name: &str| {
        FLAGS
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(0, |(_, bit)| *bit)
    };
    Attributes {
        policy: find(&scheduler.policy).map_or(0, |policy| policy.number),
        flags: scheduler.flags.iter().fold(0, |set, flag| set | bit(flag)),
        nice: scheduler.nice,
        priority: scheduler.priority.unsigned_abs(),
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
    }
}

/// The number that ioprio_set(2) takes: class and level.
pub fn io_priority(priority: &IoPriority<'_>) -> u32 {
    let class = IO_CLASSES.iter().find(|(name, _)| priority.class == *name);
    class.map_or(0, |(_, class)| class << 13) | priority.priority.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_the_kernels_numbers() {
        let numbers: Vec<u32> = POLICIES.iter().map(|policy| policy.number).collect();
        assert_eq!(numbers, (0..7).collect::<Vec<_>>());
        let all = FLAGS.iter().fold(0, |set, (_, bit)| {
            assert_eq!(set & bit, 0);
            set | bit
        });
        assert_eq!(all, 0x7f);
        let scheduler = Scheduler {
            policy: "SCHED_DEADLINE".into(),
            flags: vec![
                "SCHED_FLAG_RECLAIM".into(),
                "SCHED_FLAG_RESET_ON_FORK".into(),
            ],
            runtime: 1,
            deadline: 2,
            period: 3,
            ..Scheduler::default()
        };
        let expected = Attributes {
            policy: 6,
            flags: 3,
            runtime: 1,
            deadline: 2,
            period: 3,
            ..Attributes::default()
        };
        assert_eq!(attributes(&scheduler), expected);
    }

    #[test]
    fn io_priorities_have_their_class_in_the_upper_bits() {
        for (class, priority, expected) in [
            ("IOPRIO_CLASS_RT", 0, 0x2000),
            ("IOPRIO_CLASS_BE", 7, 0x4007),
            ("IOPRIO_CLASS_IDLE", 1, 0x6001),
        ] {
            let class = class.into();
            assert_eq!(io_priority(&IoPriority { class, priority }), expected);
        }
    }
}
