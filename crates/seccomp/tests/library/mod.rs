//! libseccomp, driven as runc drives it, and the profile that containers get by default. The library is opened at run
//! time; where it is not installed, what needs it says so and is left out.

#![allow(unsafe_code)]
// Each test uses a part of this.
#![allow(dead_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use oci_runtime_seccomp::{Action, Arch, Profile, SockFilter, SyscallArg};

/// Where Debian's golang-github-containers-common installs the profile of podman and buildah, which is docker's.
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
type AttrSet = unsafe extern "C" fn(*mut c_void, c_int, u32) -> c_int;
type Export = unsafe extern "C" fn(*mut c_void, c_int) -> c_int;

/// The functions of seccomp.h that are needed.
#[derive(Clone, Copy)]
pub struct Library {
    init: Init,
    release: Release,
    arch_add: ArchAdd,
    resolve: Resolve,
    rule_add: RuleAdd,
    attr_set: AttrSet,
    export: Export,
}

/// Opens the library once for good.
pub fn library() -> Option<Library> {
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
        attr_set: function!(c"seccomp_attr_set", AttrSet),
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

/// The library's own default: the calls one after the other.
pub const LINEAR: u32 = 1;
/// What runc chooses: a search.
pub const BINARY_TREE: u32 = 2;

impl Library {
    /// The number of a call, as libseccomp has it: below zero for calls the architecture lacks.
    pub fn number(&self, arch: Arch, name: &str) -> i32 {
        let name = CString::new(name).unwrap();
        // SAFETY: the name is a C string that lives through the call.
        unsafe { (self.resolve)(token(arch), name.as_ptr()) }
    }

    /// A filter for this machine, made the way runc makes it, without its stub for new calls. `None` if a rule was
    /// not accepted.
    pub fn compile(&self, native: Arch, profile: &Profile<'_>) -> Option<Vec<SockFilter>> {
        self.compile_at(LINEAR, native, profile)
    }

    /// The same at a level of optimisation: [`LINEAR`] or [`BINARY_TREE`].
    pub fn compile_at(
        &self,
        level: u32,
        native: Arch,
        profile: &Profile<'_>,
    ) -> Option<Vec<SockFilter>> {
        const SCMP_FLTATR_CTL_OPTIMIZE: c_int = 8;
        let default = action(
            profile.default_action.as_deref()?,
            profile.default_errno_ret,
        );
        // SAFETY: the action is a valid one; the context is released below, and null is refused.
        let context = unsafe { (self.init)(default) };
        assert!(!context.is_null());
        // SAFETY: the context is live.
        let set = unsafe { (self.attr_set)(context, SCMP_FLTATR_CTL_OPTIMIZE, level) };
        assert_eq!(set, 0);
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

/// The installed profile without what asks for capabilities, as a runtime's caller would lower it for this machine.
pub fn installed_profile(architectures: &[&str]) -> Option<Profile<'static>> {
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
    json["architectures"] = serde_json::json!(architectures);
    let text: &'static str = Box::leak(json.to_string().into_boxed_str());
    Some(serde_json::from_str(text).unwrap())
}
