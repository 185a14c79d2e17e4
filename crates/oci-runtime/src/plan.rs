//! The plan: one flat, ordered list of typed steps that a bundle is compiled into, and all that carries it out knows.
//!
//! Steps of the outer and the inner lane are encoded the moment they are added, so what the dry run prints is decoded from
//! the very bytes that `init` will get. Steps of the parent lane stay values. File descriptors appear as numbered slots: the
//! first ones are opened by the parent ([`Source`] says from what), the others by steps of the outer lane.

mod paths;
mod print;

use std::borrow::Cow;
use std::path::PathBuf;

use oci_runtime_cgroups::systemd::{Property, Unit};
use oci_runtime_cgroups::{Limits, Paths};
use oci_runtime_init::op::{MAX_SLOTS, Op, Slot, Step as Encoded};
use oci_runtime_init::wire::{Header, Reader, Sink, Wire};

use crate::hooks::Hook;
use crate::net::NetDevice;
use crate::resctrl::ResctrlClass;
use crate::scheduling::Attributes;

/// A compiled bundle.
#[derive(Debug, Default)]
pub struct Plan {
    steps: Vec<Step>,
    slots: Vec<Parents>,
    opened_later: u16,
    code: Code,
    /// Whether `init` reports every step it has done.
    pub trace: bool,
    preserve_fds: u16,
}

/// One step of a plan.
#[derive(Debug)]
pub struct Step {
    /// Who carries it out.
    pub lane: Lane,
    /// JSON pointer to the property of config.json that it comes from; empty for what every container gets.
    pub origin: Cow<'static, str>,
    what: What,
}

/// Who carries out a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The calling process.
    Parent,
    /// `init` in the caller's namespaces.
    Outer,
    /// `init` in the container's.
    Inner,
}

#[derive(Debug)]
enum What {
    /// Few are, and steps of the others are many.
    Parent(Box<ParentOp>),
    /// Offset of the encoded step.
    Init(usize),
}

/// A step of the calling process.
#[derive(Debug, Clone)]
pub enum ParentOp {
    /// Makes the container's directory in every cgroup hierarchy.
    CreateCgroup {
        /// The directories.
        paths: Paths,
    },
    /// Has systemd make the cgroup, as that of a transient unit around the process of the outer lane.
    StartUnit {
        /// The unit.
        unit: Unit,
        /// What systemd is told of it.
        properties: Vec<Property>,
        /// The directories that it gets.
        paths: Paths,
    },
    /// Makes a user the owner of the cgroup's v2 directory.
    DelegateCgroup {
        /// The directory.
        directory: PathBuf,
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// Writes the limits.
    ApplyLimits {
        /// Files and values in order.
        limits: Limits,
    },
    /// Writes the id maps of the new user namespace.
    IdMaps {
        /// Lines of uid_map.
        uid_map: String,
        /// Lines of gid_map.
        gid_map: String,
    },
    /// Runs hooks in the caller's namespaces; one that fails ends the creation.
    Hooks {
        /// In order.
        hooks: Vec<Hook>,
    },
    /// Moves network devices into the container's namespace, once its socket has come through the one of `NetSocket`.
    NetDevices {
        /// In the order of their names.
        devices: Vec<NetDevice>,
    },
    /// Takes the listener of the filter that was just installed and sends it to the agent who answers for it
    /// (config-linux.md, "The Container Process State").
    SendListener {
        /// The agent's socket.
        path: PathBuf,
        /// What the configuration has to tell it.
        metadata: Option<String>,
    },
    /// Takes the listener of the filter that was just installed, to note every call that comes over it and let it go on.
    RecordCalls {
        /// Calls that a profile has to allow in any case, because `init` makes them under it.
        always: Vec<&'static str>,
    },
    /// Gives the new process its scheduling policy (sched_setattr(2)).
    Scheduler {
        /// The policy with its values.
        attributes: Attributes,
    },
    /// Gives the new process its priority of input and output (ioprio_set(2)).
    IoPriority {
        /// Class and level.
        priority: u32,
    },
    /// Makes the class of service that the container is to be in, or looks whether it is as it should be.
    MakeClass {
        /// The class.
        class: ResctrlClass,
    },
    /// Makes the new process a member of that class.
    JoinClass,
    /// Saves the pid and all that later commands need.
    SaveState,
}

/// A slot that the parent fills.
#[derive(Debug)]
pub struct Parents {
    /// What from.
    pub source: Source,
    /// JSON pointer to the property that asks for it; empty for what every container gets.
    pub origin: Cow<'static, str>,
}

/// What the parent opens for a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file descriptor of the caller's that the payload keeps, by its place among those.
    Preserved(u16),
    /// A standard stream, 0 to 2.
    Stdio(u8),
    /// Where the terminal's master is sent.
    ConsoleSocket,
    /// The container's root: a detached clone of the mount tree at this path.
    Rootfs(PathBuf),
    /// Where a socket of the container's network namespace is sent.
    NetSocket,
    /// The FIFO that `start` opens the gate with.
    Gate,
    /// The FIFO that failures after the gate go to.
    GateReport,
    /// A namespace to join, by path and `CLONE_NEW*`.
    Namespace(PathBuf, u64),
    /// A running container's first process.
    Pidfd,
    /// The container's cgroup v2 directory.
    CgroupDirectory,
}

impl Plan {
    /// An empty plan whose payload keeps `preserve_fds` file descriptors of the caller, from 3 on.
    pub fn new(preserve_fds: u16) -> Plan {
        Plan {
            slots: (0..preserve_fds)
                .map(|index| Parents {
                    source: Source::Preserved(index),
                    origin: "".into(),
                })
                .collect(),
            preserve_fds,
            ..Plan::default()
        }
    }

    /// A slot that the parent fills. All of them are asked for before the first of [`Plan::later_slot`].
    pub fn slot(&mut self, origin: impl Into<Cow<'static, str>>, source: Source) -> Slot {
        debug_assert_eq!(self.opened_later, 0, "the parent's slots come first");
        self.slots.push(Parents {
            source,
            origin: origin.into(),
        });
        Slot((self.slots.len() - 1) as u16)
    }

    /// A slot that a step of the outer lane fills; `None` when there are no more.
    pub fn later_slot(&mut self) -> Option<Slot> {
        let number = self.slots.len() + usize::from(self.opened_later);
        self.opened_later += 1;
        (number < MAX_SLOTS).then_some(Slot(number as u16))
    }

    /// What the parent has to open, in the order of slots.
    pub fn slots(&self) -> &[Parents] {
        &self.slots
    }

    /// Whether the parent has to open such a thing.
    pub(crate) fn asks_for(&self, source: &Source) -> bool {
        self.slots.iter().any(|slot| slot.source == *source)
    }

    /// The slots that hold detached mount trees: the root's, and those of the steps so far.
    pub(crate) fn trees(&self) -> Vec<Slot> {
        let roots = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| matches!(slot.source, Source::Rootfs(_)));
        let roots = roots.map(|(number, _)| Slot(number as u16));
        let opened = self.steps.iter().filter_map(|step| match self.op(step)? {
            Op::OpenTree { slot, .. } => Some(slot),
            _ => None,
        });
        roots.chain(opened).collect()
    }

    /// Appends a step of the parent lane.
    pub fn parent(&mut self, origin: impl Into<Cow<'static, str>>, op: ParentOp) {
        let what = What::Parent(Box::new(op));
        self.steps.push(Step {
            lane: Lane::Parent,
            origin: origin.into(),
            what,
        });
    }

    /// Appends a step of the outer lane.
    pub fn outer(&mut self, origin: impl Into<Cow<'static, str>>, op: Op<'_>) {
        debug_assert_eq!(
            self.code.inner, 0,
            "the outer lane comes before the inner one"
        );
        self.code.outer += 1;
        self.encode(Lane::Outer, origin.into(), op);
    }

    /// Appends a step of the inner lane.
    pub fn inner(&mut self, origin: impl Into<Cow<'static, str>>, op: Op<'_>) {
        self.code.inner += 1;
        self.encode(Lane::Inner, origin.into(), op);
    }

    fn encode(&mut self, lane: Lane, origin: Cow<'static, str>, op: Op<'_>) {
        let at = self.code.bytes.len();
        let number = self.steps.len() as u16;
        Encoded { number, op }.put(&mut self.code);
        self.steps.push(Step {
            lane,
            origin,
            what: What::Init(at),
        });
    }

    /// The steps in order; a step's number is its place here.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The operation of a step of the outer or inner lane.
    pub fn op(&self, step: &Step) -> Option<Op<'_>> {
        match step.what {
            What::Init(at) => Some(Encoded::get(&mut Reader::new(self.code.bytes.get(at..)?))?.op),
            What::Parent(_) => None,
        }
    }

    /// The operation of a step of the parent lane.
    pub fn parent_op<'p>(&self, step: &'p Step) -> Option<&'p ParentOp> {
        match &step.what {
            What::Parent(op) => Some(op),
            What::Init(_) => None,
        }
    }

    /// Whether every step has a number that fits into a report.
    pub(crate) fn fits(&self) -> bool {
        self.steps.len() < usize::from(u16::MAX)
    }

    /// The bytes that `init` gets: header, outer lane, inner lane.
    pub fn header(&self) -> Vec<u8> {
        let mut out = Code::default();
        Header {
            preserve_fds: self.preserve_fds,
            trace: self.trace,
            outer: self.code.outer,
            inner: self.code.inner,
        }
        .put(&mut out);
        out.bytes
    }

    /// The encoded steps that follow the header.
    pub fn code(&self) -> &[u8] {
        &self.code.bytes
    }
}

#[derive(Debug, Default)]
struct Code {
    bytes: Vec<u8>,
    outer: u16,
    inner: u16,
}

impl Sink for Code {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
    fn position(&self) -> usize {
        self.bytes.len()
    }
    fn patch(&mut self, at: usize, value: u32) {
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
}
