//! From rules to numbers: for each value of `seccomp_data.arch`, what happens to every call number from 0 to 2^32-1, as
//! a list of ranges. This is where precedence between rules is decided, and what happens to numbers that the profile
//! does not speak of.

use std::collections::HashMap;

use crate::action::{Action, ENOSYS};
use crate::arch::{Arch, X32_SYSCALL_BIT};
use crate::error::{Warning, WarningKind};
use crate::rules::{Condition, Entry, Op, Rules};
use crate::syscalls::{self, ARM_PRIVATE};

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
    index: HashMap<Decision, usize>,
    pub(crate) list: Vec<Decision>,
}

/// What happens to all calls with one value of `seccomp_data.arch`.
pub(crate) struct Space {
    pub(crate) audit: u32,
    /// By ascending start, the first at 0; neighbours differ.
    pub(crate) segments: Vec<Segment>,
}

/// Numbers from `start` up to the next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: u32,
    pub(crate) verdict: Verdict,
}

/// The verdicts on all calls, the native architecture first.
pub(crate) fn spaces(
    rules: &Rules<'_>,
    decisions: &mut Decisions,
    warnings: &mut Vec<Warning>,
) -> Vec<Space> {
    let mut spaces: Vec<Space> = Vec::with_capacity(rules.archs.len());
    for arch in &rules.archs {
        let audit = arch.audit();
        if spaces.iter().any(|space| space.audit == audit) {
            continue;
        }
        let segments = match arch {
            Arch::X86_64 | Arch::X32 => two_abis(rules, decisions, warnings),
            _ => one_abi(rules, *arch, decisions, warnings),
        };
        spaces.push(Space {
            audit,
            segments: merged(segments),
        });
    }
    spaces
}

/// x86_64 in the lower numbers, x32 from its bit upwards. The number -1 is how a tracer cancels a call, so without x32
/// it belongs to x86_64.
fn two_abis(
    rules: &Rules<'_>,
    decisions: &mut Decisions,
    warnings: &mut Vec<Warning>,
) -> Vec<Segment> {
    let bad = |start| Segment {
        start,
        verdict: Verdict::Return(BAD_ARCH),
    };
    let mut segments = vec![bad(0)];
    if rules.archs.contains(&Arch::X86_64) {
        segments = one_abi(rules, Arch::X86_64, decisions, warnings);
    }
    if rules.archs.contains(&Arch::X32) {
        segments.extend(one_abi(rules, Arch::X32, decisions, warnings));
    } else {
        segments.push(bad(X32_SYSCALL_BIT));
        segments.push(Segment {
            start: u32::MAX,
            verdict: Verdict::Return(rules.default),
        });
    }
    segments
}

fn one_abi(
    rules: &Rules<'_>,
    arch: Arch,
    decisions: &mut Decisions,
    warnings: &mut Vec<Warning>,
) -> Vec<Segment> {
    let mut mentions = mentions(rules, arch);
    let background = background(rules, arch, &mentions);
    mentions.retain(|mention| !rules.entries[mention.entry].redundant);
    mentions.sort_unstable();
    let mut resolve = Resolve {
        rules,
        arch,
        decisions,
        warnings,
    };
    let mut points = Vec::with_capacity(mentions.len());
    for same in mentions.chunk_by(|a, b| a.nr == b.nr) {
        if let Some(verdict) = resolve.verdict(same) {
            points.push(Segment {
                start: same[0].nr,
                verdict,
            });
        }
    }
    overlay(&background, &points)
}

/// A rule's entry that names a call, directly or as one call of a multiplexer. In order: by number, calls of a
/// multiplexer after the number itself, then as in the profile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mention {
    nr: u32,
    /// First argument of the multiplexer, and the bits of it that count.
    call: Option<(u32, u32)>,
    entry: usize,
    /// Position in the entry's `calls`.
    position: usize,
}

fn mentions(rules: &Rules<'_>, arch: Arch) -> Vec<Mention> {
    let multiplexes = syscalls::multiplexes(arch);
    let mut mentions = Vec::with_capacity(rules.entries.iter().map(|rule| rule.calls.len()).sum());
    for (entry, rule) in rules.entries.iter().enumerate() {
        for (position, (_, name, known)) in rule.calls.iter().enumerate() {
            if let Some(nr) = known.number(arch) {
                mentions.push(Mention {
                    nr,
                    call: None,
                    entry,
                    position,
                });
            }
            if multiplexes && let Some((nr, multiplexed)) = syscalls::multiplexed(arch, name) {
                let call = Some((multiplexed.call, multiplexed.multiplexer.mask));
                mentions.push(Mention {
                    nr,
                    call,
                    entry,
                    position,
                });
            }
        }
    }
    mentions
}

/// What happens where no rule speaks: the default, but `ENOSYS` for calls newer than any the profile mentions, if the
/// default forbids. Programs probe for new calls and take `EPERM` for an answer; `ENOSYS` tells them to do without.
fn background(rules: &Rules<'_>, arch: Arch, mentions: &[Mention]) -> Vec<Segment> {
    let start = if arch == Arch::X32 {
        X32_SYSCALL_BIT
    } else {
        0
    };
    let default = Verdict::Return(rules.default);
    let newer = Verdict::Return(Action::Errno(arch.enosys()));
    let mut background = vec![Segment {
        start,
        verdict: default,
    }];
    let numbers = mentions.iter().map(|mention| mention.nr);
    let newest = numbers
        .filter(|nr| arch != Arch::Arm || *nr < ARM_PRIVATE)
        .max();
    let forbids = !matches!(
        rules.default,
        Action::Allow | Action::Log | Action::Trace(_)
    );
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

struct Resolve<'r, 'p> {
    rules: &'r Rules<'p>,
    arch: Arch,
    decisions: &'r mut Decisions,
    warnings: &'r mut Vec<Warning>,
}

impl Resolve<'_, '_> {
    /// The verdict on one number, from all its mentions in the order of the profile, those of the number itself
    /// before those of the calls it multiplexes. `None` if no rule is left.
    fn verdict(&mut self, mentions: &[Mention]) -> Option<Verdict> {
        let direct = mentions.partition_point(|mention| mention.call.is_none());
        let (direct, multiplexed) = mentions.split_at(direct);
        if let Some(action) = self.unconditional(direct) {
            return Some(Verdict::Return(action));
        }
        let mut rules = Vec::new();
        for entry in direct
            .iter()
            .map(|mention| &self.rules.entries[mention.entry])
        {
            rules.extend(
                entry
                    .alternatives
                    .iter()
                    .map(|conditions| (conditions.clone(), entry.action)),
            );
        }
        for same in multiplexed.chunk_by(|a, b| a.call == b.call) {
            rules.extend(self.multiplexed(same));
        }
        (!rules.is_empty()).then(|| {
            let decision = Decision {
                wide: self.arch.compares_64_bits(),
                rules,
            };
            Verdict::Decide(self.decisions.intern(decision))
        })
    }

    /// The action of the first rule without conditions. It overrules all others, wherever they stand, as it does in
    /// libseccomp.
    fn unconditional(&mut self, mentions: &[Mention]) -> Option<Action> {
        let entry = |mention: &Mention| &self.rules.entries[mention.entry];
        let action = mentions
            .iter()
            .map(entry)
            .find(|entry| entry.is_unconditional())?
            .action;
        if self.arch == self.rules.archs[0] {
            let shadowed = mentions
                .iter()
                .filter(|mention| entry(mention).action != action);
            let warnings =
                shadowed.map(|mention| warning(entry(mention), mention, WarningKind::Shadowed));
            self.warnings.extend(warnings);
        }
        Some(action)
    }

    /// The rule for one call of a multiplexer. Its arguments lie in memory, so conditions cannot be checked. A rule
    /// stricter than the default then holds for all such calls, and one more lenient for none.
    fn multiplexed(&mut self, mentions: &[Mention]) -> Option<(Vec<Condition>, Action)> {
        let (call, mask) = mentions[0].call?;
        let condition = Condition {
            arg: 0,
            op: Op::MaskedEq(mask.into()),
            value: call.into(),
        };
        if let Some(action) = self.unconditional(mentions) {
            return Some((vec![condition], action));
        }
        let actions = mentions
            .iter()
            .map(|mention| self.rules.entries[mention.entry].action);
        let default = self.rules.default;
        let action = actions
            .chain([default])
            .min_by_key(|action| action.severity())?;
        for mention in mentions {
            let arch = self.arch;
            let kind = |name| WarningKind::Multiplexed { name, arch, action };
            self.warnings
                .push(warning(&self.rules.entries[mention.entry], mention, kind));
        }
        (action.severity() < default.severity()).then(|| (vec![condition], action))
    }
}

fn warning(entry: &Entry<'_>, mention: &Mention, kind: impl Fn(String) -> WarningKind) -> Warning {
    let (position, name, _) = &entry.calls[mention.position];
    Warning {
        pointer: entry.pointer(*position),
        kind: kind((*name).to_owned()),
    }
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
