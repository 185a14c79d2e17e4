//! Signals by number and by name, signal(7).

/// Names without `SIG`, with what they stand for. Two names may mean one signal.
const NAMES: &[(&str, i32)] = &[
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGIOT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGPOLL),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// The number of a signal: in digits, or by name in any case, with or without `SIG`; `RTMIN+n` and `RTMAX-n` count the
/// real-time ones as the C library does. 0 is a question, not a signal, and allowed.
pub(crate) fn number(text: &str) -> Option<i32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text
            .parse()
            .ok()
            .filter(|number| (0..=libc::SIGRTMAX()).contains(number));
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
        .or_else(|| real_time(name))
}

fn real_time(name: &str) -> Option<i32> {
    let (base, offset) = match name.strip_prefix("RTMIN") {
        Some(offset) => (libc::SIGRTMIN(), signed(offset, '+')?),
        None => (libc::SIGRTMAX(), -signed(name.strip_prefix("RTMAX")?, '-')?),
    };
    let number = base.checked_add(offset)?;
    (libc::SIGRTMIN()..=libc::SIGRTMAX())
        .contains(&number)
        .then_some(number)
}

/// The digits after a sign; nothing at all is 0.
fn signed(text: &str, sign: char) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.strip_prefix(sign)?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_with_and_without_sig() {
        for (name, number_of) in NAMES {
            let lower = name.to_lowercase();
            for spelling in [
                name.to_string(),
                format!("SIG{name}"),
                lower.clone(),
                format!("sig{lower}"),
            ] {
                assert_eq!(number(&spelling), Some(*number_of), "{spelling}");
            }
        }
    }

    #[test]
    fn numbers_are_what_the_kernel_has() {
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("9"), Some(9));
        assert_eq!(number("64"), Some(64));
        for text in [
            "65",
            "-1",
            "+9",
            "9999999999",
            "",
            "SIG",
            "NOPE",
            "SIGSIGTERM",
            " 9",
            "9 ",
        ] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }

    #[test]
    fn real_time_signals_count_from_both_ends() {
        assert_eq!(number("SIGRTMIN"), Some(libc::SIGRTMIN()));
        assert_eq!(number("rtmin+3"), Some(libc::SIGRTMIN() + 3));
        assert_eq!(number("RTMAX-1"), Some(libc::SIGRTMAX() - 1));
        for text in [
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN+99",
            "RTMIN+",
            "RTMIN3",
            "RTMIN++3",
            "RTMIN+2147483647",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
