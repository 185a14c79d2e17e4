//! From words to flags and arguments, by the table.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::arguments::Arguments;
use crate::failure::Misuse;
use crate::flag::Flag;

/// Sorts `words`. With `stops`, flags end at the first word that is none; `--` ends them everywhere.
///
/// # Errors
/// A flag that the table does not have, lacks its value, has one that it cannot have, or cannot be carried out.
pub(crate) fn parse(
    flags: &'static [Flag],
    stops: bool,
    words: Vec<OsString>,
) -> Result<Arguments, Misuse> {
    let mut words = VecDeque::from(words);
    let mut arguments = Arguments::default();
    while let Some(word) = words.pop_front() {
        let Some((name, attached)) = split(&word) else {
            arguments.rest.push(word);
            if stops {
                break;
            }
            continue;
        };
        if name.is_empty() {
            break; // "--"
        }
        if name == "help" || name == "h" {
            arguments.help = true;
            continue;
        }
        let known = flags
            .iter()
            .find(|flag| flag.name == name || (!flag.short.is_empty() && flag.short == name));
        let flag = known.ok_or_else(|| Misuse::UnknownFlag { flag: name.clone() })?;
        let value = if flag.value.is_empty() {
            truth(flag, attached)?
        } else {
            text(flag, attached, &mut words)?
        };
        arguments.flags.push((flag.name, value));
    }
    arguments.rest.extend(words);
    Ok(arguments)
}

/// The name of a flag and the value after `=`; nothing for a word that is no flag. A dash alone is none.
fn split(word: &OsStr) -> Option<(String, Option<OsString>)> {
    let bytes = word
        .as_bytes()
        .strip_prefix(b"-")
        .filter(|rest| !rest.is_empty())?;
    let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let (name, value) = match bytes.iter().position(|&byte| byte == b'=') {
        Some(at) if at > 0 => (
            &bytes[..at],
            Some(OsString::from_vec(bytes[at + 1..].to_vec())),
        ),
        _ => (bytes, None),
    };
    Some((String::from_utf8_lossy(name).into_owned(), value))
}

fn truth(flag: &Flag, attached: Option<OsString>) -> Result<OsString, Misuse> {
    let value = attached.unwrap_or_else(|| "true".into());
    match value.as_bytes() {
        b"true" | b"1" | b"t" | b"T" | b"TRUE" | b"True" => Ok("true".into()),
        b"false" | b"0" | b"f" | b"F" | b"FALSE" | b"False" => Ok("false".into()),
        _ => Err(Misuse::bad(
            flag.name,
            &value,
            "it is neither true nor false",
        )),
    }
}

fn text(
    flag: &Flag,
    attached: Option<OsString>,
    words: &mut VecDeque<OsString>,
) -> Result<OsString, Misuse> {
    attached
        .or_else(|| words.pop_front())
        .ok_or(Misuse::NeedsValue { flag: flag.name })
}

#[cfg(test)]
mod tests;
