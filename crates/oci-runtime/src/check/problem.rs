//! Problems: a place in the document, what is wrong there, and how bad it is.

use std::fmt;

use super::Fault;
use crate::pointer::{Part, pointer};

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer (RFC 6901) to the value, or to where a missing one belongs.
    pub pointer: String,
    /// Whether it stops the container.
    pub severity: Severity,
    /// What is wrong.
    pub fault: Fault,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The container can run, but not quite as written.
    Warning,
    /// The container must not be created.
    Error,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.fault)
    }
}

impl std::error::Error for Problem {}

/// A list of problems of one part of the document.
pub(super) struct Problems {
    place: &'static str,
    /// In the order they were found.
    pub(super) list: Vec<Problem>,
}

impl Problems {
    pub(super) fn under(place: &'static str) -> Self {
        Problems {
            place,
            list: Vec::new(),
        }
    }

    pub(super) fn error(&mut self, place: &[Part<'_>], fault: Fault) {
        self.push(place, Severity::Error, fault);
    }

    pub(super) fn warning(&mut self, place: &[Part<'_>], fault: Fault) {
        self.push(place, Severity::Warning, fault);
    }

    fn push(&mut self, place: &[Part<'_>], severity: Severity, fault: Fault) {
        let pointer = format!("{}{}", self.place, pointer(place));
        self.list.push(Problem {
            pointer,
            severity,
            fault,
        });
    }

    pub(super) fn append(&mut self, other: Problems) {
        self.list.extend(other.list);
    }

    /// Complains of a NUL byte, which no text that goes to the kernel can carry.
    pub(super) fn no_nul(&mut self, place: &[Part<'_>], text: &str) {
        if text.contains('\0') {
            self.error(place, Fault::Nul);
        }
    }
}
