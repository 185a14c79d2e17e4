//! Help and version, from the table.

use std::fmt::Write as _;

use crate::flag::{Flag, Role};
use crate::flags::GLOBALS;
use crate::table::{Action, VERBS, Verb};

/// The version as engines look for it: the first line begins like runc's.
pub(crate) fn version() -> String {
    let commit = option_env!("OCIRUN_COMMIT").unwrap_or("unknown");
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "runc version {version}+ocirun\ncommit: {commit}\nspec: {}\n",
        oci_runtime::spec::OCI_VERSION
    )
}

/// All verbs and the flags before them.
pub(crate) fn overview() -> String {
    let mut text = String::from(
        "ocirun: makes and runs containers from OCI bundles\n\nUsage: ocirun [FLAGS] COMMAND [FLAGS] [ARGUMENTS]\n\nCommands:\n",
    );
    for verb in VERBS {
        let built = if !matches!(verb.action, Action::NotBuiltIn) {
            ""
        } else {
            " (not built in yet)"
        };
        let _ = writeln!(text, "  {:<12} {}{built}", verb.name, verb.help);
    }
    text.push_str("\nFlags:\n");
    push_flags(&mut text, GLOBALS);
    text.push_str("\nocirun COMMAND --help tells more of one command.\n");
    text
}

/// One verb.
pub(crate) fn of(verb: &Verb) -> String {
    let flags = if verb.flags.is_empty() {
        ""
    } else {
        " [FLAGS]"
    };
    let space = if verb.usage.is_empty() { "" } else { " " };
    let mut text = format!(
        "ocirun {}: {}\n\nUsage: ocirun {}{flags}{space}{}\n",
        verb.name, verb.help, verb.name, verb.usage
    );
    if !verb.flags.is_empty() {
        text.push_str("\nFlags:\n");
        push_flags(&mut text, verb.flags);
    }
    text
}

fn push_flags(text: &mut String, flags: &[Flag]) {
    for flag in flags.iter().filter(|flag| flag.role != Role::Hidden) {
        let short = if flag.short.is_empty() {
            "    ".to_owned()
        } else {
            format!("-{}, ", flag.short)
        };
        let name = if flag.value.is_empty() {
            flag.name.to_owned()
        } else {
            format!("{} {}", flag.name, flag.value)
        };
        let _ = writeln!(text, "  {short}--{name:<24} {}", flag.help);
    }
}
