//! The runtimes to be compared with, as far as the machine has them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::read;

/// Where a runtime is looked for besides PATH, which is not root's everywhere.
const PLACES: &[&str] = &["/usr/sbin", "/usr/local/sbin"];

/// The program of that name.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(PLACES.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// `crun version 1.8.1` -> `1.8.1`; nothing when it does not say.
pub fn version(program: &Path) -> String {
    let text = read(Command::new(program).arg("--version")).unwrap_or_default();
    text.lines()
        .next()
        .and_then(|line| line.split(' ').next_back())
        .unwrap_or_default()
        .to_owned()
}
