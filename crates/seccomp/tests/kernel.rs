//! Filters in the kernel. A filter without `TSYNC` holds for one thread, so each test gives one up.

#![allow(unsafe_code)]
#![cfg(target_os = "linux")]

use oci_runtime_seccomp::{Arch, Filter, Profile, SeccompData, compile, number, simulate};

/// `struct sock_fprog`.
#[repr(C)]
struct SockFprog {
    len: u16,
    filter: *const oci_runtime_seccomp::SockFilter,
}

/// Installs a filter for this thread. An errno if the kernel refuses.
fn install(filter: &Filter) -> Result<i64, i32> {
    let program = SockFprog {
        len: filter.program.len() as u16,
        filter: filter.program.as_ptr(),
    };
    let (on, zero): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: plain numbers.
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, on, zero, zero, zero) };
    assert_eq!(set, 0);
    let flags = libc::c_ulong::from(filter.flags.bits());
    // SAFETY: the program outlives the call and is as long as it says.
    result(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    })
}

fn result(value: libc::c_long) -> Result<i64, i32> {
    if value >= 0 {
        Ok(value)
    } else {
        Err(std::io::Error::last_os_error().raw_os_error().unwrap())
    }
}

/// Calls that do no harm with any arguments: they fail or change nothing.
fn call(name: &str, args: [u64; 3]) -> Result<i64, i32> {
    let nr = number(Arch::native().unwrap(), name).unwrap();
    raw(nr, args)
}

fn raw(nr: u32, [a, b, c]: [u64; 3]) -> Result<i64, i32> {
    // SAFETY: the tests call nothing that touches memory.
    result(unsafe { libc::syscall(nr as libc::c_long, a, b, c) })
}

/// Runs something on a thread of its own.
fn on_a_thread(body: impl FnOnce() + Send + 'static) {
    std::thread::spawn(body).join().unwrap();
}

#[test]
#[cfg(target_pointer_width = "64")]
fn arguments_and_numbers() {
    const JSON: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 101, "args": [
            {"index": 0, "value": 4294967301, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 7, "op": "SCMP_CMP_NE"}]},
        {"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 102, "args": [
            {"index": 0, "value": 4294967301, "op": "SCMP_CMP_GT"}]},
        {"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 103, "args": [
            {"index": 2, "value": 240, "valueTwo": 80, "op": "SCMP_CMP_MASKED_EQ"}]},
        {"names": ["gettid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0}]}"#;
    on_a_thread(|| {
        let profile: Profile = serde_json::from_str(JSON).unwrap();
        let own_group = call("getpgid", [0, 0, 0]);
        assert!(call("gettid", [0, 0, 0]).unwrap() > 0);
        install(&compile(&profile, Arch::native().unwrap()).unwrap()).unwrap();
        let cases = [
            ([0, 0, 0], own_group),
            ([1 << 32 | 5, 0, 0], Err(101)),
            ([1 << 32 | 5, 7, 0x1f], Err(libc::ESRCH)),
            ([1 << 32 | 5, 7, 0x5f], Err(103)),
            ([1 << 32 | 6, 7, 0], Err(102)),
            ([2 << 32, 7, 0], Err(102)),
        ];
        for (args, expected) in cases {
            // ESRCH or a group of its own: what the kernel says to the lower half, 5, is not ours to tell.
            let found = call("getpgid", args);
            let said = |result: Result<i64, i32>| result.err().filter(|errno| *errno > 100);
            assert_eq!(said(found), said(expected), "{args:x?}");
        }
        assert_eq!(call("gettid", [0, 0, 0]), Ok(0));
    });
}

#[test]
fn newer_calls_do_not_exist() {
    const JSON: &str = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 111, "syscalls": [
        {"names": ["close_range", "exit", "exit_group", "futex", "munmap", "madvise", "sigaltstack", "rt_sigprocmask",
            "write", "mmap", "mprotect", "set_robust_list", "rseq", "getrandom"], "action": "SCMP_ACT_ALLOW"}]}"#;
    on_a_thread(|| {
        let profile: Profile = serde_json::from_str(JSON).unwrap();
        let filter = compile(&profile, Arch::native().unwrap()).unwrap();
        install(&filter).unwrap();
        let (older, newer) = (call("getpgid", [0, 0, 0]), raw(5000, [0, 0, 0]));
        assert_eq!((older, newer), (Err(111), Err(libc::ENOSYS)));
    });
}

#[test]
fn flags_are_a_combination_the_kernel_takes() {
    let notify = r#""syscalls": [{"names": ["swapoff"], "action": "SCMP_ACT_NOTIFY"}]"#;
    let cases = [
        r#""flags": []"#.to_owned(),
        r#""flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]"#.to_owned(),
        r#""flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#.to_owned(),
        notify.to_owned(),
        format!(r#"{notify}, "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#),
    ];
    for rest in cases {
        on_a_thread(move || {
            let json = format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", {rest}}}"#);
            let filter = compile(
                &serde_json::from_str::<Profile>(&json).unwrap(),
                Arch::native().unwrap(),
            )
            .unwrap();
            let installed =
                install(&filter).unwrap_or_else(|errno| panic!("{json}: errno {errno}"));
            assert_eq!(
                installed > 0,
                filter.needs_listener,
                "a listener's descriptor, or zero"
            );
        });
    }
}

#[test]
fn the_simulator_is_the_kernel() {
    // Each pair is a condition on getpgid's third argument, which the call does not have, and an argument.
    let values = [
        0,
        1,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        1 << 32,
        1 << 32 | 1,
        u64::MAX >> 1,
        u64::MAX,
    ];
    for op in ["NE", "LT", "LE", "EQ", "GE", "GT"] {
        for value in values {
            on_a_thread(move || {
                let json = format!(
                    r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 123, "args": [{{"index": 2, "value": {value}, "op": "SCMP_CMP_{op}"}}]}}]}}"#
                );
                let native = Arch::native().unwrap();
                let filter =
                    compile(&serde_json::from_str::<Profile>(&json).unwrap(), native).unwrap();
                install(&filter).unwrap();
                for arg in values
                    .into_iter()
                    .filter(|arg| usize::try_from(*arg).is_ok())
                {
                    let nr = number(native, "getpgid").unwrap();
                    let args = [0, 0, arg, 0, 0, 0];
                    let data = SeccompData {
                        nr,
                        arch: native.audit(),
                        instruction_pointer: 0,
                        args,
                    };
                    let denied = simulate(&filter.program, &data) == Ok(0x0005_007b);
                    assert_eq!(
                        call("getpgid", [0, 0, arg]) == Err(123),
                        denied,
                        "{arg:#x} {json}"
                    );
                }
            });
        }
    }
}
