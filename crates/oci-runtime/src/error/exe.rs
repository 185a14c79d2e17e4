//! Why the payload's program cannot run, in the words that engines look for, with an explanation after them.

use std::fmt;

use nix::errno::Errno;
use oci_runtime_init::report::Part;

use super::errno::lower_case;

/// A program that is missing or cannot be executed.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    text: String,
    explanation: &'static str,
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
pub(crate) fn not_found(name: &str, part: Part, errno: Errno) -> Option<Refusal> {
    let (reason, explanation) = match part {
        Part::NotInPath => ("executable file not found in $PATH".to_owned(), ""),
        Part::IsDirectory => ("is a directory".to_owned(), ""),
        Part::StatExe => (format!("stat {name}: {}", lower_case(errno)), ""),
        Part::Faccessat if errno == Errno::EACCES => (
            "permission denied".to_owned(),
            "the file has no execute permission for the container's user, or its mount is noexec",
        ),
        Part::Faccessat => (lower_case(errno), ""),
        _ => return None,
    };
    Some(Refusal {
        text: format!("exec: {name:?}: {reason}"),
        explanation,
    })
}

/// execve(2) of a program that was found.
pub(crate) fn not_executed(name: &str, errno: Errno) -> Refusal {
    let explanation = match errno {
        Errno::ENOENT => {
            "the file is there, but the interpreter that its first line or its ELF header names is not"
        }
        Errno::ENOEXEC => "neither a binary for this machine nor a script with an interpreter line",
        Errno::EACCES => "no execute permission, or the mount is noexec",
        Errno::E2BIG => "arguments and environment together are larger than the kernel takes",
        Errno::ETXTBSY => "some process has the file open for writing",
        _ => "",
    };
    Refusal {
        text: format!("exec {name}: {}", lower_case(errno)),
        explanation,
    }
}
