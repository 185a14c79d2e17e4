//! The compiler: rules, then verdicts on all numbers, then a program. The program first finds the architecture, the
//! native one first, then the number, then looks at arguments.

use crate::action::Action;
use crate::arch::Arch;
use crate::asm::{Branch, Compare, Label, Operand, Program};
use crate::bpf::{BPF_MAXINSNS, OFFSET_ARCH, OFFSET_NR, SockFilter};
use crate::error::{Error, ErrorKind, Warning};
use crate::flags::FilterFlags;
use crate::precedence::Mentions;
use crate::profile::Profile;
use crate::verdicts::{BAD_ARCH, Decisions, Space, Verdict};
use crate::{decide, rules, search, verdicts};

/// A filter, ready for `seccomp(SECCOMP_SET_MODE_FILTER, flags, program)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// At most [`BPF_MAXINSNS`] instructions.
    pub program: Vec<SockFilter>,
    /// A combination that the kernel accepts.
    pub flags: FilterFlags,
    /// Whether a rule notifies: installing the filter then yields a listener, which belongs to whoever listens at
    /// the profile's `listener_path`.
    pub needs_listener: bool,
    /// What in the profile has no effect, or not the one it seems to have.
    pub warnings: Vec<Warning>,
}

/// Compiles a profile for a machine whose own architecture is `native`. The [crate documentation](crate) says which
/// rule wins.
///
/// # Errors
/// An unknown name of an action, operator, architecture or flag; an errno or argument index out of range; a
/// notification that could never be delivered; a program beyond [`BPF_MAXINSNS`].
pub fn compile(profile: &Profile<'_>, native: Arch) -> Result<Filter, Error> {
    let mut warnings = Vec::new();
    let rules = rules::read(profile, native, &mut warnings)?;
    let mut decisions = Decisions::default();
    let mentions = Mentions::new(&rules, &mut warnings);
    let spaces = verdicts::spaces(&mentions, &mut decisions, &mut warnings);
    let program = program(&spaces, &decisions, rules.default, native.is_big_endian());
    if program.len() > BPF_MAXINSNS {
        return Err(Error::new(
            "",
            ErrorKind::TooLarge {
                limit: BPF_MAXINSNS,
            },
        ));
    }
    let needs_listener = rules.flags.contains(FilterFlags::NEW_LISTENER);
    Ok(Filter {
        program,
        flags: rules.flags,
        needs_listener,
        warnings,
    })
}

fn program(
    spaces: &[Space],
    decisions: &Decisions,
    default: Action,
    big_endian: bool,
) -> Vec<SockFilter> {
    let mut program = Program::default();
    let mut written: Vec<Option<Label>> = vec![None; decisions.list.len()];
    let mut resolve = |program: &mut Program, verdict| match verdict {
        Verdict::Return(value) => program.ret(value),
        Verdict::Decide(index) => *written[index as usize].get_or_insert_with(|| {
            decide::write(
                program,
                &decisions.list[index as usize],
                default,
                big_endian,
            )
        }),
    };
    // The program is written backwards, so the native architecture comes last to be nearest to the beginning.
    let mut entrances = Vec::with_capacity(spaces.len());
    for space in spaces.iter().rev() {
        let tree = search::write(&mut program, &space.segments, &space.hot, &mut resolve);
        entrances.push((space.audit, program.load(OFFSET_NR, tree)));
    }
    let mut head = program.ret(BAD_ARCH.to_return());
    for (audit, yes) in entrances {
        let operand = Operand::Accumulator;
        head = program.branch(Branch {
            operand,
            compare: Compare::Equal,
            k: audit,
            yes,
            no: head,
        });
    }
    program.load(OFFSET_ARCH, head);
    program.finish()
}
