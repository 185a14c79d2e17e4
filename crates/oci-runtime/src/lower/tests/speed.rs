//! Lowering takes time that is linear in the mounts, and how long it takes for a configuration as large as Docker's. Times are
//! of the fastest of several runs, so that a busy machine does not matter; only ratios are asserted.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{UNIFIED, create, host, request};
use crate::spec;

/// What `docker run` sends, with bind mounts up to a number of mounts.
fn docker(mounts: usize) -> String {
    let recorded = include_str!("../../../corpus/docker-default.json");
    let mut config: Value = serde_json::from_str(recorded).expect("it parses");
    let list = config["mounts"].as_array_mut().expect("a list");
    for number in list.len()..mounts {
        list.push(
            json!({"destination": format!("/mnt/{number}"), "type": "bind",
            "source": "/srv", "options": ["rbind", "rprivate"]}),
        );
    }
    config.to_string()
}

/// The fastest of `rounds` times: parsing, and lowering with encoding.
fn fastest(json: &str, rounds: usize) -> [Duration; 2] {
    let host = host(UNIFIED);
    let mut best = [Duration::MAX; 2];
    for _ in 0..rounds {
        let start = Instant::now();
        let spec = spec::parse(json.as_bytes()).expect("it parses");
        let parsed = start.elapsed();
        let start = Instant::now();
        let lowered = create(&spec, &host, request(true)).expect("it lowers");
        let took = start.elapsed();
        assert!(!lowered.plan.code().is_empty());
        best = [best[0].min(parsed), best[1].min(took)];
    }
    best
}

#[test]
fn ten_times_the_mounts_take_about_ten_times_as_long() {
    let [_, few] = fastest(&docker(200), 20);
    let [_, many] = fastest(&docker(2000), 20);
    // Linear is 10, quadratic 100; the rest is for a machine that does other things.
    assert!(many < 40 * few, "200 mounts: {few:?}, 2000: {many:?}");
}

/// `cargo xtask bench --only lowering`
#[test]
#[ignore = "prints times, which mean something in release builds only"]
fn print_the_times_of_a_configuration_as_large_as_docker_s() {
    for mounts in [25, 100, 1000] {
        let [parsing, lowering] = fastest(&docker(mounts), 500);
        println!("{mounts} mounts: parsing {parsing:?}, lowering and encoding {lowering:?}");
    }
}
