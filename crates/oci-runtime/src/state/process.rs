//! Telling a process from another one that has got its pid later.

use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// When process `pid` started, in clock ticks after boot; `None` when it is gone or has ended and waits to be reaped.
/// That it cannot be looked at, for want of an fd say, does not mean that it is gone.
pub(crate) fn start_time(pid: i32) -> Result<Option<u64>> {
    let path = PathBuf::from(format!("/proc/{pid}/stat"));
    match fs::read(&path) {
        // The name in it may be any bytes.
        Ok(stat) => Ok(parse(&String::from_utf8_lossy(&stat))),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(error) => Err(Error::file("read", &path, error)),
    }
}

/// Whether the process that started then is still there and has not ended.
pub(super) fn lives(pid: i32, start: u64) -> Result<bool> {
    Ok(start_time(pid)? == Some(start))
}

/// Field 22 of proc_pid_stat(5). The second field is a name in parentheses, and may hold anything.
fn parse(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" | "x" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_does_not_confuse() {
        let rest = "1 1 1 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 4242 1000 10";
        assert_eq!(parse(&format!("7 (a) S {rest}")), Some(4242));
        assert_eq!(parse(&format!("7 (a) Z 3 (b) S {rest}")), Some(4242));
        assert_eq!(parse(&format!("7 (sh) Z {rest}")), None);
        assert_eq!(parse("7 (sh) S 1 1"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_process_lives() {
        let pid = i32::try_from(std::process::id()).expect("a pid fits");
        let start = start_time(pid).expect("proc").expect("it is there");
        assert!(lives(pid, start).expect("proc"));
        assert!(!lives(pid, start + 1).expect("proc"));
        assert_eq!(start_time(i32::MAX).expect("proc"), None);
    }
}
