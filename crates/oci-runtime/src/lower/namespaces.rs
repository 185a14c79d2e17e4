//! Namespaces: which are new, which are joined, in what order, and what each needs to be of use.

use std::fmt::Write;
use std::path::PathBuf;

use oci_runtime_init::op::{self, Op, Slot};

use super::text::c;
use crate::error::{Error, LowerProblem, Result};
use crate::host::Host;
use crate::plan::{ParentOp, Plan, Source};
use crate::pointer::pointer;
use crate::spec::{IdMapping, Linux};

/// Where they come from.
pub(super) const ORIGIN: &str = "/linux/namespaces";

pub(super) const TIME: u64 = 0x80;
pub(super) const MOUNT: u64 = libc::CLONE_NEWNS as u64;
pub(super) const CGROUP: u64 = libc::CLONE_NEWCGROUP as u64;
pub(super) const UTS: u64 = libc::CLONE_NEWUTS as u64;
pub(super) const IPC: u64 = libc::CLONE_NEWIPC as u64;
pub(super) const USER: u64 = libc::CLONE_NEWUSER as u64;
pub(super) const PID: u64 = libc::CLONE_NEWPID as u64;
pub(super) const NETWORK: u64 = libc::CLONE_NEWNET as u64;

/// Names of config-linux.md and the kernel's flags.
const KINDS: &[(&str, u64)] = &[
    ("pid", PID),
    ("network", NETWORK),
    ("mount", MOUNT),
    ("ipc", IPC),
    ("uts", UTS),
    ("user", USER),
    ("cgroup", CGROUP),
    ("time", TIME),
];

/// The names of all kinds.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(name, _)| *name)
}

/// The namespaces of a configuration, by `CLONE_NEW*` flag.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    /// Those to be made.
    pub new: u64,
    /// Those to be joined, in the order of joining.
    pub joined: Vec<Joined>,
    /// Whether the outer lane enters the new user namespace, because the caller has no privileges for its work. What is opened
    /// there belongs to the container already.
    pub early: bool,
}

/// A namespace that exists.
#[derive(Debug)]
pub(super) struct Joined {
    kind: u64,
    path: PathBuf,
    origin: String,
}

/// Sorts the namespaces of a configuration that was checked.
pub(super) fn read_for(linux: &Linux<'_>, host: &Host) -> Namespaces {
    let mut found = read(linux);
    found.early = !host.privileged && found.new & USER != 0 && found.new & MOUNT != 0;
    found
}

/// The same for whom it does not matter who the caller is.
pub(super) fn read(linux: &Linux<'_>) -> Namespaces {
    let mut found = Namespaces::default();
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        let Some((_, kind)) = KINDS.iter().find(|(name, _)| namespace.kind == *name) else {
            continue;
        };
        if namespace.path.is_empty() {
            found.new |= kind;
        } else {
            let origin = pointer(&[
                "linux".into(),
                "namespaces".into(),
                index.into(),
                "path".into(),
            ]);
            found.joined.push(Joined {
                kind: *kind,
                path: PathBuf::from(&*namespace.path),
                origin,
            });
        }
    }
    // The caller's privileges reach every namespace as long as it is in its own user namespace: that one is left last,
    // and the mount namespace just before it, because from there paths lead elsewhere.
    found.joined.sort_by_key(|joined| match joined.kind {
        USER => 2,
        MOUNT => 1,
        _ => 0,
    });
    found
}

impl Namespaces {
    /// Whether the container is in a user namespace that is not the caller's.
    pub(super) fn other_user(&self) -> bool {
        self.all() & USER != 0
    }

    /// Flags of all namespaces that are named.
    pub(super) fn all(&self) -> u64 {
        self.joined
            .iter()
            .fold(self.new, |all, joined| all | joined.kind)
    }

    /// What clone3(2) makes: not the cgroup namespace, which would have its root in the caller's cgroup, and not the time
    /// namespace, which is made before because of its offsets.
    pub(super) fn clone_flags(&self) -> op::Namespaces {
        let user = if self.early { USER } else { 0 };
        op::Namespaces(self.new & !(CGROUP | TIME | user))
    }

    /// Whether a namespace is entered by the inner lane, from inside of the container's cgroup: where cgroup2 is mounted with
    /// nsdelegate, nobody can be born into a cgroup that is not below the root of its cgroup namespace. With other privileges it
    /// cannot be.
    fn late(&self, joined: &Joined) -> bool {
        joined.kind == CGROUP && !self.other_user()
    }

    /// The slot of the user namespace to join, out of the answer of [`Namespaces::slots`].
    pub(super) fn joined_user(&self, slots: &[Slot]) -> Option<Slot> {
        let mut joined = self.joined.iter().zip(slots);
        let user = joined.find(|(joined, _)| joined.kind == USER)?;
        Some(*user.1)
    }

    /// A slot for each namespace to join.
    pub(super) fn slots(&self, plan: &mut Plan) -> Vec<Slot> {
        let open = |joined: &Joined| {
            plan.slot(
                joined.origin.clone(),
                Source::Namespace(joined.path.clone(), joined.kind),
            )
        };
        self.joined.iter().map(open).collect()
    }
}

/// The step of the outer lane that enters the new user namespace, where it does.
pub(super) fn enter_user(plan: &mut Plan, linux: &Linux<'_>, host: &Host) -> Result<()> {
    for (member, mappings, own) in [
        ("uidMappings", &linux.uid_mappings, host.euid),
        ("gidMappings", &linux.gid_mappings, host.egid),
    ] {
        match mappings[..] {
            [
                IdMapping {
                    host_id, size: 1, ..
                },
            ] if host_id == own => {}
            _ => {
                let problem = LowerProblem::OwnIdOnly(own);
                return Err(Error::lower(format!("/linux/{member}"), problem));
            }
        }
    }
    let origin = "/linux/uidMappings";
    let (uid_map, gid_map) = (
        c(origin, lines(&linux.uid_mappings))?,
        c(origin, lines(&linux.gid_mappings))?,
    );
    let (uid_map, gid_map) = (&*uid_map, &*gid_map);
    plan.outer(origin, Op::UserNamespace { uid_map, gid_map });
    Ok(())
}

/// Steps of the outer lane that enter namespaces.
pub(super) fn join(plan: &mut Plan, namespaces: &Namespaces, slots: &[Slot]) {
    for (joined, slot) in namespaces
        .joined
        .iter()
        .zip(slots)
        .filter(|(joined, _)| !namespaces.late(joined))
    {
        let namespaces = op::Namespaces(joined.kind);
        plan.outer(
            joined.origin.clone(),
            Op::Join {
                slot: *slot,
                namespaces,
            },
        );
    }
}

/// The time namespace with its offsets.
pub(super) fn time(plan: &mut Plan, linux: &Linux<'_>, namespaces: &Namespaces) -> Result<()> {
    const OFFSETS: &str = "/linux/timeOffsets";
    if namespaces.new & TIME == 0 {
        return Ok(());
    }
    let mut lines = String::new();
    for (clock, offset) in &linux.time_offsets {
        let _ = writeln!(lines, "{} {} {}", &**clock, offset.secs, offset.nanosecs);
    }
    let offsets = c(OFFSETS, lines)?;
    plan.outer(OFFSETS, Op::TimeNamespace { offsets: &offsets });
    Ok(())
}

/// The only fork, into all new namespaces at once.
pub(super) fn spawn(plan: &mut Plan, namespaces: &Namespaces, cgroup: Slot) {
    let namespaces = namespaces.clone_flags();
    plan.outer(ORIGIN, Op::Spawn { namespaces, cgroup });
}

/// The maps of a new user namespace, for which the parent has its turn, and the ids in it.
pub(super) fn become_root(plan: &mut Plan, linux: &Linux<'_>, namespaces: &Namespaces) {
    if namespaces.early {
        return;
    }
    if namespaces.new & USER != 0 {
        let (uid_map, gid_map) = (lines(&linux.uid_mappings), lines(&linux.gid_mappings));
        plan.inner("/linux/uidMappings", Op::Yield {});
        plan.parent("/linux/uidMappings", ParentOp::IdMaps { uid_map, gid_map });
    }
    if namespaces.other_user() {
        plan.inner(ORIGIN, Op::BecomeRoot {});
    }
}

/// Lines of uid_map and gid_map (user_namespaces(7)).
pub(super) fn lines(mappings: &[IdMapping]) -> String {
    let mut text = String::new();
    for mapping in mappings {
        let _ = writeln!(
            text,
            "{} {} {}",
            mapping.container_id, mapping.host_id, mapping.size
        );
    }
    text
}

/// Steps of the inner lane that make new namespaces of use.
pub(super) fn inner(plan: &mut Plan, namespaces: &Namespaces, slots: &[Slot]) {
    for (joined, slot) in namespaces
        .joined
        .iter()
        .zip(slots)
        .filter(|(joined, _)| namespaces.late(joined))
    {
        let namespaces = op::Namespaces(joined.kind);
        plan.inner(
            joined.origin.clone(),
            Op::Join {
                slot: *slot,
                namespaces,
            },
        );
    }
    if namespaces.new & CGROUP != 0 {
        plan.inner(ORIGIN, Op::CgroupNamespace {});
    }
    if namespaces.new & NETWORK != 0 {
        plan.inner(ORIGIN, Op::Loopback {});
    }
}
