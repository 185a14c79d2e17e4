//! An encoded plan as `init` reads it: any bytes end in steps or in a refusal, and a step that was read can be shown and
//! encoded. Encoding is stable: what is read of an encoded step encodes to the same bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oci_runtime_init::op::Step;
use oci_runtime_init::show::Visitor;
use oci_runtime_init::wire::{Header, Reader, Sink, Wire};

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    if let Some(header) = Header::get(&mut reader) {
        let mut again = Encoded::default();
        header.put(&mut again);
        assert_eq!(Header::get(&mut Reader::new(&again.0)), Some(header));
        steps(reader);
    }
    steps(Reader::new(bytes));
});

fn steps(mut reader: Reader<'_>) {
    while let Some(step) = Step::get(&mut reader) {
        let mut depth = Depth(0);
        step.op.fields(&mut |_, field| field.show(&mut depth));
        assert_eq!(depth.0, 0, "every list that begins ends");
        let once = encode(&step);
        let mut reader = Reader::new(&once);
        let again = Step::get(&mut reader).expect("what was encoded is read");
        assert!(reader.is_empty());
        assert_eq!(encode(&again), once);
    }
}

fn encode(step: &Step<'_>) -> Vec<u8> {
    let mut out = Encoded::default();
    step.put(&mut out);
    out.0
}

#[derive(Default)]
struct Encoded(Vec<u8>);

impl Sink for Encoded {
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

/// Looks at every value and counts the lists that are open.
struct Depth(usize);

impl Visitor for Depth {
    fn int(&mut self, _: i128) {}
    fn flag(&mut self, _: bool) {}
    fn text(&mut self, value: &[u8]) {
        assert!(!value.contains(&0));
    }
    fn blob(&mut self, _: usize) {}
    fn begin(&mut self) {
        self.0 += 1;
    }
    fn end(&mut self) {
        self.0 -= 1;
    }
}
