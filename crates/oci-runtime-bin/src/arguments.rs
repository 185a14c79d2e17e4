//! What was said on the command line, sorted: the values of flags by name, and the words that are no flags.

use std::ffi::{OsStr, OsString};

use crate::failure::Misuse;

/// What was said: flags with their values in order, and the rest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Name and value; `true` or `false` for a switch.
    pub flags: Vec<(&'static str, OsString)>,
    /// The words that are no flags.
    pub rest: Vec<OsString>,
    /// Whether help was asked for.
    pub help: bool,
}

impl Arguments {
    /// Whether a switch is on; the last word counts.
    pub fn switch(&self, name: &str) -> bool {
        self.last(name).is_some_and(|value| value == "true")
    }

    /// Whether a switch was given, on or off.
    pub fn given(&self, name: &str) -> bool {
        self.last(name).is_some()
    }

    /// The value of a flag, the last one given; an empty one is none.
    pub fn text(&self, name: &str) -> Option<&OsStr> {
        self.last(name).filter(|value| !value.is_empty())
    }

    /// All values of a flag.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s OsStr> {
        self.flags
            .iter()
            .filter(move |(flag, _)| *flag == name)
            .map(|(_, value)| value.as_os_str())
    }

    /// All values of a flag that can only be text.
    pub fn strings(&self, name: &'static str) -> Result<Vec<String>, Misuse> {
        self.all(name).map(|value| string(name, value)).collect()
    }

    /// One of a few words, the first without any.
    pub fn choice(
        &self,
        name: &'static str,
        words: &'static [&'static str],
    ) -> Result<&'static str, Misuse> {
        match self.text(name) {
            None => Ok(words.first().copied().unwrap_or_default()),
            Some(value) => match words.iter().find(|word| **word == value) {
                Some(word) => Ok(word),
                None => Err(Misuse::Choice {
                    flag: name,
                    value: value.to_string_lossy().into_owned(),
                    words,
                }),
            },
        }
    }

    fn last(&self, name: &str) -> Option<&OsStr> {
        self.flags
            .iter()
            .rev()
            .find(|(flag, _)| *flag == name)
            .map(|(_, value)| value.as_os_str())
    }

    /// The container's id. The number of arguments was judged before, so there is one; text that is not UTF-8 has a form
    /// that no id has.
    pub fn id(&self) -> String {
        self.rest
            .first()
            .map(|word| word.to_string_lossy().into_owned())
            .unwrap_or_default()
    }
}

/// A value as text.
pub(crate) fn string(flag: &'static str, value: &OsStr) -> Result<String, Misuse> {
    value
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| Misuse::bad(flag, value, "it is not UTF-8"))
}
