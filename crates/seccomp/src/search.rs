//! The search for a call's number: a binary search over ranges of numbers with the same verdict. Single numbers inside
//! a range with another verdict, of which profiles have many, are not ranges of their own: one comparison for
//! equality at the end of the search is shorter than the two that would cut them out.
//!
//! The search divides not the ranges but their weight, so that what is called most is found after few comparisons. No
//! way is longer than twice the binary logarithm of the number of segments.

use crate::asm::{Branch, Compare, Label, Operand, Program};
use crate::verdicts::{Segment, Verdict};

/// Writes the search; the accumulator holds the number. `hot` are the numbers to find first, ascending. `resolve`
/// writes what happens once a verdict is found.
pub(crate) fn write(
    program: &mut Program,
    segments: &[Segment],
    hot: &[u32],
    resolve: &mut dyn FnMut(&mut Program, Verdict) -> Label,
) -> Label {
    let ranges = ranges(segments);
    let search = Search {
        segments,
        before: weights(segments, &ranges, hot),
        ranges,
    };
    let depth = most_comparisons(segments.len())
        .saturating_sub(MAX_EXCEPTIONS as u32)
        .max(least_depth(search.ranges.len()));
    search.tree(program, (0, search.ranges.len()), depth, resolve)
}

/// Twice the binary logarithm, which no search exceeds.
fn most_comparisons(segments: usize) -> u32 {
    (segments * segments).ilog2()
}

/// How deep a tree of so many leaves is at least.
fn least_depth(leaves: usize) -> u32 {
    leaves.next_power_of_two().ilog2()
}

/// A segment and numbers inside of it that are different: every second one of the segments after it.
struct Range {
    at: usize,
    exceptions: usize,
}

/// More of them would make the search longer than halving does.
const MAX_EXCEPTIONS: usize = 2;

fn ranges(segments: &[Segment]) -> Vec<Range> {
    let mut ranges = Vec::with_capacity(segments.len());
    let mut at = 0;
    while let Some(first) = segments.get(at) {
        let mut exceptions = 0;
        while let Some([one, next]) = segments.get(at + 2 * exceptions + 1..at + 2 * exceptions + 3)
            && exceptions < MAX_EXCEPTIONS
            && next.start == one.start + 1
            && next.verdict == first.verdict
        {
            exceptions += 1;
        }
        ranges.push(Range { at, exceptions });
        at += 2 * exceptions + 1;
    }
    ranges
}

/// What a hot number weighs, where any range weighs one.
const HOT_WEIGHT: u32 = 24;

/// The weight of all ranges before each, and of all.
fn weights(segments: &[Segment], ranges: &[Range], hot: &[u32]) -> Vec<u32> {
    let mut hot = hot.iter().copied().peekable();
    let mut before = Vec::with_capacity(ranges.len() + 1);
    let mut sum = 0;
    for index in 0..ranges.len() {
        before.push(sum);
        let end = ranges.get(index + 1).map(|next| segments[next.at].start);
        sum += 1;
        while hot.next_if(|nr| end.is_none_or(|end| *nr < end)).is_some() {
            sum += HOT_WEIGHT;
        }
    }
    before.push(sum);
    before
}

struct Search<'s> {
    segments: &'s [Segment],
    ranges: Vec<Range>,
    before: Vec<u32>,
}

impl Search<'_> {
    fn tree(
        &self,
        program: &mut Program,
        (low, high): (usize, usize),
        depth: u32,
        resolve: &mut dyn FnMut(&mut Program, Verdict) -> Label,
    ) -> Label {
        if high - low == 1 {
            return self.leaf(program, &self.ranges[low], resolve);
        }
        let middle = self.middle(low, high, depth);
        let yes = self.tree(program, (middle, high), depth - 1, resolve);
        let no = self.tree(program, (low, middle), depth - 1, resolve);
        program.branch(Branch {
            operand: Operand::Accumulator,
            compare: Compare::GreaterOrEqual,
            k: self.segments[self.ranges[middle].at].start,
            yes,
            no,
        })
    }

    /// Where both sides weigh most nearly the same, of those places where neither side is too large for its depth.
    fn middle(&self, low: usize, high: usize, depth: u32) -> usize {
        let most = 1_usize.checked_shl(depth - 1).unwrap_or(usize::MAX);
        let least = (low + 1).max(high.saturating_sub(most));
        let last = (high - 1).min(low.saturating_add(most));
        let sum = self.before[low] + self.before[high];
        let at = least + self.before[least..=last].partition_point(|before| 2 * before < sum);
        let at = at.min(last);
        let imbalance = |at: usize| (2 * self.before[at]).abs_diff(sum);
        if at > least && imbalance(at - 1) < imbalance(at) {
            return at - 1;
        }
        at
    }

    fn leaf(
        &self,
        program: &mut Program,
        range: &Range,
        resolve: &mut dyn FnMut(&mut Program, Verdict) -> Label,
    ) -> Label {
        let otherwise = resolve(program, self.segments[range.at].verdict);
        let exceptions = (0..range.exceptions).map(|index| self.segments[range.at + 1 + 2 * index]);
        exceptions.rev().fold(otherwise, |no, exception| {
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
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::action::Action;
    use crate::bpf::{OFFSET_NR, SockFilter, op};

    /// Segments of which neighbours differ.
    fn segments() -> impl Strategy<Value = Vec<Segment>> {
        (btree_set(1_u32..2000, 0..200), vec(1_u16..3, 200)).prop_map(|(starts, steps)| {
            let mut errno = 0;
            let segment = |(start, step): (u32, u16)| {
                errno = (errno + step) % 3;
                let verdict = Verdict::from(Action::Errno(errno));
                Segment { start, verdict }
            };
            [0].into_iter()
                .chain(starts)
                .zip(steps)
                .map(segment)
                .collect()
        })
    }

    fn written(segments: &[Segment], hot: &[u32]) -> Vec<SockFilter> {
        let mut program = Program::default();
        let mut resolve = |program: &mut Program, verdict| match verdict {
            Verdict::Return(value) => program.ret(value),
            Verdict::Decide(_) => unreachable!("not made here"),
        };
        let tree = write(&mut program, segments, hot, &mut resolve);
        program.load(OFFSET_NR, tree);
        program.finish()
    }

    /// What is returned for a number, and after how many comparisons.
    fn run(program: &[SockFilter], nr: u32) -> (u32, u32) {
        let (mut at, mut comparisons) = (1, 0);
        loop {
            let SockFilter { code, jt, jf, k } = program[at];
            at += 1;
            match code {
                op::RET_K => return (k, comparisons),
                op::JA_K => at += k as usize,
                _ => {
                    let yes = if code & 0xf0 == op::JEQ {
                        nr == k
                    } else {
                        nr >= k
                    };
                    at += usize::from(if yes { jt } else { jf });
                    comparisons += 1;
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_number_is_found_soon(segments in segments(), hot in btree_set(0_u32..2000, 0..40)) {
            let hot: Vec<u32> = hot.into_iter().collect();
            let program = written(&segments, &hot);
            let most = 2.0 * (segments.len() as f64).log2();
            let edges = segments.iter().flat_map(|segment| [segment.start, segment.start.wrapping_sub(1)]);
            for nr in edges.chain(hot.iter().copied()) {
                let segment = segments[segments.partition_point(|segment| segment.start <= nr) - 1];
                let (value, comparisons) = run(&program, nr);
                prop_assert_eq!(Verdict::Return(value), segment.verdict);
                prop_assert!(f64::from(comparisons) <= most, "{} after {}, {} segments", nr, comparisons, segments.len());
            }
        }
    }

    #[test]
    fn what_is_hot_comes_first() {
        let errno = |errno| Verdict::from(Action::Errno(errno));
        let segments: Vec<Segment> = (0..256)
            .map(|index| Segment {
                start: 3 * index,
                verdict: errno((index % 3) as u16),
            })
            .collect();
        let comparisons = |hot: &[u32], nr| run(&written(&segments, hot), nr).1;
        assert_eq!(comparisons(&[], 301), 8);
        assert!(comparisons(&[300, 301, 302], 301) <= 4);
        assert!(comparisons(&[1, 301, 601], 301) <= 5);
    }
}
