//! The options of a mount, one a line: any words add up, and nothing is both set and cleared.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oci_runtime::mount_options::{ATIME, parse, propagation};

fuzz_target!(|text: &str| {
    let words: Vec<&str> = text.split('\n').collect();
    let all = parse(&words);
    assert_eq!(all.attr_set & all.attr_clr & !ATIME, 0);
    assert_eq!(all.recursive_attr_set & all.recursive_attr_clr & !ATIME, 0);
    for (key, value) in &all.data {
        let word = value.map_or_else(|| (*key).to_owned(), |value| format!("{key}={value}"));
        assert!(words.contains(&&*word), "{word:?}");
    }
    let changes = words.iter().filter_map(|word| propagation(word));
    assert!(changes.eq(all.propagation));
});
