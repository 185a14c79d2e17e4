//! The name of a kernel parameter. It becomes a path below /proc/sys once, in [`path`]; nothing else takes it apart, so
//! that what was allowed is what is written.

/// The path below /proc/sys of a parameter, both spellings of sysctl(8) understood: where the first separator is a
/// dot, dots separate and a slash stands for a dot; else slashes separate. `net.ipv4.conf.eth0/1.forwarding` and
/// `net/ipv4/conf/eth0.1/forwarding` are the same.
///
/// # Errors
/// The name has fewer than two parts, an empty part, `.` or `..`, a blank or a control character.
pub fn path(name: &str) -> Result<String, NameFault> {
    let dotted = name
        .find(['.', '/'])
        .is_some_and(|first| name.as_bytes()[first] == b'.');
    let path: String = if dotted {
        name.chars().map(swapped).collect()
    } else {
        name.to_owned()
    };
    if !path.contains('/') {
        return Err(NameFault::OnePart(name.to_owned()));
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(NameFault::Part(name.to_owned()));
    }
    if path
        .chars()
        .any(|character| character.is_control() || character.is_whitespace())
    {
        return Err(NameFault::Character(name.to_owned()));
    }
    Ok(path)
}

/// Why a name cannot be a parameter's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// There is no directory in it.
    #[error("{0:?} is not a sysctl, which look like net.ipv4.ip_forward")]
    OnePart(String),
    /// A part of it would lead elsewhere or nowhere.
    #[error("sysctl {0:?} has an empty part, '.' or '..' in it")]
    Part(String),
    /// It has a character that no parameter has.
    #[error("sysctl {0:?} has a blank or a control character in it")]
    Character(String),
}

fn swapped(character: char) -> char {
    match character {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}
