//! The operations of a plan: what the outer and the inner lane can be told to do.
//!
//! An operation is semantic: it is what the runtime specification names (a mount, a masked path, the capabilities), not a
//! system call. Which calls carry it out, and which fallbacks it has, is the business of the one function of `init` that
//! executes it. Paths below the container's root are relative to it, without a leading slash; paths of the caller's
//! side appear only in operations of the outer lane, which still lives in the caller's namespaces.
//!
//! Everything about an operation stands in one table below: its tag, its fields, and so how it is encoded, decoded and printed.

use crate::show::Show;
pub use crate::value::{
    CapSet, MAX_SLOTS, Mode, MountAttr, NO_SLOT, Namespaces, Propagation, Slot,
};
pub use crate::wire::List;
use crate::wire::{Reader, Sink, Wire};
use core::ffi::CStr;

macro_rules! ops {
    ($($(#[$doc:meta])* $Name:ident = $tag:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        /// One operation of the outer or the inner lane.
        #[derive(Clone, Copy)]
        pub enum Op<'a> { $($(#[$doc])* $Name { $($(#[$field_doc])* $field: $type,)* },)* }

        impl<'a> Op<'a> {
            /// The operation's name, as the dry run prints it.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$Name { .. } => stringify!($Name),)* }
            }

            /// Calls `visit` with the name and value of each field.
            pub fn fields(&self, visit: &mut dyn FnMut(&'static str, &dyn Show)) {
                let _ = &visit;
                match self { $(Op::$Name { $($field,)* } => { $(visit(stringify!($field), $field);)* })* }
            }
        }

        impl<'a> Wire<'a> for Op<'a> {
            fn put(&self, out: &mut dyn Sink) {
                match self { $(Op::$Name { $($field,)* } => {
                    let tag: u16 = $tag;
                    tag.put(out);
                    $($field.put(out);)*
                })* }
            }
            fn get(from: &mut Reader<'a>) -> Option<Self> {
                match u16::get(from)? {
                    $($tag => Some(Op::$Name { $($field: Wire::get(from)?,)* }),)*
                    _ => None,
                }
            }
        }
    };
}

ops! {
    /// Writes the process's oom_score_adj; every later process of the container inherits it.
    OomScoreAdj = 1 {
        /// -1000 to 1000.
        value: i32,
    }
    /// Sets one resource limit (prlimit(2)).
    Rlimit = 2 {
        /// `RLIMIT_*`.
        resource: u32,
        /// The soft limit.
        soft: u64,
        /// The hard limit.
        hard: u64,
    }
    /// Enters a new user namespace and a mount namespace that belongs to it, and from there has all privileges over what is
    /// made below. Writes its maps itself, as an unprivileged process may: of its own ids alone (user_namespaces(7)).
    UserNamespace = 67 {
        /// The line of uid_map.
        uid_map: &'a CStr,
        /// The line of gid_map.
        gid_map: &'a CStr,
    }
    /// Clones the mount tree at a path of the caller into a detached tree (open_tree(2)).
    OpenTree = 3 {
        /// Path in the caller's mount namespace; with a slash added to its end for `directory`.
        path: &'a CStr,
        /// Whether mounts below it come along.
        recursive: bool,
        /// Whether a symbolic link at the end of the path is what is meant, not what it leads to.
        nofollow: bool,
        /// Whether it is remembered, if it is a directory, that it is one: `MountBind` wants to know of neighbours.
        directory: bool,
        /// What becomes of the propagation of the whole clone at once; 0 leaves it with its peers.
        propagation: Propagation,
        /// Where the detached tree's fd goes.
        slot: Slot,
    }
    /// Makes a user namespace that no process lives in, for the ids that mounts show.
    IdMapNamespace = 65 {
        /// Lines of uid_map (user_namespaces(7)): id in the file system, id that is shown, count.
        uid_map: &'a CStr,
        /// Lines of gid_map.
        gid_map: &'a CStr,
        /// Where the namespace's fd goes.
        slot: Slot,
    }
    /// Maps the ids of a tree that was never attached (`MOUNT_ATTR_IDMAP` of mount_setattr(2)).
    IdMapTree = 66 {
        /// The detached tree.
        slot: Slot,
        /// The user namespace whose maps it takes.
        namespace: Slot,
        /// Whether the mounts below its top are mapped too.
        recursive: bool,
    }
    /// Opens the file by which a process joins a cgroup v1 directory; writing to it is left to the inner lane.
    OpenCgroup = 7 {
        /// The `tasks` file in the caller's mount namespace.
        path: &'a CStr,
        /// Where its fd goes.
        slot: Slot,
    }
    /// Raises a hard limit that a later step of the inner lane may not be allowed to raise; the soft limit stays.
    RaiseLimit = 8 {
        /// `RLIMIT_*`.
        resource: u32,
        /// The hard limit.
        hard: u64,
    }
    /// Puts trees into a mount namespace of this lane's own, from where a less privileged one inherits them locked: what
    /// the caller has made read-only or covered stays so, whatever the container's root does (mount_namespaces(7)).
    LockTrees = 9 {
        /// A directory of the caller's that nothing else needs, which they cover there.
        path: &'a CStr,
        /// Detached trees, moved there.
        slots: List<'a, Slot>,
    }
    /// Enters namespaces: one by its own fd, or several of a process by its pidfd (setns(2)).
    Join = 4 {
        /// Namespace fd or pidfd.
        slot: Slot,
        /// Which; exactly one for a namespace fd.
        namespaces: Namespaces,
    }
    /// Makes a time namespace for the processes to come, with its offsets to the caller's clocks.
    TimeNamespace = 5 {
        /// Lines of timens_offsets(7): clock, seconds, nanoseconds.
        offsets: &'a CStr,
    }
    /// Starts the inner lane: one clone3(2) with `CLONE_PARENT`; the outer lane ends here.
    Spawn = 6 {
        /// New namespaces.
        namespaces: Namespaces,
        /// A cgroup v2 directory to be born in, or [`NO_SLOT`].
        cgroup: Slot,
    }

    /// Tells the parent which process this is; the kernel stamps the pid on the message.
    Hello = 51 {}
    /// Takes the locked trees out of the mount namespace that this lane has inherited.
    TakeTrees = 54 {
        /// The same as of `LockTrees`.
        slots: List<'a, Slot>,
    }
    /// Binds the process to processors, wherever the caller was bound to (sched_setaffinity(2)).
    Affinity = 55 {
        /// Ranges of processors, first and last; none stands for all that its cpuset has.
        cpus: List<'a, (u32, u32)>,
    }
    /// Joins a cgroup v1 directory.
    JoinCgroup = 52 {
        /// Its open `tasks` file.
        slot: Slot,
    }
    /// Hands over to the parent lane and waits for its go.
    Yield = 16 {}
    /// Takes uid and gid 0 of the user namespace, once its maps are written.
    BecomeRoot = 17 {}
    /// Makes a cgroup namespace, rooted where the process is now.
    CgroupNamespace = 18 {}
    /// Starts a new session (setsid(2)).
    Session = 19 {}
    /// Joins a session keyring of its own (keyctl(2)).
    Keyring = 20 {
        /// The keyring's name.
        name: &'a CStr,
    }
    /// Brings the loopback interface up.
    Loopback = 21 {}
    /// Opens a socket for rtnetlink(7) in this lane's network namespace and sends it to the parent, who moves devices there.
    NetSocket = 70 {
        /// Socket to send it over.
        slot: Slot,
    }
    /// Makes the inherited mount tree private or a slave, so that nothing comes back to the caller.
    Propagation = 22 {
        /// For `/` and all below it.
        flags: Propagation,
    }
    /// Attaches the container's root; from here on every path is relative to it.
    AttachRoot = 23 {
        /// The detached tree.
        slot: Slot,
        /// Where hooks look for it, a directory of the caller's; empty, or out of reach, it goes over `/`.
        path: &'a CStr,
        /// Its propagation.
        propagation: Propagation,
    }
    /// Mounts a new file system instance.
    MountFs = 24 {
        /// Mount point below the root; made if missing.
        target: &'a CStr,
        /// Type of file system.
        fstype: &'a CStr,
        /// Source; empty for none.
        source: &'a CStr,
        /// Parameters for fsconfig(2): key and value, an empty value being a flag.
        options: List<'a, (&'a CStr, &'a CStr)>,
        /// Attributes of the mount.
        attributes: MountAttr,
        /// The user namespace whose maps the mount takes, or [`NO_SLOT`].
        id_map: Slot,
        /// Whether it begins with a copy of what it covers.
        copy_up: bool,
        /// Propagation changes in order.
        propagation: List<'a, Propagation>,
    }
    /// Attaches a detached tree of the caller's (a bind mount).
    MountBind = 25 {
        /// Mount point below the root; made if missing, as the source is a directory or not.
        target: &'a CStr,
        /// The detached tree.
        slot: Slot,
        /// Whether a tree that is a symbolic link is made at the mount point instead, as such a link.
        copy_symlink: bool,
        /// Whether a symbolic link at the mount point itself is covered, not what it leads to.
        nofollow: bool,
        /// Whether the step before is a `MountBind` in the same directory.
        beside_previous: bool,
        /// Whether the next step is a `MountBind` in the same directory.
        beside_next: bool,
        /// Attributes to set on the mount.
        set: MountAttr,
        /// Attributes to clear on the mount.
        clear: MountAttr,
        /// Attributes to set on the mount and all below it.
        set_recursive: MountAttr,
        /// Attributes to clear on the mount and all below it.
        clear_recursive: MountAttr,
        /// Propagation changes in order.
        propagation: List<'a, Propagation>,
    }
    /// Changes what is mounted at a path already: first its superblock, then the mount.
    Remount = 26 {
        /// Mount point below the root.
        target: &'a CStr,
        /// Parameters of the superblock for fsconfig(2), as of `MountFs`; none leave it alone.
        options: List<'a, (&'a CStr, &'a CStr)>,
        /// Attributes to set.
        set: MountAttr,
        /// Attributes to clear.
        clear: MountAttr,
        /// Propagation changes in order.
        propagation: List<'a, Propagation>,
    }
    /// Makes a symbolic link.
    Symlink = 27 {
        /// The link's path below the root.
        path: &'a CStr,
        /// What it points to.
        target: &'a CStr,
        /// Whether something else at `path` is removed first.
        replace: bool,
    }
    /// Makes a device node or FIFO, or verifies the one that is there.
    Device = 28 {
        /// Path below the root.
        path: &'a CStr,
        /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`, and permission bits.
        mode: Mode,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    }
    /// Runs a program of the configuration's hooks where this lane is now, and waits for it.
    Hook = 53 {
        /// Absolute path of the program.
        path: &'a CStr,
        /// Its arguments, its name first.
        args: List<'a, &'a CStr>,
        /// Its whole environment.
        env: List<'a, &'a CStr>,
        /// Milliseconds after which its process group is killed; 0 for never.
        timeout: u32,
        /// The state that it reads on stdin, as JSON up to the pid.
        before_pid: &'a CStr,
        /// The state from after the pid.
        after_pid: &'a CStr,
    }
    /// Makes the container's root the process's root and detaches the caller's (pivot_root(2)).
    Pivot = 29 {}
    /// Sets the propagation of the container's `/`.
    RootPropagation = 30 {
        /// The propagation.
        flags: Propagation,
    }
    /// Makes a pseudo-terminal, sends its master and makes its slave the controlling terminal and stdio.
    Console = 31 {
        /// Socket for the master.
        slot: Slot,
        /// Columns; 0 keeps the kernel's size.
        width: u16,
        /// Rows.
        height: u16,
        /// Whether the slave is bound on `/dev/console`.
        mount: bool,
        /// Owner of the slave.
        uid: u32,
    }
    /// Writes a namespaced kernel parameter.
    Sysctl = 32 {
        /// Path below `/proc/sys`.
        path: &'a CStr,
        /// What to write.
        value: &'a CStr,
    }
    /// Sets the host name.
    Hostname = 33 {
        /// The name.
        name: &'a CStr,
    }
    /// Sets the NIS domain name.
    Domainname = 34 {
        /// The name.
        name: &'a CStr,
    }
    /// Covers a path with something empty and read-only; nothing to do where there is no such path.
    Mask = 35 {
        /// Path below the root.
        path: &'a CStr,
        /// The caller's `/dev/null`, a detached tree, for what is not a directory.
        null: Slot,
    }
    /// Makes a path read-only; nothing to do where there is no such path.
    Readonly = 36 {
        /// Path below the root.
        path: &'a CStr,
    }
    /// Makes the root mount read-only.
    ReadonlyRoot = 37 {}
    /// Makes slots the standard streams.
    Stdio = 38 {
        /// fd 0.
        stdin: Slot,
        /// fd 1.
        stdout: Slot,
        /// fd 2.
        stderr: Slot,
        /// Owner to be, of those that can be owned.
        uid: u32,
    }
    /// Sets the execution domain and its flags (personality(2)).
    Personality = 57 {
        /// `PER_*`, with flags.
        persona: u32,
    }
    /// Sets from which nodes memory comes (set_mempolicy(2)).
    MemoryPolicy = 58 {
        /// `MPOL_*`, with `MPOL_F_*`.
        mode: u32,
        /// Ranges of nodes, first and last.
        nodes: List<'a, (u32, u32)>,
    }
    /// Tells a security module under which label something is to come, through a procfs of `init`'s own.
    LsmLabel = 59 {
        /// File below `/proc/PID/attr`, which says what: `exec` is the payload.
        file: &'a CStr,
        /// What to write: a label, or for AppArmor a command; empty takes back what was told before.
        text: &'a CStr,
    }
    /// Changes to the working directory.
    Cwd = 39 {
        /// Absolute path in the container.
        path: &'a CStr,
        /// Whether it is made if missing.
        make: bool,
    }
    /// Fills HOME from the container's passwd(5), `/` without an entry.
    Home = 40 {
        /// Whose.
        uid: u32,
    }
    /// Sets groups, gid and uid, keeping the permitted capabilities for now.
    Ids = 41 {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
        /// All supplementary groups.
        groups: List<'a, u32>,
    }
    /// Gives the caller's limit of open files back, which was raised to set the container up, and the caller's extra fds
    /// their numbers: before a filter could forbid it.
    OpenFiles = 56 {}
    /// Sets the file mode creation mask.
    Umask = 42 {
        /// The mask.
        mask: u32,
    }
    /// Sets the five capability sets and reads them back.
    Caps = 43 {
        /// Limits what execve(2) can give.
        bounding: CapSet,
        /// In force.
        effective: CapSet,
        /// Kept over execve(2) with file capabilities.
        inheritable: CapSet,
        /// May be made effective.
        permitted: CapSet,
        /// Kept over execve(2) without file capabilities.
        ambient: CapSet,
        /// Permitted besides until execve(2), which computes that set anew: what a step up to then still needs.
        held: CapSet,
        /// The highest capability that the kernel knows.
        last: u32,
    }
    /// Sets no_new_privs and reads it back.
    NoNewPrivs = 44 {}
    /// Installs a seccomp filter; a `Yield` that follows tells the parent of its listener, if it has one.
    Seccomp = 45 {
        /// An array of `struct sock_filter`.
        program: &'a [u8],
        /// `SECCOMP_FILTER_FLAG_*`.
        flags: u32,
        /// Whether it takes CAP_SYS_ADMIN, which is made effective for it.
        privileged: bool,
    }
    /// Finds the program as the payload's user would, so that its absence is an error of create.
    LookupExe = 46 {
        /// args[0].
        name: &'a CStr,
        /// Value of PATH in the payload's environment.
        search: &'a CStr,
        /// Whether a failure may be looked into: no filter forbids it.
        explain: bool,
    }
    /// Tells the parent that all is set up.
    Ready = 47 {}
    /// Waits until start writes to the gate; failures after it go to the other FIFO.
    AwaitStart = 48 {
        /// FIFO to read from.
        gate: Slot,
        /// FIFO for the report of a failure.
        report: Slot,
    }
    /// Closes every fd that the payload must not have.
    CloseFds = 49 {}
    /// Becomes the payload.
    Exec = 50 {
        /// Arguments; the program itself was found by `LookupExe`.
        args: List<'a, &'a CStr>,
        /// Environment.
        env: List<'a, &'a CStr>,
        /// Whether a failure may be looked into: no filter forbids it.
        explain: bool,
    }
}

/// A step as the encoded plan holds it.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// Its number in the whole plan.
    pub number: u16,
    /// What to do.
    pub op: Op<'a>,
}

impl<'a> Wire<'a> for Step<'a> {
    fn put(&self, out: &mut dyn Sink) {
        self.number.put(out);
        self.op.put(out);
    }
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        Some(Step {
            number: Wire::get(from)?,
            op: Wire::get(from)?,
        })
    }
}
