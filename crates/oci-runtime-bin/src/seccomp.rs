//! `seccomp`: what a profile means, without a container. `explain` prints the compiled filter as pseudo code, or tells what
//! happens to one call and which rule decides; `lint` tells what is odd.

mod profile;

use std::ffi::OsString;
use std::fmt::Write;

use oci_runtime_seccomp::{
    Asked, Because, Clause, Explanation, architectures, compile, disassemble, explain, lint,
    pseudo_code,
};
use serde_json::{Value, json};

use crate::call::Call;
use crate::failure::{Failure, Misuse};
use crate::stdout::print;
use profile::Document;

/// The exit status of a lint that has found something.
const FOUND: u8 = 2;

/// `seccomp explain|lint PROFILE ...`.
pub(crate) fn seccomp(call: &Call) -> Result<u8, Failure> {
    let [name, path, rest @ ..] = call.arguments.rest.as_slice() else {
        return Err(Misuse::UnknownVerb("seccomp".to_owned()).into());
    };
    match (name.to_str(), rest) {
        (Some("explain"), []) => explain_all(call, &Document::read(path)?),
        (Some("explain"), [asked, args @ ..]) => {
            explain_one(call, &Document::read(path)?, &text(asked), args)
        }
        (Some("lint"), []) => lint_all(call, &Document::read(path)?),
        (Some("lint"), more) => Err(Misuse::Count {
            verb: "seccomp lint",
            usage: "PROFILE",
            found: more.len() + 1,
        }
        .into()),
        _ => Err(Misuse::UnknownVerb(format!("seccomp {}", text(name))).into()),
    }
}

fn text(word: &OsString) -> String {
    word.to_string_lossy().into_owned()
}

/// The whole filter.
fn explain_all(call: &Call, document: &Document) -> Result<u8, Failure> {
    let format = call.arguments.choice("format", &["text", "bpf", "json"])?;
    let (profile, native) = (document.profile()?, document.native()?);
    let wrong = |error| document.wrong(&error);
    let filter = compile(&profile, native).map_err(wrong)?;
    for warning in &filter.warnings {
        log::warn!("{}{warning}", document.base());
    }
    let instructions = filter.program.iter();
    let text = match format {
        "bpf" => disassemble(&filter.program),
        "json" => {
            let program: Vec<_> = instructions
                .map(|one| json!([one.code, one.jt, one.jf, one.k]))
                .collect();
            let value = json!({"flags": filter.flags.bits(), "program": program});
            format!("{value}\n")
        }
        _ => {
            let archs = architectures(&profile, native).map_err(wrong)?;
            let code = pseudo_code(&filter.program, &archs);
            let mut text = format!("{} instructions", instructions.len());
            for (name, _) in filter.flags.iter_names() {
                let _ = write!(text, ", SECCOMP_FILTER_FLAG_{name}");
            }
            // The kernel takes every program that compiles.
            format!("{text}\n\n{}", code.unwrap_or_default())
        }
    };
    print(&text)?;
    Ok(0)
}

/// One call, by name or number; with arguments, what happens to it with those, the others being zero.
fn explain_one(
    call: &Call,
    document: &Document,
    asked: &str,
    args: &[OsString],
) -> Result<u8, Failure> {
    let format = call.arguments.choice("format", &["text", "json"])?;
    let (profile, native) = (document.profile()?, document.native()?);
    let number = number(asked).and_then(|number| u32::try_from(number).ok());
    let asking = number.map_or(Asked::Name(asked), Asked::Number);
    let given = match args {
        [] => None,
        args => Some(arguments(args)?),
    };
    let explanations = explain(&profile, native, asking).map_err(|error| document.wrong(&error))?;
    if explanations.is_empty() {
        return Err(Failure::UnknownSyscall(asked.to_owned()));
    }
    let base = document.base();
    let text = match format {
        "json" => {
            let all = explanations.iter();
            let all: Vec<Value> = all.map(|one| value(one, given.as_ref(), base)).collect();
            serde_json::to_string_pretty(&all)? + "\n"
        }
        _ => explanations
            .iter()
            .map(|explanation| match &given {
                Some(args) => decided(asked, explanation, args, base),
                None => rules(asked, explanation, base),
            })
            .collect(),
    };
    print(&text)?;
    Ok(0)
}

fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

fn arguments(words: &[OsString]) -> Result<[u64; 6], Failure> {
    let mut args = [0; 6];
    for (arg, word) in args.iter_mut().zip(words) {
        let bad = || Failure::NotANumber(text(word));
        *arg = word.to_str().and_then(number).ok_or_else(bad)?;
    }
    Ok(args)
}

/// `openat on SCMP_ARCH_X86 (number 295)`.
fn heading(asked: &str, explanation: &Explanation) -> String {
    let Explanation { arch, number, .. } = explanation;
    let through = explanation.through.map(|name| format!(" through {name}"));
    let through = through.unwrap_or_default();
    format!("{asked}{through} on {} (number {number})", arch.name())
}

fn rules(asked: &str, explanation: &Explanation, base: &str) -> String {
    let mut text = heading(asked, explanation) + ":\n";
    for clause in &explanation.clauses {
        let Clause {
            pointer, action, ..
        } = clause;
        let conditions = conditions(clause);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  if {conditions}: {action}, by {base}{pointer}");
    }
    let otherwise = match explanation.clauses.is_empty() {
        true => "",
        false => "else ",
    };
    let (action, because) = (explanation.otherwise, because(explanation, base));
    let _ = writeln!(text, "  {otherwise}{action}, {because}");
    text
}

fn decided(asked: &str, explanation: &Explanation, args: &[u64; 6], base: &str) -> String {
    let args_text: Vec<String> = args.iter().map(|arg| format!("{arg:#x}")).collect();
    let asked = format!("{asked}({})", args_text.join(", "));
    let heading = heading(&asked, explanation);
    match explanation.decide(args) {
        (action, Some(clause)) => format!(
            "{heading}:\n  {action}, by {base}{}: {}\n",
            clause.pointer,
            conditions(clause)
        ),
        (action, None) => format!("{heading}:\n  {action}, {}\n", because(explanation, base)),
    }
}

fn conditions(clause: &Clause) -> String {
    let conditions: Vec<String> = clause.conditions.iter().map(ToString::to_string).collect();
    conditions.join(" and ")
}

fn because(explanation: &Explanation, base: &str) -> String {
    match &explanation.because {
        Because::Rule(pointer) => format!("by {base}{pointer}"),
        Because::Newer(newest) => {
            format!("because it is newer than number {newest}, the newest the profile names")
        }
        _ => format!("by {base}/defaultAction"),
    }
}

fn value(explanation: &Explanation, args: Option<&[u64; 6]>, base: &str) -> Value {
    let clause = |clause: &Clause| {
        json!({
            "rule": format!("{base}{}", clause.pointer),
            "conditions": clause.conditions.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "action": clause.action.to_string(),
        })
    };
    let rule = match &explanation.because {
        Because::Rule(pointer) => format!("{base}{pointer}").into(),
        Because::Newer(_) => Value::Null,
        _ => format!("{base}/defaultAction").into(),
    };
    let mut value = json!({
        "architecture": explanation.arch.name(),
        "number": explanation.number,
        "through": explanation.through,
        "clauses": explanation.clauses.iter().map(clause).collect::<Vec<_>>(),
        "otherwise": {"rule": rule, "action": explanation.otherwise.to_string()},
    });
    if let Some(args) = args {
        let (action, decides) = explanation.decide(args);
        value["decided"] = json!({
            "rule": decides.map_or(rule, |clause| format!("{base}{}", clause.pointer).into()),
            "action": action.to_string(),
        });
    }
    value
}

fn lint_all(call: &Call, document: &Document) -> Result<u8, Failure> {
    let format = call.arguments.choice("format", &["text", "json"])?;
    let (profile, native) = (document.profile()?, document.native()?);
    let findings = lint(&profile, native).map_err(|error| document.wrong(&error))?;
    let base = document.base();
    let text = match format {
        "json" => {
            let one = |finding: &oci_runtime_seccomp::Finding| {
                json!({
                    "pointer": format!("{base}{}", finding.pointer),
                    "kind": finding.kind.name(),
                    "message": finding.kind.to_string(),
                })
            };
            let all: Vec<Value> = findings.iter().map(one).collect();
            serde_json::to_string_pretty(&all)? + "\n"
        }
        _ => findings
            .iter()
            .map(|finding| format!("{base}{}: {}\n", finding.pointer, finding.kind))
            .collect(),
    };
    print(&text)?;
    Ok(if findings.is_empty() { 0 } else { FOUND })
}
