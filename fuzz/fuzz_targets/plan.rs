//! A whole dry run: `config.json` is parsed, checked against this machine and lowered. Nothing is carried out. A plan
//! that comes of it can be printed, `init` would read the same steps from it, and its paths stay below the root. Inputs are changed
//! as documents, value by value, as often as byte by byte: most bytes of a configuration make it one that is refused early.

#![no_main]

mod scratch;
#[path = "../../crates/oci-runtime/src/lower/tests/mutated/values.rs"]
mod values;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use oci_runtime::{Bundle, CgroupManager, Lane, Plan, StateRoot, plan};
use oci_runtime_init::op::Step;
use oci_runtime_init::wire::{Header, Reader, Wire};
use serde_json::Value;
use values::{NUMBERS, TEXTS, places};

fuzz_target!(|json: &[u8]| {
    let bundle = scratch::with("config.json", json).join("container");
    let root = StateRoot::new("/run/fuzz");
    let planned = Bundle::open(&bundle).and_then(|bundle| {
        plan(
            &root,
            "fuzz",
            &bundle,
            &bundle.spec()?,
            CgroupManager::default(),
        )
    });
    match planned {
        Ok(plan) => verify(&plan),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let document = serde_json::from_slice::<Value>(&data[..size]);
    let changed = document
        .ok()
        .filter(|_| seed % 4 != 0)
        .map(|document| change(document, seed));
    match changed.map(|document| document.to_string()) {
        Some(text) if text.len() <= max_size => {
            data[..text.len()].copy_from_slice(text.as_bytes());
            text.len()
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});

/// One value replaced, taken away or doubled, or exchanged for another of the same document.
fn change(mut document: Value, seed: u32) -> Value {
    let mut random = seed;
    let mut next = |below: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % below.max(1)
    };
    let mut all = Vec::new();
    places("", &document, &mut all);
    if all.is_empty() {
        return document;
    }
    let place = all[next(all.len())].clone();
    let new = match next(6) {
        0 => Value::from(TEXTS[next(TEXTS.len())]),
        1 => Value::from(NUMBERS[next(NUMBERS.len())]),
        2 => Value::from(next(2) == 0),
        3 => Value::Null,
        _ => document
            .pointer(&all[next(all.len())])
            .cloned()
            .unwrap_or_default(),
    };
    let (parent, name) = place.rsplit_once('/').unwrap_or_default();
    let how = next(4);
    match document.pointer_mut(parent) {
        Some(Value::Array(items)) if how == 0 => drop(items.remove(name.parse().unwrap_or(0))),
        Some(Value::Array(items)) if how == 1 => items.push(new),
        Some(Value::Object(members)) if how == 0 => drop(members.remove(&unescaped(name))),
        Some(Value::Object(members)) => drop(members.insert(unescaped(name), new)),
        Some(Value::Array(items)) => items[name.parse::<usize>().unwrap_or(0)] = new,
        _ => {}
    }
    document
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

fn verify(plan: &Plan) {
    for (number, path) in plan.paths_below_root() {
        let text = path.to_string_lossy();
        let normal =
            text.is_empty() || text.split('/').all(|part| !matches!(part, "" | "." | ".."));
        assert!(normal, "step {number}: {text:?}");
    }
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
