//! Where things are: the root of the workspace, its target directory, the binary that everything is about.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The directory of the workspace's Cargo.toml.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's target directory: `CARGO_TARGET_DIR`, else `target` in the workspace.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// The release binary, whether it was built yet or not.
pub fn ocirun() -> PathBuf {
    target().join("release/ocirun")
}

/// The cargo that called us.
pub fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// Fails unless the caller is root; `to` completes "must run as root to ...".
pub fn need_root(to: &'static str) -> Result<()> {
    match nix::unistd::geteuid().is_root() {
        true => Ok(()),
        false => Err(Error::NeedsRoot { to }),
    }
}
