//! Sizes as people write them: `512m` for 512 MiB.

/// The bytes that `text` stands for: a number that may have a fraction, and one of the letters k, m, g, t, p for powers of
/// 1024, with `b` or `ib` behind it or without. -1 is no limit.
pub(crate) fn parse(text: &str) -> Result<i64, &'static str> {
    const NO_SIZE: &str = "a size is a number with k, m, g, t or p behind it, or -1";
    if text == "-1" {
        return Ok(-1);
    }
    let lower = text.to_ascii_lowercase();
    let end = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let unit = unit.trim_start();
    let letter = unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(unit);
    let shift = match letter {
        "" if unit != "ib" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(NO_SIZE),
    };
    // A whole number stays exact, however large.
    if let Ok(whole) = number.parse::<i64>() {
        return whole
            .checked_mul(1 << shift)
            .ok_or("this is more than a size can be");
    }
    match number.parse::<f64>() {
        Ok(size) if number.starts_with(|c: char| c.is_ascii_digit()) => {
            let bytes = size * (1u64 << shift) as f64;
            match bytes < i64::MAX as f64 {
                true => Ok(bytes as i64),
                false => Err("this is more than a size can be"),
            }
        }
        _ => Err(NO_SIZE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_engines_write_them() {
        for (text, bytes) in [
            ("-1", -1),
            ("0", 0),
            ("32", 32),
            ("32b", 32),
            ("32B", 32),
            ("32k", 32 << 10),
            ("32K", 32 << 10),
            ("32kb", 32 << 10),
            ("32KiB", 32 << 10),
            ("32 MB", 32 << 20),
            ("1.5g", 3 << 29),
            ("2T", 2 << 40),
            ("3pb", 3 << 50),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for bad in [
            "",
            "-2",
            "-1k",
            "m",
            ".5m",
            "1.2.3",
            "1x",
            "1mm",
            "1ib",
            "+1",
            "0x10",
            "9999999999t",
            "9223372036854775808",
            "1e3",
            "inf",
            "nan",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
