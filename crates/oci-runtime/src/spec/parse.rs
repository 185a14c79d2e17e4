//! From bytes to [`Spec`], twice if need be: the first pass is the fast one and knows only line and column of an error;
//! a file that fails is read again by one that keeps track of where in the document it is.

use serde::Deserialize;
use serde_path_to_error::Segment;

use super::Spec;
use super::strict::Strict;
use crate::pointer::{Part, push};

/// Parses a `config.json`. The result borrows from `json`.
///
/// # Errors
/// The bytes are not JSON, or a value is not of the type that the specification gives it.
pub fn parse(json: &[u8]) -> Result<Spec<'_>, ParseError> {
    parse_as(json)
}

/// Parses any part of the specification that comes as a document of its own, as the `process` of `exec` does.
///
/// # Errors
/// As [`parse`].
pub fn parse_as<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, ParseError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    T::deserialize(Strict(&mut deserializer))
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| located::<T>(json, error))
}

/// A document that cannot be read, and where it goes wrong.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}{}: {message}", at(.pointer))]
pub struct ParseError {
    /// JSON pointer to the value, or to the one it is missing in; empty for the document itself.
    pub pointer: String,
    /// Line, from 1; 0 for an empty document.
    pub line: usize,
    /// Column in bytes, from 1; 0 at the very start of a line.
    pub column: usize,
    /// What is wrong, without the place.
    pub message: String,
    /// The parser's own error.
    pub source: serde_json::Error,
}

fn at(pointer: &str) -> String {
    if pointer.is_empty() {
        String::new()
    } else {
        format!(" ({pointer})")
    }
}

fn located<'a, T: Deserialize<'a>>(json: &'a [u8], error: serde_json::Error) -> ParseError {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let pointer = match serde_path_to_error::deserialize::<_, T>(Strict(&mut deserializer)) {
        Ok(_) => String::new(), // What follows the document is at fault.
        Err(error) => pointer_of(error.path()),
    };
    ParseError {
        pointer,
        line: error.line(),
        column: error.column(),
        message: without_place(&error),
        source: error,
    }
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, Part::Index(*index)),
            Segment::Map { key } => push(&mut pointer, Part::Name(key)),
            Segment::Enum { variant } => push(&mut pointer, Part::Name(variant)),
            Segment::Unknown => {}
        }
    }
    pointer
}

/// serde_json ends its messages with the place, which is told apart here.
fn without_place(error: &serde_json::Error) -> String {
    let mut message = error.to_string();
    if let Some(end) = message.rfind(" at line ") {
        message.truncate(end);
    }
    message
}
