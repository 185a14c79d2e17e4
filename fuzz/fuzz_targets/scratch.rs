//! A directory of this process alone, for what is only read from files.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{env, fs, process};

/// Where it is: below the directory for temporary files, named by the pid. It stays when the fuzzer ends.
static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = env::temp_dir().join(format!("oci-runtime-fuzz-{}", process::id()));
    fs::create_dir_all(directory.join("container/rootfs")).expect("the directory can be made");
    directory
});

/// The directory, with `container/FILE` holding `contents`.
pub fn with(file: &str, contents: &[u8]) -> &'static Path {
    fs::write(DIRECTORY.join("container").join(file), contents).expect("the file can be written");
    &DIRECTORY
}
