//! Classic BPF as seccomp runs it: a list of instructions with an accumulator `A`, an index register `X` and sixteen
//! words of memory, that jumps forward only and reads nothing but `struct seccomp_data` (seccomp(2)).

use std::fmt::Write;

/// One instruction, with the layout of `struct sock_filter` (linux/filter.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct SockFilter {
    /// The operation.
    pub code: u16,
    /// Instructions to skip if a comparison holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// What a filter sees of a call, with the layout of `struct seccomp_data` (linux/seccomp.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SeccompData {
    /// The number of the call.
    pub nr: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// The address after the instruction that made the call.
    pub instruction_pointer: u64,
    /// The arguments.
    pub args: [u64; 6],
}

/// The most instructions the kernel takes (`BPF_MAXINSNS`).
pub const BPF_MAXINSNS: usize = 4096;

pub(crate) const SECCOMP_DATA_SIZE: u32 = 64;
pub(crate) const OFFSET_NR: u32 = 0;
pub(crate) const OFFSET_ARCH: u32 = 4;
pub(crate) const OFFSET_ARGS: u32 = 16;

/// Operation codes of linux/bpf_common.h, of which a code is the sum.
pub(crate) mod op {
    pub const LD: u16 = 0x00;
    pub const LDX: u16 = 0x01;
    pub const ST: u16 = 0x02;
    pub const STX: u16 = 0x03;
    pub const ALU: u16 = 0x04;
    pub const JMP: u16 = 0x05;
    pub const RET: u16 = 0x06;
    pub const MISC: u16 = 0x07;

    pub const IMM: u16 = 0x00;
    pub const ABS: u16 = 0x20;
    pub const MEM: u16 = 0x60;
    pub const LEN: u16 = 0x80;

    pub const ADD: u16 = 0x00;
    pub const SUB: u16 = 0x10;
    pub const MUL: u16 = 0x20;
    pub const DIV: u16 = 0x30;
    pub const OR: u16 = 0x40;
    pub const AND: u16 = 0x50;
    pub const LSH: u16 = 0x60;
    pub const RSH: u16 = 0x70;
    pub const NEG: u16 = 0x80;
    pub const XOR: u16 = 0xa0;

    pub const JA: u16 = 0x00;
    pub const JEQ: u16 = 0x10;
    pub const JGT: u16 = 0x20;
    pub const JGE: u16 = 0x30;
    pub const JSET: u16 = 0x40;

    /// The operand is `k`, for arithmetic, jumps and returns.
    pub const K: u16 = 0x00;
    /// The operand is `X`.
    pub const X: u16 = 0x08;
    /// A return of the accumulator.
    pub const A: u16 = 0x10;

    pub const TAX: u16 = 0x00;
    pub const TXA: u16 = 0x80;

    pub const LD_ABS: u16 = LD | ABS;
    pub const AND_K: u16 = ALU | AND | K;
    pub const RET_K: u16 = RET | K;
    pub const JA_K: u16 = JMP | JA;
}

/// A program as text, one instruction a line: number, operation, and the numbers of the instructions it may jump to.
pub fn disassemble(program: &[SockFilter]) -> String {
    let mut text = String::new();
    for (at, instruction) in program.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{at:4}: {}", line(at, *instruction));
    }
    text
}

fn line(at: usize, instruction: SockFilter) -> String {
    let SockFilter { code, jt, jf, k } = instruction;
    let to = |skip: u32| at as u64 + 1 + u64::from(skip);
    let operand = if code & op::X != 0 {
        "x".to_owned()
    } else {
        format!("{k:#x}")
    };
    match code & 0xff07 {
        op::LD if code == op::LD_ABS => format!("ld {}", field(k)),
        op::LD if code == op::LD | op::MEM => format!("ld mem[{k}]"),
        op::LD if code == op::LD | op::LEN => "ld len".to_owned(),
        op::LD if code == op::LD | op::IMM => format!("ld {k:#x}"),
        op::LDX if code == op::LDX | op::MEM => format!("ldx mem[{k}]"),
        op::LDX if code == op::LDX | op::LEN => "ldx len".to_owned(),
        op::LDX if code == op::LDX | op::IMM => format!("ldx {k:#x}"),
        op::ST if code == op::ST => format!("st mem[{k}]"),
        op::STX if code == op::STX => format!("stx mem[{k}]"),
        op::JMP if code == op::JA_K => format!("ja {}", to(k)),
        op::JMP => match mnemonic(JUMPS, code) {
            Some(name) => format!("{name} {operand} {} {}", to(jt.into()), to(jf.into())),
            None => unknown(instruction),
        },
        op::ALU if code == op::ALU | op::NEG => "neg".to_owned(),
        op::ALU => match mnemonic(ARITHMETIC, code) {
            Some(name) => format!("{name} {operand}"),
            None => unknown(instruction),
        },
        op::RET if code == op::RET_K => format!("ret {:?}", crate::Action::from_return(k)),
        op::RET if code == op::RET | op::A => "ret a".to_owned(),
        op::MISC if code == op::MISC | op::TAX => "tax".to_owned(),
        op::MISC if code == op::MISC | op::TXA => "txa".to_owned(),
        _ => unknown(instruction),
    }
}

fn unknown(instruction: SockFilter) -> String {
    let SockFilter { code, jt, jf, k } = instruction;
    format!("invalid {code:#06x} {jt} {jf} {k:#x}")
}

/// The name of a word of `struct seccomp_data`. Which half of an argument is meant depends on the machine's byte
/// order, so the halves are named by address.
fn field(offset: u32) -> String {
    match offset {
        OFFSET_NR => "nr".to_owned(),
        OFFSET_ARCH => "arch".to_owned(),
        8 | 12 => format!("ip+{}", offset - 8),
        OFFSET_ARGS..SECCOMP_DATA_SIZE if offset.is_multiple_of(4) => {
            let inside = offset - OFFSET_ARGS;
            format!("arg{}+{}", inside / 8, inside % 8)
        }
        _ => format!("[{offset}]"),
    }
}

fn mnemonic(names: &[(u16, &'static str)], code: u16) -> Option<&'static str> {
    names
        .iter()
        .find(|(known, _)| *known == code & 0xf0)
        .map(|(_, name)| *name)
}

const JUMPS: &[(u16, &str)] = &[
    (op::JEQ, "jeq"),
    (op::JGT, "jgt"),
    (op::JGE, "jge"),
    (op::JSET, "jset"),
];

const ARITHMETIC: &[(u16, &str)] = &[
    (op::ADD, "add"),
    (op::SUB, "sub"),
    (op::MUL, "mul"),
    (op::DIV, "div"),
    (op::OR, "or"),
    (op::AND, "and"),
    (op::LSH, "lsh"),
    (op::RSH, "rsh"),
    (op::XOR, "xor"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_as_text() {
        let cases = [
            (
                SockFilter {
                    code: op::LD_ABS,
                    jt: 0,
                    jf: 0,
                    k: 0,
                },
                "ld nr",
            ),
            (
                SockFilter {
                    code: op::LD_ABS,
                    jt: 0,
                    jf: 0,
                    k: 28,
                },
                "ld arg1+4",
            ),
            (
                SockFilter {
                    code: op::JMP | op::JEQ,
                    jt: 0,
                    jf: 2,
                    k: 16,
                },
                "jeq 0x10 11 13",
            ),
            (
                SockFilter {
                    code: op::JMP | op::JSET | op::X,
                    jt: 1,
                    jf: 0,
                    k: 0,
                },
                "jset x 12 11",
            ),
            (
                SockFilter {
                    code: op::JA_K,
                    jt: 0,
                    jf: 0,
                    k: 300,
                },
                "ja 311",
            ),
            (
                SockFilter {
                    code: op::AND_K,
                    jt: 0,
                    jf: 0,
                    k: 255,
                },
                "and 0xff",
            ),
            (
                SockFilter {
                    code: op::RET_K,
                    jt: 0,
                    jf: 0,
                    k: 0x7fff_0000,
                },
                "ret Allow",
            ),
            (
                SockFilter {
                    code: op::RET_K,
                    jt: 0,
                    jf: 0,
                    k: 0x0005_0001,
                },
                "ret Errno(1)",
            ),
            (
                SockFilter {
                    code: 0x1234,
                    jt: 1,
                    jf: 2,
                    k: 3,
                },
                "invalid 0x1234 1 2 0x3",
            ),
        ];
        for (instruction, text) in cases {
            assert_eq!(line(10, instruction), text);
        }
    }

    #[test]
    fn layouts_are_the_kernels() {
        assert_eq!(size_of::<SockFilter>(), 8);
        assert_eq!(size_of::<SeccompData>(), SECCOMP_DATA_SIZE as usize);
        assert_eq!(
            std::mem::offset_of!(SeccompData, args),
            OFFSET_ARGS as usize
        );
    }
}
