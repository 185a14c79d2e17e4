//! What a program does, without a kernel: for one call with all its arguments, or for a number alone, whatever the
//! arguments may be.

use std::collections::{BTreeSet, HashSet};

use crate::action::Action;
use crate::arch::Arch;
use crate::bpf::{
    BPF_MAXINSNS, OFFSET_ARCH, OFFSET_NR, SECCOMP_DATA_SIZE, SeccompData, SockFilter, op,
};

/// Why the kernel would refuse a program. `at` counts instructions from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// No instructions, or more than `BPF_MAXINSNS`.
    #[error("a program has 1 to {BPF_MAXINSNS} instructions, not {0}")]
    Length(usize),
    /// Not an operation that seccomp allows.
    #[error("instruction {at}: seccomp has no operation {code:#06x}")]
    Operation {
        /// The instruction.
        at: usize,
        /// Its operation.
        code: u16,
    },
    /// A load from outside of `seccomp_data`, or not of a whole word; a memory word above 15; a division by zero or
    /// a shift by more than 31.
    #[error("instruction {at}: operand {k:#x} is out of range")]
    Operand {
        /// The instruction.
        at: usize,
        /// Its operand.
        k: u32,
    },
    /// A jump past the end.
    #[error("instruction {at}: jumps past the end of the program")]
    Jump {
        /// The instruction.
        at: usize,
    },
    /// The last instruction is not a return.
    #[error("the last instruction is not a return")]
    NoReturn,
}

/// Checks a program as the kernel does when it is installed (`bpf_check_classic` and `seccomp_check_filter`).
pub fn verify(program: &[SockFilter]) -> Result<(), Invalid> {
    if program.is_empty() || program.len() > BPF_MAXINSNS {
        return Err(Invalid::Length(program.len()));
    }
    for (at, instruction) in program.iter().enumerate() {
        verify_instruction(program.len(), at, *instruction)?;
    }
    match program.last() {
        Some(last) if last.code & 0x07 == op::RET => Ok(()),
        _ => Err(Invalid::NoReturn),
    }
}

fn verify_instruction(length: usize, at: usize, instruction: SockFilter) -> Result<(), Invalid> {
    let SockFilter { code, jt, jf, k } = instruction;
    let operand = |good: bool| {
        if good {
            Ok(())
        } else {
            Err(Invalid::Operand { at, k })
        }
    };
    let jump = |skip: u64| {
        if at as u64 + 1 + skip < length as u64 {
            Ok(())
        } else {
            Err(Invalid::Jump { at })
        }
    };
    // Only the lower eight bits make an operation: class, variant, operand.
    match (code & 0xff07, code & 0xf0, code & op::X != 0) {
        (op::LD, op::ABS, false) => operand(k.is_multiple_of(4) && k < SECCOMP_DATA_SIZE),
        (op::LD | op::LDX, op::MEM, false) | (op::ST | op::STX, 0, false) => operand(k < 16),
        (op::LD | op::LDX, op::IMM | op::LEN, false) => Ok(()),
        (op::ALU, op::DIV, false) => operand(k != 0),
        (op::ALU, op::LSH | op::RSH, false) => operand(k < 32),
        (op::ALU, op::NEG, false) => Ok(()),
        (op::ALU, op::ADD | op::SUB | op::MUL | op::OR | op::AND | op::XOR, _) => Ok(()),
        (op::ALU, op::DIV | op::LSH | op::RSH, true) => Ok(()),
        (op::JMP, op::JA, false) => jump(k.into()),
        (op::JMP, op::JEQ | op::JGT | op::JGE | op::JSET, _) => jump(jt.max(jf).into()),
        (op::RET, op::K | op::A, false) => Ok(()),
        (op::MISC, op::TAX | op::TXA, false) => Ok(()),
        _ => Err(Invalid::Operation { at, code }),
    }
}

/// The value the program returns for a call, a `SECCOMP_RET_*` with data: see [`Action::from_return`].
///
/// # Errors
/// If the program is empty or too long, or comes by an instruction that the kernel would refuse. Only [`verify`] looks at
/// those that this call does not come by.
pub fn simulate(program: &[SockFilter], data: &SeccompData) -> Result<u32, Invalid> {
    if program.is_empty() || program.len() > BPF_MAXINSNS {
        return Err(Invalid::Length(program.len()));
    }
    let mut machine = Machine {
        a: 0,
        x: 0,
        memory: [0; 16],
    };
    let mut at = 0;
    loop {
        let instruction = *program.get(at).ok_or(Invalid::NoReturn)?;
        verify_instruction(program.len(), at, instruction)?;
        at += 1;
        match machine.step(instruction, data) {
            Step::Next => {}
            Step::Skip(skip) => at += skip as usize,
            Step::Return(value) => return Ok(value),
        }
    }
}

struct Machine {
    a: u32,
    x: u32,
    memory: [u32; 16],
}

enum Step {
    Next,
    Skip(u32),
    Return(u32),
}

impl Machine {
    /// One instruction of a verified program.
    fn step(&mut self, instruction: SockFilter, data: &SeccompData) -> Step {
        let SockFilter { code, jt, jf, k } = instruction;
        let operand = if code & op::X != 0 { self.x } else { k };
        match code & 0x07 {
            op::LD => self.a = self.fetch(code, k, data),
            op::LDX => self.x = self.fetch(code, k, data),
            op::ST => self.memory[k as usize] = self.a,
            op::STX => self.memory[k as usize] = self.x,
            // The kernel ends the program with 0 at a division by zero.
            op::ALU if code & 0xf0 == op::DIV && operand == 0 => return Step::Return(0),
            op::ALU => self.a = arithmetic(code, self.a, operand),
            op::JMP if code == op::JA_K => return Step::Skip(k),
            op::JMP if compare(code, self.a, operand) => return Step::Skip(jt.into()),
            op::JMP => return Step::Skip(jf.into()),
            op::RET => return Step::Return(if code & 0x18 == op::A { self.a } else { k }),
            _ if code & 0xf8 == op::TXA => self.a = self.x,
            _ => self.x = self.a,
        }
        Step::Next
    }

    fn fetch(&self, code: u16, k: u32, data: &SeccompData) -> u32 {
        match code & 0xe0 {
            op::ABS => word(data, k),
            op::MEM => self.memory[k as usize],
            op::LEN => SECCOMP_DATA_SIZE,
            _ => k,
        }
    }
}

fn arithmetic(code: u16, a: u32, operand: u32) -> u32 {
    match code & 0xf0 {
        op::ADD => a.wrapping_add(operand),
        op::SUB => a.wrapping_sub(operand),
        op::MUL => a.wrapping_mul(operand),
        op::DIV => a / operand,
        op::OR => a | operand,
        op::AND => a & operand,
        op::LSH => a.wrapping_shl(operand),
        op::RSH => a.wrapping_shr(operand),
        op::XOR => a ^ operand,
        _ => a.wrapping_neg(),
    }
}

pub(crate) fn compare(code: u16, a: u32, operand: u32) -> bool {
    match code & 0xf0 {
        op::JEQ => a == operand,
        op::JGT => a > operand,
        op::JGE => a >= operand,
        _ => a & operand != 0,
    }
}

/// A word of `seccomp_data` as it lies in memory; its byte order follows from the architecture of the call.
fn word(data: &SeccompData, offset: u32) -> u32 {
    const AUDIT_ARCH_LE: u32 = 0x4000_0000;
    let long = match offset / 8 {
        0 if offset == OFFSET_NR => return data.nr,
        0 => return data.arch,
        1 => data.instruction_pointer,
        index => data.args[index as usize - 2],
    };
    let upper = (offset % 8 == 4) == (data.arch & AUDIT_ARCH_LE != 0);
    if upper {
        (long >> 32) as u32
    } else {
        long as u32
    }
}

/// Every value the program may return for a call of which only architecture and number are known.
///
/// # Errors
/// If the kernel would refuse the program.
pub fn possible_returns(
    program: &[SockFilter],
    arch: Arch,
    nr: u32,
) -> Result<BTreeSet<u32>, Invalid> {
    verify(program)?;
    let mut returns = BTreeSet::new();
    let mut seen = HashSet::new();
    let mut todo = vec![(0_usize, Known::Nothing)];
    while let Some((at, a)) = todo.pop() {
        if !seen.insert((at, a)) {
            continue;
        }
        match explore(program[at], a, arch.audit(), nr) {
            Explored::Next(a) => todo.push((at + 1, a)),
            Explored::Jumps(skips) => todo.extend(
                skips
                    .into_iter()
                    .flatten()
                    .map(|skip| (at + 1 + skip as usize, a)),
            ),
            Explored::Returns(value) => returns.extend([value]),
            Explored::ReturnsAny => returns.extend([u32::MAX]),
        }
    }
    Ok(returns)
}

/// Whether a call of this number is made, whatever its arguments: every verdict the program may come to permits it.
/// A runtime asks this of the calls it has yet to make after it has installed the filter.
pub fn may_call(program: &[SockFilter], arch: Arch, nr: u32) -> bool {
    possible_returns(program, arch, nr).is_ok_and(|returns| {
        returns
            .iter()
            .all(|value| Action::from_return(*value).permits())
    })
}

/// What is known of the accumulator.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Known {
    Value(u32),
    Nothing,
}

enum Explored {
    Next(Known),
    Jumps([Option<u32>; 2]),
    Returns(u32),
    ReturnsAny,
}

fn explore(instruction: SockFilter, a: Known, arch: u32, nr: u32) -> Explored {
    let SockFilter { code, jt, jf, k } = instruction;
    match (code & 0x07, a) {
        (op::LD, _) if code == op::LD_ABS && k == OFFSET_NR => Explored::Next(Known::Value(nr)),
        (op::LD, _) if code == op::LD_ABS && k == OFFSET_ARCH => Explored::Next(Known::Value(arch)),
        (op::LD, _) if code == op::LD | op::IMM => Explored::Next(Known::Value(k)),
        (op::LDX | op::ST | op::STX, _) => Explored::Next(a),
        (op::MISC, _) if code & 0xf8 == op::TAX => Explored::Next(a),
        // A division by an unknown zero also ends the program.
        (op::ALU, Known::Value(a)) if code & op::X == 0 => {
            Explored::Next(Known::Value(arithmetic(code, a, k)))
        }
        (op::JMP, _) if code == op::JA_K => Explored::Jumps([Some(k), None]),
        (op::JMP, Known::Value(a)) if code & op::X == 0 => {
            Explored::Jumps([Some(if compare(code, a, k) { jt } else { jf }.into()), None])
        }
        (op::JMP, _) => Explored::Jumps([Some(jt.into()), Some(jf.into())]),
        (op::RET, _) if code & 0x18 == op::K => Explored::Returns(k),
        (op::RET, Known::Value(a)) => Explored::Returns(a),
        (op::RET, Known::Nothing) => Explored::ReturnsAny,
        _ => Explored::Next(Known::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn k(code: u16, k: u32) -> SockFilter {
        SockFilter {
            code,
            jt: 0,
            jf: 0,
            k,
        }
    }

    const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> SockFilter {
        SockFilter {
            code: op::JMP | code,
            jt,
            jf,
            k,
        }
    }

    #[test]
    fn every_operation() {
        let data = SeccompData {
            nr: 6,
            arch: 0xc000_003e,
            instruction_pointer: 5 << 32 | 4,
            args: [1 << 32 | 2; 6],
        };
        let cases: &[(&[SockFilter], u32)] = &[
            (&[k(op::LD_ABS, 0)], 6),
            (&[k(op::LD_ABS, 4)], 0xc000_003e),
            (&[k(op::LD_ABS, 8)], 4),
            (&[k(op::LD_ABS, 12)], 5),
            (&[k(op::LD_ABS, 16)], 2),
            (&[k(op::LD_ABS, 60)], 1),
            (&[k(op::LD | op::LEN, 0)], 64),
            (
                &[
                    k(op::LD | op::IMM, 9),
                    k(op::ST, 3),
                    k(op::LD | op::IMM, 1),
                    k(op::LD | op::MEM, 3),
                ],
                9,
            ),
            (
                &[
                    k(op::LDX | op::IMM, 9),
                    k(op::STX, 15),
                    k(op::LD | op::MEM, 15),
                ],
                9,
            ),
            (&[k(op::LDX | op::LEN, 0), k(op::MISC | op::TXA, 0)], 64),
            (
                &[
                    k(op::LD_ABS, 0),
                    k(op::MISC | op::TAX, 0),
                    k(op::ALU | op::ADD | op::X, 0),
                ],
                12,
            ),
            (&[k(op::LD_ABS, 0), k(op::ALU | op::SUB, 7)], u32::MAX),
            (&[k(op::LD_ABS, 0), k(op::ALU | op::MUL, 7)], 42),
            (&[k(op::LD_ABS, 0), k(op::ALU | op::DIV, 4)], 1),
            (
                &[
                    k(op::LD_ABS, 0),
                    k(op::ALU | op::DIV | op::X, 0),
                    k(op::LD | op::IMM, 5),
                ],
                0,
            ),
            (&[k(op::LD_ABS, 0), k(op::ALU | op::OR, 1)], 7),
            (&[k(op::LD_ABS, 0), k(op::ALU | op::AND, 12)], 4),
            (&[k(op::LD_ABS, 0), k(op::ALU | op::XOR, 5)], 3),
            (&[k(op::LD_ABS, 0), k(op::ALU | op::LSH, 2)], 24),
            (&[k(op::LD_ABS, 0), k(op::ALU | op::RSH, 1)], 3),
            (
                &[k(op::LD_ABS, 0), k(op::ALU | op::NEG, 0)],
                6_u32.wrapping_neg(),
            ),
            (
                &[k(op::JA_K, 1), k(op::RET_K, 1), k(op::LD | op::IMM, 2)],
                2,
            ),
            (
                &[k(op::LD_ABS, 0), jump(op::JEQ, 6, 0, 1), k(op::RET_K, 1)],
                1,
            ),
            (
                &[k(op::LD_ABS, 0), jump(op::JGT, 6, 0, 1), k(op::RET_K, 1)],
                6,
            ),
            (
                &[k(op::LD_ABS, 0), jump(op::JGE, 6, 0, 1), k(op::RET_K, 1)],
                1,
            ),
            (
                &[k(op::LD_ABS, 0), jump(op::JSET, 9, 0, 1), k(op::RET_K, 1)],
                6,
            ),
        ];
        for (body, expected) in cases {
            let program = [*body, &[k(op::RET | op::A, 0)]].concat();
            assert_eq!(
                simulate(&program, &data),
                Ok(*expected),
                "{}",
                crate::disassemble(&program)
            );
        }
    }

    #[test]
    fn halves_follow_the_byte_order_of_the_architecture() {
        let data = SeccompData {
            arch: Arch::S390x.audit(),
            args: [1 << 32 | 2; 6],
            ..SeccompData::default()
        };
        for (offset, value) in [(16, 1), (20, 2)] {
            assert_eq!(
                simulate(&[k(op::LD_ABS, offset), k(op::RET | op::A, 0)], &data),
                Ok(value)
            );
        }
    }

    #[test]
    fn what_the_kernel_refuses() {
        let ret = k(op::RET_K, 0);
        let cases: &[(&[SockFilter], Invalid)] = &[
            (&[], Invalid::Length(0)),
            (&[ret; 4097], Invalid::Length(4097)),
            (&[k(0x28, 0), ret], Invalid::Operation { at: 0, code: 0x28 }),
            (
                &[k(0x1234, 3), ret],
                Invalid::Operation {
                    at: 0,
                    code: 0x1234,
                },
            ),
            (&[k(op::LD_ABS, 2), ret], Invalid::Operand { at: 0, k: 2 }),
            (&[k(op::LD_ABS, 64), ret], Invalid::Operand { at: 0, k: 64 }),
            (&[k(op::ST, 16), ret], Invalid::Operand { at: 0, k: 16 }),
            (
                &[k(op::ALU | op::DIV, 0), ret],
                Invalid::Operand { at: 0, k: 0 },
            ),
            (&[k(op::JA_K, u32::MAX), ret], Invalid::Jump { at: 0 }),
            (&[jump(op::JEQ, 0, 0, 1), ret], Invalid::Jump { at: 0 }),
            (&[ret, k(op::LD_ABS, 0)], Invalid::NoReturn),
        ];
        for (program, expected) in cases {
            assert_eq!(verify(program), Err(*expected));
        }
    }

    #[test]
    fn unknown_arguments_take_both_ways() {
        let allow = Action::Allow.to_return();
        let program = [
            k(op::LD_ABS, 0),
            jump(op::JEQ, 1, 0, 3),
            k(op::LD_ABS, 16),
            jump(op::JEQ, 7, 0, 1),
            k(op::RET_K, allow),
            k(op::RET_K, 0),
        ];
        assert_eq!(
            possible_returns(&program, Arch::X86_64, 1),
            Ok([0, allow].into())
        );
        assert_eq!(possible_returns(&program, Arch::X86_64, 2), Ok([0].into()));
        assert!(!may_call(&program, Arch::X86_64, 1));
        assert!(may_call(&[k(op::RET_K, allow)], Arch::X86_64, 1));
    }
}
