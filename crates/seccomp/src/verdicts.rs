//! From rules to numbers: for each value of `seccomp_data.arch`, what happens to every call number from 0 to 2^32-1, as
//! a list of ranges, with those the profile does not speak of.

use std::collections::HashMap;

use crate::action::{Action, ENOSYS};
use crate::arch::{Arch, X32_SYSCALL_BIT};
use crate::error::Warning;
use crate::hash::Quick;
use crate::precedence::{Calls, Decision, Mentions, Outcome};
use crate::syscalls::{ARM_PRIVATE, HOT};

/// What calls of an architecture that the profile does not list get: libseccomp's default, which no runtime changes.
pub(crate) const BAD_ARCH: Action = Action::KillThread;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    /// The value for an action.
    Return(u32),
    /// It depends on the arguments: an index into [`Decisions`].
    Decide(u32),
}

/// All decisions of a filter, none twice.
#[derive(Default)]
pub(crate) struct Decisions {
    index: HashMap<Decision, u32, Quick>,
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
            segments,
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
    let bad = Verdict::from(BAD_ARCH);
    let mut segments = Vec::new();
    push(&mut segments, 0, bad);
    if mentions.rules.archs.contains(&Arch::X86_64) {
        segments = one_abi(mentions, Arch::X86_64, decisions, warnings);
    }
    if mentions.rules.archs.contains(&Arch::X32) {
        for segment in one_abi(mentions, Arch::X32, decisions, warnings) {
            push(&mut segments, segment.start, segment.verdict);
        }
    } else {
        push(&mut segments, X32_SYSCALL_BIT, bad);
        let default = Verdict::from(mentions.rules.default);
        push(&mut segments, u32::MAX, default);
    }
    segments
}

/// The default where no rule speaks, but `ENOSYS` for calls newer than any the profile mentions, if the default forbids.
/// Programs probe for new calls and take `EPERM` for an answer; `ENOSYS` tells them to do without.
fn one_abi(
    mentions: &Mentions<'_>,
    arch: Arch,
    decisions: &mut Decisions,
    warnings: &mut Vec<Warning>,
) -> Vec<Segment> {
    let calls = Calls::new(mentions, arch);
    let default = mentions.rules.default;
    let mut slow = |place: usize| match calls.outcome(place, warnings) {
        Outcome::Nothing => None,
        Outcome::Always(_, action) => Some(action.into()),
        Outcome::Depends(candidates) => {
            Some(Verdict::Decide(decisions.intern(candidates.decision)))
        }
    };
    let mut verdict = |place: usize| match calls.always(place) {
        Some(value) => Some(Verdict::Return(value)),
        None => slow(place),
    };
    let mut segments = Vec::with_capacity(128);
    let start = if arch == Arch::X32 {
        X32_SYSCALL_BIT
    } else {
        0
    };
    push(
        &mut segments,
        start,
        unnamed(default, arch, calls.newest(), start),
    );
    for place in calls.ordinary() {
        let nr = calls.number(place);
        let under = || unnamed(default, arch, calls.newest(), nr);
        let verdict = if calls.is_mentioned(place) {
            verdict(place)
        } else {
            None
        };
        push(&mut segments, nr, verdict.unwrap_or_else(under));
    }
    if let Some(newest) = calls.newest() {
        push(
            &mut segments,
            newest + 1,
            unnamed(default, arch, calls.newest(), newest + 1),
        );
    }
    if arch == Arch::Arm {
        push(&mut segments, ARM_PRIVATE, default.into());
        for place in calls.private() {
            let nr = calls.number(place);
            push(&mut segments, nr, verdict(place).unwrap_or(default.into()));
            push(&mut segments, nr + 1, default.into());
        }
    }
    segments
}

/// What happens to a number that no rule decides.
pub(crate) fn unnamed(default: Action, arch: Arch, newest: Option<u32>, nr: u32) -> Verdict {
    let forbids = !matches!(default, Action::Allow | Action::Log | Action::Trace(_));
    let newer = match arch {
        Arch::Arm if nr >= ARM_PRIVATE => false,
        // The kernel leaves 0 as the number of calls above 255 that it does not know.
        Arch::S390 | Arch::S390x if nr == 0 => newest.is_some(),
        _ => newest.is_some_and(|newest| nr > newest),
    };
    if forbids && newer {
        return Action::Errno(arch.enosys()).into();
    }
    default.into()
}

impl From<Action> for Verdict {
    fn from(action: Action) -> Verdict {
        Verdict::Return(action.to_return())
    }
}

/// Equal neighbours are one.
fn push(segments: &mut Vec<Segment>, start: u32, verdict: Verdict) {
    match segments.last_mut() {
        Some(last) if last.verdict == verdict => {}
        Some(last) if last.start == start => last.verdict = verdict,
        _ => segments.push(Segment { start, verdict }),
    }
}

impl Decisions {
    fn intern(&mut self, decision: Decision) -> u32 {
        let next = self.list.len() as u32;
        *self.index.entry(decision).or_insert_with_key(|decision| {
            self.list.push(decision.clone());
            next
        })
    }
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
    use crate::rules;

    fn segments(json: &str, arch: Arch) -> Vec<(u32, Action)> {
        let profile = serde_json::from_str(json).unwrap();
        let rules = rules::read(&profile, arch, &mut Vec::new()).unwrap();
        let mentions = Mentions::new(&rules, &mut Vec::new());
        let spaces = spaces(&mentions, &mut Decisions::default(), &mut Vec::new());
        let action = |segment: &Segment| match segment.verdict {
            Verdict::Return(value) => (segment.start, Action::from_return(value)),
            Verdict::Decide(_) => panic!("nothing to decide"),
        };
        spaces[0].segments.iter().map(action).collect()
    }

    #[test]
    fn every_number_has_a_segment() {
        const EPERM: Action = Action::Errno(1);
        const ENOSYS: Action = Action::Errno(38);
        let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["read", "write", "fork", "set_tls"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["exit"], "action": "SCMP_ACT_LOG"}]}"#;
        let (allow, log) = (Action::Allow, Action::Log);
        assert_eq!(
            segments(json, Arch::Arm),
            [
                (0, EPERM),
                (1, log),
                (2, allow),
                (5, ENOSYS),
                (0xf0000, EPERM),
                (0xf0005, allow),
                (0xf0006, EPERM)
            ]
        );
        assert_eq!(
            segments(json, Arch::Mips),
            [
                (0, EPERM),
                (4001, log),
                (4002, allow),
                (4005, Action::Errno(89))
            ]
        );
        assert_eq!(
            segments(json, Arch::S390x),
            [(0, ENOSYS), (1, log), (2, allow), (5, ENOSYS)]
        );
        assert_eq!(
            segments(json, Arch::X86_64),
            [
                (0, allow),
                (2, EPERM),
                (57, allow),
                (58, EPERM),
                (60, log),
                (61, ENOSYS),
                (0x4000_0000, Action::KillThread),
                (u32::MAX, EPERM)
            ]
        );
        let nothing = r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#;
        assert_eq!(segments(nothing, Arch::S390x), [(0, EPERM)]);
    }
}
