//! Which files are ours.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, io_error};

/// Every Rust file of the workspace but what builds and tools left there, sorted.
pub fn rust_files(root: &Path) -> Result<Vec<PathBuf>> {
    const NOT_OURS: &[&str] = &["target", "corpus", "artifacts"];
    let mut files = Vec::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).map_err(io_error("list", &directory))? {
            let path = entry.map_err(io_error("list", &directory))?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() && !path.is_symlink() {
                if !name.starts_with('.') && !NOT_OURS.contains(&name.as_str()) {
                    directories.push(path);
                }
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
