//! Lengths of time as Go programs write them: `5s`, `1m30s`, `250ms`.

use std::time::Duration;

/// Units and their nanoseconds.
const UNITS: [(&str, f64); 7] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// The time that `text` stands for, which is more than none.
pub(crate) fn parse(text: &str) -> Result<Duration, &'static str> {
    const NO_TIME: &str = "a time is a number and ns, us, ms, s, m or h, or several of them";
    let mut nanoseconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, after) = rest.split_at(end.ok_or(NO_TIME)?);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, next) = after.split_at(end.unwrap_or(after.len()));
        let number: f64 = number.parse().map_err(|_| NO_TIME)?;
        let (_, factor) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or(NO_TIME)?;
        nanoseconds += number * factor;
        rest = next;
    }
    match Duration::try_from_secs_f64(nanoseconds / 1e9) {
        Ok(time) if text.is_empty() || time.is_zero() => Err("it must be greater than 0"),
        // A year and more is never.
        Ok(time) => Ok(time.min(Duration::from_secs(365 * 24 * 3600))),
        Err(_) => Err(NO_TIME),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_programs_write_them() {
        for (text, milliseconds) in [
            ("5s", 5000),
            ("250ms", 250),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1.5s", 1500),
            ("5000us", 5),
            ("5000µs", 5),
        ] {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for bad in [
            "", "0", "0s", "5", "s", "-1s", "1x", "1s5", "1..2s", "1e3s", " 1s",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("9999999999h").is_ok_and(|time| time.as_secs() == 365 * 24 * 3600));
    }
}
