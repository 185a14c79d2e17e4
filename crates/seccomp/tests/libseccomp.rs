//! The compiler against libseccomp, driven as runc drives it. The library is opened at run time; where it is not
//! installed, these tests say so and pass.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use oci_runtime_seccomp::{
    Action, Arch, Profile, SeccompData, SockFilter, Syscall, SyscallArg, Text, compile,
    disassemble, name, number, simulate,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Where Debian's golang-github-containers-common installs the profile of podman and buildah.
const INSTALLED_PROFILE: &str = "/usr/share/containers/seccomp.json";

/// `struct scmp_arg_cmp`.
#[repr(C)]
struct ArgCmp {
    arg: u32,
    op: u32,
    datum_a: u64,
    datum_b: u64,
}

type Init = unsafe extern "C" fn(u32) -> *mut c_void;
type Release = unsafe extern "C" fn(*mut c_void);
type ArchAdd = unsafe extern "C" fn(*mut c_void, u32) -> c_int;
type Resolve = unsafe extern "C" fn(u32, *const c_char) -> c_int;
type RuleAdd = unsafe extern "C" fn(*mut c_void, u32, c_int, u32, *const ArgCmp) -> c_int;
type Export = unsafe extern "C" fn(*mut c_void, c_int) -> c_int;

/// The functions of seccomp.h that are needed.
#[derive(Clone, Copy)]
struct Library {
    init: Init,
    release: Release,
    arch_add: ArchAdd,
    resolve: Resolve,
    rule_add: RuleAdd,
    export: Export,
}

/// Opens the library once for good.
fn library() -> Option<Library> {
    // SAFETY: the name is a C string; the library's initialisers are those of a well-behaved C library.
    let handle = unsafe { libc::dlopen(c"libseccomp.so.2".as_ptr(), libc::RTLD_NOW) };
    if handle.is_null() {
        eprintln!("skipped: libseccomp.so.2 is not installed");
        return None;
    }
    let symbol = |name: &CStr| {
        // SAFETY: the handle is open and never closed; the name is a C string.
        let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
        assert!(!address.is_null(), "{name:?}");
        address
    };
    macro_rules! function {
        ($name:literal, $type:ty) => {
            // SAFETY: the type is that of seccomp.h for this name; a function pointer has the size of a data pointer.
            unsafe { std::mem::transmute::<*mut c_void, $type>(symbol($name)) }
        };
    }
    Some(Library {
        init: function!(c"seccomp_init", Init),
        release: function!(c"seccomp_release", Release),
        arch_add: function!(c"seccomp_arch_add", ArchAdd),
        resolve: function!(c"seccomp_syscall_resolve_name_arch", Resolve),
        rule_add: function!(c"seccomp_rule_add_array", RuleAdd),
        export: function!(c"seccomp_export_bpf", Export),
    })
}

/// `SCMP_ARCH_*`: AUDIT_ARCH_*, but for x32.
fn token(arch: Arch) -> u32 {
    if arch == Arch::X32 {
        0x4000_003e
    } else {
        arch.audit()
    }
}

impl Library {
    /// The number of a call, as libseccomp has it: below zero for calls the architecture lacks.
    fn number(&self, arch: Arch, name: &str) -> i32 {
        let name = CString::new(name).unwrap();
        // SAFETY: the name is a C string that lives through the call.
        unsafe { (self.resolve)(token(arch), name.as_ptr()) }
    }

    /// A filter for this machine, made the way runc makes it, without its stub for new calls. `None` if a rule was
    /// not accepted.
    fn compile(&self, native: Arch, profile: &Profile<'_>) -> Option<Vec<SockFilter>> {
        let default = action(
            profile.default_action.as_deref()?,
            profile.default_errno_ret,
        );
        // SAFETY: the action is a valid one; the context is released below, and null is refused.
        let context = unsafe { (self.init)(default) };
        assert!(!context.is_null());
        let added = self.add(native, context, profile, default);
        let program = added.then(|| self.export(context));
        // SAFETY: the context comes from init and is not used any more.
        unsafe { (self.release)(context) };
        program
    }

    fn add(&self, native: Arch, context: *mut c_void, profile: &Profile<'_>, default: u32) -> bool {
        for name in &profile.architectures {
            // SAFETY: the context is live. An architecture that is there already is no harm.
            unsafe { (self.arch_add)(context, token(Arch::from_name(name).unwrap())) };
        }
        profile.syscalls.iter().all(|rule| {
            let action = action(&rule.action, rule.errno_ret);
            action == default
                || rule
                    .names
                    .iter()
                    .all(|name| self.add_rule(native, context, action, name, &rule.args))
        })
    }

    fn add_rule(
        &self,
        native: Arch,
        context: *mut c_void,
        action: u32,
        name: &str,
        args: &[SyscallArg<'_>],
    ) -> bool {
        const UNKNOWN: i32 = -1;
        let number = self.number(native, name);
        if number == UNKNOWN {
            return true;
        }
        let conditions: Vec<_> = args.iter().map(condition).collect();
        let twice = |cmp: &ArgCmp| {
            conditions
                .iter()
                .filter(|other| other.arg == cmp.arg)
                .count()
                > 1
        };
        let size = if conditions.iter().any(twice) {
            1
        } else {
            conditions.len().max(1)
        };
        let mut chunks: Vec<_> = conditions.chunks(size).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        chunks.into_iter().all(|chunk| {
            // SAFETY: the context is live; the pointer is to as many conditions as the length says.
            let result = unsafe {
                (self.rule_add)(context, action, number, chunk.len() as u32, chunk.as_ptr())
            };
            // An equal rule is there already.
            result == 0 || result == -libc::EEXIST
        })
    }

    fn export(&self, context: *mut c_void) -> Vec<SockFilter> {
        // SAFETY: the name is a C string; a new descriptor belongs to nobody else.
        let memory = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"bpf".as_ptr(), 0)) };
        // SAFETY: the context is live, the descriptor open.
        assert_eq!(unsafe { (self.export)(context, memory.as_raw_fd()) }, 0);
        let mut bytes = Vec::new();
        let mut file = File::from(memory);
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes.chunks_exact(8).map(instruction).collect()
    }
}

fn instruction(bytes: &[u8]) -> SockFilter {
    SockFilter {
        code: u16::from_ne_bytes([bytes[0], bytes[1]]),
        jt: bytes[2],
        jf: bytes[3],
        k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    }
}

fn action(name: &str, errno: Option<u32>) -> u32 {
    match Action::from_name(name).unwrap() {
        Action::Errno(_) => Action::Errno(errno.unwrap_or(1) as u16).to_return(),
        Action::Trace(_) => Action::Trace(errno.unwrap_or(1) as u16).to_return(),
        action => action.to_return(),
    }
}

fn condition(arg: &SyscallArg<'_>) -> ArgCmp {
    const OPERATORS: &[&str] = &["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    let op = OPERATORS
        .iter()
        .position(|name| arg.op.strip_prefix("SCMP_CMP_") == Some(name))
        .unwrap();
    ArgCmp {
        arg: arg.index,
        op: op as u32 + 1,
        datum_a: arg.value,
        datum_b: arg.value_two,
    }
}

#[test]
fn call_numbers_agree() {
    let Some(library) = library() else { return };
    let names: std::collections::BTreeSet<_> = Arch::ALL
        .iter()
        .flat_map(|arch| (0..7000).filter_map(|nr| name(*arch, nr)))
        .collect();
    let mut compared = 0;
    let mut differences = Vec::new();
    for arch in Arch::ALL {
        for name in &names {
            let theirs = library.number(*arch, name);
            let (Some(ours), Ok(theirs)) = (number(*arch, name), u32::try_from(theirs)) else {
                continue;
            };
            compared += 1;
            if ours != theirs {
                differences.push((*arch, *name, ours, theirs));
            }
        }
    }
    assert_eq!(differences, []);
    assert!(compared > 3000, "{compared}");
}

/// The installed profile without what asks for capabilities, as a runtime's caller would lower it for this machine.
fn installed_profile() -> Option<Profile<'static>> {
    let Ok(text) = std::fs::read_to_string(INSTALLED_PROFILE) else {
        eprintln!(
            "skipped: {INSTALLED_PROFILE} is not installed (golang-github-containers-common)"
        );
        return None;
    };
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rules = json["syscalls"].as_array_mut().unwrap();
    rules.retain(|rule| {
        let archs = rule["includes"]["arches"].as_array();
        let here = archs.is_none_or(|archs| archs.iter().any(|arch| arch == "amd64"));
        here && rule["includes"]["caps"].is_null()
    });
    json["architectures"] =
        serde_json::json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    let text: &'static str = Box::leak(json.to_string().into_boxed_str());
    Some(serde_json::from_str(text).unwrap())
}

#[test]
fn the_installed_profile_agrees() {
    let (Some(library), Some(profile)) = (library(), installed_profile()) else {
        return;
    };
    if Arch::native() != Some(Arch::X86_64) {
        eprintln!("skipped: the profile is lowered for x86_64");
        return;
    }
    let theirs = library.compile(Arch::X86_64, &profile).unwrap();
    let filter = compile(&profile, Arch::X86_64).unwrap();
    let ours = filter.program;
    eprintln!("{} instructions, libseccomp {}", ours.len(), theirs.len());
    let values = [
        0,
        1,
        2,
        8,
        9,
        16,
        17,
        0x20000,
        0x20008,
        0xffff_ffff,
        1 << 32,
        1 << 32 | 8,
        u64::MAX,
    ];
    let mut compared = 0;
    for arch in [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64] {
        let base = if arch == Arch::X32 { 1 << 30 } else { 0 };
        for nr in (0..1100)
            .map(|nr| base + nr)
            .filter(|nr| known_to_both(&library, arch, *nr))
        {
            for first in values {
                for third in [0, 9, 1 << 32] {
                    let args = [first, 0, third, 0, 0, 0];
                    let data = SeccompData {
                        nr,
                        arch: arch.audit(),
                        instruction_pointer: 0,
                        args,
                    };
                    assert_eq!(
                        simulate(&ours, &data),
                        simulate(&theirs, &data),
                        "{arch:?} {data:x?}"
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 20_000, "{compared}");
}

/// What the documentation says of libseccomp where it differs: rule, architecture, call, and both results.
#[test]
fn the_known_differences_are_there() {
    if Arch::native() != Some(Arch::X86_64) {
        eprintln!("skipped: the rules are for x86_64");
        return;
    }
    let Some(library) = library() else { return };
    let rule = |name: &str, action: &str, args: &str| {
        format!(r#"{{"names": ["{name}"], "action": "SCMP_ACT_{action}", "args": [{args}]}}"#)
    };
    let equal = |index: u32, value: u64| {
        format!(r#"{{"index": {index}, "value": {value}, "op": "SCMP_CMP_EQ"}}"#)
    };
    let order = [
        rule("ioctl", "ALLOW", &equal(0, 1)),
        rule("ioctl", "LOG", &equal(1, 3)),
    ];
    let multiplexed = [rule(
        "socket",
        "ALLOW",
        &format!("{}, {}", equal(0, 5), equal(2, 9)),
    )];
    let (allow, log, deny) = (
        Action::Allow.to_return(),
        Action::Log.to_return(),
        Action::Errno(1).to_return(),
    );
    let cases = [
        (
            order.join(","),
            Arch::X86_64,
            "ioctl",
            [1, 3, 0, 0, 0, 0],
            allow,
            log,
        ),
        (
            multiplexed.join(","),
            Arch::X86,
            "socketcall",
            [1, 0xffff_0000, 9, 0, 0, 0],
            deny,
            allow,
        ),
    ];
    for (rules, arch, name, args, ours, theirs) in cases {
        let json = format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [{rules}]}}"#
        );
        let profile: Profile = serde_json::from_str(&json).unwrap();
        let nr = number(arch, name).unwrap();
        let data = SeccompData {
            nr,
            arch: arch.audit(),
            instruction_pointer: 0,
            args,
        };
        assert_eq!(
            simulate(&compile(&profile, Arch::X86_64).unwrap().program, &data),
            Ok(ours),
            "{json}"
        );
        assert_eq!(
            simulate(&library.compile(Arch::X86_64, &profile).unwrap(), &data),
            Ok(theirs),
            "{json}"
        );
    }
}

/// Whether libseccomp has the name for the number too; it may be older than the table.
fn known_to_both(library: &Library, arch: Arch, nr: u32) -> bool {
    name(arch, nr).is_none_or(|name| library.number(arch, name) == nr as i32)
}

fn value() -> impl Strategy<Value = u64> {
    let half = select(&[0_u64, 1, 0x7fff_ffff, 0xffff_ffff][..]);
    (half.clone(), half).prop_map(|(upper, lower)| upper << 32 | lower)
}

fn rule(
    operators: &'static [&'static str],
    most: usize,
) -> impl Strategy<Value = Syscall<'static>> {
    let arg = (value(), value(), select(operators)).prop_map(|(value, value_two, op)| SyscallArg {
        index: 0,
        value,
        value_two,
        op: Text::from(format!("SCMP_CMP_{op}")),
    });
    (
        select(CALLS),
        vec(arg, 1..=most),
        subsequence(vec![0, 1, 2], most),
    )
        .prop_map(|(name, mut args, places)| {
            args.iter_mut()
                .zip(places)
                .for_each(|(arg, place)| arg.index = place);
            Syscall {
                names: vec![name.into()],
                action: "SCMP_ACT_ALLOW".into(),
                errno_ret: None,
                args,
            }
        })
}

/// A single rule, of any kind, or several for equality of one argument. Others do not agree with libseccomp 2.5.4: for
/// `arg < 2^63 - 2^31` or `arg < 5 * 2^32` its filter refuses 5 * 2^32 + 2^31 - 1, and when the second condition of a
/// rule fails it may go on to compare the wrong argument with the values of the next rule, and allow the call.
fn rules() -> impl Strategy<Value = Vec<Syscall<'static>>> {
    let all = &["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    prop_oneof![vec(rule(all, 3), 1), vec(rule(&["EQ"], 1), 1..9)]
}

const CALLS: &[&str] = &["ioctl", "personality", "prctl"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_rules_agree(
        syscalls in rules(),
        calls in vec((select(CALLS), proptest::array::uniform6(value())), 64),
    ) {
        let (Some(library), Some(native)) = (library(), Arch::native()) else { return Ok(()) };
        let default_action = Some("SCMP_ACT_ERRNO".into());
        let profile = Profile { default_action, syscalls, ..Profile::default() };
        let Some(theirs) = library.compile(native, &profile) else { return Ok(()) };
        let ours = compile(&profile, native).unwrap().program;
        let mentioned = profile.syscalls.iter().filter_map(|rule| number(native, &rule.names[0]));
        let newest = mentioned.max().unwrap();
        let numbers = calls.into_iter().map(|(name, args)| (number(native, name).unwrap(), args));
        for (nr, args) in numbers.filter(|(nr, _)| *nr <= newest) {
            let data = SeccompData { nr, arch: native.audit(), instruction_pointer: 0, args };
            prop_assert_eq!(simulate(&ours, &data), simulate(&theirs, &data), "{:x?}\n{}", data, disassemble(&theirs));
        }
    }
}
