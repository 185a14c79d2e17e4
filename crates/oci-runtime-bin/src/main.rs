//! The entry of `ocirun`, below Rust's own: what that prepares for programs of any kind is a measurable part of one that
//! lives for a millisecond. What of it is needed, [`oci_runtime_bin::ocirun`] does.
// Whoever asks for the tests of all programs finds none here, and not the program itself.
#![cfg_attr(not(test), no_main)]
#![cfg_attr(test, allow(unused_imports))]
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

/// That of musl, with which the binary is linked, maps and unmaps memory for each few pages.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// What the C library calls (C standard, 5.1.2.2.1).
// SAFETY: no other function of the program has this name.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let words = (1..usize::try_from(argc).unwrap_or(0)).map(|index| {
        // SAFETY: `argv` has `argc` strings that end with a zero and stay for as long as the process does.
        let word = unsafe { CStr::from_ptr(*argv.add(index)) };
        OsString::from(OsStr::from_bytes(word.to_bytes()))
    });
    c_int::from(oci_runtime_bin::ocirun(words.collect()))
}
