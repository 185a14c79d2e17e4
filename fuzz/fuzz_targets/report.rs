//! A message from `init`: any bytes are one or are refused, and one that is read encodes to itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oci_runtime_init::report::{MAX_SIZE, Report, SIZE};

fuzz_target!(|bytes: &[u8]| {
    match Report::decode(bytes) {
        Some(report) => {
            assert!((SIZE..=MAX_SIZE).contains(&bytes.len()));
            assert_eq!(
                Report::decode(report.encode(&mut [0; MAX_SIZE])),
                Some(report)
            );
            let _ = report.part.text();
        }
        None => {
            assert!(bytes.len() != SIZE || !(1..=4).contains(&bytes[0]) || bytes[4..6] != [0, 0])
        }
    }
});
