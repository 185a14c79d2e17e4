//! JSON pointers (RFC 6901): the address of a value inside `config.json`, as every error and every step of a plan
//! carries it to say which property it comes from.

use std::fmt::Write;

/// One part of a pointer: a member of an object or an element of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The member of that name.
    Name(&'a str),
    /// The element at that place, counted from 0.
    Index(usize),
}

impl<'a> From<&'a str> for Part<'a> {
    fn from(name: &'a str) -> Self {
        Part::Name(name)
    }
}

impl From<usize> for Part<'_> {
    fn from(index: usize) -> Self {
        Part::Index(index)
    }
}

/// The parts of a pointer: `at!["mounts", 3, "source"]`.
macro_rules! at {
    ($($part:expr),* $(,)?) => { &[$($crate::pointer::Part::from($part)),*] };
}
pub(crate) use at;

/// Writes the pointer to a value: `["mounts", 3, "source"]` gives `/mounts/3/source`. No part gives `""`, the whole
/// document.
pub fn pointer(parts: &[Part<'_>]) -> String {
    let mut text = String::new();
    for part in parts {
        push(&mut text, *part);
    }
    text
}

/// Appends one part to a pointer, escaping `~` as `~0` and `/` as `~1`.
pub fn push(pointer: &mut String, part: Part<'_>) {
    pointer.push('/');
    match part {
        Part::Index(index) => {
            write!(pointer, "{index}").expect("a String takes all that is written")
        }
        Part::Name(name) => pointer.extend(name.chars().flat_map(escaped)),
    }
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    let (first, second) = match character {
        '~' => ('~', Some('0')),
        '/' => ('~', Some('1')),
        other => (other, None),
    };
    std::iter::once(first).chain(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_written_as_rfc_6901_asks() {
        let cases: [(&[Part], &str); 5] = [
            (&[], ""),
            (
                &["mounts".into(), 3.into(), "source".into()],
                "/mounts/3/source",
            ),
            (&["a/b".into()], "/a~1b"),
            (&["m~n".into(), "".into()], "/m~0n/"),
            (&["~1".into()], "/~01"),
        ];
        for (parts, expected) in cases {
            assert_eq!(pointer(parts), expected);
        }
    }

    #[test]
    fn a_written_pointer_finds_its_value() {
        let document = serde_json::json!({"a/b": {"~1": [0, {"": "found"}]}});
        let path = pointer(&["a/b".into(), "~1".into(), 1.into(), "".into()]);
        assert_eq!(document.pointer(&path).unwrap(), "found");
    }
}
