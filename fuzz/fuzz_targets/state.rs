//! `state.json` of a container, as `state` and `list` read it: any bytes are read or refused, and both agree.

#![no_main]

mod scratch;

use libfuzzer_sys::fuzz_target;
use oci_runtime::{StateRoot, list, state};

fuzz_target!(|json: &[u8]| {
    let root = StateRoot::new(scratch::with("state.json", json));
    let listed = list(&root).expect("the state root can be read");
    match state(&root, "container") {
        Ok(container) => {
            assert_eq!(listed, [container]);
            serde_json::to_string(&listed).expect("a state can be printed");
        }
        Err(error) => {
            assert!(listed.is_empty(), "{error}");
            assert!(!error.to_string().is_empty());
        }
    }
});
