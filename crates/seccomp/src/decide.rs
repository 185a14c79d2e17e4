//! The decision by arguments. An argument has 64 bits, a comparison 32, so a condition becomes up to three tests of
//! its halves, and a list of rules a graph of tests. The graph is written from its end, and while it is walked it is
//! remembered what the accumulator holds and what the last upper half was found to be: later rules on the same
//! argument then need neither a load nor the test of an upper half again.

use std::collections::HashMap;

use crate::action::Action;
use crate::asm::{Branch, Compare, Label, Operand, Program};
use crate::bpf::{BPF_MAXINSNS, OFFSET_ARGS};
use crate::hash::Quick;
use crate::precedence::Decision;
use crate::rules::{Condition, Op};

/// Writes a decision; the contents of the accumulator are of no use to it.
pub(crate) fn write(
    program: &mut Program,
    decision: &Decision,
    default: Action,
    big_endian: bool,
) -> Label {
    let mut graph = Graph {
        steps: Vec::with_capacity(3 * decision.conditions()),
        wide: decision.wide,
        big_endian,
    };
    let mut next = Target::Return(default);
    for (conditions, action) in decision.rules().rev() {
        let matched = Target::Return(action);
        next = conditions.iter().rev().fold(matched, |yes, condition| {
            graph.condition(*condition, yes, next)
        });
    }
    let mut walk = Walk {
        program,
        steps: &graph.steps,
        written: HashMap::with_capacity_and_hasher(2 * graph.steps.len(), Quick::default()),
    };
    walk.write(next, State::default())
}

/// Tests, each of which leads to earlier ones in the list or to an end.
struct Graph {
    steps: Vec<Step>,
    wide: bool,
    big_endian: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Step(usize),
    Return(Action),
}

/// A test of one half of an argument.
#[derive(Clone, Copy)]
struct Step {
    half: Half,
    mask: u32,
    compare: Compare,
    k: u32,
    yes: Target,
    no: Target,
}

/// Half an argument, by its offset into `seccomp_data`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Half {
    offset: u32,
    upper: bool,
}

impl Graph {
    fn condition(&mut self, condition: Condition, yes: Target, no: Target) -> Target {
        let Condition { arg, op, value } = condition;
        match op {
            Op::Eq => self.masked(arg, u64::MAX, value, yes, no),
            Op::Ne => self.masked(arg, u64::MAX, value, no, yes),
            Op::MaskedEq(mask) => self.masked(arg, mask, value, yes, no),
            Op::Gt => self.greater(arg, Compare::Greater, value, yes, no),
            Op::Le => self.greater(arg, Compare::Greater, value, no, yes),
            Op::Ge => self.greater(arg, Compare::GreaterOrEqual, value, yes, no),
            Op::Lt => self.greater(arg, Compare::GreaterOrEqual, value, no, yes),
        }
    }

    fn masked(&mut self, arg: u8, mask: u64, value: u64, yes: Target, no: Target) -> Target {
        let lower = self.bits(self.half(arg, false), mask as u32, value as u32, yes, no);
        if !self.wide {
            return lower;
        }
        self.bits(
            self.half(arg, true),
            (mask >> 32) as u32,
            (value >> 32) as u32,
            lower,
            no,
        )
    }

    fn greater(
        &mut self,
        arg: u8,
        compare: Compare,
        value: u64,
        yes: Target,
        no: Target,
    ) -> Target {
        let lower = self.order(self.half(arg, false), compare, value as u32, yes, no);
        if !self.wide {
            return lower;
        }
        let (upper, k) = (self.half(arg, true), (value >> 32) as u32);
        let equal = self.bits(upper, u32::MAX, k, lower, no);
        self.order(upper, Compare::Greater, k, yes, equal)
    }

    /// Whether the bits of the mask are those of the value.
    fn bits(&mut self, half: Half, mask: u32, value: u32, yes: Target, no: Target) -> Target {
        match (mask, value & mask) {
            (0, _) => yes,
            (u32::MAX, k) => self.step(Step {
                half,
                mask,
                compare: Compare::Equal,
                k,
                yes,
                no,
            }),
            (_, 0) => self.any_bit(half, mask, no, yes),
            (_, k) if mask.is_power_of_two() => self.any_bit(half, k, yes, no),
            (_, k) => self.step(Step {
                half,
                mask,
                compare: Compare::Equal,
                k,
                yes,
                no,
            }),
        }
    }

    fn any_bit(&mut self, half: Half, k: u32, yes: Target, no: Target) -> Target {
        self.step(Step {
            half,
            mask: u32::MAX,
            compare: Compare::AnyBitSet,
            k,
            yes,
            no,
        })
    }

    fn order(&mut self, half: Half, compare: Compare, k: u32, yes: Target, no: Target) -> Target {
        match (compare, k) {
            (Compare::GreaterOrEqual, 0) => yes,
            (Compare::Greater, u32::MAX) => no,
            _ => self.step(Step {
                half,
                mask: u32::MAX,
                compare,
                k,
                yes,
                no,
            }),
        }
    }

    fn step(&mut self, step: Step) -> Target {
        if step.yes == step.no {
            return step.yes;
        }
        self.steps.push(step);
        Target::Step(self.steps.len() - 1)
    }

    fn half(&self, arg: u8, upper: bool) -> Half {
        let second = upper != self.big_endian;
        Half {
            offset: OFFSET_ARGS + 8 * u32::from(arg) + 4 * u32::from(second),
            upper,
        }
    }
}

/// What is known when a step begins.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct State {
    /// The half argument that the accumulator holds.
    accumulator: Option<Half>,
    /// The upper half tested last.
    fact: Option<(Half, Fact)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Fact {
    Is(u32),
    IsNot(u32),
}

struct Walk<'w> {
    program: &'w mut Program,
    steps: &'w [Step],
    written: HashMap<Entry, Label, Quick>,
}

/// A step as it is come by.
type Entry = (usize, State);

impl Walk<'_> {
    /// Writes what a target leads to, and the target itself last. A list of what is left to write takes the place of
    /// recursion, whose depth would be that of the profile.
    fn write(&mut self, target: Target, state: State) -> Label {
        let mut todo: Vec<Entry> = Vec::new();
        loop {
            let Some(entry) = todo.last().copied() else {
                match self.come_by(target, state) {
                    Ok(label) => return label,
                    Err(missing) => todo.push(missing),
                }
                continue;
            };
            let (step, state) = (self.steps[entry.0], entry.1);
            let no = self.come_by(step.no, state.after(&step, false));
            let yes = self.come_by(step.yes, state.after(&step, true));
            match (no, yes) {
                (Ok(no), Ok(yes)) => {
                    let label = self.write_step(&step, state, yes, no);
                    self.written.insert(entry, label);
                    todo.pop();
                }
                (Err(missing), _) | (_, Err(missing)) => todo.push(missing),
            }
        }
    }

    fn write_step(&mut self, step: &Step, state: State, yes: Label, no: Label) -> Label {
        // What does not fit is refused in the end; writing on would only take time.
        if self.program.len() > BPF_MAXINSNS {
            return no;
        }
        let operand = state.operand(step);
        self.program.shared_branch(Branch {
            operand,
            compare: step.compare,
            k: step.k,
            yes,
            no,
        })
    }

    /// The place of a target, or the step that has to be written for it.
    fn come_by(&mut self, target: Target, state: State) -> Result<Label, Entry> {
        match self.skip_known(target, state) {
            Target::Return(action) => Ok(self.program.ret(action.to_return())),
            Target::Step(index) => {
                let entry = (index, state.relevant(&self.steps[index]));
                self.written.get(&entry).copied().ok_or(entry)
            }
        }
    }

    fn skip_known(&self, mut target: Target, state: State) -> Target {
        while let Target::Step(index) = target
            && let Some(outcome) = state.outcome(&self.steps[index])
        {
            target = if outcome {
                self.steps[index].yes
            } else {
                self.steps[index].no
            };
        }
        target
    }
}

impl State {
    /// The result of a step, if it is known already.
    fn outcome(self, step: &Step) -> Option<bool> {
        let (half, fact) = self.fact?;
        if half != step.half {
            return None;
        }
        match (fact, step.compare) {
            (Fact::Is(value), Compare::Equal) => Some(value & step.mask == step.k),
            (Fact::Is(value), Compare::Greater) => Some(value > step.k),
            (Fact::Is(value), Compare::GreaterOrEqual) => Some(value >= step.k),
            (Fact::Is(value), Compare::AnyBitSet) => Some(value & step.k != 0),
            (Fact::IsNot(value), Compare::Equal) if step.mask == u32::MAX && value == step.k => {
                Some(false)
            }
            _ => None,
        }
    }

    /// The state without what this step and those on the same argument after it cannot use.
    fn relevant(self, step: &Step) -> State {
        let same_argument = |half: Half| half.offset / 8 == step.half.offset / 8;
        State {
            accumulator: self.accumulator.filter(|half| *half == step.half),
            fact: self.fact.filter(|(half, _)| same_argument(*half)),
        }
    }

    fn after(self, step: &Step, outcome: bool) -> State {
        let fact = match (step.compare, outcome) {
            _ if !step.half.upper || step.mask != u32::MAX => self.fact,
            (Compare::Equal, true) => Some((step.half, Fact::Is(step.k))),
            (Compare::Equal, false) => Some((step.half, Fact::IsNot(step.k))),
            (Compare::Greater, false) if step.k == 0 => Some((step.half, Fact::Is(0))),
            _ => self.fact,
        };
        State {
            accumulator: (step.mask == u32::MAX).then_some(step.half),
            fact,
        }
    }

    fn operand(self, step: &Step) -> Operand {
        match (self.accumulator, step.mask) {
            (Some(_), u32::MAX) => Operand::Accumulator,
            (_, u32::MAX) => Operand::Load(step.half.offset),
            (_, mask) => Operand::LoadMasked(step.half.offset, mask),
        }
    }
}
