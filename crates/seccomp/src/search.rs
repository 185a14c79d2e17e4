//! The search for a call's number: a binary search over ranges of numbers with the same verdict. Single numbers inside
//! a range with another verdict, of which profiles have many, are not ranges of their own: one comparison for
//! equality at the end of the search is shorter than the two that would cut them out.

use crate::asm::{Branch, Compare, Label, Operand, Program};
use crate::verdicts::{Segment, Verdict};

/// Writes the search; the accumulator holds the number. `resolve` writes what happens once a verdict is found.
pub(crate) fn write(
    program: &mut Program,
    segments: &[Segment],
    resolve: &mut dyn FnMut(&mut Program, Verdict) -> Label,
) -> Label {
    tree(program, &ranges(segments), resolve)
}

/// A range from `start` up to the next, and numbers inside it that are different.
struct Range {
    start: u32,
    verdict: Verdict,
    exceptions: Vec<Segment>,
}

/// More of them would make the search longer than halving does.
const MAX_EXCEPTIONS: usize = 2;

fn ranges(segments: &[Segment]) -> Vec<Range> {
    let mut ranges = Vec::with_capacity(segments.len());
    let mut rest = segments;
    while let Some((first, mut after)) = rest.split_first() {
        let mut exceptions = Vec::new();
        while let [one, next, ..] = after
            && exceptions.len() < MAX_EXCEPTIONS
            && next.start == one.start + 1
            && next.verdict == first.verdict
        {
            exceptions.push(*one);
            after = &after[2..];
        }
        ranges.push(Range {
            start: first.start,
            verdict: first.verdict,
            exceptions,
        });
        rest = after;
    }
    ranges
}

fn tree(
    program: &mut Program,
    ranges: &[Range],
    resolve: &mut dyn FnMut(&mut Program, Verdict) -> Label,
) -> Label {
    if let [range] = ranges {
        return leaf(program, range, resolve);
    }
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let yes = tree(program, upper, resolve);
    let no = tree(program, lower, resolve);
    let compare = Compare::GreaterOrEqual;
    program.branch(Branch {
        operand: Operand::Accumulator,
        compare,
        k: upper[0].start,
        yes,
        no,
    })
}

fn leaf(
    program: &mut Program,
    range: &Range,
    resolve: &mut dyn FnMut(&mut Program, Verdict) -> Label,
) -> Label {
    let otherwise = resolve(program, range.verdict);
    range
        .exceptions
        .iter()
        .rev()
        .fold(otherwise, |no, exception| {
            let yes = resolve(program, exception.verdict);
            program.branch(Branch {
                operand: Operand::Accumulator,
                compare: Compare::Equal,
                k: exception.start,
                yes,
                no,
            })
        })
}
