//! Keeps docs/spec-conformance.md true: it has a row for every property that the types of the specification read, and
//! no other; what it says is done names tests, and these tests exist; what it says is not done says why.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A row of the document's tables.
struct Row {
    line: usize,
    what: String,
    status: String,
    tests: Vec<String>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows that have a level or a section, a status and tests.
fn rows() -> Vec<Row> {
    let path = repository().join("docs/spec-conformance.md");
    let text = fs::read_to_string(path).expect("docs/spec-conformance.md");
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
            let [what, _, status, tests] = cells[..] else {
                return None;
            };
            let tests = quoted(tests);
            (status.trim() != "status").then(|| Row {
                line: index + 1,
                what: what.trim().to_owned(),
                status: status.trim().to_owned(),
                tests,
            })
        })
        .collect()
}

/// What stands between backquotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_property_has_one_row_and_every_row_a_property() {
    let known: BTreeSet<String> = oci_runtime::spec::properties().into_iter().collect();
    let mut seen = BTreeSet::new();
    for row in rows() {
        for property in quoted(&row.what).into_iter().filter(|p| p.starts_with('/')) {
            assert!(
                known.contains(&property),
                "line {}: there is no property {property}",
                row.line
            );
            assert!(
                seen.insert(property.clone()),
                "line {}: {property} has two rows",
                row.line
            );
        }
    }
    let missing: Vec<_> = known.difference(&seen).collect();
    assert!(missing.is_empty(), "without a row: {missing:#?}");
}

#[test]
fn every_status_is_known_and_has_its_reason_or_its_tests() {
    for row in rows() {
        let Row {
            line, what, status, ..
        } = &row;
        match status.split_once(':') {
            None if status == "yes" => {
                assert!(!row.tests.is_empty(), "line {line}: nothing proves {what}")
            }
            None => panic!("line {line}: {what} is {status:?}"),
            Some((word, reason)) => {
                assert!(["no", "partial"].contains(&word), "line {line}: {status}");
                let why = reason.trim().len() > 20 && reason.contains("kernel");
                assert!(
                    why,
                    "line {line}: {status:?} does not say why the kernel cannot"
                );
                assert!(
                    !row.tests.is_empty(),
                    "line {line}: no test of the refusal of {what}"
                );
            }
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    for row in rows() {
        for test in &row.tests {
            assert!(exists(test), "line {}: there is no test {test}", row.line);
        }
    }
}

/// Whether a file has a function of that name which is a test.
fn exists(test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else {
        return false;
    };
    let path = match file.contains('/') {
        true => repository().join(file),
        false => repository().join("integration/tests").join(file),
    };
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let function = format!("fn {name}(");
    lines.iter().enumerate().any(|(at, line)| {
        // Attributes and comments may stand between.
        let above = lines[..at].iter().rev();
        let mut above = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        line.starts_with(&function) && above.any(|line| *line == "#[test]")
    })
}

#[test]
fn a_test_is_told_from_what_is_none() {
    assert!(exists("paths.rs::the_default_devices_and_links_are_there"));
    assert!(!exists("paths.rs::the_default_devices"));
    assert!(!exists("namespaces.rs::holder"));
    assert!(!exists("nowhere.rs::x"));
}
