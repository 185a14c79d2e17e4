//! A hash for the keys of the compiler, which are a few small numbers each. The default one of the standard library
//! withstands an attacker who chooses the keys, and costs more than the work between two look-ups here; a profile
//! belongs to whoever runs the container, and its size bounds the work.

use std::hash::{BuildHasherDefault, Hasher};

/// For `HashMap`.
pub(crate) type Quick = BuildHasherDefault<Multiply>;

/// Multiplies after each word.
#[derive(Default)]
pub(crate) struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        // The table takes its index from the low bits and a tag from the high ones; the middle has seen every word.
        self.0.rotate_left(26)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(23);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}
