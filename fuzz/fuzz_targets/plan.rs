//! A whole dry run: `config.json` is parsed, checked against this machine and lowered. Nothing is carried out. A plan
//! that comes of it can be printed, and `init` would read the same steps from it.

#![no_main]

mod scratch;

use libfuzzer_sys::fuzz_target;
use oci_runtime::{Bundle, Lane, Plan, StateRoot, plan};
use oci_runtime_init::op::Step;
use oci_runtime_init::wire::{Header, Reader, Wire};

fuzz_target!(|json: &[u8]| {
    let bundle = scratch::with("config.json", json).join("container");
    let root = StateRoot::new("/run/fuzz");
    let planned =
        Bundle::open(&bundle).and_then(|bundle| plan(&root, "fuzz", &bundle, &bundle.spec()?));
    match planned {
        Ok(plan) => verify(&plan),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

fn verify(plan: &Plan) {
    assert_eq!(plan.to_text().lines().count(), plan.steps().len());
    let header = plan.header();
    let header = Header::get(&mut Reader::new(&header)).expect("the header is read");
    let mut code = Reader::new(plan.code());
    for lane in [Lane::Outer, Lane::Inner] {
        let steps = plan.steps().iter().enumerate();
        let of_lane: Vec<usize> = steps
            .filter(|(_, step)| step.lane == lane)
            .map(|(number, _)| number)
            .collect();
        let count = if lane == Lane::Outer {
            header.outer
        } else {
            header.inner
        };
        assert_eq!(of_lane.len(), usize::from(count));
        for number in of_lane {
            let step = Step::get(&mut code).expect("every step is read");
            assert_eq!(usize::from(step.number), number);
        }
    }
    assert!(code.is_empty());
}
