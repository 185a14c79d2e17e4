//! Tests of `ocirun` on the running kernel. Every test owns a [`Case`](case::Case): a state
//! directory, a bundle, a container id and a cgroup path that nothing else uses. The runtime is
//! run as a user would run it; what it did is then read back from the host ([`host`]), and at the
//! end of the case nothing may be left behind ([`residue`]). The words used here:
//!
//! * *payload*: the container's own program, a command of busybox;
//! * *init*: the container's first process, as the host sees it;
//! * *residue*: a mount, process, cgroup or file that the host has after a case and had not before.

pub mod agent;
pub mod bundle;
pub mod bus;
pub mod canary;
pub mod case;
pub mod cgroup;
#[cfg(test)]
mod conformance;
pub mod console;
pub mod containerd;
pub mod cri;
pub mod docker;
pub mod engine;
pub mod host;
pub mod login;
pub mod podman;
pub mod residue;
pub mod rootfs;
pub mod runtime;
