//! The first program of a container: receives a plan, performs its outer lane in the caller's namespaces, spawns the inner
//! lane, which sets the container up from within and becomes the payload.
//!
//! It has no allocator and no library below it. All state is in [`Init`]; every step is one function that gets it and the
//! step's fields. The contract with the parent is described in the package's library.

#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

mod attributes;
mod caller;
mod child;
mod console;
mod copy_up;
mod credentials;
mod devices;
mod diagnosis;
mod filesystem;
mod hook;
mod id_map;
mod label;
mod locked;
mod message;
mod mounts;
mod payload;
mod placement;
mod root;
mod socket;
mod stat;
mod step;
mod sys;
mod sys_mount;
mod sys_tree;

#[allow(dead_code)]
#[path = "../src/finding.rs"]
mod finding;
#[allow(dead_code)]
#[path = "../src/op.rs"]
mod op;
#[allow(dead_code)]
#[path = "../src/report.rs"]
mod report;
#[allow(dead_code)]
#[path = "../src/show.rs"]
mod show;
#[allow(dead_code)]
#[path = "../src/value.rs"]
mod value;
#[allow(dead_code)]
#[path = "../src/wire.rs"]
mod wire;

use op::{MAX_SLOTS, Op, Step};
use report::{Kind, Part};
use step::{At, Done, Fail, Init, NOTHING};
use sys::{Errno, Fd};
use wire::{Header, Reader, Wire};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(70)
}

/// Not on the stack, where what is never used of it would be touched as well. All of it is zero, so that it takes no room in the
/// file either.
static mut INIT: Init = Init {
    channel: 0,
    header: Header {
        preserve_fds: 0,
        trace: false,
        outer: 0,
        inner: 0,
    },
    slots: [0; MAX_SLOTS],
    root: 0,
    empty: 0,
    directory: 0,
    null_attached: false,
    preserved_placed: false,
    gated: false,
    listener: 0,
    nofile: None,
    strings: None,
    home: [0; 256],
    exe: [0; 4097],
    finding: None,
};

/// Called by the architecture's `_start` with the initial stack: argc, argv.
#[unsafe(no_mangle)]
unsafe extern "C" fn init_entry(stack: *const usize) -> ! {
    // SAFETY: the kernel calls it with its initial stack only.
    let argument = unsafe { sys::first_argument(stack) };
    let Some(channel) = argument.and_then(socket::number) else {
        let text =
            b"This program sets a container up; only the runtime that carries it can start it.\n";
        let _ = sys::write(2, text);
        sys::exit(64)
    };
    // SAFETY: nobody else refers to it: this is called once, and there are no threads.
    let init = unsafe { &mut *&raw mut INIT };
    init.channel = channel;
    prologue(channel);
    caller::raise_open_files(init);
    match socket::receive_plan(init) {
        Ok(mut steps) => lanes(init, &mut steps),
        Err(why) => drop(init.report(Kind::Failed, u16::MAX, why)),
    }
    sys::exit(1)
}

/// Leaves nothing of the caller's: no fd but the socket and stdio, no signal setting; and lets nobody look in.
fn prologue(channel: Fd) {
    let _ = sys::set_dumpable(false);
    sys::set_name(c"oci-init");
    let _ = sys::set_cloexec(channel);
    for fd in 0..3 {
        if !sys::is_open(fd) {
            // The lowest free number is this one.
            let _ = sys::open(c"/dev/null", sys::O_RDWR);
        }
    }
    if channel > 3 {
        let _ = sys::close_range(3, channel as u32 - 1);
    }
    let _ = sys::close_range(channel as u32 + 1, u32::MAX);
    sys::reset_signals();
}

/// Runs the outer lane, whose last step forks; the fork goes on with the inner lane.
fn lanes(init: &mut Init, steps: &mut Reader<'static>) {
    for _ in 0..init.header.outer {
        if !perform_next(init, steps) {
            return;
        }
    }
    sys::umask(0);
    for _ in 0..init.header.inner {
        if !perform_next(init, steps) {
            return;
        }
    }
}

/// Performs the next step; `false` when it failed, which has then been reported as far as anybody is left to hear it.
fn perform_next(init: &mut Init, steps: &mut Reader<'static>) -> bool {
    let Some(step) = Step::get(steps) else {
        let malformed = Fail {
            part: Part::Decode,
            errno: sys::EPROTO,
            value: 0,
        };
        let _ = init.report(Kind::Failed, u16::MAX, malformed);
        return false;
    };
    if let Err(why) = perform(init, step) {
        let _ = init.report(Kind::Failed, step.number, why);
        return false;
    }
    // `start` listens for failures only; and what a filter asks about waits for whoever has the listener.
    if init.header.trace && !init.gated && init.listener == 0 {
        let time = Fail {
            part: Part::None,
            errno: Errno(0),
            value: sys::monotonic(),
        };
        let _ = init.report(Kind::Traced, step.number, time);
    }
    true
}

/// The one place that knows which function carries out which operation.
#[rustfmt::skip]
fn perform(init: &mut Init, step: Step<'static>) -> Done {
    match step.op {
        Op::OomScoreAdj { value } => caller::oom_score_adj(value),
        Op::Rlimit { resource, soft, hard } => caller::rlimit(init, resource, soft, hard),
        Op::OpenTree { path, recursive, nofollow, directory, propagation, slot } => {
            caller::open_tree(init, path, [recursive, nofollow, directory], propagation, slot)
        }
        Op::UserNamespace { uid_map, gid_map } => id_map::enter(uid_map, gid_map),
        Op::IdMapNamespace { uid_map, gid_map, slot } => id_map::namespace(init, uid_map, gid_map, slot),
        Op::IdMapTree { slot, namespace, recursive } => id_map::tree(init, slot, namespace, recursive),
        Op::RaiseLimit { resource, hard } => caller::raise_limit(resource, hard),
        Op::LockTrees { path, slots } => locked::lock(init, path, slots),
        Op::TakeTrees { slots } => locked::take(init, slots),
        Op::Affinity { cpus } => placement::affinity(cpus),
        Op::OpenCgroup { path, slot } => caller::open_cgroup(init, path, slot),
        Op::Join { slot, namespaces } => caller::join(init, slot, namespaces),
        Op::TimeNamespace { offsets } => caller::time_namespace(offsets),
        Op::Spawn { namespaces, cgroup } => caller::spawn(init, namespaces, cgroup),

        Op::Hello {} => socket::hello(init, step.number),
        Op::JoinCgroup { slot } => caller::join_cgroup(init, slot),
        Op::Yield {} => socket::yield_to_parent(init, step.number),
        Op::BecomeRoot {} => credentials::become_root(),
        Op::CgroupNamespace {} => sys::unshare(0x200_0000).at(Part::Unshare).map(drop),
        Op::Session {} => sys::setsid().at(Part::Setsid).map(drop),
        Op::Keyring { name } => credentials::keyring(name),
        Op::Loopback {} => devices::loopback(),
        Op::NetSocket { slot } => devices::net_socket(init, slot),
        Op::Propagation { flags } => sys_mount::mount_propagation(c"/", flags.0).at(Part::Mount).map(drop),
        Op::AttachRoot { slot, path, propagation } => root::attach(init, slot, path, propagation),
        Op::MountFs { target, fstype, source, options, attributes, id_map, copy_up, propagation } => {
            let new = filesystem::New { fstype, source, options, attributes };
            filesystem::mount(init, target, new, filesystem::Extras { id_map, copy_up, propagation })
        }
        Op::MountBind {
            target,
            slot,
            copy_symlink,
            nofollow,
            beside_previous,
            beside_next,
            set,
            clear,
            set_recursive,
            clear_recursive,
            propagation,
        } => {
            let changes = mounts::Changes { set, clear, set_recursive, clear_recursive, propagation };
            let point = mounts::Point { copy: copy_symlink, nofollow, beside_previous, beside_next };
            mounts::bind(init, target, slot, point, changes)
        }
        Op::Remount { target, options, set, clear, propagation } => {
            mounts::remount(init, target, options, [set, clear], propagation)
        }
        Op::Symlink { path, target, replace } => devices::symlink(init, path, target, replace),
        Op::Device { path, mode, major, minor, uid, gid } => {
            devices::node(init, path, devices::Node { mode: mode.0, major, minor, uid, gid })
        }
        Op::Hook { path, args, env, timeout, before_pid, after_pid } => {
            hook::run(init, &hook::Program { path, args, env }, timeout, &[before_pid, after_pid])
        }
        Op::Pivot {} => root::pivot(init),
        Op::RootPropagation { flags } => sys_mount::mount_propagation(c"/", flags.0).at(Part::Mount).map(drop),
        Op::Console { slot, width, height, mount, uid } => {
            console::open(init, slot, console::Size { width, height }, mount, uid)
        }
        Op::Sysctl { path, value } => filesystem::sysctl(init, path, value),
        Op::Hostname { name } => sys::sethostname(name).at(Part::Sethostname).map(drop),
        Op::Domainname { name } => sys::setdomainname(name).at(Part::Setdomainname).map(drop),
        Op::Mask { path, null } => mounts::mask(init, path, null),
        Op::Readonly { path } => mounts::readonly(init, path),
        Op::ReadonlyRoot {} => mounts::readonly_root(init),
        Op::Stdio { stdin, stdout, stderr, uid } => console::stdio(init, [stdin, stdout, stderr], uid),
        Op::Personality { persona } => placement::personality(persona),
        Op::MemoryPolicy { mode, nodes } => placement::memory_policy(mode, nodes),
        Op::LsmLabel { file, text } => label::set(file, text),
        Op::Cwd { path, make } => root::change_directory(init, path, make),
        Op::Home { uid } => payload::home(init, uid),
        Op::Ids { uid, gid, groups } => credentials::ids(uid, gid, groups),
        Op::Umask { mask } => { sys::umask(mask); Ok(()) }
        Op::Caps { bounding, effective, inheritable, permitted, ambient, held, last } => {
            let permitted = op::CapSet(permitted.0 | held.0);
            credentials::capabilities(credentials::Sets { bounding, effective, inheritable, permitted, ambient }, last)
        }
        Op::NoNewPrivs {} => credentials::no_new_privs(),
        Op::Seccomp { program, flags, privileged } => credentials::seccomp(init, program, flags, privileged),
        Op::LookupExe { name, search, explain } => payload::lookup(init, name, search, explain),
        Op::Ready {} => init.report(Kind::Ready, step.number, NOTHING),
        Op::AwaitStart { gate, report } => socket::await_start(init, gate, report),
        Op::OpenFiles {} => payload::open_files(init),
        Op::CloseFds {} => payload::close_fds(init, step.number),
        Op::Exec { args, env, explain } => payload::exec(init, args, env, explain),
    }
}
