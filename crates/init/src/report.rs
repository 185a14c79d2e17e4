//! What `init` tells its parent: one fixed-size message for each change of lane, and one when a step fails.
//!
//! A failure is numbers only: the step of the plan, the part of the step (which system call, see [`Part`]) and the
//! errno. The parent holds the plan, so it can say everything else: the step's arguments and where in config.json it came from.
//! What only `init` can see, because it stands in the container, follows as a [`Finding`].

pub use crate::finding::{Finding, Found};

/// Size of an encoded [`Report`] without a finding, in bytes.
pub const SIZE: usize = 24;
/// The most bytes that an encoded [`Report`] has.
pub const MAX_SIZE: usize = SIZE + Finding::MAX_TEXT;

/// One message from `init`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// What has happened.
    pub kind: Kind,
    /// Number of the step in the plan.
    pub step: u16,
    /// Which part of the step; meaningful for [`Kind::Failed`].
    pub part: Part,
    /// The errno of a failure, else 0.
    pub errno: i32,
    /// For [`Kind::Traced`] the time of `CLOCK_MONOTONIC` in nanoseconds; for a failed read-back what was found; for
    /// [`Kind::Yielded`] the number of a seccomp listener for the parent to take, or 0.
    pub value: u64,
    /// What was found out about a failure.
    pub finding: Option<Finding>,
}

/// The kinds of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The inner lane has begun; the kernel stamps its pid on this message.
    Hello = 5,
    /// `init` waits for its parent's go.
    Yielded = 1,
    /// All is set up; what follows is the wait for start, or the payload itself.
    Ready = 2,
    /// Nothing is left but `execve`: after this the end of the channel means that the payload runs.
    Begun = 6,
    /// A step failed and `init` exits.
    Failed = 3,
    /// A step was done; sent only when the plan asks for a trace.
    Traced = 4,
}

impl Report {
    /// The message's bytes, at the start of `room`.
    pub fn encode<'r>(&self, room: &'r mut [u8; MAX_SIZE]) -> &'r [u8] {
        room[..SIZE].fill(0);
        room[0] = self.kind as u8;
        room[2..4].copy_from_slice(&self.step.to_le_bytes());
        room[4..6].copy_from_slice(&(self.part as u16).to_le_bytes());
        room[8..12].copy_from_slice(&self.errno.to_le_bytes());
        room[16..24].copy_from_slice(&self.value.to_le_bytes());
        let mut length = SIZE;
        if let Some(finding) = &self.finding {
            let text = finding.text();
            room[1] = text.len() as u8;
            room[6] = finding.found as u8;
            length += text.len();
            room[SIZE..length].copy_from_slice(text);
        }
        &room[..length]
    }

    /// How long the message is that begins with `bytes`; `None` when that cannot be told yet.
    pub fn length(bytes: &[u8]) -> Option<usize> {
        Some(SIZE + usize::from(*bytes.get(1)?))
    }

    /// The message in `bytes`; `None` when it is not one.
    pub fn decode(bytes: &[u8]) -> Option<Report> {
        let (head, text) = bytes.split_first_chunk::<SIZE>()?;
        let kind = match head[0] {
            1 => Kind::Yielded,
            2 => Kind::Ready,
            3 => Kind::Failed,
            4 => Kind::Traced,
            5 => Kind::Hello,
            6 => Kind::Begun,
            _ => return None,
        };
        if usize::from(head[1]) != text.len() {
            return None;
        }
        let [.., a, b, c, d, e, f, g, h] = *head;
        Some(Report {
            kind,
            step: u16::from_le_bytes([head[2], head[3]]),
            part: Part::from_number(u16::from_le_bytes([head[4], head[5]]))?,
            errno: i32::from_le_bytes([head[8], head[9], head[10], head[11]]),
            value: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            finding: match head[6] {
                0 => None,
                number => Some(Finding::new(Found::from_number(number)?, text)),
            },
        })
    }
}

macro_rules! parts {
    ($($(#[$doc:meta])* $variant:ident $text:literal,)*) => {
        /// Which part of a step failed: a system call, or a check of what the kernel answered.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Part { $($(#[$doc])* $variant,)* }

        impl Part {
            const ALL: &'static [Part] = &[$(Part::$variant,)*];

            /// The system call, or in a few words what was checked.
            pub fn text(self) -> &'static str {
                match self { $(Part::$variant => $text,)* }
            }

            fn from_number(number: u16) -> Option<Part> {
                Part::ALL.get(usize::from(number)).copied()
            }
        }
    };
}

parts! {
    /// Nothing in particular.
    None "",
    /// The plan could not be decoded.
    Decode "decode the plan",
    /// accept of the plan message.
    Recvmsg "recvmsg",
    /// capget(2).
    Capget "capget",
    /// capset(2).
    Capset "capset",
    /// chdir(2) or fchdir(2).
    Chdir "chdir",
    /// clone3(2).
    Clone3 "clone3",
    /// close_range(2).
    CloseRange "close_range",
    /// dup3(2) or fcntl(F_DUPFD).
    Dup "dup3",
    /// execve(2).
    Execve "execve",
    /// faccessat2(2).
    Faccessat "faccessat2",
    /// fchownat(2).
    Fchownat "fchownat",
    /// fsconfig(2) with a parameter.
    Fsconfig "fsconfig",
    /// fsconfig(2) that creates the superblock.
    FsconfigCreate "fsconfig(FSCONFIG_CMD_CREATE)",
    /// fsmount(2).
    Fsmount "fsmount",
    /// fsopen(2).
    Fsopen "fsopen",
    /// statx(2) or fstatfs(2).
    Stat "statx",
    /// getcwd(2).
    Getcwd "getcwd",
    /// The end of a hook with a status that is not 0: the value is the status, or 128 and the signal.
    HookStatus "wait for the hook",
    /// A hook that took longer than it may.
    HookTimeout "wait for the hook",
    /// ioctl on a network interface.
    IoctlInterface "ioctl(SIOCSIFFLAGS)",
    /// ioctl(TIOCGPTPEER).
    IoctlPtPeer "ioctl(TIOCGPTPEER)",
    /// ioctl(TIOCSCTTY).
    IoctlSctty "ioctl(TIOCSCTTY)",
    /// ioctl(TIOCSPTLCK).
    IoctlPtLock "ioctl(TIOCSPTLCK)",
    /// ioctl(TIOCSWINSZ).
    IoctlWinsize "ioctl(TIOCSWINSZ)",
    /// keyctl(KEYCTL_JOIN_SESSION_KEYRING).
    Keyctl "keyctl(KEYCTL_JOIN_SESSION_KEYRING)",
    /// mkdirat(2).
    Mkdirat "mkdirat",
    /// mknodat(2).
    Mknodat "mknodat",
    /// memfd_create(2).
    MemfdCreate "memfd_create",
    /// mmap(2).
    Mmap "mmap",
    /// mount(2), which only changes propagation here.
    Mount "mount",
    /// mount_setattr(2).
    MountSetattr "mount_setattr",
    /// move_mount(2).
    MoveMount "move_mount",
    /// open_tree(2).
    OpenTree "open_tree",
    /// open(2) of a file of the caller's /proc.
    Open "open",
    /// openat2(2) below the root.
    Openat2 "openat2",
    /// personality(2).
    Personality "personality",
    /// pipe2(2).
    Pipe "pipe2",
    /// pivot_root(2).
    PivotRoot "pivot_root",
    /// prctl(PR_CAP_AMBIENT).
    PrctlAmbient "prctl(PR_CAP_AMBIENT)",
    /// prctl(PR_CAPBSET_DROP).
    PrctlBounding "prctl(PR_CAPBSET_DROP)",
    /// prctl(PR_SET_DUMPABLE).
    PrctlDumpable "prctl(PR_SET_DUMPABLE)",
    /// prctl(PR_SET_KEEPCAPS).
    PrctlKeepcaps "prctl(PR_SET_KEEPCAPS)",
    /// prctl(PR_SET_NO_NEW_PRIVS).
    PrctlNoNewPrivs "prctl(PR_SET_NO_NEW_PRIVS)",
    /// prlimit64(2).
    Prlimit "prlimit64",
    /// read(2).
    Read "read",
    /// sched_setaffinity(2).
    SchedSetaffinity "sched_setaffinity",
    /// seccomp(2).
    Seccomp "seccomp(SECCOMP_SET_MODE_FILTER)",
    /// sendmsg(2).
    Sendmsg "sendmsg",
    /// set_mempolicy(2).
    SetMempolicy "set_mempolicy",
    /// setdomainname(2).
    Setdomainname "setdomainname",
    /// setgroups(2).
    Setgroups "setgroups",
    /// sethostname(2).
    Sethostname "sethostname",
    /// setns(2).
    Setns "setns",
    /// setresgid(2).
    Setresgid "setresgid",
    /// setresuid(2).
    Setresuid "setresuid",
    /// setsid(2).
    Setsid "setsid",
    /// socket(2).
    Socket "socket",
    /// waitid(2) or ppoll(2).
    Wait "waitid",
    /// symlinkat(2).
    Symlinkat "symlinkat",
    /// umount2(2).
    Umount "umount2",
    /// unlinkat(2).
    Unlinkat "unlinkat",
    /// unshare(2).
    Unshare "unshare",
    /// write(2).
    Write "write",
    /// A node that was there already is of another type or device number.
    WrongNode "compare with the node that is there",
    /// A path ends outside of the root, or is not on the file system that it must be on.
    WrongPlace "check where the path leads",
    /// Ids, groups, capabilities or no_new_privs differ from what was set.
    ReadBack "read back",
    /// The program is not in any directory of PATH.
    NotInPath "search PATH",
    /// The program is a directory.
    IsDirectory "stat",
    /// stat of the program.
    StatExe "stat",
    /// Copying what a new tmpfs covers into it; the part of the call is in the errno alone.
    CopyUp "copy the directory",
    /// More directories in one another than are copied.
    TooDeep "copy the directory: too many levels",
    /// fspick(2).
    Fspick "fspick",
    /// fsconfig(2) that changes a superblock.
    FsconfigReconfigure "fsconfig(FSCONFIG_CMD_RECONFIGURE)",
    /// Making or mapping the user namespace of an idmapped mount.
    IdMapNamespace "make a user namespace with the id mappings",
    /// mount_setattr(2) with a user namespace.
    IdMapTree "mount_setattr(MOUNT_ATTR_IDMAP)",
    /// readlinkat(2).
    Readlinkat "readlinkat",
    /// fsetxattr(2).
    Fsetxattr "fsetxattr",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_survives_its_encoding() {
        for (number, part) in Part::ALL.iter().enumerate() {
            assert_eq!(*part as usize, number);
            for kind in [
                Kind::Hello,
                Kind::Begun,
                Kind::Yielded,
                Kind::Ready,
                Kind::Failed,
                Kind::Traced,
            ] {
                let report = Report {
                    kind,
                    step: 513,
                    part: *part,
                    errno: 40,
                    value: u64::MAX - 7,
                    finding: None,
                };
                let mut room = [0xff; MAX_SIZE];
                let bytes = report.encode(&mut room);
                assert_eq!(bytes.len(), SIZE);
                assert_eq!(Report::length(bytes), Some(SIZE));
                assert_eq!(Report::decode(bytes), Some(report));
            }
        }
    }

    #[test]
    fn findings_come_along() {
        for number in 1..=u8::MAX {
            let Some(found) = Found::from_number(number) else {
                assert!(number > 1);
                break;
            };
            assert_eq!(found as u8, number);
            for text in [&b""[..], b"/bin/sh", &[b'a'; Finding::MAX_TEXT + 9]] {
                let report = Report {
                    kind: Kind::Failed,
                    step: 1,
                    part: Part::Execve,
                    errno: 2,
                    value: 3,
                    finding: Some(Finding::new(found, text)),
                };
                let mut room = [0xff; MAX_SIZE];
                let bytes = report.encode(&mut room);
                let kept = text.len().min(Finding::MAX_TEXT);
                assert_eq!(bytes.len(), SIZE + kept);
                assert_eq!(Report::length(bytes), Some(bytes.len()));
                let decoded = Report::decode(bytes).unwrap();
                assert_eq!(decoded, report);
                assert_eq!(decoded.finding.unwrap().text(), &text[..kept]);
                assert_eq!(Report::decode(&bytes[..bytes.len() - 1]), None);
            }
        }
    }

    #[test]
    fn other_bytes_are_not_a_report() {
        assert_eq!(Report::decode(&[0; SIZE]), None);
        assert_eq!(Report::decode(&[1; SIZE - 1]), None);
        assert_eq!(Report::decode(&[0xff; MAX_SIZE]), None);
        let mut bytes = [0; SIZE];
        bytes[0] = 3;
        bytes[5] = 0xff;
        assert_eq!(Report::decode(&bytes), None);
    }
}
