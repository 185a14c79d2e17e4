//! Lists of processors and of memory nodes as the kernel writes them: numbers and ranges with commas between, `0-3,7`.

/// What is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the message of each variant is its documentation"
)]
pub enum RangeFault {
    #[error("{0:?} is neither a number nor a range, as in 0-3,7")]
    Form(String),
    #[error("the range {0}-{1} goes backwards")]
    Backwards(u32, u32),
    #[error("{0} is more than there can be ({1})")]
    TooHigh(u32, u32),
    #[error("{0:?} holds no number")]
    Empty(String),
}

/// The highest processor that `init` can bind to; kernels have no more (CONFIG_NR_CPUS).
pub const LAST_CPU: u32 = 8191;

/// The ranges of a list, first and last, none of them beyond `highest`. Blanks around them and commas too many are passed
/// over, as other runtimes do.
pub fn parse(list: &str, highest: u32) -> Result<Vec<(u32, u32)>, RangeFault> {
    let parts = list
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let ranges: Vec<_> = parts
        .map(|part| range(part, highest))
        .collect::<Result<_, _>>()?;
    if ranges.is_empty() {
        return Err(RangeFault::Empty(list.to_owned()));
    }
    Ok(ranges)
}

fn range(part: &str, highest: u32) -> Result<(u32, u32), RangeFault> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    let (Some(first), Some(last)) = (number(first), number(last)) else {
        return Err(RangeFault::Form(part.to_owned()));
    };
    if first > last {
        return Err(RangeFault::Backwards(first, last));
    }
    if last > highest {
        return Err(RangeFault::TooHigh(last, highest));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbers_and_ranges() {
        let cases: [(&str, &[(u32, u32)]); 5] = [
            ("0", &[(0, 0)]),
            ("0-3,7", &[(0, 3), (7, 7)]),
            (" 1 , 2-2", &[(1, 1), (2, 2)]),
            (",5,,", &[(5, 5)]),
            ("9", &[(9, 9)]),
        ];
        for (list, expected) in cases {
            assert_eq!(parse(list, 9).unwrap(), expected, "{list:?}");
        }
    }

    #[test]
    fn all_else_is_an_error() {
        for list in [
            "a",
            "1-",
            "-1",
            "1-2-3",
            "+1",
            "1 2",
            "0x1",
            "4294967296",
            "1.0",
        ] {
            assert!(
                matches!(parse(list, 9), Err(RangeFault::Form(_))),
                "{list:?}"
            );
        }
        assert_eq!(parse("3-1", 9), Err(RangeFault::Backwards(3, 1)));
        assert_eq!(parse("0-10", 9), Err(RangeFault::TooHigh(10, 9)));
        for list in ["", " ", ",", " , "] {
            assert!(
                matches!(parse(list, 9), Err(RangeFault::Empty(_))),
                "{list:?}"
            );
        }
    }
}
