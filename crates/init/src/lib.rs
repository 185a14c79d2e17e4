//! The first program of a container, and the contract between it and the library that starts it.
//!
//! **init** is a freestanding static program (no std, no libc, no allocation). It knows nothing of config.json: it
//! decodes a *plan*, a flat list of typed [steps](op::Step), and performs it. Its code lives in `stage/` and is compiled by this
//! package's build script; [`ELF`] is the result, ready to be put into a sealed memfd.
//!
//! **The contract** is three modules that the program and the library share: [`op`], what can be done; [`wire`], how a plan is
//! encoded; [`report`], what comes back, with a [`finding`] where one helps. There is one socket between the two sides and nothing else:
//!
//! | message | from | to | meaning |
//! |---|---|---|---|
//! | plan | parent | outer lane | one byte, with the plan's fd and the slots as `SCM_RIGHTS` |
//! | hello | inner lane | parent | a report of kind `Hello`; the kernel stamps the sender's pid on it |
//! | go | parent | inner lane | one byte, where a report of kind `Yielded` has asked for it: ids are mapped |
//! | ready | inner lane | parent | a report of kind `Ready` |
//!
//! A failed step is a report of kind `Failed` at any time, and the end of the program.

pub mod finding;
pub mod op;
pub mod report;
pub mod show;
pub mod value;
pub mod wire;

/// The program: a static, non-relocatable ELF executable for the target architecture.
///
/// It expects the number of its end of the socket, in decimal, as its only argument.
pub const ELF: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));
