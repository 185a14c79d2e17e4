//! The same script under the same engine with two runtimes: runc, and the one under test. What the script prints is what a
//! user of the engine observes; both must print the same.
//!
//! A script is a few lines of shell. What must differ (ids, names of the runtime, our explanation after an error's
//! leading words) is put into one form before the comparison, by [`normal`].

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::runtime::{Finished, binary, read, spawn, tool};

/// Something that users do with an engine.
#[derive(Debug)]
pub struct Row {
    /// What it is, for the table.
    pub what: &'static str,
    /// How: lines for sh(1), with `$D` for the engine's command and `$I` for an image of busybox.
    pub script: &'static str,
    /// What must be in the output, so that two equal failures are no success.
    pub shows: &'static str,
}

/// A row of a table.
pub const fn row(what: &'static str, script: &'static str, shows: &'static str) -> Row {
    Row {
        what,
        script,
        shows,
    }
}

/// What a script has led to.
#[derive(Debug, PartialEq, Eq)]
pub struct Observed {
    /// Standard output and error, and the exit status as the last line, in their normal form.
    pub text: String,
}

/// Runs a script with the variables of an engine; `words` stand before the shell, to have it start elsewhere.
pub fn observe(
    row: &Row,
    words: &[String],
    variables: &[(&str, String)],
    directory: &Path,
) -> Observed {
    let shell = ["sh", "-c", row.script].map(str::to_owned);
    let all = [words, &shell].concat();
    let mut command = Command::new(&all[0]);
    command.args(&all[1..]).current_dir(directory);
    command.envs(variables.iter().map(|(name, value)| (*name, value)));
    observed(&spawn(command, directory, Stdio::null()).wait())
}

/// What a script that has ended has led to.
pub fn observed(finished: &Finished) -> Observed {
    let text = format!(
        "{}{}status {}\n",
        finished.stdout, finished.stderr, finished.code
    );
    Observed {
        text: normal(&text),
    }
}

/// Requires that both runtimes led to the same, and that it was a success.
///
/// # Panics
/// With every row that differs.
pub fn assert_same<'a>(
    rows: impl IntoIterator<Item = &'a Row>,
    theirs: &[Observed],
    ours: &[Observed],
) {
    let mut differences = String::new();
    for ((row, theirs), ours) in rows.into_iter().zip(theirs).zip(ours) {
        if theirs != ours || !ours.text.contains(row.shows) {
            let (theirs, ours) = (&theirs.text, &ours.text);
            differences += &format!("== {}\n-- peer\n{theirs}-- here\n{ours}", row.what);
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Where there is nobody to compare with: what must be in the output is.
///
/// # Panics
/// With the first row that lacks it.
pub fn assert_shown(rows: &[Row], observed: &[Observed]) {
    assert_eq!(rows.len(), observed.len());
    for (row, Observed { text }) in rows.iter().zip(observed) {
        assert!(text.contains(row.shows), "{}: {text}", row.what);
    }
}

/// Keeps the table of an engine in docs/engines.md. With UPDATE_DOCS=1 it is written, with the versions that `versions` (lines
/// for sh) print; else it must be what is there.
///
/// # Panics
/// When the document has another one.
pub fn document(engine: &str, versions: &[&str], rows: &[&[Row]]) {
    let (begin, end) = (
        format!("<!-- {engine}: begin -->\n"),
        format!("<!-- {engine}: end -->"),
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/engines.md");
    if !path.exists() {
        eprintln!("not run: the documentation is not on this machine");
        return;
    }
    let text = read(&path);
    let (before, rest) = text.split_once(&begin).expect("where the table begins");
    let (written, after) = rest.split_once(&end).expect("where it ends");
    let table = table(rows);
    if std::env::var_os("UPDATE_DOCS").is_none() {
        assert!(
            written.ends_with(&table),
            "docs/engines.md is stale: UPDATE_DOCS=1 writes it"
        );
        return;
    }
    let versions: Vec<_> = versions
        .iter()
        .map(|line| tool("sh", &["-c", line]).trim().to_owned())
        .collect();
    let versions = format!("Last written with {}.\n\n", versions.join("; "));
    let after = after.trim_end();
    let text = format!("{before}{begin}{versions}{table}{end}{after}\n");
    std::fs::write(&path, text).expect("written");
}

/// The form in which both runtimes' outputs are compared.
pub fn normal(text: &str) -> String {
    let lines = text.lines().filter(|line| {
        // Of a client that has lost the race against the answer to its own request.
        !line.starts_with("time=\"")
    });
    let lines = lines.map(|line| {
        let line = line.replace("ocirun ", "runc ");
        without_explanation(&without_ids(&line))
    });
    lines
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// Runs of twelve or of sixty-four hexadecimal digits are ids.
fn without_ids(line: &str) -> String {
    let mut result = String::new();
    let mut run = String::new();
    for character in line.chars().chain(['\n']) {
        if matches!(character, '0'..='9' | 'a'..='f') {
            run.push(character);
            continue;
        }
        result.push_str(if matches!(run.len(), 12 | 64) {
            "ID"
        } else {
            &run
        });
        run.clear();
        result.push(character);
    }
    result.pop();
    result
}

/// Errors of engines keep their beginning; what stands in parentheses explains it.
fn without_explanation(line: &str) -> String {
    if !line.contains("rror") && !line.contains("failed") {
        return line.to_owned();
    }
    match (line.find(" ("), line.rfind(')')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}{}", &line[..start], &line[end + 1..])
        }
        _ => line.to_owned(),
    }
}

/// A directory whose `runc` is the runtime, for engines that look for it by that name in PATH.
///
/// # Panics
/// When it cannot be made.
pub fn as_runc(directory: &Path) -> PathBuf {
    as_peer(directory, "runc")
}

/// The same with another name.
///
/// # Panics
/// When it cannot be made.
pub fn as_peer(directory: &Path, name: &str) -> PathBuf {
    let bin = directory.join("bin");
    std::fs::create_dir_all(&bin).expect("a directory");
    let runtime = binary().canonicalize().expect("the runtime's path");
    std::os::unix::fs::symlink(runtime, bin.join(name)).expect("a link");
    bin
}

/// The rows as a table, for the documentation.
fn table(rows: &[&[Row]]) -> String {
    let mut text = String::from("| what | shown by |\n|---|---|\n");
    for row in rows.iter().flat_map(|rows| rows.iter()) {
        let script: Vec<_> = row.script.split_whitespace().collect();
        let script = script.join(" ").replace('|', "\\|");
        text.push_str(&format!("| {} | `{script}` |\n", row.what));
    }
    text
}
