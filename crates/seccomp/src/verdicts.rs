//! From rules to numbers: for each value of `seccomp_data.arch`, what happens to every call number from 0 to 2^32-1, as
//! a list of ranges, with those the profile does not speak of.

use std::collections::HashMap;

use crate::action::{Action, ENOSYS};
use crate::arch::{Arch, X32_SYSCALL_BIT};
use crate::error::Warning;
use crate::hash::Quick;
use crate::precedence::{Calls, Mentions, Outcome};
use crate::rules::Condition;
use crate::syscalls::{ARM_PRIVATE, HOT, at_place};

/// What calls of an architecture that the profile does not list get: libseccomp's default, which no runtime changes.
pub(crate) const BAD_ARCH: Action = Action::KillThread;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    Return(Action),
    /// It depends on the arguments: an index into [`Decisions`].
    Decide(usize),
}

/// What happens to a call, by its arguments: the action of the first rule all of whose conditions hold, or else the
/// default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Decision {
    /// Whether arguments are compared as 64 bits.
    pub(crate) wide: bool,
    pub(crate) rules: Vec<(Vec<Condition>, Action)>,
}

/// All decisions of a filter, none twice.
#[derive(Default)]
pub(crate) struct Decisions {
    index: HashMap<Decision, usize, Quick>,
    pub(crate) list: Vec<Decision>,
}

/// What happens to all calls with one value of `seccomp_data.arch`.
pub(crate) struct Space {
    pub(crate) audit: u32,
    /// By ascending start, the first at 0; neighbours differ.
    pub(crate) segments: Vec<Segment>,
    /// The numbers of the calls that are made most, ascending.
    pub(crate) hot: Vec<u32>,
}

/// Numbers from `start` up to the next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: u32,
    pub(crate) verdict: Verdict,
}

/// The verdicts on all calls, the native architecture first.
pub(crate) fn spaces(
    mentions: &Mentions<'_>,
    decisions: &mut Decisions,
    warnings: &mut Vec<Warning>,
) -> Vec<Space> {
    let mut spaces: Vec<Space> = Vec::with_capacity(mentions.rules.archs.len());
    for arch in &mentions.rules.archs {
        let audit = arch.audit();
        if spaces.iter().any(|space| space.audit == audit) {
            continue;
        }
        let segments = match arch {
            Arch::X86_64 | Arch::X32 => two_abis(mentions, decisions, warnings),
            _ => one_abi(mentions, *arch, decisions, warnings),
        };
        spaces.push(Space {
            audit,
            segments: merged(segments),
            hot: hot(*arch),
        });
    }
    spaces
}

fn hot(arch: Arch) -> Vec<u32> {
    let mut hot: Vec<u32> = HOT.iter().filter_map(|row| row.number(arch)).collect();
    hot.sort_unstable();
    hot
}

/// x86_64 in the lower numbers, x32 from its bit upwards. The number -1 is how a tracer cancels a call, so without x32
/// it belongs to x86_64.
fn two_abis(
    mentions: &Mentions<'_>,
    decisions: &mut Decisions,
    warnings: &mut Vec<Warning>,
) -> Vec<Segment> {
    let bad = |start| Segment {
        start,
        verdict: Verdict::Return(BAD_ARCH),
    };
    let mut segments = vec![bad(0)];
    if mentions.rules.archs.contains(&Arch::X86_64) {
        segments = one_abi(mentions, Arch::X86_64, decisions, warnings);
    }
    if mentions.rules.archs.contains(&Arch::X32) {
        segments.extend(one_abi(mentions, Arch::X32, decisions, warnings));
    } else {
        segments.push(bad(X32_SYSCALL_BIT));
        segments.push(Segment {
            start: u32::MAX,
            verdict: Verdict::Return(mentions.rules.default),
        });
    }
    segments
}

fn one_abi(
    mentions: &Mentions<'_>,
    arch: Arch,
    decisions: &mut Decisions,
    warnings: &mut Vec<Warning>,
) -> Vec<Segment> {
    let calls = Calls::new(mentions, arch);
    let background = background(mentions.rules.default, arch, calls.newest());
    let mut points = Vec::with_capacity(mentions.rows.len());
    for place in calls.places() {
        let verdict = match calls.outcome(place, warnings) {
            Outcome::Nothing => continue,
            Outcome::Always(mention) => Verdict::Return(mentions.entry(mention).action),
            Outcome::Depends(candidates) => Verdict::Decide(
                decisions.intern(Decision {
                    wide: arch.compares_64_bits(),
                    rules: candidates
                        .into_iter()
                        .map(|candidate| (candidate.conditions, candidate.action))
                        .collect(),
                }),
            ),
        };
        points.push(Segment {
            start: at_place(arch, place),
            verdict,
        });
    }
    overlay(&background, &points)
}

/// What happens where no rule speaks: the default, but `ENOSYS` for calls newer than any the profile mentions, if the
/// default forbids. Programs probe for new calls and take `EPERM` for an answer; `ENOSYS` tells them to do without.
pub(crate) fn background(default: Action, arch: Arch, newest: Option<u32>) -> Vec<Segment> {
    let start = if arch == Arch::X32 {
        X32_SYSCALL_BIT
    } else {
        0
    };
    let forbids = !matches!(default, Action::Allow | Action::Log | Action::Trace(_));
    let default = Verdict::Return(default);
    let newer = Verdict::Return(Action::Errno(arch.enosys()));
    let mut background = vec![Segment {
        start,
        verdict: default,
    }];
    let Some(newest) = newest.filter(|_| forbids) else {
        return background;
    };
    if matches!(arch, Arch::S390 | Arch::S390x) {
        // The kernel leaves 0 as the number of calls above 255 that it does not know.
        background = vec![
            Segment {
                start: 0,
                verdict: newer,
            },
            Segment {
                start: 1,
                verdict: default,
            },
        ];
    }
    background.push(Segment {
        start: newest + 1,
        verdict: newer,
    });
    if arch == Arch::Arm {
        background.push(Segment {
            start: ARM_PRIVATE,
            verdict: default,
        });
    }
    background
}

impl Decisions {
    fn intern(&mut self, decision: Decision) -> usize {
        let next = self.list.len();
        *self.index.entry(decision).or_insert_with_key(|decision| {
            self.list.push(decision.clone());
            next
        })
    }
}

/// Single numbers over a background. Both are sorted and begin where the background begins.
fn overlay(background: &[Segment], points: &[Segment]) -> Vec<Segment> {
    let mut segments = Vec::with_capacity(background.len() + 2 * points.len());
    let mut points = points.iter().peekable();
    for (index, under) in background.iter().enumerate() {
        let end = background
            .get(index + 1)
            .map_or(u64::from(u32::MAX) + 1, |next| next.start.into());
        let mut at = u64::from(under.start);
        while let Some(point) = points.next_if(|point| u64::from(point.start) < end) {
            if at < point.start.into() {
                segments.push(Segment {
                    start: at as u32,
                    verdict: under.verdict,
                });
            }
            segments.push(*point);
            at = u64::from(point.start) + 1;
        }
        if at < end {
            segments.push(Segment {
                start: at as u32,
                verdict: under.verdict,
            });
        }
    }
    segments
}

fn merged(mut segments: Vec<Segment>) -> Vec<Segment> {
    segments.dedup_by(|next, before| next.verdict == before.verdict);
    segments
}

impl Arch {
    /// `ENOSYS`, of which two families have their own number.
    const fn enosys(self) -> u16 {
        match self {
            Arch::Mips
            | Arch::Mipsel
            | Arch::Mips64
            | Arch::Mipsel64
            | Arch::Mips64n32
            | Arch::Mipsel64n32 => 89,
            Arch::Parisc | Arch::Parisc64 => 251,
            _ => ENOSYS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: u32, errno: u16) -> Segment {
        Segment {
            start,
            verdict: Verdict::Return(Action::Errno(errno)),
        }
    }

    #[test]
    fn points_lie_over_the_background() {
        let background = [segment(0, 1), segment(10, 2)];
        let points = [
            segment(0, 3),
            segment(5, 3),
            segment(6, 4),
            segment(9, 3),
            segment(10, 3),
        ];
        let expected = [
            segment(0, 3),
            segment(1, 1),
            segment(5, 3),
            segment(6, 4),
            segment(7, 1),
            segment(9, 3),
            segment(10, 3),
            segment(11, 2),
        ];
        assert_eq!(overlay(&background, &points), expected);
        assert_eq!(overlay(&background, &[]), background);
    }

    #[test]
    fn the_last_number_is_a_number() {
        assert_eq!(
            overlay(&[segment(0, 1)], &[segment(u32::MAX, 2)]),
            [segment(0, 1), segment(u32::MAX, 2)]
        );
    }

    #[test]
    fn equal_neighbours_are_one() {
        let segments = vec![
            segment(0, 1),
            segment(4, 1),
            segment(5, 2),
            segment(6, 2),
            segment(9, 1),
        ];
        assert_eq!(
            merged(segments),
            [segment(0, 1), segment(5, 2), segment(9, 1)]
        );
    }
}
