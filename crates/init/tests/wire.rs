//! Encoding and decoding of plans: everything survives, and nothing that is malformed is taken for a step.

use oci_runtime_init::op::{List, MountAttr, NO_SLOT, Namespaces, Op, Propagation, Slot, Step};
use oci_runtime_init::show::{Show, Visitor};
use oci_runtime_init::wire::{Header, Reader, Sink, Wire};
use proptest::prelude::*;

#[derive(Default)]
struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn position(&self) -> usize {
        self.0.len()
    }
    fn patch(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}

/// All that a step shows, which is all that is in it.
#[derive(Default)]
struct Shown(String);

impl Visitor for Shown {
    fn int(&mut self, value: i128) {
        self.0 += &format!("{value} ");
    }
    fn flag(&mut self, value: bool) {
        self.0 += &format!("{value} ");
    }
    fn text(&mut self, value: &[u8]) {
        self.0 += &format!("{:?} ", String::from_utf8_lossy(value));
    }
    fn blob(&mut self, length: usize) {
        self.0 += &format!("<{length}> ");
    }
    fn begin(&mut self) {
        self.0 += "[ ";
    }
    fn end(&mut self) {
        self.0 += "] ";
    }
}

fn shown(op: &Op<'_>) -> String {
    let mut shown = Shown(op.name().to_owned() + " ");
    op.fields(&mut |name, value: &dyn Show| {
        shown.0 += name;
        shown.0 += "=";
        value.show(&mut shown);
    });
    shown.0
}

fn examples() -> Vec<Op<'static>> {
    vec![
        Op::OomScoreAdj { value: -1000 },
        Op::Rlimit {
            resource: 7,
            soft: 0,
            hard: u64::MAX,
        },
        Op::Spawn {
            namespaces: Namespaces(0x7e02_0080),
            cgroup: NO_SLOT,
        },
        Op::Yield {},
        Op::NetSocket { slot: Slot(5) },
        Op::Affinity {
            cpus: List::Items(&[(0, 3), (7, 7)]),
        },
        Op::MemoryPolicy {
            mode: 0x8002,
            nodes: List::Items(&[(0, 1023)]),
        },
        Op::LsmLabel {
            file: c"apparmor/exec",
            text: c"exec profile",
        },
        Op::MountFs {
            target: c"proc",
            fstype: c"proc",
            source: c"",
            options: List::Items(&[(c"a", c""), (c"size", c"1k")]),
            attributes: MountAttr(0xf),
            id_map: NO_SLOT,
            copy_up: true,
            propagation: List::Items(&[Propagation(1 << 18)]),
        },
        Op::Ids {
            uid: u32::MAX - 1,
            gid: 0,
            groups: List::Items(&[1, 2, 3]),
        },
        Op::Seccomp {
            program: &[1, 2, 3, 4, 5, 6, 7, 8],
            flags: 4,
            privileged: true,
        },
        Op::Exec {
            args: List::Items(&[c"sh", c"-c", c""]),
            env: List::Items(&[]),
            explain: true,
        },
        Op::AwaitStart {
            gate: Slot(3),
            report: Slot(4),
        },
    ]
}

#[test]
fn every_field_survives() {
    for op in examples() {
        let mut bytes = Bytes::default();
        Step { number: 513, op }.put(&mut bytes);
        let mut reader = Reader::new(&bytes.0);
        let step = Step::get(&mut reader).expect("a step");
        assert_eq!(step.number, 513);
        assert_eq!(shown(&step.op), shown(&op));
        assert!(reader.is_empty());
    }
}

#[test]
fn a_plan_cut_short_anywhere_is_no_plan() {
    let mut bytes = Bytes::default();
    for op in examples() {
        Step { number: 0, op }.put(&mut bytes);
    }
    for end in 0..bytes.0.len() {
        let mut reader = Reader::new(&bytes.0[..end]);
        let whole = std::iter::from_fn(|| Step::get(&mut reader)).count();
        assert!(whole < examples().len(), "{end} bytes");
    }
}

#[test]
fn a_header_of_another_build_is_refused() {
    let header = Header {
        preserve_fds: 3,
        trace: true,
        outer: 4,
        inner: 5,
    };
    let mut bytes = Bytes::default();
    header.put(&mut bytes);
    assert_eq!(Header::get(&mut Reader::new(&bytes.0)), Some(header));
    for at in 0..6 {
        let mut other = bytes.0.clone();
        other[at] ^= 1;
        assert_eq!(Header::get(&mut Reader::new(&other)), None, "byte {at}");
    }
}

proptest! {
    /// Arbitrary bytes end in `None`, not in a panic; what is read is shown without one either.
    #[test]
    fn arbitrary_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut reader = Reader::new(&bytes);
        while let Some(step) = Step::get(&mut reader) {
            prop_assert!(!shown(&step.op).is_empty());
        }
    }
}
