//! The device rules of v2: a program of the type BPF_PROG_TYPE_CGROUP_DEVICE.
//!
//! The kernel runs it for every open and mknod of a device and refuses where it returns 0. The program asks the rules
//! from the last to the first. An allowing rule takes the kinds of access that it allows out of the request, and the
//! request passes when none is left; a denying rule refuses when one of its kinds is still there. So for each kind of
//! access the last rule that matches decides. Compiling is pure; `bpf` loads the result.

use crate::device_rule::{Kind, Rule};
use serde::Serialize;
use std::path::PathBuf;

/// The rules to enforce in a v2 cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceProgram {
    /// The v2 directory.
    pub dir: PathBuf,
    /// In order; the last one that matches decides.
    pub rules: Vec<Rule>,
    /// Whether it takes the place of the one that was attached before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}

/// One eBPF instruction, eight bytes in the byte order of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u8,
    pub(crate) dst: u8,
    pub(crate) src: u8,
    pub(crate) offset: i16,
    pub(crate) immediate: u32,
}

// bpf_devcg_dev_type of the kernel; the access bits are those of `device_rule`.
const DEVICE_BLOCK: u32 = 1;
const DEVICE_CHAR: u32 = 2;

// Opcodes, all of 32 bits. See the kernel's instruction-set.rst.
pub(crate) const LOAD: u8 = 0x61; // dst = *(u32 *)(src + offset)
pub(crate) const MOVE: u8 = 0xbc; // dst = src
pub(crate) const MOVE_K: u8 = 0xb4; // dst = immediate
pub(crate) const AND_K: u8 = 0x54; // dst &= immediate
pub(crate) const SHIFT_RIGHT_K: u8 = 0x74; // dst >>= immediate
pub(crate) const JUMP: u8 = 0x05;
pub(crate) const JUMP_NOT_EQUAL_K: u8 = 0x56; // if dst != immediate
pub(crate) const JUMP_SET_K: u8 = 0x46; // if dst & immediate
pub(crate) const EXIT: u8 = 0x95; // return r0

// Registers: r1 is the pointer to struct bpf_cgroup_dev_ctx { access_type, major, minor }.
const RESULT: u8 = 0;
const REQUEST: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// The program for `rules`. Without a rule that matches, access is refused.
pub(crate) fn compile(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = Vec::with_capacity(8 + rules.len() * 7);
    program.extend([
        load(TYPE, 0),
        Instruction {
            code: MOVE,
            dst: ACCESS,
            src: TYPE,
            offset: 0,
            immediate: 0,
        },
        on(SHIFT_RIGHT_K, ACCESS, 16, 0),
        on(AND_K, TYPE, 0xffff, 0),
        load(MAJOR, 4),
        load(MINOR, 8),
    ]);
    for rule in rules.iter().rev() {
        if rule_is_final(&mut program, rule) {
            return program;
        }
    }
    program.extend(answer(false));
    program
}

/// Appends `rule`; whether nothing can get past it.
fn rule_is_final(program: &mut Vec<Instruction>, rule: &Rule) -> bool {
    let conditions: Vec<(u8, u32)> = [
        match rule.kind {
            Kind::All => None,
            Kind::Char => Some((TYPE, DEVICE_CHAR)),
            Kind::Block => Some((TYPE, DEVICE_BLOCK)),
        },
        rule.major.map(|major| (MAJOR, major)),
        rule.minor.map(|minor| (MINOR, minor)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let verdict = verdict(rule);
    for (index, (register, value)) in conditions.iter().enumerate() {
        let to_next_rule = (conditions.len() - index - 1 + verdict.len()) as i16;
        program.push(on(JUMP_NOT_EQUAL_K, *register, *value, to_next_rule));
    }
    program.extend(&verdict);
    conditions.is_empty() && is_full(rule.access)
}

/// What to do once the device matches.
fn verdict(rule: &Rule) -> Vec<Instruction> {
    let access = u32::from(rule.access);
    let mut verdict = match (is_full(rule.access), rule.allow) {
        (true, _) => Vec::with_capacity(2),
        (false, true) => vec![
            on(AND_K, ACCESS, !access, 0),
            on(JUMP_NOT_EQUAL_K, ACCESS, 0, 2),
        ],
        (false, false) => vec![on(JUMP_SET_K, ACCESS, access, 1), on(JUMP, 0, 0, 2)],
    };
    verdict.extend(answer(rule.allow));
    verdict
}

fn is_full(access: u8) -> bool {
    use crate::device_rule::{MKNOD, READ, WRITE};
    access == MKNOD | READ | WRITE
}

fn answer(allow: bool) -> [Instruction; 2] {
    [on(MOVE_K, RESULT, u32::from(allow), 0), on(EXIT, 0, 0, 0)]
}

fn load(register: u8, offset: i16) -> Instruction {
    Instruction {
        code: LOAD,
        dst: register,
        src: REQUEST,
        offset,
        immediate: 0,
    }
}

fn on(code: u8, register: u8, immediate: u32, offset: i16) -> Instruction {
    Instruction {
        code,
        dst: register,
        src: 0,
        offset,
        immediate,
    }
}

impl Instruction {
    /// struct bpf_insn of the kernel.
    pub(crate) fn bytes(&self) -> [u8; 8] {
        let registers = match cfg!(target_endian = "big") {
            true => self.dst << 4 | self.src,
            false => self.src << 4 | self.dst,
        };
        let [o0, o1] = self.offset.to_ne_bytes();
        let [i0, i1, i2, i3] = self.immediate.to_ne_bytes();
        [self.code, registers, o0, o1, i0, i1, i2, i3]
    }
}

#[cfg(test)]
#[path = "device_program_tests.rs"]
mod tests;
