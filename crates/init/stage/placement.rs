//! Where the payload runs: on which processors, with memory from which nodes, in which execution domain. It keeps all of
//! that over execve(2).

use crate::report::Part;
use crate::step::{At, Done};
use crate::sys::{call, nr};
use crate::wire::List;

/// Binds the process to processors. Of those that are asked for the kernel leaves the ones of its cpuset.
pub fn affinity(cpus: List<'_, (u32, u32)>) -> Done {
    let mut mask = [0u64; 128];
    if cpus.is_empty() {
        mask.fill(u64::MAX);
    }
    fill(&mut mask, cpus);
    call!(nr::SCHED_SETAFFINITY, 0, size_of_val(&mask), mask.as_ptr())
        .at(Part::SchedSetaffinity)
        .map(drop)
}

/// Sets the policy of the process; what it has mapped already keeps its pages where they are.
pub fn memory_policy(mode: u32, nodes: List<'_, (u32, u32)>) -> Done {
    let mut mask = [0u64; 16];
    fill(&mut mask, nodes);
    // One more than there are bits: the kernel takes one off.
    let bits = size_of_val(&mask) * 8 + 1;
    call!(nr::SET_MEMPOLICY, mode, mask.as_ptr(), bits)
        .at(Part::SetMempolicy)
        .map(drop)
}

/// Sets the execution domain.
pub fn personality(persona: u32) -> Done {
    call!(nr::PERSONALITY, persona)
        .at(Part::Personality)
        .map(drop)
}

/// Sets the bits of ranges. What is beyond the mask was refused before.
fn fill(mask: &mut [u64], ranges: List<'_, (u32, u32)>) {
    for (first, last) in ranges.iter() {
        for bit in first..=last {
            match mask.get_mut(bit as usize / 64) {
                Some(word) => *word |= 1 << (bit % 64),
                None => break,
            }
        }
    }
}
