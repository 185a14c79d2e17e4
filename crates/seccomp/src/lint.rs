//! What is odd about a profile that compiles: names that no kernel knows, rules that can never decide, and calls denied
//! without which common programs do not even start.

use std::collections::BTreeMap;

use crate::action::{Action, ENOSYS};
use crate::arch::Arch;
use crate::compile::compile;
use crate::error::{Error, WarningKind};
use crate::explain::{Asked, Because, explain};
use crate::needs::RUNTIMES;
use crate::precedence::{Calls, Mentions, Outcome};
use crate::profile::Profile;
use crate::rules::{self, Condition, Op};
use crate::simulate::possible_returns;
use crate::syscalls;

/// Something odd, and where: a JSON pointer into the profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// To a name of a call in a rule, or to what decides a call.
    pub pointer: String,
    /// What is odd.
    pub kind: FindingKind,
}

/// The kinds of [`Finding`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindingKind {
    /// What the compiler warns of.
    #[error("{0}")]
    Warning(WarningKind),
    /// The rule says what would happen without it.
    #[error("the rule for {call:?} has no effect: its action is the default action")]
    SameAsDefault {
        /// The call.
        call: String,
    },
    /// Whenever the rule could decide, an earlier one does.
    #[error("the rule for {call:?} never decides: {by} always comes first")]
    Covered {
        /// The call.
        call: String,
        /// The other rule: a JSON pointer into the profile.
        by: String,
    },
    /// No argument meets a condition of the rule.
    #[error("the rule for {call:?} never decides: no argument meets \"{condition}\"")]
    Impossible {
        /// The call.
        call: String,
        /// The condition.
        condition: Condition,
    },
    /// Programs need the call to start.
    #[error("{call:?} is denied ({action}), and {} cannot start without it", by.join(", "))]
    Needed {
        /// The call.
        call: &'static str,
        /// What happens to it.
        action: Action,
        /// The programs.
        by: Vec<&'static str>,
    },
    /// Programs try the call first, and do with another one if it does not exist. They take other errors for an answer.
    #[error("{call:?} is denied ({action}), and {} cannot start unless it fails with ENOSYS", by.join(", "))]
    Probed {
        /// The call.
        call: &'static str,
        /// What happens to it.
        action: Action,
        /// The programs.
        by: Vec<&'static str>,
    },
}

impl FindingKind {
    /// A word for the kind, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            FindingKind::Warning(WarningKind::UnknownSyscall(_)) => "unknown-call",
            FindingKind::Warning(WarningKind::Shadowed(_)) => "shadowed",
            FindingKind::Warning(WarningKind::ForeignByteOrder(_)) => "foreign-byte-order",
            FindingKind::Warning(WarningKind::Multiplexed { .. }) => "multiplexed",
            FindingKind::Warning(WarningKind::WaitWithoutNotify) => "wait-without-notify",
            FindingKind::SameAsDefault { .. } => "same-as-default",
            FindingKind::Covered { .. } => "covered",
            FindingKind::Impossible { .. } => "impossible",
            FindingKind::Needed { .. } => "needed",
            FindingKind::Probed { .. } => "probed",
        }
    }
}

/// What is odd about a profile, in its order, with what programs need at the end.
///
/// # Errors
/// Those of [`compile`](crate::compile): what does not compile is wrong and not odd.
pub fn lint(profile: &Profile<'_>, native: Arch) -> Result<Vec<Finding>, Error> {
    let filter = compile(profile, native)?;
    let mut findings: Vec<Finding> = filter
        .warnings
        .into_iter()
        .map(|warning| Finding {
            pointer: warning.pointer,
            kind: FindingKind::Warning(warning.kind),
        })
        .collect();
    findings.extend(idle(profile, native)?);
    findings.sort_by_cached_key(|finding| position(&finding.pointer));
    findings.dedup();
    for (call, runtimes) in needs(native) {
        findings.extend(denied(profile, native, &filter.program, call, &runtimes)?);
    }
    Ok(findings)
}

/// Pointers in the order of the profile: numbers in them by value.
fn position(pointer: &str) -> Vec<(usize, String)> {
    let part = |part: &str| match part.parse() {
        Ok(number) => (number, String::new()),
        Err(_) => (usize::MAX, part.to_owned()),
    };
    pointer.split('/').map(part).collect()
}

/// Rules without effect.
fn idle(profile: &Profile<'_>, native: Arch) -> Result<Vec<Finding>, Error> {
    let rules = rules::read(profile, native, &mut Vec::new())?;
    let mentions = Mentions::new(&rules, &mut Vec::new());
    let mut findings = Vec::new();
    for mention in &rules.mentions {
        let call = || mention.row.name().to_owned();
        let entry = &rules.entries[mention.entry as usize];
        let mut add = |kind| {
            findings.push(Finding {
                pointer: mention.pointer(),
                kind,
            });
        };
        if entry.redundant {
            add(FindingKind::SameAsDefault { call: call() });
        }
        for condition in entry
            .conditions
            .iter()
            .filter(|condition| is_impossible(condition))
        {
            add(FindingKind::Impossible {
                call: call(),
                condition: *condition,
            });
        }
    }
    for arch in &rules.archs {
        let calls = Calls::new(&mentions, *arch);
        for place in calls.ordinary().chain(calls.private()) {
            if !calls.is_mentioned(place) {
                continue;
            }
            match calls.outcome(place, &mut Vec::new()) {
                Outcome::Depends(candidates) => findings.extend(covered(
                    &candidates.decision.rules().collect::<Vec<_>>(),
                    &candidates.mentions,
                    |mention| mentions.mention(mention).pointer(),
                    |mention| mentions.mention(mention).row.name(),
                )),
                Outcome::Always(always, action) => {
                    let later = calls.deciding(place).filter(|other| *other != always);
                    let same = later.filter(|other| mentions.entry(*other).action == action);
                    findings.extend(same.map(|other| Finding {
                        pointer: mentions.mention(other).pointer(),
                        kind: FindingKind::Covered {
                            call: mentions.mention(other).row.name().to_owned(),
                            by: mentions.mention(always).pointer(),
                        },
                    }));
                }
                Outcome::Nothing => {}
            }
        }
    }
    Ok(findings)
}

fn is_impossible(condition: &Condition) -> bool {
    matches!(
        (condition.op, condition.value),
        (Op::Lt, 0) | (Op::Gt, u64::MAX)
    )
}

/// Rules whose conditions imply all those of an earlier rule.
fn covered(
    rules: &[(&[Condition], Action)],
    mentions: &[u32],
    pointer: impl Fn(u32) -> String,
    name: impl Fn(u32) -> &'static str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (later, (conditions, _)) in rules.iter().enumerate() {
        let implied = |weaker: &Condition| {
            let mut conditions = conditions.iter();
            conditions.any(|condition| implies(condition, weaker))
        };
        let mut before = rules[..later].iter();
        let Some(earlier) = before.position(|(weaker, _)| weaker.iter().all(implied)) else {
            continue;
        };
        let (later, earlier) = (mentions[later], mentions[earlier]);
        if later != earlier {
            findings.push(Finding {
                pointer: pointer(later),
                kind: FindingKind::Covered {
                    call: name(later).to_owned(),
                    by: pointer(earlier),
                },
            });
        }
    }
    findings
}

/// Whether one condition cannot hold without the other. It misses what takes more than a look at both.
fn implies(condition: &Condition, weaker: &Condition) -> bool {
    let mut args = [0; 6];
    args[usize::from(condition.arg)] = condition.value;
    if condition.arg != weaker.arg {
        return false;
    }
    match (condition.op, weaker.op) {
        (Op::Eq, _) => weaker.holds(&args, true),
        (Op::Lt | Op::Le, Op::Le) | (Op::Lt, Op::Lt) => condition.value <= weaker.value,
        (Op::Le, Op::Lt) => condition.value < weaker.value,
        (Op::Gt | Op::Ge, Op::Ge) | (Op::Gt, Op::Gt) => condition.value >= weaker.value,
        (Op::Ge, Op::Gt) => condition.value > weaker.value,
        _ => condition == weaker,
    }
}

/// The calls that programs need to start, or else try first, with the programs.
fn needs(native: Arch) -> BTreeMap<(&'static str, bool), Vec<&'static str>> {
    let mut needs: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for runtime in RUNTIMES {
        let needed = runtime.needs.iter().map(|call| (*call, true));
        let probed = runtime.probes.iter().map(|call| (*call, false));
        for (call, needed) in needed.chain(probed) {
            if syscalls::number(native, call).is_some() {
                needs.entry((call, needed)).or_default().push(runtime.name);
            }
        }
    }
    needs
}

/// A finding if none of the verdicts on a call lets it pass.
fn denied(
    profile: &Profile<'_>,
    native: Arch,
    program: &[crate::SockFilter],
    (call, needed): (&'static str, bool),
    by: &[&'static str],
) -> Result<Option<Finding>, Error> {
    let Some(number) = syscalls::number(native, call) else {
        return Ok(None);
    };
    let verdicts = possible_returns(program, native, number).unwrap_or_default();
    let mut actions = verdicts.into_iter().map(Action::from_return);
    let asks = |action: &Action| matches!(action, Action::Notify | Action::Trace(_));
    let absent = Action::Errno(ENOSYS);
    let bad = |action: &Action| !action.permits() && !asks(action) && (needed || *action != absent);
    let Some(action) = actions
        .next()
        .filter(|first| bad(first) && actions.all(|other| bad(&other)))
    else {
        return Ok(None);
    };
    let why = explain(profile, native, Asked::Name(call))?;
    let pointer = match why.first() {
        Some(explanation) => match (&explanation.because, explanation.clauses.first()) {
            (Because::Rule(pointer), _) => pointer.clone(),
            (_, Some(clause)) => clause.pointer.clone(),
            _ => "/defaultAction".to_owned(),
        },
        None => "/defaultAction".to_owned(),
    };
    let by = by.to_vec();
    let kind = match needed {
        true => FindingKind::Needed { call, action, by },
        false => FindingKind::Probed { call, action, by },
    };
    Ok(Some(Finding { pointer, kind }))
}
