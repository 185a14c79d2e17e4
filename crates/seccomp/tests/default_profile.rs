//! How long the ways through the filter of the default profile are. Where it is not installed, this says so and passes.

mod library;

use library::installed_profile;
use oci_runtime_seccomp::{Arch, SockFilter, compile, name};

const LD_NR: (u16, u32) = (0x20, 0);
const LD_ARCH: (u16, u32) = (0x20, 4);
const JA: u16 = 0x05;
const RET: u16 = 0x06;

/// Comparisons of architecture and number, until a verdict or a look at an argument.
fn comparisons(program: &[SockFilter], arch: Arch, nr: u32) -> u32 {
    let (mut at, mut a, mut count) = (0, 0, 0);
    loop {
        let SockFilter { code, jt, jf, k } = program[at];
        at += 1;
        match (code, k) {
            LD_NR => a = nr,
            LD_ARCH => a = arch.audit(),
            (0x20 | RET, _) => return count,
            (JA, k) => at += k as usize,
            _ => {
                let holds = match code & 0xf0 {
                    0x10 => a == k,
                    0x20 => a > k,
                    0x30 => a >= k,
                    other => panic!("{other:#x} is no comparison of a number"),
                };
                at += usize::from(if holds { jt } else { jf });
                count += 1;
            }
        }
    }
}

#[test]
fn no_call_takes_more_comparisons_than_twice_the_binary_logarithm() {
    let archs = [Arch::X86_64, Arch::X86, Arch::X32];
    let names: Vec<&str> = archs.iter().map(|arch| arch.name()).collect();
    let Some(profile) = installed_profile(&names) else {
        return;
    };
    let program = compile(&profile, Arch::X86_64).unwrap().program;
    for arch in archs {
        let base = if arch == Arch::X32 { 1 << 30 } else { 0 };
        let named = (base..base + 1100).filter(|nr| name(arch, *nr).is_some());
        let most = 2 * named.clone().count().ilog2();
        let worst = named
            .clone()
            .map(|nr| comparisons(&program, arch, nr))
            .max();
        assert!(worst <= Some(most), "{arch:?}: {worst:?}, {most}");
    }
    let hot = ["read", "write", "futex", "recvmsg", "clock_gettime"];
    let count = |call: &&str| {
        let nr = oci_runtime_seccomp::number(Arch::X86_64, call).unwrap();
        comparisons(&program, Arch::X86_64, nr)
    };
    let hot: Vec<u32> = hot.iter().map(count).collect();
    let all: Vec<u32> = (0..335)
        .map(|nr| comparisons(&program, Arch::X86_64, nr))
        .collect();
    let mean = |counts: &[u32]| f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
    assert!(mean(&hot) < mean(&all), "{hot:?}, {}", mean(&all));
}
