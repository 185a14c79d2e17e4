//! An assembler that writes a program from its last instruction to its first. BPF jumps forward only, so when an
//! instruction is written all it can jump to exists already and its distance is known: nothing is patched later, and
//! a target out of reach of an 8 bit offset gets a stepping stone on the spot.

use std::collections::HashMap;

use crate::bpf::{SockFilter, op};
use crate::hash::Quick;

/// A place in a program: how many instructions are at and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Label(usize);

/// A comparison of the accumulator with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Compare {
    Equal,
    Greater,
    GreaterOrEqual,
    AnyBitSet,
}

/// What comes before a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operand {
    /// The accumulator as it is.
    Accumulator,
    /// The word at an offset into `seccomp_data`.
    Load(u32),
    /// Some bits of it.
    LoadMasked(u32, u32),
}

/// A comparison with its two ways out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Branch {
    pub(crate) operand: Operand,
    pub(crate) compare: Compare,
    pub(crate) k: u32,
    pub(crate) yes: Label,
    pub(crate) no: Label,
}

/// The program so far, last instruction first.
#[derive(Default)]
pub(crate) struct Program {
    reversed: Vec<SockFilter>,
    shared: HashMap<Branch, Label, Quick>,
    /// Each value that is returned, with the first and the nearest place that does. There are few.
    returns: Vec<(u32, Label, Label)>,
    /// The nearest stepping stone to a place.
    stones: HashMap<Label, Label, Quick>,
}

impl Program {
    pub(crate) fn len(&self) -> usize {
        self.reversed.len()
    }

    pub(crate) fn finish(mut self) -> Vec<SockFilter> {
        self.reversed.reverse();
        self.reversed
    }

    /// A return of a value, always the same place for the same value; a jump from afar takes a nearer copy.
    pub(crate) fn ret(&mut self, value: u32) -> Label {
        match self.returns.iter().find(|known| known.0 == value) {
            Some((_, first, _)) => *first,
            None => self.push_return(value),
        }
    }

    /// A comparison that other parts of the program are likely to make too; equal ones are written once.
    pub(crate) fn shared_branch(&mut self, branch: Branch) -> Label {
        if let Some(label) = self.shared.get(&branch) {
            return *label;
        }
        let label = self.branch(branch);
        self.shared.insert(branch, label);
        label
    }

    /// A comparison; if both ways lead to the same place, that place.
    pub(crate) fn branch(&mut self, branch: Branch) -> Label {
        if branch.yes == branch.no {
            return branch.yes;
        }
        let (yes, no) = self.within_reach(branch.yes, branch.no);
        let next = self.len();
        let label = self.push(SockFilter {
            code: op::JMP | op::K | branch.compare.code(),
            jt: skip(next, yes),
            jf: skip(next, no),
            k: branch.k,
        });
        match branch.operand {
            Operand::Accumulator => label,
            Operand::Load(offset) => self.push_load(offset),
            Operand::LoadMasked(offset, mask) => {
                self.push(SockFilter {
                    code: op::AND_K,
                    jt: 0,
                    jf: 0,
                    k: mask,
                });
                self.push_load(offset)
            }
        }
    }

    /// A load of a word, and then what stands at the label.
    pub(crate) fn load(&mut self, offset: u32, then: Label) -> Label {
        if then.0 != self.len() {
            self.push_stone(then);
        }
        self.push_load(offset)
    }

    fn push_load(&mut self, offset: u32) -> Label {
        self.push(SockFilter {
            code: op::LD_ABS,
            jt: 0,
            jf: 0,
            k: offset,
        })
    }

    fn push_return(&mut self, value: u32) -> Label {
        let label = self.push(SockFilter {
            code: op::RET_K,
            jt: 0,
            jf: 0,
            k: value,
        });
        match self.returns.iter_mut().find(|known| known.0 == value) {
            Some((_, _, nearest)) => *nearest = label,
            None => self.returns.push((value, label, label)),
        }
        label
    }

    fn push_stone(&mut self, target: Label) -> Label {
        let k = (self.len() - target.0) as u32;
        let label = self.push(SockFilter {
            code: op::JA_K,
            jt: 0,
            jf: 0,
            k,
        });
        self.stones.insert(target, label);
        label
    }

    fn push(&mut self, instruction: SockFilter) -> Label {
        self.reversed.push(instruction);
        Label(self.reversed.len())
    }

    /// Two labels that the next instruction can jump to. A stone for one may push the other out of reach.
    fn within_reach(&mut self, yes: Label, no: Label) -> (Label, Label) {
        let (mut near_yes, mut near_no) = (self.near(yes), self.near(no));
        while !self.reaches(near_yes) || !self.reaches(near_no) {
            near_yes = self.near(near_yes);
            near_no = self.near(near_no);
        }
        (near_yes, near_no)
    }

    fn near(&mut self, label: Label) -> Label {
        if self.reaches(label) {
            return label;
        }
        let target = self.reversed[label.0 - 1];
        if target.code == op::RET_K {
            return match self.returns.iter().find(|known| known.0 == target.k) {
                Some((_, _, nearest)) if self.reaches(*nearest) => *nearest,
                _ => self.push_return(target.k),
            };
        }
        match self.stones.get(&label) {
            Some(stone) if self.reaches(*stone) => *stone,
            _ => self.push_stone(label),
        }
    }

    fn reaches(&self, label: Label) -> bool {
        self.len() - label.0 <= usize::from(u8::MAX)
    }
}

/// How many instructions lie between the one written next, when `next` are written, and the label.
fn skip(next: usize, label: Label) -> u8 {
    (next - label.0) as u8
}

impl Compare {
    const fn code(self) -> u16 {
        match self {
            Compare::Equal => op::JEQ,
            Compare::Greater => op::JGT,
            Compare::GreaterOrEqual => op::JGE,
            Compare::AnyBitSet => op::JSET,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::SeccompData;
    use crate::simulate;

    fn chain(program: &mut Program, count: u32) -> Label {
        let last = program.ret(count);
        (0..count).rev().fold(last, |no, k| {
            let yes = program.ret(k % 3);
            program.branch(Branch {
                operand: Operand::Accumulator,
                compare: Compare::Equal,
                k,
                yes,
                no,
            })
        })
    }

    #[test]
    fn long_jumps_arrive() {
        let mut program = Program::default();
        let far = program.ret(77);
        let head = chain(&mut program, 600);
        let branch = Branch {
            operand: Operand::Accumulator,
            compare: Compare::Greater,
            k: 9000,
            yes: far,
            no: head,
        };
        let head = program.branch(branch);
        program.load(0, head);
        let program = program.finish();
        for (nr, value) in [
            (0, 0),
            (1, 1),
            (255, 0),
            (256, 1),
            (599, 2),
            (600, 600),
            (9001, 77),
        ] {
            let data = SeccompData {
                nr,
                ..SeccompData::default()
            };
            assert_eq!(simulate(&program, &data), Ok(value), "{nr}");
        }
    }

    #[test]
    fn every_distance_is_right() {
        for between in 240..270 {
            let mut program = Program::default();
            let (yes, no) = (program.ret(1001), program.ret(1002));
            let operand = Operand::Load(4);
            let far = program.branch(Branch {
                operand,
                compare: Compare::Equal,
                k: 7,
                yes,
                no,
            });
            let no = chain(&mut program, between);
            let operand = Operand::Load(0);
            program.branch(Branch {
                operand,
                compare: Compare::Greater,
                k: 9000,
                yes: far,
                no,
            });
            let program = program.finish();
            for (nr, arch, value) in [(9001, 7, 1001), (9001, 8, 1002), (between, 7, between)] {
                let data = SeccompData {
                    nr,
                    arch,
                    ..SeccompData::default()
                };
                assert_eq!(simulate(&program, &data), Ok(value), "{between} {nr}");
            }
        }
    }

    #[test]
    fn equal_branches_are_written_once() {
        let mut program = Program::default();
        let (yes, no) = (program.ret(1), program.ret(2));
        let branch = Branch {
            operand: Operand::LoadMasked(16, 7),
            compare: Compare::Equal,
            k: 3,
            yes,
            no,
        };
        let first = program.shared_branch(branch);
        let length = program.len();
        assert_eq!(program.shared_branch(branch), first);
        assert_eq!(program.len(), length);
        assert_eq!(program.branch(Branch { no: yes, ..branch }), yes);
    }
}
