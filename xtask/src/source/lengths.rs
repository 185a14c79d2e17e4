//! No file is longer than 500 lines, its tests not counted.

use std::fs;
use std::path::Path;

use super::blank::{blank_literals, blank_tests};
use super::files::rust_files;
use crate::error::{Result, io_error};

const MOST: usize = 500;

/// A line of text for every file that is too long.
pub fn too_long(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for path in rust_files(root)? {
        let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        let lines = length(&text);
        if lines > MOST {
            let name = path.strip_prefix(root).unwrap_or(&path).display();
            problems.push(format!(
                "{name}: {lines} lines without its tests; the most is {MOST}"
            ));
        }
    }
    Ok(problems)
}

/// The lines of `text`, less those from `#[cfg(test)]` to the end of its item.
fn length(text: &str) -> usize {
    let code = blank_literals(text);
    let without_tests = blank_tests(&code);
    let lost = code
        .lines()
        .zip(without_tests.lines())
        .filter(|(before, after)| before != after)
        .count();
    text.lines().count() - lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_do_not_count_and_comments_do() {
        let text =
            "// one\nfn two() {}\n\n#[cfg(test)]\nmod tests {\n    fn a() {}\n}\nfn eight() {}\n";
        assert_eq!(length(text), 4);
    }
}
