//! A program as pseudo code: for each architecture, which numbers come to the same, and what is asked of the arguments
//! of the others. It is read off the instructions alone, so it tells what the kernel will do and not what was meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::action::Action;
use crate::arch::{Arch, X32_SYSCALL_BIT};
use crate::bpf::{OFFSET_ARCH, OFFSET_ARGS, OFFSET_NR, SockFilter, op};
use crate::simulate::{Invalid, compare, verify};
use crate::syscalls;

/// The longest line.
const WIDTH: usize = 120;

/// A program as pseudo code, for the architectures given. Of two with the same `seccomp_data.arch` each gets the numbers
/// that are its own. What it says is complete for programs that [`compile`](crate::compile) writes; an instruction that
/// those do not have is shown by its number.
///
/// # Errors
/// If the kernel would refuse the program.
pub fn pseudo_code(program: &[SockFilter], archs: &[Arch]) -> Result<String, Invalid> {
    verify(program)?;
    let mut text = String::new();
    for arch in archs {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", arch.name());
        let known = syscalls::names(*arch);
        for (end, numbers) in groups(program, *arch) {
            push_list(&mut text, &names(&known, &numbers));
            push_end(&mut text, program, *arch, end);
        }
    }
    Ok(text)
}

/// Where a number leads, by architecture and number alone: a return, or the first instruction that looks at anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Returns(u32),
    At(usize),
}

/// Numbers from the first to the last, both included.
type Numbers = (u32, u32);

/// The numbers by where they lead, in the order of the first of each.
fn groups(program: &[SockFilter], arch: Arch) -> Vec<(End, Vec<Numbers>)> {
    let (first, last) = match arch {
        Arch::X32 => (X32_SYSCALL_BIT, u32::MAX),
        Arch::X86_64 => (0, X32_SYSCALL_BIT - 1),
        _ => (0, u32::MAX),
    };
    // Between constants of the program nothing changes.
    let constants = program
        .iter()
        .filter(|instruction| instruction.code & 0x07 == op::JMP)
        .flat_map(|instruction| [instruction.k, instruction.k.wrapping_add(1)]);
    let starts: BTreeSet<u32> = constants
        .filter(|start| (first..=last).contains(start))
        .chain([first])
        .collect();
    let mut order = Vec::new();
    let mut by_end: BTreeMap<End, Vec<Numbers>> = BTreeMap::new();
    let mut rest = starts.iter().copied().peekable();
    while let Some(start) = rest.next() {
        let until = rest.peek().map_or(last, |next| next - 1);
        let end = lead(program, arch.audit(), start);
        let numbers = by_end.entry(end).or_insert_with(|| {
            order.push(end);
            Vec::new()
        });
        match numbers.last_mut() {
            Some((_, last)) if start.checked_sub(1) == Some(*last) => *last = until,
            _ => numbers.push((start, until)),
        }
    }
    let numbers = |end| (end, by_end.remove(&end).unwrap_or_default());
    order.into_iter().map(numbers).collect()
}

fn lead(program: &[SockFilter], arch: u32, nr: u32) -> End {
    let (mut at, mut a) = (0, None);
    loop {
        let SockFilter { code, jt, jf, k } = program[at];
        match (code, a) {
            (op::LD_ABS, _) if k == OFFSET_NR => a = Some(nr),
            (op::LD_ABS, _) if k == OFFSET_ARCH => a = Some(arch),
            (op::RET_K, _) => return End::Returns(k),
            (op::JA_K, _) => at += k as usize,
            (code, Some(a)) if code & 0x0f == op::JMP => {
                at += usize::from(if compare(code, a, k) { jt } else { jf });
            }
            _ => return End::At(at),
        }
        at += 1;
    }
}

/// Names where there are any, numbers where there are none.
fn names(known: &BTreeMap<u32, &'static str>, numbers: &[Numbers]) -> Vec<String> {
    let mut names = Vec::new();
    for (first, last) in numbers {
        let mut unnamed = *first;
        for (nr, name) in known.range(first..=last) {
            push_numbers(&mut names, unnamed, nr.checked_sub(1));
            names.push((*name).to_owned());
            unnamed = nr + 1;
        }
        push_numbers(&mut names, unnamed, Some(*last));
    }
    names
}

fn push_numbers(names: &mut Vec<String>, first: u32, last: Option<u32>) {
    match last {
        Some(last) if last == first => names.push(format!("{first}")),
        Some(u32::MAX) => names.push(format!("{first} and above")),
        Some(last) if last > first => names.push(format!("{first} to {last}")),
        _ => {}
    }
}

fn push_list(text: &mut String, names: &[String]) {
    let mut line = String::from("  ");
    for (index, name) in names.iter().enumerate() {
        let comma = if index + 1 < names.len() { ", " } else { ":" };
        if line.len() + name.len() + comma.len() > WIDTH {
            let _ = writeln!(text, "{}", line.trim_end());
            line = String::from("  ");
        }
        let _ = write!(line, "{name}{comma}");
    }
    let _ = writeln!(text, "{line}");
}

fn push_end(text: &mut String, program: &[SockFilter], arch: Arch, end: End) {
    match end {
        End::Returns(value) => {
            let _ = writeln!(text, "      {}", Action::from_return(value));
        }
        End::At(at) => push_decision(text, program, arch, at),
    }
}

/// A comparison of the arguments, with the places of its two ways out.
struct Test {
    condition: [String; 2],
    yes: usize,
    no: usize,
}

/// All comparisons that can be come by, in the order of the program, which only jumps forward.
fn push_decision(text: &mut String, program: &[SockFilter], arch: Arch, at: usize) {
    let mut tests: BTreeMap<usize, Test> = BTreeMap::new();
    let mut todo = vec![at];
    while let Some(at) = todo.pop() {
        if tests.contains_key(&at) || program[at].code == op::RET_K {
            continue;
        }
        // What was tested just before is in the accumulator still.
        let before = tests
            .iter()
            .find(|(_, test)| test.yes == at || test.no == at);
        let held = before.map_or_else(|| "?".to_owned(), |(_, test)| operand(&test.condition[0]));
        let test = test(program, arch, at, held);
        todo.extend([test.yes, test.no]);
        tests.insert(at, test);
    }
    let places: Vec<usize> = tests.keys().copied().collect();
    for (index, (at, test)) in tests.iter().enumerate() {
        let next = places.get(index + 1).copied();
        let label = tests.range(..at).any(|(before, test)| {
            [test.yes, test.no].contains(at) && !follows(&places, *before, *at)
        });
        let label = if label {
            format!("{at:>4}: ")
        } else {
            " ".repeat(6)
        };
        let then = |at: usize| match program[at].code {
            op::RET_K => Action::from_return(program[at].k).to_string(),
            _ => format!("go to {at}"),
        };
        let [holds, fails] = &test.condition;
        let _ = match (Some(test.yes) == next, Some(test.no) == next) {
            (_, true) => writeln!(text, "{label}if {holds}: {}", then(test.yes)),
            (true, _) => writeln!(text, "{label}if {fails}: {}", then(test.no)),
            _ => writeln!(
                text,
                "{label}if {holds}: {}, else {}",
                then(test.yes),
                then(test.no)
            ),
        };
    }
}

fn follows(places: &[usize], before: usize, at: usize) -> bool {
    places.windows(2).any(|pair| pair == [before, at])
}

/// The first two words of a condition.
fn operand(condition: &str) -> String {
    condition.split(' ').next().unwrap_or_default().to_owned()
}

/// The comparison at or after a place, past loads and jumps.
fn test(program: &[SockFilter], arch: Arch, mut at: usize, mut held: String) -> Test {
    let mut mask = String::new();
    loop {
        let SockFilter { code, jt, jf, k } = program[at];
        match code {
            op::LD_ABS => held = half(arch, k),
            op::AND_K => mask = format!(" & {k:#x}"),
            op::JA_K => at += k as usize,
            _ => {
                let signs = match code & 0xf0 {
                    op::JEQ => ["==", "!="],
                    op::JGT => [">", "<="],
                    op::JGE => [">=", "<"],
                    _ => ["has a bit of", "has no bit of"],
                };
                let reach = |skip: u8| land(program, at + 1 + usize::from(skip));
                return Test {
                    condition: signs.map(|sign| format!("{held}{mask} {sign} {k:#x}")),
                    yes: reach(jt),
                    no: reach(jf),
                };
            }
        }
        at += 1;
    }
}

/// Past stepping stones.
fn land(program: &[SockFilter], mut at: usize) -> usize {
    while program[at].code == op::JA_K {
        at += 1 + program[at].k as usize;
    }
    at
}

fn half(arch: Arch, offset: u32) -> String {
    match offset.checked_sub(OFFSET_ARGS) {
        Some(inside) => {
            let second = inside % 8 == 4;
            let which = if second != arch.is_big_endian() {
                "high"
            } else {
                "low"
            };
            format!("arg{}.{which}", inside / 8)
        }
        None => format!("[{offset}]"),
    }
}
