use super::*;
use crate::device_rule::{MKNOD, READ, WRITE};
use proptest::prelude::*;

/// Runs the program as the kernel would; None if it does what the verifier forbids.
fn run(program: &[Instruction], access_type: u32, major: u32, minor: u32) -> Option<u32> {
    let mut registers = [None::<u32>; 11];
    let mut at = 0;
    loop {
        let i = *program.get(at)?;
        at += 1;
        let dst = usize::from(i.dst);
        let jump = |to: usize| usize::try_from(to as i64 + i64::from(i.offset)).ok();
        match i.code {
            LOAD => {
                assert_eq!(i.src, REQUEST);
                registers[dst] = Some(match i.offset {
                    0 => access_type,
                    4 => major,
                    8 => minor,
                    _ => return None,
                });
            }
            MOVE => registers[dst] = registers[usize::from(i.src)],
            MOVE_K => registers[dst] = Some(i.immediate),
            AND_K => registers[dst] = Some(registers[dst]? & i.immediate),
            SHIFT_RIGHT_K => registers[dst] = Some(registers[dst]? >> i.immediate),
            JUMP => at = jump(at)?,
            JUMP_NOT_EQUAL_K if registers[dst]? != i.immediate => at = jump(at)?,
            JUMP_SET_K if registers[dst]? & i.immediate != 0 => at = jump(at)?,
            JUMP_NOT_EQUAL_K | JUMP_SET_K => {}
            EXIT => return registers[0],
            _ => return None,
        }
        // Jumps go forward only, so this ends.
    }
}

/// What the rules mean, said plainly: for each bit, the last rule that matches.
fn allowed(rules: &[Rule], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
    [MKNOD, READ, WRITE]
        .into_iter()
        .filter(|bit| access & bit != 0)
        .all(|bit| {
            let matching = |r: &&Rule| {
                (r.kind == Kind::All || r.kind == kind)
                    && r.major.is_none_or(|m| m == major)
                    && r.minor.is_none_or(|m| m == minor)
                    && r.access & bit != 0
            };
            rules.iter().rfind(matching).is_some_and(|r| r.allow)
        })
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let number = prop_oneof![Just(None), (0u32..3).prop_map(Some), Just(Some(u32::MAX))];
    let kind = prop_oneof![Just(Kind::All), Just(Kind::Char), Just(Kind::Block)];
    let rule = (any::<bool>(), kind, number.clone(), number, 1u8..8);
    let rule = rule.prop_map(|(allow, kind, major, minor, access)| Rule {
        allow,
        kind,
        major,
        minor,
        access,
    });
    proptest::collection::vec(rule, 0..12)
}

proptest! {
    #[test]
    fn the_program_means_what_the_rules_mean(rules in rules()) {
        let program = compile(&rules);
        for (kind, number) in [(Kind::Block, DEVICE_BLOCK), (Kind::Char, DEVICE_CHAR)] {
            for major in [0, 1, 2, 7, u32::MAX] {
                for minor in [0, 1, 2, 7, u32::MAX] {
                    for access in 1..8u8 {
                        let request = u32::from(access) << 16 | number;
                        let answer = run(&program, request, major, minor);
                        let expected = u32::from(allowed(&rules, kind, major, minor, access));
                        prop_assert_eq!(answer, Some(expected), "{:?} {} {} {}", kind, major, minor, access);
                    }
                }
            }
        }
    }
}

#[test]
fn instructions_have_the_kernels_form() {
    let program = DeviceProgram {
        dir: PathBuf::new(),
        rules: vec![],
        replaces: false,
    };
    let code = program.code();
    assert_eq!(code.len(), 8 * 8);
    if cfg!(target_endian = "little") {
        // r2 = *(u32 *)(r1 + 0); r3 = r2; r3 >>= 16
        assert_eq!(code[..8], [0x61, 0x12, 0, 0, 0, 0, 0, 0]);
        assert_eq!(code[8..16], [0xbc, 0x23, 0, 0, 0, 0, 0, 0]);
        assert_eq!(code[16..24], [0x74, 0x03, 0, 0, 16, 0, 0, 0]);
        assert_eq!(code[56..], [0x95, 0, 0, 0, 0, 0, 0, 0]);
    }
}

#[test]
fn nothing_follows_a_rule_that_matches_everything() {
    let everything = Rule {
        allow: true,
        kind: Kind::All,
        major: None,
        minor: None,
        access: MKNOD | READ | WRITE,
    };
    assert_eq!(compile(&[everything]).len(), 8);
    assert_eq!(compile(&[everything, everything]).len(), 8);
}
