//! Millions of calls under thousands of random profiles: the evaluator that reads the profile, the simulator of the
//! program, libseccomp's own program and the running kernel say the same. The numbers come from a fixed seed, which is
//! printed with a failure. `random.rs` has the same on a smaller scale with shrinking.

#![allow(unsafe_code)]

mod evaluator;
mod library;
mod vocabulary;

use evaluator::Readings;
use oci_runtime_seccomp::{
    Action, Arch, Profile, SeccompData, Syscall, SyscallArg, Text, compile, number, simulate,
};
use vocabulary::{NAMES, OPERATORS};

/// Marsaglia's xorshift, 64 bits.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.roll() >> 16) as usize % limit
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// At the edges of the halves, so that arguments and conditions meet.
    fn value(&mut self) -> u64 {
        const HALVES: &[u64] = &[
            0,
            1,
            2,
            5,
            8,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_fffe,
            0xffff_ffff,
        ];
        match self.below(10) {
            0 => self.roll(),
            1..5 => self.of(HALVES),
            _ => self.of(HALVES) << 32 | self.of(HALVES),
        }
    }
}

const ACTIONS: &[&str] = &[
    "ALLOW",
    "ALLOW",
    "ERRNO",
    "ERRNO",
    "TRACE",
    "KILL",
    "KILL_PROCESS",
    "TRAP",
    "LOG",
    "NOTIFY",
];
const NATIVES: &[Arch] = &[
    Arch::X86_64,
    Arch::X86_64,
    Arch::X86,
    Arch::X32,
    Arch::Aarch64,
    Arch::Arm,
    Arch::S390x,
    Arch::Ppc64le,
    Arch::Mipsel64,
];

fn arg(dice: &mut Dice) -> SyscallArg<'static> {
    SyscallArg {
        index: dice.of(&[0, 0, 1, 1, 2, 3, 4, 5]),
        value: dice.value(),
        value_two: dice.value(),
        op: Text::from(format!("SCMP_CMP_{}", dice.of(OPERATORS))),
    }
}

fn rule(dice: &mut Dice, names: &[&'static str], actions: &[&str]) -> Syscall<'static> {
    let action = dice.of(actions);
    let data = matches!(action, "ERRNO" | "TRACE") && dice.below(2) == 0;
    let args = dice.of(&[0, 1, 1, 2, 3]);
    Syscall {
        names: (0..dice.below(4)).map(|_| dice.of(names).into()).collect(),
        action: Text::from(format!("SCMP_ACT_{action}")),
        errno_ret: data.then(|| dice.of(&[0, 1, 13, 38])),
        args: (0..args).map(|_| arg(dice)).collect(),
    }
}

fn profile(dice: &mut Dice) -> Profile<'static> {
    let archs = dice.of(&[0, 0, 1, 2, 4]);
    let default = dice.of(&ACTIONS[..9]);
    Profile {
        default_action: Some(Text::from(format!("SCMP_ACT_{default}"))),
        architectures: (0..archs)
            .map(|_| dice.of(Arch::ALL).name().into())
            .collect(),
        syscalls: (0..dice.below(16))
            .map(|_| rule(dice, NAMES, ACTIONS))
            .collect(),
        ..Profile::default()
    }
}

/// Arguments of conditions, or next to them.
fn args(dice: &mut Dice, conditions: &[&SyscallArg<'_>]) -> [u64; 6] {
    std::array::from_fn(|_| {
        let value = match conditions {
            [] => dice.value(),
            _ => {
                let condition = dice.of(conditions);
                dice.of(&[condition.value, condition.value, condition.value_two, 7])
            }
        };
        let aside = dice.of(&[0, 0, 0, 1, -1, 1 << 32, -1 << 32]);
        value.wrapping_add_signed(aside)
    })
}

fn conditions<'p>(profile: &'p Profile<'_>) -> Vec<&'p SyscallArg<'p>> {
    profile
        .syscalls
        .iter()
        .flat_map(|rule| &rule.args)
        .collect()
}

#[test]
fn the_simulator_is_the_evaluator() {
    const PROFILES: usize = 15_000;
    const CALLS: usize = 200;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..PROFILES {
        let seed = dice.0;
        let profile = profile(&mut dice);
        let native = dice.of(NATIVES);
        // A program for one byte order is not asked about calls of the other.
        let archs: Vec<Arch> = Arch::ALL
            .iter()
            .copied()
            .filter(|arch| arch.is_big_endian() == native.is_big_endian())
            .collect();
        let program = compile(&profile, native).unwrap().program;
        let conditions = conditions(&profile);
        let mut readings = Readings::default();
        for _ in 0..CALLS {
            let arch = if dice.below(2) == 0 {
                native
            } else {
                dice.of(&archs)
            };
            let nr = number(arch, dice.of(NAMES)).unwrap_or(0);
            let aside = dice.of(&[0, 0, 0, 0, 1, u32::MAX, 1 << 30, 1 << 31]);
            let data = SeccompData {
                nr: nr.wrapping_add(aside),
                arch: arch.audit(),
                instruction_pointer: u64::MAX,
                args: args(&mut dice, &conditions),
            };
            let found = simulate(&program, &data).map(Action::from_return);
            let expected = readings.verdict(&profile, native, &data);
            assert_eq!(found, Ok(expected), "seed {seed:#x}: {data:x?}");
        }
    }
}

/// What libseccomp agrees on: see `libseccomp.rs`.
#[test]
fn libseccomp_says_the_same() {
    const PROFILES: usize = 5_000;
    const CALLS: usize = 200;
    const CALLED: &[&str] = &["ioctl", "personality", "prctl"];
    let (Some(library), Some(native)) = (library::library(), Arch::native()) else {
        return;
    };
    let mut dice = Dice(0xc2b2_ae3d_27d4_eb4f);
    let mut compared = 0;
    for _ in 0..PROFILES {
        let seed = dice.0;
        let single = dice.below(2) == 0;
        let count = if single { 1 } else { 1 + dice.below(8) };
        let rules = (0..count).map(|_| {
            let mut rule = rule(&mut dice, CALLED, &["ALLOW"]);
            rule.names = vec![dice.of(CALLED).into()];
            if !single {
                rule.args.truncate(1);
                for arg in &mut rule.args {
                    (arg.index, arg.op) = (0, "SCMP_CMP_EQ".into());
                }
            }
            // One condition an argument.
            rule.args.sort_by_key(|arg| arg.index);
            rule.args.dedup_by_key(|arg| arg.index);
            rule
        });
        let profile = Profile {
            default_action: Some("SCMP_ACT_ERRNO".into()),
            syscalls: rules.collect(),
            ..Profile::default()
        };
        let Some(theirs) = library.compile(native, &profile) else {
            continue;
        };
        let ours = compile(&profile, native).unwrap().program;
        let names = profile.syscalls.iter().flat_map(|rule| &rule.names);
        let newest = names.filter_map(|name| number(native, name)).max();
        let conditions = conditions(&profile);
        for _ in 0..CALLS {
            let nr = number(native, dice.of(CALLED)).unwrap();
            if Some(nr) > newest {
                continue; // runc's stub, which libseccomp does not write.
            }
            let data = SeccompData {
                nr,
                arch: native.audit(),
                instruction_pointer: 0,
                args: args(&mut dice, &conditions),
            };
            let (ours, theirs) = (simulate(&ours, &data), simulate(&theirs, &data));
            assert_eq!(ours, theirs, "seed {seed:#x}: {data:x?}");
            compared += 1;
        }
    }
    assert!(compared > 500_000, "{compared}");
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod kernel {
    use super::*;

    /// Calls that do no harm and look at no argument.
    const HARMLESS: &[&str] = &[
        "getpid",
        "gettid",
        "getppid",
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "sched_yield",
    ];
    /// What a thread needs to come to its end, and to say what went wrong.
    const NEEDED: &[&str] = &[
        "exit",
        "exit_group",
        "futex",
        "munmap",
        "mmap",
        "mprotect",
        "madvise",
        "sigaltstack",
        "rt_sigprocmask",
        "rt_sigreturn",
        "rt_sigaction",
        "write",
        "set_robust_list",
        "rseq",
        "getrandom",
        "brk",
        "mremap",
        "close",
        "prctl",
        "seccomp",
    ];

    /// Profiles that do not kill, and notify nobody.
    fn profile(dice: &mut Dice) -> Profile<'static> {
        const TOLD: &[&str] = &["ALLOW", "ERRNO", "ERRNO", "TRACE"];
        let mut syscalls: Vec<_> = (0..1 + dice.below(12))
            .map(|_| {
                let mut rule = rule(dice, HARMLESS, TOLD);
                if rule.action.ends_with("ERRNO") {
                    rule.errno_ret = Some(100 + dice.below(30) as u32);
                }
                rule
            })
            .collect();
        syscalls.push(Syscall {
            names: NEEDED.iter().map(|name| Text::from(*name)).collect(),
            action: "SCMP_ACT_ALLOW".into(),
            ..Syscall::default()
        });
        let errno = dice.below(2) == 0;
        Profile {
            default_action: Some(
                if errno {
                    "SCMP_ACT_ERRNO"
                } else {
                    "SCMP_ACT_ALLOW"
                }
                .into(),
            ),
            default_errno_ret: errno.then_some(99),
            syscalls,
            ..Profile::default()
        }
    }

    fn install(program: &[oci_runtime_seccomp::SockFilter]) {
        let fprog = libc::sock_fprog {
            len: program.len() as u16,
            filter: program.as_ptr().cast_mut().cast(),
        };
        let on: libc::c_ulong = 1;
        // SAFETY: plain numbers; the program outlives the call and is as long as it says.
        let result = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, on, 0_u64, 0_u64, 0_u64);
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                &raw const fprog,
            )
        };
        assert_eq!(result, 0);
    }

    /// A way into the kernel.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Way {
        Native,
        /// With the bit of x32.
        X32,
        /// As a program of 32 bits does it.
        I386,
    }

    /// The errno of a call; 0 if it succeeds.
    fn call(way: Way, nr: u32, args: [u64; 6]) -> i32 {
        if way == Way::I386 {
            return i386(nr, args.map(|arg| arg as u32));
        }
        let [a, b, c, d, e, f] = args;
        // SAFETY: only calls that look at none of their arguments are made.
        let result = unsafe { libc::syscall(nr as libc::c_long, a, b, c, d, e, f) };
        if result != -1 {
            return 0;
        }
        std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
    }

    #[cfg(target_arch = "x86_64")]
    fn i386(nr: u32, [a, b, c, d, e, f]: [u32; 6]) -> i32 {
        let result: i32;
        // SAFETY: only calls that look at none of their arguments are made; the registers that the compiler keeps for
        // itself are restored, those that the kernel may change are named.
        unsafe {
            std::arch::asm!(
                "push rbp", "push rbx", "mov ebx, r12d", "mov ebp, r13d", "int 0x80", "pop rbx", "pop rbp",
                inlateout("eax") nr as i32 => result,
                in("r12") u64::from(a), in("ecx") b, in("edx") c, in("esi") d, in("edi") e,
                in("r13") u64::from(f),
                lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
            );
        }
        if result < 0 { -result } else { 0 }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn i386(_: u32, _: [u32; 6]) -> i32 {
        unreachable!("no such way on this machine")
    }

    /// The ways there are. A kernel without the calls of 32 bits kills who makes one, so a child tries it.
    fn ways() -> Vec<(Way, Arch)> {
        let native = Arch::native().unwrap();
        let mut ways = vec![(Way::Native, native)];
        if native != Arch::X86_64 {
            return ways;
        }
        ways.push((Way::X32, Arch::X32));
        // SAFETY: the child makes system calls only.
        let has_i386 = unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(i386(20, [0; 6])); // getpid
            }
            let mut status = -1;
            libc::waitpid(child, &raw mut status, 0);
            status == 0
        };
        if has_i386 {
            ways.push((Way::I386, Arch::X86));
        }
        ways
    }

    /// What the program that makes a call sees of it. An allowed call of x32 is left out: it depends on whether the kernel
    /// has them.
    fn seen(action: Action, way: Way, known: bool) -> Option<i32> {
        match action {
            Action::Errno(errno) => Some(errno.into()),
            Action::Trace(_) => Some(libc::ENOSYS),
            _ if way == Way::X32 => None,
            _ if known => Some(0),
            _ => Some(libc::ENOSYS),
        }
    }

    #[test]
    fn the_kernel_is_the_simulator_and_the_evaluator() {
        const PROFILES: usize = 2_000;
        const CALLS: usize = 600;
        let Some(native) = Arch::native() else { return };
        let ways = ways();
        let mut dice = Dice(0xd1b5_4a32_d192_ed03);
        let mut made = 0;
        for _ in 0..PROFILES {
            let seed = dice.0;
            let mut profile = profile(&mut dice);
            profile.architectures = ways.iter().map(|(_, arch)| arch.name().into()).collect();
            let program = compile(&profile, native).unwrap().program;
            let conditions = conditions(&profile);
            let mut readings = Readings::default();
            let mut calls = Vec::with_capacity(CALLS);
            for _ in 0..CALLS {
                let (way, arch) = dice.of(&ways);
                let known = dice.below(20) != 0;
                let name = dice.of(HARMLESS);
                let base = number(arch, "read").unwrap() & 1 << 30;
                let nr = match known {
                    true => number(arch, name).unwrap(),
                    false => base + 2000,
                };
                let mut args = args(&mut dice, &conditions);
                if way == Way::I386 {
                    args = args.map(|arg| arg & u64::from(u32::MAX));
                }
                let data = SeccompData {
                    nr,
                    arch: arch.audit(),
                    instruction_pointer: 0,
                    args,
                };
                let action = readings.verdict(&profile, native, &data);
                let simulated = simulate(&program, &data).map(Action::from_return);
                assert_eq!(simulated, Ok(action), "seed {seed:#x}: {data:x?}");
                if let Some(errno) = seen(action, way, known) {
                    calls.push((way, nr, args, errno));
                }
            }
            made += calls.len();
            let wrong = std::thread::spawn(move || {
                install(&program);
                let differs = |(way, nr, args, errno): &&(Way, u32, [u64; 6], i32)| {
                    call(*way, *nr, *args) != *errno
                };
                calls.iter().find(differs).copied()
            });
            assert_eq!(wrong.join().unwrap(), None, "seed {seed:#x}");
        }
        assert!(made > 1_000_000 * ways.len() / 2 / 2, "{made}");
    }
}
