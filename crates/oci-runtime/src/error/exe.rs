//! Why the payload's program cannot run, in the words that engines look for, with an explanation after them.

use std::fmt;

use nix::errno::Errno;
use oci_runtime_init::report::{Finding, Found, Part};

use super::errno::lower_case;

/// A program that is missing or cannot be executed.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    text: String,
    explanation: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if !self.explanation.is_empty() {
            write!(f, " ({})", self.explanation)?;
        }
        Ok(())
    }
}

/// The failed look-up of `name`; `None` when it failed for another reason than the program.
pub(crate) fn not_found(
    name: &str,
    part: Part,
    errno: Errno,
    finding: Option<Finding>,
) -> Option<Refusal> {
    let reason = match part {
        Part::NotInPath => "executable file not found in $PATH".to_owned(),
        Part::IsDirectory => "is a directory".to_owned(),
        Part::StatExe => format!("stat {name}: {}", lower_case(errno)),
        Part::Faccessat => lower_case(errno),
        _ => return None,
    };
    let unknown = match (part, errno) {
        (Part::NotInPath, _) if name.is_empty() => "the name of the program is empty",
        // The errno of execve(2) as well: some engines look for these words.
        (Part::IsDirectory, _) => "a directory cannot be executed: permission denied",
        (Part::Faccessat, Errno::EACCES) => {
            "the file has no execute permission for the container's user, or its mount is noexec"
        }
        _ => "",
    };
    Some(Refusal {
        text: format!("exec: {name:?}: {reason}"),
        explanation: finding.map_or_else(|| unknown.to_owned(), explanation),
    })
}

/// execve(2) of a program that was found.
pub(crate) fn not_executed(name: &str, errno: Errno, finding: Option<Finding>) -> Refusal {
    let unknown = match errno {
        Errno::ENOENT => {
            "the file is there, but the interpreter that its first line or its ELF header names is not"
        }
        Errno::ENOEXEC => "neither a binary for this machine nor a script with an interpreter line",
        Errno::EACCES => "no execute permission, or the mount is noexec",
        Errno::E2BIG => {
            "arguments and environment together are larger than the kernel takes: 128 KiB each, and all of them a \
             quarter of the stack limit (execve(2))"
        }
        Errno::ETXTBSY => "some process has the file open for writing",
        _ => "",
    };
    Refusal {
        text: format!("exec {name}: {}", lower_case(errno)),
        explanation: finding.map_or_else(|| unknown.to_owned(), explanation),
    }
}

/// A finding in words.
fn explanation(finding: Finding) -> String {
    let text = printable(finding.text());
    match finding.found {
        Found::ParentMissing => format!("the directory {text} is missing"),
        Found::ParentNotDirectory => format!("{text} is not a directory"),
        Found::ParentClosed => {
            format!("the container's user has no search permission for the directory {text}")
        }
        Found::NoExecuteBit => "the file has no execute bit".to_owned(),
        Found::NotForUser => {
            "its mode lets others execute the file, not the container's user".to_owned()
        }
        Found::Noexec => "the file is on a mount with the option noexec".to_owned(),
        Found::ScriptInterpreterMissing => {
            format!(
                "the file is there; its first line names the interpreter {text}, which is missing"
            )
        }
        Found::ScriptInterpreterClosed => format!(
            "its first line names the interpreter {text}, which the container's user cannot execute"
        ),
        Found::CarriageReturn => format!(
            "the lines of the script end in CR LF: its interpreter is taken for {text:?} with a carriage return"
        ),
        Found::LoaderMissing => format!(
            "the file is there; it names the loader {text}, which is missing: it was built for {}",
            library_of(&text)
        ),
        Found::Machine => format!(
            "the program was built for {}, this machine is {}",
            machine_name(&text),
            std::env::consts::ARCH
        ),
        Found::Empty => "the file is empty".to_owned(),
        Found::ByteOrderMark => "a byte order mark stands before the #! of the script".to_owned(),
        Found::NoInterpreterLine => {
            "a script needs a first line with its interpreter, such as #!/bin/sh".to_owned()
        }
    }
}

/// It may be the contents of a file of the container's: what a terminal or a log would take for a command is written out.
fn printable(text: &[u8]) -> String {
    let mut printable = String::new();
    for character in String::from_utf8_lossy(text).chars() {
        match character.is_control() {
            true => printable.extend(character.escape_default()),
            false => printable.push(character),
        }
    }
    printable
}

/// Whose loader it is.
fn library_of(loader: &str) -> &'static str {
    match loader.rsplit('/').next().unwrap_or_default() {
        name if name.starts_with("ld-musl") => {
            "the C library musl, which this root filesystem lacks"
        }
        name if name.starts_with("ld-linux") || name.starts_with("ld64") => {
            "the C library glibc, which this root filesystem lacks"
        }
        _ => "another root filesystem",
    }
}

/// `e_machine` of elf.h, the ones that images are built for.
const MACHINES: &[(&str, &str)] = &[
    ("3", "i386"),
    ("8", "MIPS"),
    ("20", "PowerPC"),
    ("21", "ppc64"),
    ("22", "s390"),
    ("40", "arm"),
    ("62", "x86_64"),
    ("183", "aarch64"),
    ("243", "RISC-V"),
    ("258", "LoongArch"),
];

fn machine_name(digits: &str) -> String {
    let number = digits.trim_start_matches('0');
    match MACHINES.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("the machine {number} of elf.h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_is_no_command_to_a_terminal() {
        let planted = Finding::new(
            Found::LoaderMissing,
            "/ld\n\x1b[2Jlevel=info\u{9b}é".as_bytes(),
        );
        let told = not_executed("/x", Errno::ENOENT, Some(planted)).to_string();
        assert!(
            told.contains("the loader /ld\\n\\u{1b}[2Jlevel=info\\u{9b}é, which"),
            "{told:?}"
        );
    }
}
