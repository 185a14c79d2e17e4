//! `completion`: scripts for shells, from the table.

use std::fmt::Write as _;

use crate::failure::Misuse;
use crate::flag::{Flag, Role};
use crate::flags::GLOBALS;
use crate::table::{Action, VERBS, Verb};

type Script = fn() -> String;

const SHELLS: &[(&str, Script)] = &[("bash", bash), ("zsh", zsh), ("fish", fish)];

/// What `completion SHELL` prints.
pub(crate) fn script(shell: &str) -> Result<String, Misuse> {
    match SHELLS.iter().find(|(name, _)| *name == shell) {
        Some((_, script)) => Ok(script()),
        None => Err(Misuse::Word {
            what: "shell",
            value: shell.to_owned(),
            words: &["bash", "zsh", "fish"],
        }),
    }
}

/// Ids are completed by what `list` says.
const IDS: &str = "ocirun list --quiet 2>/dev/null";

fn shown(flags: &'static [Flag]) -> impl Iterator<Item = &'static Flag> {
    flags.iter().filter(|flag| flag.role != Role::Hidden)
}

fn built() -> impl Iterator<Item = &'static Verb> {
    VERBS
        .iter()
        .filter(|verb| !matches!(verb.action, Action::NotBuiltIn))
}

/// Which argument of the verb is the id of a container that there is.
fn takes_id(verb: &Verb) -> bool {
    verb.usage.starts_with("ID") && !matches!(verb.name, "create" | "run")
}

fn words(flags: &'static [Flag]) -> String {
    let mut words = Vec::new();
    for flag in shown(flags) {
        words.push(format!("--{}", flag.name));
        if !flag.short.is_empty() {
            words.push(format!("-{}", flag.short));
        }
    }
    words.join(" ")
}

/// Flags whose value is the next word.
fn with_values(flags: &'static [Flag]) -> String {
    let mut names = Vec::new();
    for flag in shown(flags).filter(|flag| !flag.value.is_empty()) {
        names.push(format!("--{}", flag.name));
        if !flag.short.is_empty() {
            names.push(format!("-{}", flag.short));
        }
    }
    names.join("|")
}

fn bash() -> String {
    let verbs: Vec<_> = built().map(|verb| verb.name).collect();
    let mut text = format!(
        "# Completion of ocirun for bash.\n_ocirun() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}} verb= at\n    \
         for ((at = 1; at < COMP_CWORD; at++)); do\n        case ${{COMP_WORDS[at]}} in\n        {}) ((at++)) ;;\n        \
         -*) ;;\n        *) verb=${{COMP_WORDS[at]}}; break ;;\n        esac\n    done\n    case $verb in\n",
        with_values(GLOBALS)
    );
    let _ = writeln!(
        text,
        "    '') COMPREPLY=($(compgen -W '{} {}' -- \"$word\")) ;;",
        verbs.join(" "),
        words(GLOBALS)
    );
    for verb in built() {
        let ids = if takes_id(verb) {
            format!(" $({IDS})")
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "    {}) COMPREPLY=($(compgen -W '{}'\"{ids}\" -- \"$word\")) ;;",
            verb.name,
            words(verb.flags)
        );
    }
    text.push_str("    esac\n}\ncomplete -o default -F _ocirun ocirun\n");
    text
}

fn zsh() -> String {
    let mut text = String::from(
        "#compdef ocirun\n# Completion of ocirun for zsh.\n_ocirun() {\n    local -a verbs=(\n",
    );
    for verb in built() {
        let _ = writeln!(text, "        '{}:{}'", verb.name, quoted(verb.help));
    }
    text.push_str("    )\n    _arguments -C \\\n");
    push_zsh_flags(&mut text, GLOBALS, "        ");
    text.push_str(
        "        '1:command:->verb' '*::argument:->arguments'\n    case $state in\n    verb) _describe command verbs ;;\n    \
         arguments)\n        case $words[1] in\n",
    );
    for verb in built() {
        let _ = writeln!(text, "        {})\n            _arguments \\", verb.name);
        push_zsh_flags(&mut text, verb.flags, "                ");
        let rest = if takes_id(verb) {
            format!("'1:container:($({IDS}))' '*:argument:_default'")
        } else {
            "'*:argument:_default'".to_owned()
        };
        let _ = writeln!(text, "                {rest} ;;");
    }
    text.push_str("        esac ;;\n    esac\n}\n_ocirun \"$@\"\n");
    text
}

fn push_zsh_flags(text: &mut String, flags: &'static [Flag], indent: &str) {
    for flag in shown(flags) {
        let value = if flag.value.is_empty() {
            String::new()
        } else {
            format!(":{}:_default", flag.value.replace(':', "\\:"))
        };
        let help = quoted(flag.help);
        let _ = writeln!(text, "{indent}'--{}[{help}]{value}' \\", flag.name);
        if !flag.short.is_empty() {
            let _ = writeln!(text, "{indent}'-{}[{help}]{value}' \\", flag.short);
        }
    }
}

/// For single quotes and brackets.
fn quoted(help: &str) -> String {
    help.replace('\'', "'\\''")
        .replace('[', "\\[")
        .replace(']', "\\]")
        .replace(':', "\\:")
}

fn fish() -> String {
    let mut text = String::from("# Completion of ocirun for fish.\n");
    push_fish_flags(&mut text, GLOBALS, "__fish_use_subcommand");
    for verb in built() {
        let _ = writeln!(
            text,
            "complete -c ocirun -n __fish_use_subcommand -f -a {} -d '{}'",
            verb.name,
            verb.help.replace('\'', "\\'")
        );
        let seen = format!("__fish_seen_subcommand_from {}", verb.name);
        push_fish_flags(&mut text, verb.flags, &seen);
        if takes_id(verb) {
            let _ = writeln!(text, "complete -c ocirun -n '{seen}' -f -a '({IDS})'");
        }
    }
    text
}

fn push_fish_flags(text: &mut String, flags: &'static [Flag], when: &str) {
    for flag in shown(flags) {
        let short = if flag.short.is_empty() {
            String::new()
        } else {
            format!(" -s {}", flag.short)
        };
        let value = if flag.value.is_empty() { "" } else { " -r" };
        let help = flag.help.replace('\'', "\\'");
        let _ = writeln!(
            text,
            "complete -c ocirun -n '{when}'{short} -l {}{value} -d '{help}'",
            flag.name
        );
    }
}
