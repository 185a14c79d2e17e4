//! `cargo xtask conformance`: the validation suite of the OCI runtime-tools, from Debian's source package, against this runtime
//! or, side by side, against its peers. The suite is 58 programs that each make containers and say in the Test Anything
//! Protocol what they found. Nothing of it is part of this repository: it is fetched, built and kept in the target directory.

mod expected;
mod go;
mod program;
mod runtime;
mod source;
mod tap;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::{Error, Result};
use crate::supervise::supervised;
use crate::tally::Tally;
use crate::{debian, workspace};
use program::{Verdict, run_all};
use runtime::{Runtime, directory, ours};

pub const HELP: &str = "\
Usage: cargo xtask conformance [OPTION...]

Runs the validation suite of the OCI runtime-tools and prints a table. Its source is fetched from Debian (with package lists
of its own: the machine's are left as they are) and built with Debian's Go, once; both stay in target/conformance.

  --runtime PATH  the runtime to run (default: the release binary, which is built)
  --compare       ocirun, runc, crun and youki side by side, those of them that are there
  --only PROGRAM  only this program (may be given more than once)
  --details       say of each failure all that the program said
  --fetch         fetch the source again, and build it anew where it has changed

Without --compare, --runtime and --only the outcome is held against the table of expectations: it fails when a program fails that
must pass, and when one passes that is expected to fail. Needs root; the first time also network.
";

#[derive(Default)]
struct Options {
    runtime: Option<PathBuf>,
    compare: bool,
    only: Vec<String>,
    details: bool,
    fetch: bool,
}

pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    parse(arguments.clone())?;
    workspace::need_root("make containers with all their namespaces and cgroups")?;
    supervised("conformance", arguments, conformance, runtime::tidy)
}

fn conformance(arguments: Vec<OsString>) -> Result<ExitCode> {
    let options = parse(arguments)?;
    let suite = suite(options.fetch)?;
    let names = suite.programs(&options.only)?;
    if options.compare {
        let runtimes = runtime::all()?;
        let columns = runtimes
            .iter()
            .map(|runtime| run_all(&suite, runtime, &names))
            .collect::<Result<Vec<_>>>()?;
        print(&names, &runtimes, &columns, options.details);
        return Ok(ExitCode::SUCCESS);
    }
    let named = options.runtime.is_some();
    let runtime = match options.runtime {
        Some(program) => Runtime::at("runtime", &program)?,
        None => ours()?,
    };
    let column = run_all(&suite, &runtime, &names)?;
    print(&names, &[runtime], std::slice::from_ref(&column), true);
    let problems = match named || !options.only.is_empty() {
        true => Vec::new(),
        false => expected::compare(&names, &column),
    };
    problems.iter().for_each(|problem| println!("{problem}"));
    Ok(match problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The step of `cargo xtask test`: what does not agree with the table of expectations, each as a failed test.
pub fn test() -> Result<Tally> {
    let suite = suite(false)?;
    let names = suite.programs(&[])?;
    let runtime = ours()?;
    let column = run_all(&suite, &runtime, &names)?;
    print(&names, &[runtime], std::slice::from_ref(&column), false);
    let problems = expected::compare(&names, &column);
    problems.iter().for_each(|problem| println!("{problem}"));
    let failed = problems.len() as u64;
    let skipped = expected::skipped(&names).len() as u64;
    Ok(Tally {
        passed: (names.len() as u64).saturating_sub(failed + skipped),
        failed,
        skipped,
    })
}

fn suite(fetch: bool) -> Result<go::Suite> {
    debian::install(&[debian::CONFORMANCE])?;
    let source = source::source(&directory(), fetch)?;
    go::build(source)
}

fn parse(arguments: Vec<OsString>) -> Result<Options> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("runtime") => options.runtime = Some(parser.value()?.into()),
            lexopt::Arg::Long("compare") => options.compare = true,
            lexopt::Arg::Long("only") => options
                .only
                .push(parser.value()?.to_string_lossy().into_owned()),
            lexopt::Arg::Long("details") => options.details = true,
            lexopt::Arg::Long("fetch") => options.fetch = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if options.compare && options.runtime.is_some() {
        return Err(Error::Usage(
            "--compare runs all runtimes, and --runtime one".into(),
        ));
    }
    Ok(options)
}

/// One row a program, one column a runtime, and the sums.
fn print(names: &[String], runtimes: &[Runtime], columns: &[Vec<Verdict>], details: bool) {
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let row = |first: &str, cells: Vec<String>| {
        println!("{first:<width$}  {}", cells.join("  ").trim_end());
    };
    let label = |runtime: &Runtime| format!("{:<14}", runtime.label());
    row("", runtimes.iter().map(label).collect());
    for (index, name) in names.iter().enumerate() {
        let cell = |column: &Vec<Verdict>| format!("{:<14}", column[index].word());
        row(name, columns.iter().map(cell).collect());
    }
    let sum = |column: &Vec<Verdict>| {
        let passed = column.iter().filter(|verdict| verdict.passed()).count();
        format!("{:<14}", format!("{passed} of {}", names.len()))
    };
    row("passed", columns.iter().map(sum).collect());
    if !details {
        return;
    }
    for (runtime, column) in runtimes.iter().zip(columns) {
        for (name, verdict) in names.iter().zip(column) {
            if let Verdict::Failed(why) = verdict {
                println!("\n{name} ({}): {}", runtime.name, why.trim_end());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_runtime_or_all() {
        let parse = |arguments: &[&str]| parse(arguments.iter().map(OsString::from).collect());
        assert!(parse(&["--compare", "--only", "hooks"]).is_ok_and(|options| options.compare));
        assert!(parse(&["--compare", "--runtime=/bin/x"]).is_err());
        assert!(parse(&["x"]).is_err());
    }
}
