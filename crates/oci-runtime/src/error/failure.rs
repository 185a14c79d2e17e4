//! The failure of a step of the container's set-up.

use std::fmt;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::errno::describe;

/// A step that failed, and all that is known about it.
#[derive(Debug, Clone)]
pub struct StepFailure {
    /// Name of the operation.
    pub op: String,
    /// What was attempted, with its arguments.
    pub attempt: String,
    /// The system call, or what was checked.
    pub call: String,
    /// Why.
    pub errno: Errno,
    /// JSON pointer to the property of config.json; empty for what every container gets.
    pub pointer: String,
    /// What may help; empty where nothing is known.
    pub hint: &'static str,
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.attempt)?;
        match (self.op.as_str(), self.errno) {
            // Where runc says it in its words, the errno follows them.
            ("Cwd", errno) => f.write_str(&describe(errno))?,
            // How a hook has ended is no matter of the kernel's.
            ("Hook", Errno::EPROTO | Errno::ETIMEDOUT) => f.write_str(&self.call)?,
            (_, errno) => write!(f, "{}: {}", self.call, describe(errno))?,
        }
        if !self.pointer.is_empty() {
            write!(f, ", asked for by {}", self.pointer)?;
        }
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

/// A step in words, as it is kept for a later command that will have no plan at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Described {
    /// Its number.
    pub number: u16,
    /// Name of the operation.
    pub op: String,
    /// What it attempts.
    pub attempt: String,
    /// JSON pointer.
    pub pointer: String,
}
