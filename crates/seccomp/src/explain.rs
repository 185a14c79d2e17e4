//! Why a call gets what it gets: the rules that can decide it, by architecture, in the order in which they are tried.

use crate::action::Action;
use crate::arch::{Arch, X32_SYSCALL_BIT};
use crate::error::Error;
use crate::precedence::{Calls, Mentions, Outcome};
use crate::profile::Profile;
use crate::rules::{self, Condition};
use crate::syscalls::{self, MULTIPLEXERS, Row};
use crate::verdicts::{Verdict, unnamed};

/// What happens to a call on one architecture, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The architecture.
    pub arch: Arch,
    /// The number of the call there, or of its multiplexer.
    pub number: u32,
    /// The multiplexer, if the call is made through one.
    pub through: Option<&'static str>,
    /// Rules with conditions. The first of which all conditions hold decides.
    pub clauses: Vec<Clause>,
    /// What happens if none of them does.
    pub otherwise: Action,
    /// Why.
    pub because: Because,
}

/// A rule with conditions, all of which have to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// The rule: a JSON pointer into the profile, to the name of the call.
    pub pointer: String,
    /// What it asks of the arguments.
    pub conditions: Vec<Condition>,
    /// What happens then.
    pub action: Action,
}

/// What decides a call that is decided whatever its arguments are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Because {
    /// A rule without conditions: a JSON pointer into the profile, to the name of the call.
    Rule(String),
    /// The default action, since no rule names the call.
    Default,
    /// The call is newer than all that the profile names; the highest number that it does name.
    Newer(u32),
}

/// What to explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// A call by name.
    Name(&'a str),
    /// A call by number, with the x32 bit if it is one of x32.
    Number(u32),
}

/// What happens to a call, on every architecture of the profile that has it. Empty for a name that none of them has.
///
/// # Errors
/// Those of [`compile`](crate::compile) that concern the rules.
pub fn explain(
    profile: &Profile<'_>,
    native: Arch,
    asked: Asked<'_>,
) -> Result<Vec<Explanation>, Error> {
    let mut warnings = Vec::new();
    let rules = rules::read(profile, native, &mut warnings)?;
    let mentions = Mentions::new(&rules, &mut warnings);
    let mut explanations = Vec::new();
    for arch in &rules.archs {
        let calls = Calls::new(&mentions, *arch);
        let number = match asked {
            Asked::Name(name) => syscalls::number(*arch, name),
            Asked::Number(number) => Some(number).filter(|number| belongs(*arch, *number)),
        };
        explanations.extend(number.map(|number| direct(&mentions, &calls, *arch, number)));
        if let Asked::Name(name) = asked {
            let ways = syscalls::find(name).map(|row| through(&mentions, &calls, *arch, row));
            explanations.extend(ways.into_iter().flatten());
        }
    }
    Ok(explanations)
}

/// Whether a number is one of an architecture, and not of another with the same `seccomp_data.arch`.
fn belongs(arch: Arch, number: u32) -> bool {
    match arch {
        Arch::X86_64 => number < X32_SYSCALL_BIT,
        Arch::X32 => number >= X32_SYSCALL_BIT,
        _ => true,
    }
}

fn direct(mentions: &Mentions<'_>, calls: &Calls<'_>, arch: Arch, number: u32) -> Explanation {
    let outcome = match calls.place(number) {
        Some(place) => calls.outcome(place, &mut Vec::new()),
        None => Outcome::Nothing,
    };
    let default = mentions.rules.default;
    let otherwise = match unnamed(default, arch, calls.newest(), number) {
        Verdict::Return(value) => Action::from_return(value),
        Verdict::Decide(_) => default,
    };
    let mut explanation = Explanation {
        arch,
        number,
        through: None,
        clauses: Vec::new(),
        otherwise,
        because: match calls.newest() {
            Some(newest) if otherwise != default => Because::Newer(newest),
            _ => Because::Default,
        },
    };
    match outcome {
        Outcome::Nothing => {}
        Outcome::Always(mention, action) => {
            explanation.otherwise = action;
            explanation.because = Because::Rule(mentions.mention(mention).pointer());
        }
        Outcome::Depends(candidates) => {
            let rules = candidates.decision.rules().zip(&candidates.mentions);
            explanation.clauses = rules
                .map(|((conditions, action), mention)| Clause {
                    pointer: mentions.mention(*mention).pointer(),
                    conditions: conditions.to_vec(),
                    action,
                })
                .collect();
            explanation.otherwise = default;
            explanation.because = Because::Default;
        }
    }
    explanation
}

/// The way of a call through a multiplexer: of the rules that decide the multiplexer, those that such a call can meet.
fn through(
    mentions: &Mentions<'_>,
    calls: &Calls<'_>,
    arch: Arch,
    row: Row,
) -> Option<Explanation> {
    let has = |(_, call): &&(u32, Row)| *call == row;
    let (multiplexer, (call, _)) = MULTIPLEXERS
        .iter()
        .find_map(|multiplexer| Some((multiplexer, multiplexer.calls.iter().find(has)?)))?;
    let number = multiplexer.row.number(arch)?;
    let mut explanation = direct(mentions, calls, arch, number);
    explanation.through = Some(multiplexer.row.name());
    let args = [u64::from(*call), 0, 0, 0, 0, 0];
    explanation.clauses.retain(|clause| {
        let first = clause
            .conditions
            .iter()
            .filter(|condition| condition.arg == 0);
        first
            .into_iter()
            .all(|condition| condition.holds(&args, arch.compares_64_bits()))
    });
    Some(explanation)
}

impl Explanation {
    /// What happens to the call with these arguments, and the clause that decides it, if one does.
    pub fn decide(&self, args: &[u64; 6]) -> (Action, Option<&Clause>) {
        let wide = self.arch.compares_64_bits();
        let holds = |clause: &&Clause| {
            let mut conditions = clause.conditions.iter();
            conditions.all(|condition| condition.holds(args, wide))
        };
        let decides = self.clauses.iter().find(holds);
        (
            decides.map_or(self.otherwise, |clause| clause.action),
            decides,
        )
    }
}
